"""A function of time given by samples."""

from typing import Any

import jax
import numpy as np

from largen.checks import require
from largen.parameters.table import AbstractComponent, parameter, traced


class TimeSeries(AbstractComponent):
    """A function of time given by samples, linear between them.

    Asking for a time outside [times[0], times[-1]] gives the value at the nearer end.

    Attributes:
        times: Sample times in the system's time unit, strictly increasing, shape (time,).
        values: Samples, shape (time, population).
    """

    times: Any = parameter((0.0, 1.0), dims=("time",), doc="Sample times.")
    values: Any = parameter(((0.0,), (0.0,)), dims=("time", "any"), doc="Samples, one row per time.")

    def __check_init__(self):
        times, values = self.times, self.values
        if traced((times, values)) or np.ndim(times) != 1 or np.ndim(values) != 2 or values is None:
            return  # traced, or reported by the general check
        require(len(times) > 0, "times", "hold at least one time", times)
        require(np.all(np.diff(self.times) > 0), "times", "be strictly increasing", self.times)
        rows = len(self.times)
        require(len(self.values) == rows, "values", f"have one row per time ({rows})", np.shape(self.values))

    def __call__(self, time: Any) -> jax.Array:
        """Value at one time, shape (population,)."""
        return jax.vmap(lambda column: jax.numpy.interp(time, self.times, column), in_axes=1)(
            jax.numpy.asarray(self.values)
        )
