"""The spiking network's model: homogeneous populations of integrate-and-fire neurons.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801; J. Comput. Phys. 537:114117), called CLWTX below.
Times in ms, rates in Hz (spikes per neuron per second), potentials in the paper's units (reset 0, threshold 100).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from largen.checks import InputError, flag, integer, names, one_of, real, require
from largen.numerics.lyapunov import TangentMap
from largen.system import (
    Arrays,
    Dynamics,
    Feature,
    FitData,
    Observable,
    Plan,
    Portrait,
    Table,
    Yardstick,
    check_options,
)
from largen.system.pictures import ActivityMap, Density, Distance, Opening, Orbit, Picture, Raster, Series, Spectrum
from largen.systems.spiking import presets, relations
from largen.systems.spiking.discretisation import MIN_SUPPORT, Discretisation
from largen.systems.spiking.fields import AbstractIntegrateAndFire

if TYPE_CHECKING:
    from largen.systems.spiking.differences import DifferenceLimit
    from largen.systems.spiking.smooth import SmoothLimit

_DETAIL = 300.0  # ms of a run that a figure shows in detail
_FULLEST_BIN = Yardstick(
    0.05,
    lambda theory: theory["voltage_density"].mean("time").max("bin"),
    "the fullest bin",
    needs=("voltage_density",),
)


class SpikingNetwork(AbstractIntegrateAndFire):
    """Populations of integrate-and-fire neurons (CLWTX 2024, and the networks of Brunel, Potjans and others).

    By default they are coupled by pending spikes: between spikes a neuron of population a follows

        dV/dt = sum_b(exc) s_ab H_ab/tau_ab - g(V) sum_b(inh) s_ab H_ab/tau_ab - V/tau_m + external drive,

    where H_ab counts the spikes received from population b that are still pending, each released after an
    exponential time of mean tau_ab, and g(V) = (V - V_I)/(M - V_I) makes inhibition a conductance. At V > M it
    spikes, is reset to 0 and stays refractory. `neuron`, `synapse` and `inhibition` say otherwise, as do potentials of
    rest and reset, delays, in-degrees, external kicks and adaptation. `n` is the total number of neurons; `scaled(n)`
    says how sizes and strengths follow it.
    """

    system: ClassVar[str] = "spiking"
    time_unit: ClassVar[str] = "ms"
    methods: ClassVar[tuple[str, ...]] = ("time_step",)
    presets: ClassVar[tuple[str, ...]] = (
        "gamma", "asynchronous", "leaky", "brunel", "microcircuit", "kicks", "sheet_mean", "sheet", "ring",
    )  # fmt: skip
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 1000.0, 0.1)
    default_record: ClassVar[tuple[str, ...]] = ("spikes",)
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("rate", ("population", "time"), "Hz", "firing rate"),
        Observable("pending", ("population", "source", "time"), "spikes", "mean number of pending spikes"),
        Observable("patch_rate", ("population", "patch", "time"), "Hz", "firing rate of a patch", True),
        Observable(
            "voltage_density",
            ("population", "bin", "time"),
            "1",
            "probability per voltage bin",
            True,
            yardstick=_FULLEST_BIN,
        ),
        Observable("refractory_fraction", ("population", "time"), "1", "fraction of refractory neurons", True),
        Observable("voltage", ("neuron", "time"), "1", "membrane potential of chosen neurons", True),
        Observable("spike_population", ("spike",), "", "population of a spike", True),
        Observable("spike_neuron", ("spike",), "", "neuron of a spike, within its population", True),
        Observable("spike_time", ("spike",), "ms", "time of a spike", True),
    )

    overview: ClassVar[tuple[tuple[Picture, ...], ...]] = (
        tuple(ActivityMap("patch_rate", source, shown=_DETAIL) for source in ("network", "finite", "limit")),
        (Raster(shown=_DETAIL),),
        (Series("rate", "rates: mean over realisations", smoothing=1.0, shown=_DETAIL),),
        (Spectrum(), Orbit("rate", smoothing=1.0, shown=_DETAIL)),
        (Distance(),),
    )
    opening: ClassVar[Opening | None] = Opening(
        stop=500.0,
        step=0.1,
        longest=5000.0,
        n=400,
        options={"bin_width": 10.0},
        record=("spikes", "voltage_density"),
        limit_record=("voltage_density",),
        branches=("probability[e,i]", 1.0),
        example="gamma",
    )
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = {
        "Rates": (Series("rate"), Raster()),
        "Spectra": (Spectrum(),),
        "Orbit": (Orbit("rate", smoothing=1.0),),
        "Voltage": (Density("voltage_density", "voltage density", "voltage"),),
        "Space": (ActivityMap("patch_rate", "limit"), ActivityMap("patch_rate", "network")),
    }

    def finite_options(self, *, realisations: int, seed: int) -> dict[str, Any]:
        """The finite-size theory is the coarse-grained Markov chain, sampled as often as the network."""
        return {"finite_size": True, "realisations": realisations, "seed": seed}

    @classmethod
    def gamma(cls) -> "SpikingNetwork":
        """The paper's network: partially synchronous gamma oscillations (CLWTX 2024)."""
        return cls()

    @classmethod
    def asynchronous(cls) -> "SpikingNetwork":
        """Full inhibition of the excitatory neurons (p_ei = 1): weak, noise-sustained gamma."""
        return cls(probability=((0.8, 1.0), (0.8, 0.8)))

    @classmethod
    def leaky(cls) -> "SpikingNetwork":
        """A membrane time constant of 20 ms with a matching drive."""
        return cls(membrane_time=20.0, external_rate=(160.0, 160.0))

    @classmethod
    def brunel(
        cls, g: float = 5.0, eta: float = 2.0, J: float = 0.1, delay: float = 1.5, n_e: int = 10_000,
        epsilon: float = 0.1,
    ) -> "SpikingNetwork":  # fmt: skip
        """Brunel's network A in mV: delta synapses, a fixed in-degree and one delay (J. Comput. Neurosci. 8, 2000).

        Args:
            g: Strength of inhibition over that of excitation.
            eta: External rate over the one that brings the mean potential to the threshold.
            J: Strength of excitation (mV).
            delay: Delay of all spikes (ms).
            n_e: Excitatory neurons, a multiple of 4; there are a quarter as many inhibitory ones.
            epsilon: In-degree over the size of the source.
        """
        return cls(**presets.brunel(g, eta, J, delay, n_e, epsilon))

    @classmethod
    def microcircuit(
        cls, scale: float = 1.0, background: str = "poisson", delays: str = "distributed"
    ) -> "SpikingNetwork":
        """The cortical microcircuit in mV and pA: four layers, 77 169 neurons (Potjans & Diesmann 2014).

        Args:
            scale: Sizes and in-degrees are multiplied by it, strengths divided by its root; the mean input is kept.
            background: "poisson" or "dc", its mean alone.
            delays: "distributed" (standard deviation half the mean) or "fixed", with which the network oscillates.
        """
        return cls(**presets.microcircuit(scale, background, delays))

    @classmethod
    def kicks(cls) -> "SpikingNetwork":
        """Synchronous gamma; synapses kick when they release, and no neuron is refractory (Cai et al. 2021)."""
        return cls(**presets.kicks())

    @classmethod
    def sheet_mean(cls) -> "SpikingNetwork":
        """A sparse network of 40 000 neurons under white noise: the sheet of Chang et al., averaged over space."""
        return cls(**presets.sheet_mean())

    @classmethod
    def sheet(cls, reading: str = "source", patches: int = 11) -> "SpikingNetwork":
        """The two-dimensional sheet of Chang et al., 40 000 neurons with Gaussian kernels cut at three widths.

        Args:
            reading: Which table of widths: by "source", as the authors' reduction reads it (e to e 0.4, i to e 0.1), or
                by "target", as their network does (0.4 and 0.25).
            patches: Patches a side.
        """
        return cls(**presets.sheet(reading, patches))

    @classmethod
    def ring(cls, strength: float = 3.2, patches: int = 24) -> "SpikingNetwork":
        """The sheet's neurons on a ring, with narrow excitation and wide inhibition: two bumps (a Turing instability).

        Args:
            strength: Strength from e to e; its reduction forms a pattern of two waves from 3.0 on.
            patches: Patches.
        """
        return cls(**presets.ring(strength, patches))

    def plan(
        self,
        times: np.ndarray,
        *,
        n: int,
        method: str | None,
        record: tuple[str, ...],
        dt: float = 0.1,
        graph: str = "auto",
    ) -> Plan:
        """Check dt against the times and estimate memory and CPU time; see `network.run.plan`."""
        self.require_moderate()
        if self.is_basic:
            from largen.systems.spiking.network.run import plan
        else:
            from largen.systems.spiking.network.general.run import plan

        return plan(self.scaled(n), times, record=record, dt=dt, graph=graph)

    def network(
        self,
        times: np.ndarray,
        *,
        n: int,
        rng: Callable[..., np.random.Generator],
        method: str,
        record: tuple[str, ...],
        tick: Callable[[float], None],
        dt: float = 0.1,
        graph: str = "auto",
    ) -> Arrays:
        """Run the network with n neurons in steps of dt (ms), exact in law at that dt.

        A network of Chang et al. takes the kernels of `network.run`, any other those of `network.general`.
        """
        if self.is_basic:
            from largen.systems.spiking.network.run import run
        else:
            from largen.systems.spiking.network.general.run import run

        return run(self.scaled(n), times, rng=rng, record=record, tick=tick, dt=dt, graph=graph)

    def limit(
        self,
        times: np.ndarray,
        *,
        n: int | None,
        rtol: float,
        atol: float,
        closure: str = "auto",
        finite_size: bool = False,
        bin_width: float | None = None,
        linear_in_bin: bool = True,
        dt: float = 0.1,
        engine: str = "auto",
        seed: int = 0,
        realisations: int = 1,
        record: str | tuple[str, ...] = (),
        orders: Any = "auto",
        error: bool = True,
        static_spread: bool = False,
        perturbation: Any = None,
    ) -> Arrays:
        """Solve the discrete-state reduction (dsODE) at n neurons; see `Discretisation` and `solve.solve`.

        With `static_spread` the neurons of a quenched network differ in their mean input (see `static_spread`), and the
        attribute `rate_spread` is the standard deviation of their rates (Hz), by population. It is off by default: of
        rates far below those of the threshold it leaves larger errors of another kind, which partly cancel without it.

        Of a network with space the reduction is that of its patches (see `sheet_limit`); `perturbation` = (amplitude,
        mode) lets (1 + amplitude cos(q.x)) times as many spikes arrive in the first 50 ms, mode being the waves around
        each axis.

        The closure "auto" is "joint" for the networks of Chang et al. and for delta synapses, which have nothing to
        close over, and "quadrature" for all others, which "joint" cannot hold. With space it is "quadrature", and
        "joint" with `finite_size`.
        """
        self.require_moderate()
        from largen.systems.spiking.solve import check_own_options, solve

        if isinstance(closure, str) and closure == "auto":
            known = finite_size is True if self.space is not None else self.is_basic or self.synapse == "delta"
            closure = "joint" if known else "quadrature"
        own: dict[str, Any] = {"orders": orders, "error": error}
        check_own_options(closure, **own)
        scaled, recorded = self.scaled(self.reference_size if n is None else n), names("record", record)
        if self.space is not None:
            from largen.systems.spiking.sheet_limit import solve as solve_sheet

            chosen = Discretisation(closure, bin_width, linear_in_bin, dt=dt)
            chain = {"finite_size": finite_size, "seed": seed, "realisations": realisations}
            require(not flag("static_spread", static_spread), "static_spread", "be False with `space`", True)
            return solve_sheet(
                scaled, times, chosen, engine=engine, record=recorded, perturbation=perturbation, **chain, **own
            )
        require(perturbation is None, "perturbation", "be None without `space`", perturbation)
        if closure == "quadrature":
            from largen.systems.spiking.reduction.quadrature.finite import solve
        else:
            own = {}
            if not self.is_basic:
                from largen.systems.spiking.reduction.direct.solve import solve

        def run(model: "SpikingNetwork") -> Arrays:
            return solve(
                model,
                times,
                Discretisation(closure, bin_width, linear_in_bin, dt=dt),
                finite_size=finite_size,
                engine=engine,
                seed=seed,
                realisations=realisations,
                record=recorded,
                **own,
            )

        if not flag("static_spread", static_spread):
            return run(scaled)
        from largen.systems.spiking import static_spread as spread

        must = "be False for this network"
        require(self.synapse == "delta" or closure == "quadrature", "static_spread", must, True)
        spread.require_possible(scaled, finite_size, recorded)
        return spread.solve(scaled, times, run)

    def smooth(
        self,
        times: np.ndarray,
        *,
        n: int | None = None,
        start: float | None = None,
        dt: float = 0.1,
        bin_width: float | None = None,
        closure: str = "auto",
        linear_in_bin: bool = True,
        gamma: float | None = None,
        orders: Any = "auto",
        derivatives: str = "auto",
    ) -> "SmoothLimit | DifferenceLimit":
        """The limit as a differentiable function of the model; see `Discretisation` and `smooth.prepare`.

        Derivatives are "exact" (JAX, which compiles for half a minute first), which only the networks of Chang et al.
        with random refractory periods have, or "differences", central ones of the numba reduction (see `differences`);
        with "auto" exact where there are such. A fit takes differences unless it is told otherwise.
        """
        self.require_moderate()
        from largen.systems.spiking import smooth
        from largen.systems.spiking.solve import check_own_options

        if self.space is not None:
            relations.refuse(self, ("space",), "The differentiable reduction")
        if isinstance(closure, str) and closure == "auto":
            closure = "joint" if self.is_basic or self.synapse == "delta" else "quadrature"
        check_own_options(closure, orders, True)
        chosen = Discretisation(closure, bin_width, linear_in_bin, dt=dt)
        possible = self.is_basic and self.refractory != "fixed"
        exact = one_of("derivatives", derivatives, ("auto", "exact", "differences")) == "exact"
        require(possible or not exact, "derivatives", "be 'differences' for this network", derivatives)
        if exact or (possible and derivatives == "auto"):
            return smooth.prepare(self, times, chosen, n=n, start=start, gamma=gamma, orders=orders)
        from largen.systems.spiking import differences

        window = smooth.window_of(times, real("dt", dt, above=0.0), start, gamma)
        size = self.reference_size if n is None else integer("n", n, low=1)
        return differences.prepare(self, times, chosen, window, n=size, gamma=gamma, orders=orders)

    def equations(self, n: int | None = None) -> str:
        """The limit's equations with this model's numbers, as LaTeX; see `latex` and `latex_general`."""
        if self.space is not None:
            relations.refuse(self, ("space",), "The writer of equations")
        if self.is_basic:
            from largen.systems.spiking import latex

            return latex.write(self, n)
        from largen.systems.spiking import latex_general

        return latex_general.write(self if n is None else self.scaled(n))

    def export(self, to: str, *, n: int | None = None, **settings: Any) -> str:
        """The network as a script of Brian2 or NEST; see `scripts`."""
        from largen.systems.spiking.scripts import brian2, common, nest

        writers = {"brian2": brian2.write, "nest": nest.write}
        if to not in writers:
            return super().export(to, n=n, **settings)
        if self.space is not None:
            relations.refuse(self, ("space",), "The writer of scripts")
        return writers[to](self if n is None else self.scaled(n), common.checked(**settings))

    def dynamics(
        self,
        parameter: str | None,
        *,
        n: int | None,
        closure: str = "joint",
        bin_width: float | None = None,
        linear_in_bin: bool = True,
        affine_drift: bool = True,
        min_support: float = MIN_SUPPORT,
        dt: float = 0.1,
        orders: Any = "auto",
    ) -> Dynamics:
        """The reduction as a map of one step dt at n neurons; see `Discretisation` and `dynamics.build`."""
        self.require_moderate()
        self.require_basic("The reduction as a map")
        from largen.systems.spiking.solve import check_own_options

        check_own_options(closure, orders, True)
        scaled = self.scaled(self.reference_size if n is None else n)
        chosen = Discretisation(closure, bin_width, linear_in_bin, affine_drift, min_support, dt)
        if closure == "quadrature":
            from largen.systems.spiking.quadrature_jax import dynamics

            return dynamics.build(scaled, parameter, chosen, orders=orders)
        from largen.systems.spiking import dynamics

        return dynamics.build(scaled, parameter, chosen)

    def dispersion(
        self,
        *,
        n: int | None,
        modes: int | None,
        branches: int,
        closure: str = "joint",
        bin_width: float | None = None,
        linear_in_bin: bool = True,
        affine_drift: bool = True,
        min_support: float = MIN_SUPPORT,
        dt: float = 0.1,
    ) -> Table:
        """The dispersion relation of the reduction on a ring or sheet; see `dispersion`."""
        from largen.systems.spiking import dispersion

        scaled = self.scaled(self.reference_size if n is None else n)
        chosen = Discretisation(closure, bin_width, linear_in_bin, affine_drift, min_support, dt)
        return dispersion.table(scaled, chosen, modes, branches)

    def onset(
        self,
        parameter: str,
        *,
        low: float,
        high: float,
        modes: int | None = None,
        closure: str = "joint",
        bin_width: float | None = None,
        linear_in_bin: bool = True,
        dt: float = 0.1,
    ) -> Table:
        """Where a parameter makes the homogeneous state of a ring or sheet unstable; see `dispersion.onset`."""
        if self.space is None:
            raise InputError("Argument `space` must be given for an onset: a Ring or a Torus, with a `kernel`.")
        from largen.systems.spiking import dispersion

        low, high = real("low", low), real("high", high)
        require(low < high, "high", f"be above low = {low:g}", high)
        require(np.size(self.value(parameter)) == 1, "parameter", "name one number", parameter)
        chosen = Discretisation(closure, bin_width, linear_in_bin, dt=dt)
        return dispersion.onset(self, parameter, low, high, chosen, modes)

    def tangent_dynamics(
        self,
        *,
        n: int | None,
        dt: float | None,
        rng: Callable[..., np.random.Generator] | None,
        **options: Any,
    ) -> TangentMap:
        """The reduction, a map at its dt, with tangent vectors; `options` as of `dynamics`."""
        check_options(self, "dynamics", options)
        given: dict[str, Any] = options if dt is None else options | {"dt": dt}
        return self.dynamics(None, n=n, **given).tangent(method="discrete-state reduction")

    def phase_portrait(
        self,
        runs: Mapping[str, Any],
        *,
        n: int | None,
        window: np.ndarray | None,
        points: int,
        start: float | None,
        smoothing: float = 1.0,
    ) -> Portrait:
        """The plane of the smoothed rates, with orbits only; see `portrait.draw_up`."""
        from largen.systems.spiking import portrait

        return portrait.draw_up(runs, window=window, start=start, smoothing=smoothing)

    @classmethod
    def statistic_names(cls) -> tuple[str, ...]:
        """Rates, synchrony, frequency, and multiple-firing events; see `analysis.summary`."""
        from largen.statistics.summary import NAMES

        return tuple(NAMES)

    @classmethod
    def statistics(cls, dataset: Any, *, start: float | None = None) -> Any:
        """The statistics of `analysis.summary`."""
        from largen.statistics.summary import summary

        return summary(dataset, start=start)

    def fluctuations(self, *, n: int, times: Any = None, **options: Any) -> NoReturn:
        """Refuse: the finite-size chain samples the fluctuations."""
        raise InputError(
            "The spiking system has no fluctuation theory; its finite-size chain, solve_limit(..., finite_size=True), "
            "samples the fluctuations instead."
        )

    @classmethod
    def features(cls, dataset: Any, parts: np.ndarray | None = None) -> Mapping[str, Feature | str]:
        """The statistics of rhythm, and with space the power by shells of wave number."""
        from largen.statistics.rhythm import rhythm
        from largen.statistics.space import shell_features

        try:
            found: Mapping[str, Feature | str] = rhythm(dataset, parts)
        except InputError as error:
            found = {"statistics of rhythm": str(error)}
        return {**found, **shell_features(dataset)}

    @classmethod
    def independent_parts(cls, dataset: Any) -> np.ndarray | None:
        """Groups of whole cycles of the rhythm."""
        from largen.statistics.rhythm import cycle_groups

        return cycle_groups(dataset)

    def fit_data(self, dataset: Any) -> FitData:
        """Rates, synchrony and gamma frequency, which a fit through `smooth` aims at; see `fit_data.find`."""
        from largen.systems.spiking import fit_data

        return fit_data.find(dataset)

    def fit_times(self, times: np.ndarray, *, sampled: bool) -> np.ndarray:
        """The first part of a network's times: the limit settles within it, except under an input that varies."""
        from largen.systems.spiking import fit_data

        if sampled and not callable(self.external_rate):
            return times[times <= times[0] + fit_data.LONGEST]
        return times
