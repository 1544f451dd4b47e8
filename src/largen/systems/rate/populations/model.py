"""Populations of rate neurons: the model.

Equations P1, P2, ... are numbered and derived in docs/rate-populations.md. Sources: Sompolinsky, Crisanti & Sommers
1988 (Phys. Rev. Lett. 61:259), Mastrogiuseppe & Ostojic 2018 (Neuron 99:609), Faugeras, MacLaurin & Tanré. Time counts
steps (discrete), or is dimensionless in the unit of `tau` (continuous).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from largen.checks import InputError, known_keys, one_of, require
from largen.parameters import TimeSeries, entries, indexed_name, parameter, parameters
from largen.system import Arrays, Observable, Plan
from largen.system.contract import split
from largen.system.pictures import Opening, Picture
from largen.systems.rate import activations
from largen.systems.rate.kernels import SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.populations import numbers
from largen.systems.rate.populations.analyses import AbstractAnalyses
from largen.systems.rate.populations.parts import LowRank, Patterns
from largen.systems.rate.populations.pictures import OVERVIEW, VIEWS
from largen.systems.rate.populations.yardsticks import LATENT, NEURON_SD, RATE, VARIANCE

if TYPE_CHECKING:
    from largen.systems.rate.populations.smooth import SmoothLimit

_COVARIANCE = ("population", "lag", "time", "time_")


class RatePopulations(AbstractAnalyses):
    """N rate neurons in populations, with random, correlated and low-rank weights (eqs. P1 to P3).

    Continuous time:

        dx_i = [-x_i/tau_a + sum_j J_ij phi_b(x_j) + h_i + I_a(t) + sum_p w_i^p s_p(t)] dt + sigma_a dW_i,

    discrete time:

        x_i(t+1) = gamma_a x_i(t) + sum_j J_ij phi_b(x_j(t)) + h_i + I_a(t) + sum_p w_i^p s_p(t) + sigma_a xi_i(t),

    for i in population a and j in population b, with phi_b(x) = activation(gain x) and

        J_ij = Jbar_ab/N_b + (1/N) sum_r m_i^r n_j^r + X_ij,    cov(X_ij, X_kl) = Lambda_ab(k - i, l - j)/N_b.

    Lags of postsynaptic neurons count around the ring of population a, those of presynaptic ones around that of b;
    blocks are independent. Loadings m, n, thresholds h and patterns w are jointly Gaussian, independent over neurons.
    Inputs are not divided by tau: "tau dx/dt = -x + J phi + h" is this with Jbar, the standard deviation of a weight,
    one of the loadings, h, I and sigma all divided by tau.
    """

    system: ClassVar[str] = "rate_populations"
    time_unit: ClassVar[str] = ""
    methods: ClassVar[tuple[str, ...]] = ("map", "rk4", "heun")
    presets: ClassVar[tuple[str, ...]] = ("chaotic", "excitatory_inhibitory", "rank_one", "correlated_blocks")
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 20.0, 1.0)
    default_record: ClassVar[tuple[str, ...]] = ()
    bias_order: ClassVar[float | None] = 1.0  # of averages over draws of the weights
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("mean", ("population", "time"), "1", "mean state", yardstick=NEURON_SD),
        Observable("rate", ("population", "time"), "1", "mean rate", yardstick=RATE),
        Observable("latent", ("rank", "time"), "1", "latent variable", yardstick=LATENT),
        Observable("covariance", _COVARIANCE, "1", "covariance of neurons at a lag on the ring", False, VARIANCE),
        Observable("frozen_covariance", _COVARIANCE, "1", "covariance frozen by the weights", False, VARIANCE),
        Observable("state", ("neuron", "time"), "1", "state of the neurons (first replica)", True),
        Observable("lyapunov", ("time",), "1", "largest Lyapunov exponent up to this time", True),
    )
    overview: ClassVar[tuple[tuple[Picture, ...], ...]] = OVERVIEW
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = VIEWS
    opening: ClassVar[Opening | None] = Opening(
        20.0, 1.0, 100.0, 1000, 20_000, {"lags": 0, "rtol": 1e-5}, {"lags": 0}, example="excitatory_inhibitory"
    )

    dynamics: str = parameter(
        "continuous",
        kind="choice",
        choices=("discrete", "continuous"),
        doc="Discrete (gamma) or continuous time (tau).",
    )
    fractions: Any = parameter(
        (0.8, 0.2), symbol="f_a", dims=("population",), above=0.0, doc="Shares of the neurons; their sum is 1."
    )
    labels: Any = parameter(
        None,
        dims=("population",),
        kind="labels",
        optional=True,
        doc="Names of the populations; None for e and i, or for p1, p2, ... if there are not two.",
    )
    tau: Any = parameter(
        (1.0, 0.5),
        symbol=r"\tau_a",
        dims=("population",),
        above=0.0,
        scalar=True,
        doc="Time constant; continuous time.",
    )
    gamma: Any = parameter(
        0.0,
        symbol=r"\gamma_a",
        dims=("population",),
        low=0.0,
        high=1.0,
        scalar=True,
        doc="Share of the state kept in a step; discrete time only.",
    )
    mean_weight: Any = parameter(
        ((1.0, -2.0), (1.6, -1.4)),
        symbol=r"\bar J_{ab}",
        dims=("population", "source"),
        doc="Summed mean weight from a whole population onto a neuron, [target][source].",
    )
    weight_variance: Any = parameter(
        ((2.56, 4.0), (1.96, 1.44)),
        symbol="g_{ab}^2",
        dims=("population", "source"),
        low=0.0,
        optional=True,
        doc="Independent weights: source neurons times the variance of a weight, [target][source]; None for 0.",
    )
    kernels: Any = parameter(
        None,
        symbol=r"\Lambda_{ab}",
        dims=("population", "source"),
        kind="component",
        components=(SeparableKernel, TableKernel, UncorrelatedKernel),
        optional=True,
        doc="Covariance of the weights by block, [target][source], in place of `weight_variance`.",
    )
    low_rank: Any = parameter(
        None, kind="component", components=(LowRank,), optional=True, doc="Structured part of the weights."
    )
    threshold_mean: Any = parameter(
        (0.3, 0.2), symbol=r"\theta_a", dims=("population",), scalar=True, doc="Mean of the thresholds h."
    )
    threshold_variance: Any = parameter(
        (0.04, 0.09),
        symbol=r"\Sigma^{hh}_a",
        dims=("population",),
        low=0.0,
        scalar=True,
        doc="Variance of the thresholds h.",
    )
    threshold_covariance: Any = parameter(
        None,
        symbol=r"\Sigma^{h,(m,n)}_a",
        dims=("population", "loading"),
        optional=True,
        doc="Covariance of the thresholds with (m^1..m^R, n^1..n^R); None for 0.",
    )
    input: Any = parameter(
        None,
        symbol="I_a",
        dims=("population",),
        function=True,
        components=(TimeSeries,),
        optional=True,
        doc="Common input of each population; constant, TimeSeries or a function of time. None for 0.",
    )
    patterns: Any = parameter(
        None, kind="component", components=(Patterns,), optional=True, doc="Frozen patterns of input, times signals."
    )
    activation: Any = parameter(
        "tanh",
        symbol=r"\phi_a",
        dims=("population",),
        kind="component",
        components=(str,),
        function=True,
        scalar=True,
        doc="tanh, logistic, probit, erf, relu, linear, a formula such as 'x / sqrt(1 + x**2)', or a JAX function; "
        "one, or one per population.",
    )
    gain: Any = parameter(
        1.0, symbol="g", dims=("population",), scalar=True, doc="Factor on the state inside the activation."
    )
    noise: Any = parameter(
        0.0,
        symbol=r"\sigma_a",
        dims=("population",),
        low=0.0,
        scalar=True,
        doc="Noise: standard deviation of a step, or per root time.",
    )
    initial_mean: Any = parameter(
        0.0, symbol=r"\mu_{0,a}", dims=("population",), scalar=True, doc="Mean of the initial states."
    )
    initial_variance: Any = parameter(
        1.0, symbol="v_{0,a}", dims=("population",), low=0.0, scalar=True, doc="Variance of the initial states."
    )

    def __init__(self, **values: Any):
        table = parameters(type(self))
        known_keys("parameter", values, table)
        if values.get("kernels") is not None:
            values = {"weight_variance": None} | values
        elif values.get("weight_variance", 0.0) is None:  # no random weights
            count = np.size(values.get("fractions", table["fractions"].default))
            values = values | {"weight_variance": np.zeros((count, count))}
        for name, info in table.items():
            setattr(self, name, values.get(name, info.default))

    def _check_relations(self) -> None:
        labels = self.populations
        require(abs(float(np.sum(self.fractions)) - 1.0) < 1e-9, "fractions", "add up to 1", self.fractions)
        _check_activations(self.activation, labels)
        if self.kernels is not None and self.weight_variance is not None:
            raise InputError(
                "Arguments `kernels` and `weight_variance` exclude each other: a kernel has a variance of its own. "
                "Give weight_variance=None with kernels."
            )
        if self.kernels is not None:
            numbers.check_kernels(self.kernels, labels)
        numbers.check_loadings(self, labels)

    def _with(self, fields: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
        rival = {"kernels": "weight_variance", "weight_variance": "kernels"}.get(field)
        changed = fields | {field: value}
        return changed if rival is None or value is None else changed | {rival: None}

    @property
    def idle(self) -> tuple[str, ...]:
        """The time constant in discrete time, the share kept in continuous time."""
        return ("tau",) if self.dynamics == "discrete" else ("gamma",)

    @property
    def populations(self) -> tuple[str, ...]:
        """Labels of the populations."""
        return self._labels()

    def _labels(self) -> tuple[str, ...]:
        if self.labels is not None:
            return tuple(self.labels)
        count = self._population_count() or 0
        return ("e", "i") if count == 2 else tuple(f"p{k + 1}" for k in range(count))

    @property
    def reference_size(self) -> None:
        """Infinite."""
        return

    def sizes(self, n: int) -> np.ndarray:
        """Split n neurons by `fractions`; refuses rings on which a kernel is no covariance."""
        from largen.systems.rate.populations.weights import check_block

        sizes = split(n, np.asarray(self.fractions), 1, self.populations)
        for index, kernel in entries(numbers.kernels_of(self)):
            name = indexed_name(parameters(self)["kernels"], index, self.populations)
            check_block(kernel, (int(sizes[index[0]]), int(sizes[index[1]])), name)
        return sizes

    # Presets ---------------------------------------------------------------------------------------------------------

    @classmethod
    def excitatory_inhibitory(cls) -> "RatePopulations":
        """Excitation and inhibition: chaos on top of frozen heterogeneity."""
        return cls()

    @classmethod
    def chaotic(cls) -> "RatePopulations":
        """Sompolinsky, Crisanti & Sommers 1988 at g = 1.5: one population, independent weights, chaos."""
        return cls(
            fractions=(1.0,),
            tau=1.0,
            mean_weight=((0.0,),),
            weight_variance=((2.25,),),
            threshold_mean=0.0,
            threshold_variance=0.0,
        )

    @classmethod
    def rank_one(cls) -> "RatePopulations":
        """Rank one plus random weights (Mastrogiuseppe & Ostojic 2018) at g = 2, M = 2.3: structured chaos."""
        return cls(
            fractions=(1.0,),
            tau=1.0,
            mean_weight=((0.0,),),
            weight_variance=((4.0,),),
            low_rank=LowRank(left_mean=((2.3,),), right_mean=((1.0,),)),
            threshold_mean=0.0,
            threshold_variance=0.0,
            initial_mean=1.0,
        )

    @classmethod
    def correlated_blocks(cls) -> "RatePopulations":
        """Two rings with correlated weights in all four blocks, in discrete time."""
        rows = (((1.2, 0.5, 0.4), (0.8, 0.3, 0.2)), ((0.9, -0.4, 0.3), (0.6, 0.6, -0.3)))
        return cls(
            dynamics="discrete",
            fractions=(2.0 / 3.0, 1.0 / 3.0),
            labels=("a", "b"),
            gamma=(0.7, 0.4),
            mean_weight=((0.8, -1.0), (1.1, -0.7)),
            kernels=tuple(tuple(SeparableKernel(*entry) for entry in row) for row in rows),
            threshold_mean=(0.4, -0.1),
            threshold_variance=(0.2, 0.1),
            activation=("probit", "tanh"),
            noise=(0.5, 0.3),
            initial_mean=(-0.3, 0.2),
            initial_variance=(1.0, 0.5),
        )

    # The network and its limit ---------------------------------------------------------------------------------------

    def plan(
        self,
        times: np.ndarray,
        *,
        n: int,
        method: str | None,
        record: tuple[str, ...],
        lags: int = 2,
        replicas: int = 2,
        weights: str = "explicit",
        precision: str = "float64",
        dt: float | None = None,
    ) -> Plan:
        """Check the options and estimate memory and CPU time; see `network`."""
        from largen.systems.rate.populations import network

        return network.plan(self, times, n, network.Options(method, record, lags, replicas, weights, precision, dt))

    def network(
        self,
        times: np.ndarray,
        *,
        n: int,
        rng: Callable[..., np.random.Generator],
        method: str,
        record: tuple[str, ...],
        tick: Callable[[float], None],
        lags: int = 2,
        replicas: int = 2,
        weights: str = "explicit",
        precision: str = "float64",
        dt: float | None = None,
    ) -> Arrays:
        """Run one draw of the weights, loadings and thresholds.

        Args:
            times: Output times; consecutive integers in discrete time.
            n: Neurons.
            rng: Named streams.
            method: "map" (discrete time); in continuous time "rk4" (without noise, the default there) or "heun".
            record: May hold "state" and "lyapunov", the exponent of a tangent vector of the first replica.
            tick: Progress.
            lags: Largest lag on the ring of the covariances.
            replicas: Runs of this draw with their own noise and initial states; two or more give the frozen part.
            weights: "explicit" (the matrix is stored), "integrated" (the same law without it, for short runs of large
                networks) or "auto" (the faster).
            precision: "float64" or "float32", of weights and states.
            dt: Largest time step; min(tau)/5 for "rk4", min(tau)/50 for "heun" if None.
        """
        from largen.systems.rate.populations import network

        options = network.Options(method, record, lags, replicas, weights, precision, dt)
        return network.run(self, times, n, options, rng=rng, tick=tick)

    def finite_options(self, *, realisations: int, seed: int) -> dict[str, Any]:
        """The theory of n neurons samples the exact law averaged over the weights, as often as the network was run."""
        return {"realisations": realisations, "seed": seed}

    def limit(
        self,
        times: np.ndarray,
        *,
        n: int | None,
        rtol: float,
        atol: float,
        lags: int = 2,
        step: float | None = None,
        method: str = "recursion",
        realisations: int = 16,
        replicas: int = 2,
        seed: int = 0,
    ) -> Arrays:
        """Solve the limit, or with n the law of n neurons by samples of the network.

        Args:
            times: Output times.
            n: None for the limit; n neurons: samples, with a realisation axis.
            rtol: Relative tolerance (time step and expectations).
            atol: Absolute tolerance.
            lags: Largest lag on the ring of the covariances.
            step: Largest time step to start from in continuous time; refined until the tolerance is met.
            method: "recursion" (forward in time) or "fixed_point" (iteration on the whole horizon: slower, a check).
            realisations: Samples at finite n.
            replicas: Replicas of each sample at finite n.
            seed: Seed of the samples.
        """
        from largen.systems.rate.limit import METHODS
        from largen.systems.rate.populations import limit, network

        one_of("method", method, METHODS)  # also where it does nothing, for samples
        if n is not None:
            return network.sampled_limit(
                self, times, n, lags=lags, realisations=realisations, replicas=replicas, seed=seed
            )
        return limit.solve(self, times, limit.Options(lags, rtol, atol, step, method))

    def smooth(
        self, times: np.ndarray, *, n: int | None = None, lags: int = 2, terms: int = 192, step: float | None = None
    ) -> "SmoothLimit":
        """The limit as a differentiable function of the model; see `smooth.prepare` for the options."""
        from largen.systems.rate.populations import smooth

        return smooth.prepare(self, times, n=n, lags=lags, terms=terms, step=step)

    def equations(self, n: int | None = None) -> str:
        """The limit's equations with this model's numbers, as LaTeX."""
        from largen.systems.rate.populations import latex

        return latex.write(self, n)


def _check_activations(given: Any, labels: tuple[str, ...]) -> None:
    for index, activation in entries(given):
        name = "activation" + (f"[{labels[index[0]]}]" if index and index[0] < len(labels) else "")
        activations.check(activation, name, (*activations.NAMES, "relu"))
