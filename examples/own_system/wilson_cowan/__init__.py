"""A system of one's own: stochastic Wilson-Cowan neurons, each active or quiet.

Source: Benayoun, Cowan, van Drongelen & Wallace 2010, PLoS Comput. Biol. 6:e1000846, with one population. An active
neuron falls quiet at rate 1/tau; a quiet one becomes active at rate f(w a + h), where a is the active fraction and
f(x) = rate_max / (1 + exp(-x)). Times in ms.
"""

from typing import Any, ClassVar

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from largen.checks import require
from largen.system import AbstractSystem, Arrays, Observable, Plan, parameter


class WilsonCowan(AbstractSystem):
    """n neurons, active or quiet, driven by their own active fraction."""

    system: ClassVar[str] = "wilson_cowan"
    time_unit: ClassVar[str] = "ms"
    methods: ClassVar[tuple[str, ...]] = ("exact",)
    presets: ClassVar[tuple[str, ...]] = ()
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 60.0, 0.5)
    default_record: ClassVar[tuple[str, ...]] = ()
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("active", ("population", "time"), "1", "active fraction"),
    )

    coupling: Any = parameter(4.0, symbol="w", doc="Input from the whole population when all of it is active.")
    input: Any = parameter(-2.0, symbol="h", doc="Input from outside.")
    tau: Any = parameter(10.0, unit="ms", symbol=r"\tau", above=0.0, doc="Mean duration of activity.")
    rate_max: Any = parameter(0.2, unit="1/ms", symbol="f_{max}", above=0.0, doc="Greatest rate of becoming active.")
    start: Any = parameter(0.1, symbol="a(0)", low=0.0, high=1.0, doc="Active fraction at the start.")

    # What it is made of ---------------------------------------------------------------------------------------------

    @property
    def populations(self) -> tuple[str, ...]:
        return ("e",)

    @property
    def reference_size(self) -> None:  # the model's own size is infinite
        return None

    def sizes(self, n: int) -> np.ndarray:
        require(n >= 2, "n", "be at least 2", n)
        return np.array([n])

    def flow(self, active: Any) -> tuple[Any, Any]:
        """Rates per neuron (1/ms) at which the active fraction rises and falls."""
        return (1 - active) * self.rate_max * expit(self.coupling * active + self.input), active / self.tau

    # The network ----------------------------------------------------------------------------------------------------

    def plan(self, times: np.ndarray, *, n: int, method: str | None, record: tuple[str, ...]) -> Plan:
        return Plan("exact", bytes=8.0 * len(times))

    def network(self, times, *, n, rng, method, record, tick) -> Arrays:
        """Every event in turn (Gillespie): exact in law."""
        draw = rng("events")
        count, now, path = round(n * float(self.start)), float(times[0]), []
        for time in times:
            while True:
                up, down = (n * float(rate) for rate in self.flow(count / n))
                wait = draw.exponential(1 / (up + down)) if up + down > 0 else np.inf
                if now + wait > time:
                    break  # exponential waiting times have no memory: draw again after the output
                now += wait
                count += 1 if draw.random() * (up + down) < up else -1
            now = float(time)
            path.append(count / n)
        tick(1.0)
        return Arrays({"active": np.array([path])})

    # Its limit, and its exact law at n neurons ----------------------------------------------------------------------

    def limit(self, times, *, n, rtol, atol) -> Arrays:
        """da/dt = (1 - a) f(w a + h) - a/tau; at n neurons the mean of the master equation."""
        if n is None:
            start, law = np.array([float(self.start)]), lambda t, a: np.subtract(*self.flow(a))
        else:
            fractions = np.arange(n + 1) / n
            up, down = (n * rate for rate in self.flow(fractions))
            start = np.zeros(n + 1)
            start[round(n * float(self.start))] = 1.0

            def law(t, p):
                change = -(up + down) * p
                change[1:] += up[:-1] * p[:-1]
                change[:-1] += down[1:] * p[1:]
                return change

        span = (times[0], times[-1])
        found = solve_ivp(law, span, start, method="LSODA", t_eval=times, rtol=rtol, atol=atol)
        require(found.success, "rtol", f"allow the solver to reach the end ({found.message})", rtol)
        return Arrays({"active": found.y if n is None else (fractions @ found.y)[None, :]})
