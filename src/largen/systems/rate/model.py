"""The rate network's model: N rate neurons on a ring with correlated Gaussian weights.

Source: Faugeras, MacLaurin & Tanré, "Neural networks do not become asynchronous in the large size limit"; Faugeras &
MacLaurin, Entropy 17 (2015) 4701 (discrete time) and arXiv 1901.10248 (continuous time). Time counts steps (discrete),
or is dimensionless in the unit of `tau` (continuous). Equations R1, R2, ... are numbered and derived in docs/rate.md.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from largen.checks import increasing_times, one_of, require
from largen.numerics.lyapunov import TangentMap
from largen.system import AbstractSystem, Arrays, Observable, Plan, Table, Yardstick, parameter
from largen.system.pictures import AgainstLag, Distance, Opening, Parts, Picture, Series, Surface
from largen.systems.rate import activations
from largen.systems.rate.kernels import SeparableKernel, TableKernel, UncorrelatedKernel

if TYPE_CHECKING:
    from largen.systems.rate.populations import RatePopulations
    from largen.systems.rate.smooth import SmoothLimit

_COVARIANCES = ("covariance", "frozen_covariance")


def _neuron_variance(theory: Any) -> Any:
    """Variance of a neuron, averaged over time: the diagonal of the covariance at lag 0."""
    diagonal = theory["covariance"].sel(lag=0).transpose("time", "time_").values.diagonal()
    return theory["mean"].isel(time=0, drop=True) * 0.0 + diagonal.mean()


def _averaged_variance(theory: Any) -> Any:
    """Covariance of a neuron with itself, averaged over all pairs of times as the covariances that are compared."""
    both = theory["covariance"].sel(lag=0)
    return both.where(both["time_"] <= both["time"]).mean("time_").mean("time")


_NEURON_SD = Yardstick(
    0.05, lambda theory: _neuron_variance(theory) ** 0.5, "a neuron's s.d.", needs=("mean", "covariance")
)
_VARIANCE = Yardstick(0.1, _averaged_variance, "covariance[0]", needs=("covariance",))


class RateNetwork(AbstractSystem):
    """N rate neurons on a ring whose Gaussian weights are correlated (Faugeras, MacLaurin & Tanré).

    Discrete time, for t = 0, 1, ... (eq. R1):

        U^j_{t+1} = gamma U^j_t + sum_i J_ji f(U^i_t) + theta_j + sigma B^j_t,

    continuous time (eq. R2):

        dU^j = (-U^j/tau + sum_i J_ji f(U^i) + theta_j) dt + sigma dW^j,

    with f(x) = activation(gain x), U_0 Gaussian and independent, theta_j Gaussian and independent. The weight J_ji
    from i to j is Gaussian of mean mean_weight/N, and cov(J_ij, J_kl) = Lambda(k - i, l - j)/N (eq. R3; Lambda is the
    `kernel`, its lags count around the ring). As N grows neurons stay correlated: there is no propagation of chaos.
    The limit is the law averaged over the weights. `frozen_covariance` is the part of the covariance that the weights
    and thresholds freeze, shared by two runs of one network with their own noise and initial states; the rest
    fluctuates in time.
    """

    system: ClassVar[str] = "rate"
    time_unit: ClassVar[str] = ""
    methods: ClassVar[tuple[str, ...]] = ("map", "heun")
    presets: ClassVar[tuple[str, ...]] = ("correlated", "chaotic", "independent", "diffusion")
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 20.0, 1.0)
    default_record: ClassVar[tuple[str, ...]] = ()
    bias_order: ClassVar[float | None] = 1.0  # of averages over draws of the weights
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("mean", ("time",), "1", "mean state", yardstick=_NEURON_SD),
        Observable(
            "covariance", ("lag", "time", "time_"), "1", "covariance of neurons at a lag on the ring", False, _VARIANCE
        ),
        Observable(
            "frozen_covariance", ("lag", "time", "time_"), "1", "covariance frozen by the weights", False, _VARIANCE
        ),
        Observable("state", ("neuron", "time"), "1", "state of the neurons (first replica)", True),
    )

    overview: ClassVar[tuple[tuple[Picture, ...], ...]] = (
        *(tuple(Surface("covariance", source, lag) for source in ("limit", "network", "difference")) for lag in (0, 1)),
        (Series("mean"), AgainstLag(*_COVARIANCES)),
        (Distance(),),
    )
    opening: ClassVar[Opening | None] = Opening(
        20.0, 1.0, 100.0, 1000, 20_000, {"lags": 5}, {"lags": 5}, example="correlated"
    )
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = {
        "Mean": (Series("mean"), Parts(*_COVARIANCES)),
        "Correlation and lag": (AgainstLag(*_COVARIANCES),),
        "Surfaces": tuple(
            Surface("covariance", source, lag) for lag in (0, 1) for source in ("limit", "network", "difference")
        ),
    }

    dynamics: str = parameter(
        "discrete", kind="choice", choices=("discrete", "continuous"), doc="Discrete (gamma) or continuous time (tau)."
    )
    gamma: Any = parameter(
        0.7, symbol=r"\gamma", low=0.0, high=1.0, doc="Share of the state kept in a step; discrete time only."
    )
    tau: Any = parameter(1.0, symbol=r"\tau", above=0.0, doc="Time constant; continuous time only.")
    mean_weight: Any = parameter(-0.8, symbol=r"\bar J", doc="N times the mean of a weight.")
    kernel: Any = parameter(
        SeparableKernel(),
        symbol=r"\Lambda",
        kind="component",
        components=(SeparableKernel, TableKernel, UncorrelatedKernel),
        doc="N times the covariance of two weights, by post and pre lag.",
    )
    activation: Any = parameter(
        "probit",
        symbol="f",
        kind="component",
        components=(str,),
        function=True,
        doc="logistic, probit, tanh, erf, linear, a formula such as 'x / sqrt(1 + x**2)', or a JAX function.",
    )
    gain: Any = parameter(1.0, symbol="g", doc="Factor on the state inside the activation, f(x) = activation(gain x).")
    threshold_mean: Any = parameter(0.4, symbol=r"\bar\theta", doc="Mean of the thresholds (constant inputs).")
    threshold_variance: Any = parameter(0.2, symbol=r"s_\theta^2", low=0.0, doc="Variance of the thresholds.")
    noise: Any = parameter(0.5, symbol=r"\sigma", low=0.0, doc="Noise: standard deviation of a step, or per root time.")
    initial_mean: Any = parameter(-0.3, symbol=r"\mu_0", doc="Mean of the initial states.")
    initial_variance: Any = parameter(1.0, symbol="v_0", low=0.0, doc="Variance of the initial states.")

    def __check_init__(self):
        activations.check(self.activation)

    @property
    def idle(self) -> tuple[str, ...]:
        """The time constant in discrete time, the share kept in continuous time."""
        return ("tau",) if self.dynamics == "discrete" else ("gamma",)

    @property
    def populations(self) -> tuple[str, ...]:
        """No labels: one ring of neurons."""
        return ()

    @property
    def reference_size(self) -> None:
        """Infinite."""
        return

    def sizes(self, n: int) -> np.ndarray:
        """One ring of n neurons; refuses one on which the kernel is no covariance."""
        require(n >= 2, "n", "be at least 2", n)
        self.kernel.check(n)
        return np.array([n])

    @classmethod
    def correlated(cls) -> "RateNetwork":
        """Correlated weights in discrete time: neighbours stay correlated (the authors' Figure 1)."""
        return cls()

    @classmethod
    def chaotic(cls) -> "RateNetwork":
        """Sompolinsky, Crisanti & Sommers 1988 at g = 1.5: independent weights, no noise, deterministic chaos."""
        return cls(
            dynamics="continuous",
            tau=1.0,
            mean_weight=0.0,
            kernel=UncorrelatedKernel(2.25),
            activation="tanh",
            threshold_mean=0.0,
            threshold_variance=0.0,
            noise=0.0,
            initial_mean=0.0,
            initial_variance=1.0,
        )

    @classmethod
    def independent(cls) -> "RateNetwork":
        """The correlated network's contrast: the same variance, independent weights; neurons decorrelate."""
        return cls(kernel=UncorrelatedKernel(1.5))

    @classmethod
    def diffusion(cls) -> "RateNetwork":
        """Correlated weights in continuous time, logistic activation (arXiv 1901.10248)."""
        return cls(dynamics="continuous", tau=0.5, activation="logistic", gain=2.0)

    def as_populations(self) -> "RatePopulations":
        """The same network as one population of `RatePopulations`, which has other analyses."""
        from largen.systems.rate.populations import RatePopulations

        names = ("threshold_mean", "threshold_variance", "noise", "initial_mean", "initial_variance", "gain")
        return RatePopulations(
            dynamics=self.dynamics,
            fractions=(1.0,),
            tau=self.tau,
            gamma=self.gamma,
            mean_weight=((float(self.mean_weight),),),
            kernels=((self.kernel,),),
            activation=self.activation,
            **{name: getattr(self, name) for name in names},
        )

    def plan(
        self,
        times: np.ndarray,
        *,
        n: int,
        method: str | None,
        record: tuple[str, ...],
        lags: int = 2,
        replicas: int = 2,
        weights: str = "auto",
        precision: str = "float64",
        dt: float | None = None,
    ) -> Plan:
        """Check the options and estimate memory and CPU time; see `network`."""
        from largen.systems.rate import network

        return network.plan(
            self,
            times,
            n,
            network.Options(method, record, lags, replicas, weights, precision, dt),
        )

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
        weights: str = "auto",
        precision: str = "float64",
        dt: float | None = None,
    ) -> Arrays:
        """Run one draw of the weights.

        Args:
            times: Output times; consecutive integers in discrete time.
            n: Neurons.
            rng: Named streams.
            method: "map" (discrete time) or "heun" (continuous time).
            record: May hold "state".
            tick: Progress.
            lags: Largest lag on the ring of the covariances.
            replicas: Runs of this draw with their own noise and initial states; two or more give the frozen part.
            weights: "explicit" (the matrix), "integrated" (the exact law of the network averaged over the weights,
                without them) or "auto" (the cheaper).
            precision: "float64" or "float32", of weights and states.
            dt: Largest time step of Heun's method; a fiftieth of tau if None.
        """
        from largen.systems.rate import network

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
        method: str = "recursion",
        step: float | None = None,
        realisations: int = 16,
        replicas: int = 2,
        seed: int = 0,
    ) -> Arrays:
        """Solve the limit, or with n the law of n neurons by sampling the network without its weights.

        Args:
            times: Output times.
            n: None for the limit; n neurons: samples of the integrated network, with a realisation axis.
            rtol: Relative tolerance (time step and expectations).
            atol: Absolute tolerance.
            lags: Largest lag on the ring of the covariances.
            method: "recursion" (forward in time) or "fixed_point" (the iteration of the source on the whole horizon).
            step: Largest time step to start from in continuous time; refined until the tolerance is met.
            realisations: Samples at finite n.
            replicas: Replicas of each sample at finite n.
            seed: Seed of the samples.
        """
        from largen.systems.rate import limit, network
        from largen.systems.rate.limit import METHODS

        one_of("method", method, METHODS)  # also where it does nothing, for samples
        if n is not None:
            return network.sampled_limit(
                self, times, n, lags=lags, realisations=realisations, replicas=replicas, seed=seed
            )
        return limit.solve(self, times, limit.Options(lags, rtol, atol, method, step))

    def stationary(self, *, lags: int = 2, rtol: float = 1e-8, atol: float = 1e-10) -> Table:
        """Solve the stationary regime: `covariance` (lag, time), `frozen_covariance` (lag), `mean`.

        `time` is the time between the two states. See `stationary.solve`.
        """
        from largen.systems.rate import stationary, tables

        return tables.of_stationary(stationary.solve(self, lags=lags, rtol=rtol, atol=atol), self.dynamics)

    def fluctuations(self, *, n: int, times: Any = None, lags: int = 2, samples: int = 5000, seed: int = 0) -> Table:
        """Variances of averages over n neurons, total and frozen, in discrete time; see `fluctuations.solve`."""
        from largen.systems.rate import fluctuations, tables

        times = increasing_times("times", times)
        return tables.of_fluctuations(fluctuations.solve(self, times, lags=lags, samples=samples, seed=seed), times, n)

    def covariance_of_averages(
        self, times: np.ndarray, weights: Mapping[str, np.ndarray], *, n: int, options: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Covariance of weighted sums of one network's `mean` and `covariance`, from its theory of fluctuations.

        Nothing in continuous time, nor over more times than the theory takes.
        """
        from largen.systems.rate import fluctuations

        known = {name: weights[name] for name in ("mean", "covariance") if name in weights}
        discrete = self.dynamics == "discrete"
        if not known or not discrete or fluctuations.order_parameters(self, len(times)) > fluctuations.MOST_ORDERS:
            return {}
        found = fluctuations.of_averages(self, times, known, replicas=int(options["replicas"]))
        return {name: covariance / n for name, covariance in found.items()}

    def rate_function(self, mean: np.ndarray, covariance: np.ndarray) -> Table:
        """Cost per neuron of a Gaussian field, averaged over the weights; see `large_deviations.solve`."""
        from largen.systems.rate import large_deviations, tables

        return tables.of_rate_function(large_deviations.solve(self, mean, covariance))

    def chaos_onset(self, gains: np.ndarray | None) -> Table:
        """Where the noiseless network with independent weights becomes chaotic; see `chaos_onset.find`."""
        from largen.systems.rate import chaos_onset, tables

        found = chaos_onset.find(self)
        return tables.of_onset(found, gains, None if gains is None else chaos_onset.variances(self, gains))

    def tangent_dynamics(
        self, *, n: int | None, dt: float | None, rng: Callable[..., np.random.Generator] | None
    ) -> TangentMap:
        """One draw of the network without noise, with tangent vectors; see `tangent.of_network`."""
        from largen.systems.rate import tangent

        return tangent.of_network(self, n, dt, rng)

    def smooth(
        self, times: np.ndarray, *, n: int | None = None, lags: int = 2, terms: int = 256, step: float | None = None
    ) -> "SmoothLimit":
        """The limit as a differentiable function of the model; see `smooth.prepare` for the options."""
        from largen.systems.rate import smooth

        return smooth.prepare(self, times, n=n, lags=lags, terms=terms, step=step)

    def equations(self, n: int | None = None) -> str:
        """The limit's equations with this model's numbers, as LaTeX."""
        from largen.systems.rate import latex

        return latex.write(self, n)
