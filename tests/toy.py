"""A system whose every answer is known: independent Ornstein-Uhlenbeck neurons with a given 1/n bias.

It is also the proof that a new system costs one folder: everything shared works on it unchanged.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from largen.checks import InputError, require
from largen.system import AbstractSystem, Arrays, Observable, Plan, parameter


class Toy(AbstractSystem):
    """Neurons dX = -X dt/tau + sqrt(2 noise/tau) dW, X(0) = start; the limit is start e^{-t/tau}.

    The network's mean carries an extra bias/n, which the finite-n theory has and the limit has not.
    """

    system: ClassVar[str] = "toy"
    time_unit: ClassVar[str] = "ms"
    methods: ClassVar[tuple[str, ...]] = ("exact",)
    presets: ClassVar[tuple[str, ...]] = ()
    default_times: ClassVar[tuple[float, float, float]] = (0.0, 5.0, 0.1)
    default_record: ClassVar[tuple[str, ...]] = ()
    bias_order: ClassVar[float | None] = 1.0
    observables: ClassVar[tuple[Observable, ...]] = (
        Observable("mean", ("population", "time"), "mV", "population mean"),
        Observable("second", ("population", "time"), "mV", "an independent copy of the mean"),
    )

    start: Any = parameter((1.0, -0.5), unit="mV", dims=("population",), doc="Initial value.")
    tau: Any = parameter((1.0, 2.0), unit="ms", dims=("population",), above=0.0, doc="Time constant.")
    noise: Any = parameter(1.0, low=0.0, doc="Stationary variance.")
    bias: Any = parameter(0.0, doc="Finite-size effect times n.")

    @property
    def populations(self) -> tuple[str, ...]:
        return tuple("ab"[: len(self.start)])

    @property
    def reference_size(self) -> None:
        return None

    def sizes(self, n: int) -> np.ndarray:
        count = len(self.start)
        require(n >= count, "n", "give every population a neuron", n)
        return np.full(count, n // count)

    def plan(self, times: np.ndarray, *, n: int, method: str | None, record: tuple[str, ...], fail: int = -1) -> Plan:
        return Plan("exact", 8.0 * n)

    def network(
        self,
        times: np.ndarray,
        *,
        n: int,
        rng: Callable[..., np.random.Generator],
        method: str,
        record: tuple[str, ...],
        tick: Callable[[float], None],
        fail: int = -1,
    ) -> Arrays:
        if fail == 1:
            raise InputError("This realisation was asked to fail.")
        values = {name: self._path(times, n, rng(name)) for name in ("mean", "second")}
        tick(1.0)
        return Arrays(values)

    def _path(self, times: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        sizes = self.sizes(n)
        x = np.array(self.start, float)
        path = [x + self.bias / n]
        for step in np.diff(times):
            decay = np.exp(-step / self.tau)
            spread = np.sqrt(self.noise * (1 - decay**2) / sizes)
            x = x * decay + spread * rng.standard_normal(len(x))
            path.append(x + self.bias / n)
        return np.stack(path, axis=1)

    def limit(self, times: np.ndarray, *, n: int | None, rtol: float, atol: float, stop: float = np.inf) -> Arrays:
        kept = times[times <= stop]
        mean = self.start[:, None] * np.exp(-(kept - times[0]) / self.tau[:, None])
        mean = mean + (0.0 if n is None else self.bias / n)
        lost = len(kept) < len(times)
        return Arrays(
            {"mean": mean, "second": mean},
            status=f"The toy's limit was lost at t = {stop:g}." if lost else "completed",
            stopped_at=float(stop) if lost else None,
        )
