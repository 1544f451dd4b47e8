"""The balanced network's model: all-to-all coupling of order n^(-1/2), kept finite by balance.

Source: MacLaurin & Vilanova 2024 (arXiv 2412.17273). Time is dimensionless, in the unit in which `tau` is given.
Equations B1, B2, ... are numbered and derived in docs/balanced.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from largen.checks import InputError, LimitError, require
from largen.numerics.lyapunov import TangentMap
from largen.parameters import TimeSeries, parameter
from largen.space import KERNELS, SPACES, CosineKernel, Ring
from largen.system import (
    AbstractFlowSystem,
    Arrays,
    Dynamics,
    Feature,
    Observable,
    Plan,
    Portrait,
    Table,
    Yardstick,
    labels_of,
    split,
)
from largen.system.pictures import ActivityMap, ComplexPlane, Growth, Opening, PhasePlane, Picture, Series
from largen.systems.balanced import patches
from largen.systems.balanced.gains import CustomGain, Logistic, Probit

_NEURON_SD = Yardstick(
    0.05, lambda theory: theory["variance"].mean("time") ** 0.5, "a neuron's s.d.", needs=("variance",)
)
_BY_PATCH = (
    ("mean", "mean state"),
    ("variance", "variance of the state within a patch"),
    ("third_cumulant", "third cumulant of the state within a patch"),
    ("rate", "mean intensity"),
)
_SKEWNESS = Yardstick(0.1, lambda theory: theory["variance"].mean("time") ** 1.5, "variance^(3/2)", needs=("variance",))


class BalancedNetwork(AbstractFlowSystem):
    """Populations of neurons with all-to-all Poisson coupling of order n^(-1/2) (MacLaurin & Vilanova 2024).

    Between jumps the state of neuron j of population a follows (eq. B1)

        dZ_a^j/dt = -Z_a^j/tau_a + m_a + sqrt(n) h_a   (+ white noise of intensity sigma_a^2),

    and every neuron (b, k) gives every neuron (a, j), itself included, jumps s_b alpha_ab/sqrt(n) at intensity
    f_b(Z_b^k) (eq. B2), by a counting process of its own for each pair. Here n = N/P is the mean size of a population
    and N the total number of neurons: the argument `n` of largen's functions is N.

    With `space` and `kernel` a population is spread over a ring or sheet of patches: the coupling of two neurons is
    alpha_ab times the kernel's profile at the distance of their patches, whose mean over the ring or sheet is 1.
    Observables are then means over the patches; each patch's own are in `patch_mean`, `patch_rate` and so on. n stays
    N/P.

    With `synapses="shared"` one counting process per source drives all targets at once: a contrast, not the
    paper's model; the variance then decays and each population synchronises.
    """

    system: ClassVar[str] = "balanced"
    time_unit: ClassVar[str] = ""
    methods: ClassVar[tuple[str, ...]] = ("exact", "tau_leap", "auto")
    presets: ClassVar[tuple[str, ...]] = (
        "balanced",
        "rank_one",
        "off_manifold",
        "shared",
        "saddle",
        "unstable",
        "folded",
        "ring",
    )
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 5.0, 0.05)
    default_record: ClassVar[tuple[str, ...]] = ("state",)
    limit_batch: ClassVar[int] = 256
    bias_order: ClassVar[float | None] = 0.5  # terms of order n^(-1/2) in the equations of n neurons
    opening: ClassVar[Opening | None] = Opening(10.0, 0.05, 200.0, branches=("drive[e]", 1.1), example="balanced")
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = {
        "Means and variances": (Series("mean"), Series("variance")),
        "Rates": (Series("rate"), Series("third_cumulant")),
        "Manifold": (PhasePlane("mean", "balanced manifold"),),
        "Fast eigenvalues": (
            Growth(
                "fast_eigenvalues_real",
                "fast eigenvalues along the solution",
                "real parts of the fast eigenvalues; where one reaches zero the limit ends",
            ),
            ComplexPlane("fast_eigenvalues_real", "fast_eigenvalues_imag", "fast eigenvalues in the complex plane"),
        ),
        "Space": (ActivityMap("patch_mean", "limit"), ActivityMap("patch_mean", "network")),
    }
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("mean", ("population", "time"), "1", "mean state", yardstick=_NEURON_SD),
        Observable(
            "variance", ("population", "time"), "1", "variance of the state within a population", False, Yardstick(0.1)
        ),
        Observable(
            "third_cumulant",
            ("population", "time"),
            "1",
            "third cumulant of the state within a population",
            yardstick=_SKEWNESS,
        ),
        Observable("rate", ("population", "time"), "1", "mean intensity"),
        *(
            Observable(f"patch_{name}", ("population", "patch", "time"), "1", f"{words} of a patch", True)
            for name, words in _BY_PATCH
        ),
        Observable("fast_eigenvalues_real", ("mode", "time"), "1", "fast eigenvalue, real part", True),
        Observable("fast_eigenvalues_imag", ("mode", "time"), "1", "fast eigenvalue, imaginary part", True),
        Observable("state", ("neuron", "time"), "1", "state of chosen neurons", True),
        Observable("spike_population", ("spike",), "", "population of the neuron that a spike reaches", True),
        Observable("spike_neuron", ("spike",), "", "that neuron, within its population", True),
        Observable("spike_source", ("spike",), "", "population that sent the spike", True),
        Observable("spike_time", ("spike",), "1", "time of a spike", True),
    )

    coupling: Any = parameter(
        ((1.0, 2.0), (1.2, 1.8)),
        symbol=r"\alpha_{ab}",
        dims=("population", "source"),
        low=0.0,
        doc="Coupling, [target][source]: a jump is sign * coupling / sqrt(n).",
    )
    sign: Any = parameter(
        (1, -1), symbol="s_b", dims=("population",), kind="integer", low=-1, high=1, doc="+1 excites, -1 inhibits."
    )
    tau: Any = parameter(
        (1.0, 1.0), symbol=r"\tau_a", dims=("population",), above=0.0, scalar=True, doc="Membrane time constant."
    )
    gain: Any = parameter(
        (Probit(1.5, 1.0, 0.5), Probit(2.0, 1.5, 0.3)),
        symbol="f_b",
        dims=("population",),
        kind="component",
        components=(Logistic, Probit, CustomGain),
        doc="Intensity of a neuron as a function of its state.",
    )
    drive: Any = parameter(
        (0.65, 0.48),
        symbol="h_a",
        dims=("population",),
        function=True,
        components=(TimeSeries,),
        doc="Strong drive, multiplied by sqrt(n); constant or a continuous function of time, or (`space`) of place.",
    )
    input: Any = parameter(
        (0.0, 0.0),
        symbol="m_a",
        dims=("population",),
        function=True,
        components=(TimeSeries,),
        doc="Input of order one; constant or a function of time, or (`space`) of place.",
    )
    initial_mean: Any = parameter(
        (-0.29738905865, -0.38931547183), symbol="v_a(0)", dims=("population",), doc="Mean of the states at the start."
    )
    initial_variance: Any = parameter(
        (0.2, 0.6), symbol="K_a(0)", dims=("population",), low=0.0, doc="Variance of the states at the start."
    )
    fractions: Any = parameter(
        1.0,
        dims=("population",),
        above=0.0,
        scalar=True,
        doc="Shares of n, adding up to 1; one number for all means equal shares.",
    )
    noise: Any = parameter(
        0.0, symbol=r"\sigma_a", dims=("population",), low=0.0, scalar=True, doc="Intrinsic white noise."
    )
    synapses: str = parameter(
        "independent",
        kind="choice",
        choices=("independent", "shared"),
        doc="A counting process for each pair of neurons (the paper), or one for each source (a contrast).",
    )

    space: Any = parameter(
        None,
        kind="component",
        components=SPACES,
        optional=True,
        doc="Ring or sheet of patches; none: all neurons of a population are alike.",
    )
    kernel: Any = parameter(
        None,
        symbol=r"\kappa_{ab}",
        dims=("population", "source"),
        kind="component",
        components=KERNELS,
        scalar=True,
        optional=True,
        doc="Coupling against distance, [target][source] or one for all; its mean over the ring or sheet is 1.",
    )

    def _check_relations(self) -> None:
        patches.check(self)

    def __check_init__(self):
        if not isinstance(self.sign, np.ndarray):
            return
        require(np.all(self.sign != 0), "sign", "be made of +1 and -1", self.sign)
        if isinstance(self.fractions, np.ndarray) and self.fractions.ndim == 1:
            total = float(self.fractions.sum())
            require(abs(total - 1.0) < 1e-9, "fractions", "add up to 1", self.fractions, f"They add up to {total:g}.")

    @property
    def populations(self) -> tuple[str, ...]:
        """Labels: `e` and `i`, numbered from 1 where there are several of a kind."""
        return labels_of(np.asarray(self.sign) < 0)

    @property
    def reference_size(self) -> None:
        """The model's own size is infinite."""
        return

    def sizes(self, n: int) -> np.ndarray:
        """Split n by `fractions`, by largest remainders; every population (and patch) must get three neurons."""
        if self.space is not None:
            return patches.patch_sizes(self, n).sum(1)
        return split(n, np.broadcast_to(self.fractions, (len(self.gain),)), 3, self.populations)

    @classmethod
    def balanced(cls) -> "BalancedNetwork":
        """Full rank, complex fast eigenvalues, started on the balanced manifold."""
        return cls()

    @classmethod
    def off_manifold(cls) -> "BalancedNetwork":
        """The same network started away from the manifold, which it reaches in a time of order n^(-1/2)."""
        return cls(initial_mean=(0.0, 0.0))

    @classmethod
    def rank_one(cls) -> "BalancedNetwork":
        """Equal couplings without drive: only one combination of the rates is pinned."""
        return cls(
            coupling=((1.0, 1.0), (1.0, 1.0)),
            gain=(Probit(1.0, 1.0, 0.2), Probit(2.5, 1.5, 0.6)),
            drive=(0.0, 0.0),
            input=(0.6, 0.1),
            initial_mean=(0.4, 0.3),
            initial_variance=(0.5, 0.3),
        )

    @classmethod
    def shared(cls) -> "BalancedNetwork":
        """One counting process per source for all its targets: the populations synchronise."""
        return cls(synapses="shared")

    @classmethod
    def saddle(cls) -> "BalancedNetwork":
        """The only balanced state is a saddle: no limit; the network blows up as sqrt(n)."""
        return cls(
            coupling=((2.0, 1.0), (1.0, 1.0)),
            gain=(Probit(1.0, 1.0, 0.2), Probit(2.0, 1.5, 0.1)),
            drive=(0.2, 0.7),
            initial_mean=(0.0, 0.0),
            initial_variance=(0.2, 0.6),
        )

    @classmethod
    def unstable(cls) -> "BalancedNetwork":
        """Balance loses its stability in the course of time: the limit ends there."""
        return cls(
            coupling=((3.5, 2.0), (2.0, 1.0)),
            gain=(Probit(1.0, 4.0, 0.5), Probit(3.0, 0.6, 0.3)),
            drive=(0.24, 0.02),
            initial_mean=(0.1, -0.8),
            initial_variance=(8.0, 0.02),
        )

    @classmethod
    def folded(cls) -> "BalancedNetwork":
        """The balanced manifold folds: a relaxation oscillation at finite n, fold jumps in the limit."""
        return cls(
            coupling=((1.32, 0.352), (0.65076, 0.173536)),
            tau=(1.0, 2.18),
            gain=(Probit(1.0, 10.3, 1.0), Probit(5.7, 2.3, 1.1)),
            drive=(0.48, 0.23664),
            initial_mean=(0.0, 0.0),
            initial_variance=(0.3, 0.2),
        )

    @classmethod
    def ring(cls) -> "BalancedNetwork":
        """A ring that loses balance in its mode of one wave, at any n from 400: a pattern of size sqrt(n) grows."""
        near, far = CosineKernel(0.15), CosineKernel(0.25)
        return cls(space=Ring(16), kernel=((CosineKernel(0.45), near), (far, near)))

    def plan(
        self,
        times: np.ndarray,
        *,
        n: int,
        method: str | None,
        record: tuple[str, ...],
        dt: float | None = None,
        neurons: Any = 5,
        time_limit: float = 3600.0,
        perturbation: Any = None,
    ) -> Plan:
        """Choose the method and estimate memory and CPU time of one realisation; see `network.run`."""
        from largen.systems.balanced.network import run

        options = run.Options(method, record, dt, neurons, time_limit)
        if self.space is None:
            patches.require_none(perturbation)
            return run.plan(self, times, n, options)
        found = run.plan(patches.block_model(self, perturbation), times, n, options)
        return found._replace(kept=2.0 * (found.kept or 0.0))

    def network(
        self,
        times: np.ndarray,
        *,
        n: int,
        rng: Callable[..., np.random.Generator],
        method: str,
        record: tuple[str, ...],
        tick: Callable[[float], None],
        dt: float | None = None,
        neurons: Any = 5,
        time_limit: float = 3600.0,
        perturbation: Any = None,
    ) -> Arrays:
        """Run the network with n neurons.

        `method="exact"` draws every jump (thinning); "tau_leap" advances in steps of dt, by default chosen from n;
        "auto" is exact while one realisation takes less than 10 s. See `network.run.Options`. With `space`,
        `perturbation=(amplitude, mode)` adds amplitude cos(q.x) to the means of the excitatory populations at the
        start, and `neurons` counts in each patch.
        """
        from largen.systems.balanced.network import run

        options = run.Options(method, record, dt, neurons, time_limit)
        if self.space is None:
            patches.require_none(perturbation)
            return run.run(self, times, n, options, rng=rng, tick=tick)
        blocks = patches.block_model(self, perturbation)
        found = run.run(blocks, times, n, options, rng=rng, tick=tick)
        return patches.layout_of(self, n).arrays(found, perturbation)

    def limit(
        self,
        times: np.ndarray,
        *,
        n: int | None,
        rtol: float,
        atol: float,
        route: str = "auto",
        skewness: bool = True,
        perturbation: Any = None,
    ) -> Arrays:
        """Solve the limit (n None) or the finite-size equations; see `limit.solve` and `finite_size.solve`.

        With `space`, `perturbation=(amplitude, mode)` adds amplitude cos(q.x) to the means of the excitatory
        populations at the start.
        """
        from largen.systems.balanced import finite_size, limit, patch_equations

        if self.space is None:
            patches.require_none(perturbation)
            if n is None:
                return limit.solve(self, times, rtol=rtol, atol=atol, route=route)
            return finite_size.solve(self, times, n=n, rtol=rtol, atol=atol, skewness=skewness)
        if n is None:
            patches.require_finite_rank(self)
            found = limit.solve(patches.block_model(self, perturbation), times, rtol=rtol, atol=atol, route=route)
        else:
            given: dict[str, Any] = {"skewness": skewness, "perturbation": perturbation}
            found = patch_equations.solve(patches.over_patches(self), times, n=n, rtol=rtol, atol=atol, **given)
            if perturbation is None and not patches.depends_on_place(self):
                from largen.systems.balanced.patch_dispersion import with_growing_mode

                found = with_growing_mode(self, n, found)
        return patches.layout_of(self, n).arrays(found, perturbation)

    @staticmethod
    def limits(
        models: Sequence["BalancedNetwork"],
        times: np.ndarray,
        *,
        rtol: float,
        atol: float,
        names: Sequence[str] | None = None,
        route: str = "auto",
        skewness: bool = True,
    ) -> list[Arrays | Exception]:
        """Solve the limits of many models at once: for each its arrays, or the exception; see `many_limits.solve`."""
        from largen.systems.balanced import many_limits

        if any(model.space is not None for model in models):
            return [_alone(model, times, rtol=rtol, atol=atol, route=route) for model in models]
        return many_limits.solve(models, times, rtol=rtol, atol=atol, route=route, names=names)

    @classmethod
    def features(cls, dataset: Any, parts: np.ndarray | None = None) -> Mapping[str, Feature | str]:
        """Power by shells of wave number, on a ring or sheet; see `statistics.space.shell_features`."""
        from largen.statistics.space import shell_features

        return shell_features(dataset)

    def fixed_points(self, n: int | None = None) -> Any:
        """All stationary states of the limit (or at n neurons) with their eigenvalues; see `stationary`."""
        patches.refuse(self, "a list of stationary states")
        from largen.systems.balanced import stationary

        return stationary.fixed_points(self) if n is None else stationary.finite_fixed_points(self, n)

    def stationary_states(self, n: int | None) -> Table:
        """All stationary states, labelled; see `fixed_points`."""
        from largen.systems.balanced import tables

        return tables.of_stationary_states(self.fixed_points(n), self.populations)

    def fluctuations(self, *, n: int, times: Any = None, modes: int = 20) -> Table:
        """Linear-noise covariance of population means and variances; see `fluctuations.linear_noise`."""
        patches.refuse(self, "the theory of fluctuations")
        from largen.systems.balanced import fluctuations, tables

        return tables.of_fluctuations(fluctuations.linear_noise(self, n, modes=modes), self.populations)

    def dispersion(self, *, n: int | None, modes: Any, branches: int) -> Table:
        """Growth of every mode of a ring or sheet about its homogeneous state; see `patch_dispersion`."""
        from largen.systems.balanced import patch_dispersion

        return patch_dispersion.dispersion(self, n=n, modes=modes, branches=branches)

    def onset(self, parameter: str, *, low: float, high: float, n: int | None = None, modes: Any = None) -> Table:
        """Where a parameter makes the first mode of a ring or sheet grow; see `patch_dispersion`."""
        from largen.systems.balanced import patch_dispersion

        return patch_dispersion.onset(self, parameter, low=low, high=high, n=n, modes=modes)

    def phase_portrait(
        self,
        runs: Mapping[str, Any],
        *,
        n: int | None,
        window: np.ndarray | None,
        points: int,
        start: float | None,
        variance: Any = None,
    ) -> Portrait:
        """The plane of the means with the balanced manifold; see `portrait.draw_up`."""
        patches.refuse(self, "a phase portrait")
        from largen.systems.balanced import portrait

        return portrait.draw_up(self, runs, n=n, window=window, points=points, start=start, variance=variance)

    def tangent_dynamics(
        self,
        *,
        n: int | None,
        dt: float | None,
        rng: Callable[..., np.random.Generator] | None,
        skewness: bool = True,
    ) -> TangentMap:
        """The limit (n None), or the flow of the moments at n neurons, with tangent vectors; see `tangent`."""
        patches.refuse(self, "tangent dynamics")
        from largen.systems.balanced import tangent

        if n is None:
            return tangent.of_limit(self, dt)
        dynamics = self.dynamics(None, n=n, skewness=skewness)
        if dt is not None:
            return dynamics.tangent(dt)
        slow, fast = tangent.slow_and_fast(self, n)
        return dynamics.tangent(fast, every=max(1, round(slow / fast)))

    def smooth(
        self, times: np.ndarray, *, n: int | None = None, rtol: float = 1e-8, atol: float = 1e-10, route: str = "auto"
    ) -> Any:
        """The limit as a differentiable function of the model; see `smooth.prepare` for the options."""
        patches.refuse(self, "a fit or a sensitivity")
        from largen.systems.balanced import smooth

        return smooth.prepare(self, times, n=n, rtol=rtol, atol=atol, route=route)

    def equations(self, n: int | None = None) -> str:
        """The limit's equations with this model's numbers, as LaTeX."""
        patches.refuse(self, "its equations as LaTeX")
        from largen.systems.balanced import latex

        return latex.write(self, n)

    def export(self, to: str, *, n: int | None = None, **settings: Any) -> str:
        """The limit as an .ode file of XPPAUT; see `xppauto`."""
        if to != "xppauto":
            return super().export(to, n=n, **settings)
        patches.refuse(self, "a file for XPPAUT")
        from largen.systems.balanced import xppauto

        return xppauto.write(self, n)

    def dynamics(self, parameter: str | None, *, n: int | None, skewness: bool = True) -> Dynamics:
        """The limit as a constrained system (n None), or the flow of the moments at n neurons."""
        patches.refuse(self, "continuation of branches")
        from largen.systems.balanced import dynamics

        return dynamics.build(self, parameter, n=n, skewness=skewness)


def _alone(model: BalancedNetwork, times: np.ndarray, **options: Any) -> Arrays | Exception:
    """The limit of one model among many, or the exception that it raised."""
    try:
        return model.limit(times, n=None, **options)
    except (InputError, LimitError) as error:
        return error
