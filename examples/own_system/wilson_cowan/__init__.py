"""A system of one's own: stochastic Wilson-Cowan neurons, each active or quiet.

Source: Benayoun, Cowan, van Drongelen & Wallace 2010, PLoS Comput. Biol. 6:e1000846. An active neuron of population a
falls quiet at rate 1/tau_a; a quiet one becomes active at rate f(w_ae e - w_ai i + h_a), where e and i are the active
fractions of the excitatory and the inhibitory population and f(x) = rate_max / (1 + exp(-x)). Times in ms.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.integrate import solve_ivp

from largen.checks import require
from largen.system import AbstractSystem, Arrays, Observable, Plan, Portrait, parameter, split
from largen.system.pictures import Curves, Distance, Opening, Orbit, PhasePlane, Picture, Series

SIGNS = np.array([1.0, -1.0])  # of the inputs from e and i


def inhibitory_share(run: xr.Dataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Share of the inhibitory population in the activity, against time: a curve for the pictures below."""
    e, i = (run["active"].sel(population=label).values for label in ("e", "i"))
    return {"share": (run["time"].values, i / np.maximum(e + i, 1e-9))}


SHARE = Curves("inhibitory share of the activity", "time (ms)", "i / (e + i)", inhibitory_share)


class WilsonCowan(AbstractSystem):
    """An excitatory and an inhibitory population (4 to 1) of neurons that are active or quiet."""

    system: ClassVar[str] = "wilson_cowan"
    time_unit: ClassVar[str] = "ms"
    methods: ClassVar[tuple[str, ...]] = ("exact",)
    presets: ClassVar[tuple[str, ...]] = ()
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 60.0, 0.5)
    default_record: ClassVar[tuple[str, ...]] = ()
    bias_order: ClassVar[float | None] = 1.0
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("active", ("population", "time"), "1", "active fraction"),
    )
    overview: ClassVar[tuple[tuple[Picture, ...], ...]] = ((Series("active"), SHARE), (Orbit("active"), Distance()))
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = {
        "Activity": (Series("active"), SHARE),
        "Phase plane": (PhasePlane("active"),),
    }
    opening: ClassVar[Opening | None] = Opening(stop=60.0, step=0.5, longest=600.0, n=50, most=400)

    coupling: Any = parameter(
        ((10.0, 6.0), (10.0, 1.0)),
        symbol="w_{ab}",
        dims=("population", "source"),
        low=0.0,
        doc="Input from a whole active population, [target][source].",
    )
    input: Any = parameter((-2.0, -4.0), symbol="h_a", dims=("population",), doc="Input from outside.")
    tau: Any = parameter(
        (10.0, 20.0), unit="ms", symbol=r"\tau_a", dims=("population",), above=0.0, doc="Mean duration of activity."
    )
    rate_max: Any = parameter(0.25, unit="1/ms", symbol="f_{max}", above=0.0, doc="Greatest rate of becoming active.")
    start: Any = parameter(
        (0.1, 0.1), symbol="a(0)", dims=("population",), low=0.0, high=1.0, doc="Active fractions at the start."
    )

    # What it is made of ---------------------------------------------------------------------------------------------

    @property
    def populations(self) -> tuple[str, ...]:
        return ("e", "i")

    @property
    def reference_size(self) -> None:  # the model's own size is infinite
        return None

    def sizes(self, n: int) -> np.ndarray:
        return split(n, np.array([0.8, 0.2]), 1, self.populations)

    def flow(self, active: Any, xp: Any = np) -> tuple[Any, Any]:
        """Rates per neuron (1/ms) at which the active fractions, shape (population, ...), rise and fall."""

        def column(values: Any) -> Any:
            return values.reshape(2, *[1] * (active.ndim - 1))

        x = xp.tensordot(self.coupling * SIGNS, active, 1) + column(self.input)
        return (1 - active) * self.rate_max / (1 + xp.exp(-x)), active / column(self.tau)

    # The network ----------------------------------------------------------------------------------------------------

    def plan(self, times: np.ndarray, *, n: int, method: str | None, record: tuple[str, ...]) -> Plan:
        return Plan("exact", bytes=16.0 * len(times))

    def network(self, times, *, n, rng, method, record, tick) -> Arrays:
        """Every event in turn (Gillespie): exact in law."""
        draw, sizes = rng("events"), self.sizes(n)
        count, now, path = np.round(sizes * self.start), float(times[0]), []
        for time in times:
            while True:
                summed = np.cumsum(np.concatenate(self.flow(count / sizes)) * np.tile(sizes, 2))
                wait = draw.exponential(1 / summed[-1])
                if now + wait > time:
                    break  # exponential waiting times have no memory: draw again after the output
                now += wait
                event = int(np.searchsorted(summed, draw.random() * summed[-1]))
                count[event % 2] += 1 if event < 2 else -1
            now = float(time)
            path.append(count / sizes)
        tick(1.0)
        return Arrays({"active": np.array(path).T})

    # Its limit, and its exact distribution at n neurons --------------------------------------------------------------

    def limit(self, times, *, n, rtol, atol) -> Arrays:
        """da/dt = (1 - a) f(...) - a/tau; at n neurons the means of the master equation."""
        span = (times[0], times[-1])
        if n is None:
            found = solve_ivp(
                lambda t, a: np.subtract(*self.flow(a)), span, self.start, "LSODA", times, rtol=rtol, atol=atol
            )
            return Arrays({"active": found.y})
        sizes = self.sizes(n)
        active = np.stack(np.meshgrid(*(np.arange(k + 1) / k for k in sizes), indexing="ij"))
        up, down = (sizes[:, None, None] * part for part in self.flow(active))
        start = np.zeros(sizes + 1)
        start[tuple(np.round(sizes * self.start).astype(int))] = 1.0

        def master(t, p):
            p = p.reshape(sizes + 1)
            change = -(up + down).sum(0) * p
            change[1:] += (up[0] * p)[:-1]
            change[:-1] += (down[0] * p)[1:]
            change[:, 1:] += (up[1] * p)[:, :-1]
            change[:, :-1] += (down[1] * p)[:, 1:]
            return change.ravel()

        found = solve_ivp(master, span, start.ravel(), "RK45", times, rtol=1e-6, atol=1e-9)
        require(found.success, "rtol", f"allow the solver to reach the end ({found.message})", rtol)
        return Arrays({"active": active.reshape(2, -1) @ found.y})

    # What is optional ------------------------------------------------------------------------------------------------

    @classmethod
    def statistic_names(cls) -> tuple[str, ...]:
        return ("level",)

    @classmethod
    def statistics(cls, dataset: xr.Dataset, *, start: float | None = None) -> xr.Dataset:
        """Mean activity over the second half of a run, with its standard error over realisations."""
        start = float(dataset["time"].mean()) if start is None else start
        level = dataset["active"].sel(time=slice(start, None)).mean("time")
        error = xr.zeros_like(level)
        if "realisation" in level.dims:
            error = level.std("realisation", ddof=1) / np.sqrt(level.sizes["realisation"])
            level = level.mean("realisation")
        about = {"units": "1", "long_name": "mean active fraction"}
        return xr.Dataset({"level": level.assign_attrs(about), "level_se": error.assign_attrs(units="1")})

    def velocity(self, active: Any) -> Any:
        """The limit's right-hand side as a JAX function."""
        return jnp.subtract(*self.flow(active, jnp))

    def phase_portrait(self, runs, *, n, window, points, start) -> Portrait:
        """The plane of the active fractions: orbits, and from `velocity` nullclines and stationary states."""
        paths = {name: run["active"].transpose(..., "population", "time") for name, run in runs.items()}
        late = {name: path.sel(time=slice(start, None)) for name, path in paths.items()}
        return Portrait(
            axes=("e", "i"),
            window=np.array([[0.0, 1.0], [0.0, 1.0]]) if window is None else window,
            quantity="active fraction of {}",
            time_unit="ms",
            orbits={name: (path.values, path["time"].values) for name, path in late.items()},
            field=self.velocity,
        )
