"""The thermodynamic limit as one differentiable function of the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer
from largen.system import AbstractSmoothLimit
from largen.systems.rate import limit_jax
from largen.systems.rate.kernels import TableKernel
from largen.systems.rate.limit import discrete_times

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

TAIL = 1e-5
"""Largest part of a covariance that the series may leave out, relative to the largest one."""


class SmoothLimit(AbstractSmoothLimit):
    """See `prepare`.

    Attributes:
        times: Output times.
        lags: Largest lag on the ring.
        terms: Terms of the Hermite series.
        step: Largest time step of the coarser grid in continuous time.
        table: The kernel's table, row by row, if it is one.
        continuous: Whether time is.
    """

    times: tuple[float, ...] = eqx.field(static=True)
    lags: int = eqx.field(static=True)
    terms: int = eqx.field(static=True)
    step: float | None = eqx.field(static=True)
    table: tuple[tuple[float, ...], ...] | None = eqx.field(static=True)
    continuous: bool = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Mean and covariance."""
        return ("mean", "covariance")

    @property
    def fixed(self) -> Mapping[str, str]:
        """The table, and the parameter of the other kind of time."""
        held = {"gamma": "time is continuous"} if self.continuous else {"tau": "time is discrete"}
        if self.table is not None:
            held["kernel"] = "the entries of a table decide the form of the limit's equations"
        return held

    def __call__(self, model: "RateNetwork") -> tuple[dict[str, jax.Array], jax.Array]:
        """`mean` (time,) and `covariance` (lag, time, time_), and whether the series is long enough."""
        if self.table is not None:
            model = eqx.tree_at(lambda m: m.kernel.values, model, np.array(self.table))
        found = limit_jax.moments(model, np.array(self.times), lags=self.lags, terms=self.terms, step=self.step)
        largest = jnp.max(jnp.abs(found.covariance))
        good = jnp.isfinite(largest) & (found.tail <= TAIL * largest)
        if self.continuous:  # in discrete time as many sweeps as times are exact
            good &= found.change <= 1e-9 * (1.0 + largest)
        return {"mean": found.mean, "covariance": found.covariance}, good


def prepare(
    model: "RateNetwork",
    times: np.ndarray,
    *,
    n: int | None = None,
    lags: int = 2,
    terms: int = 256,
    step: float | None = None,
) -> SmoothLimit:
    """Fix what does not vary (lags, terms, time steps, the form of the kernel) from one model.

    Args:
        model: A RateNetwork.
        times: Output times, shape (time,).
        n: Must be None: the law of n neurons is known by sampling only.
        lags: Largest lag on the ring.
        terms: Terms of the series; more where the activation is steep and the correlations strong.
        step: Largest time step of the coarser of two grids in continuous time; a twentieth of the span if None.

    Raises:
        InputError: A finite n.
    """
    if n is not None:
        raise InputError(
            "Argument `through` must be 'limit' or 'network' for the rate system, but is 'finite': the law of n "
            "neurons is known by sampling only, which has no derivative."
        )
    if model.dynamics == "discrete":
        discrete_times(times)
    table = None
    if isinstance(model.kernel, TableKernel):
        table = tuple(tuple(row) for row in np.asarray(model.kernel.values).tolist())
    return SmoothLimit(
        tuple(np.asarray(times, float).tolist()),
        integer("lags", lags, low=0),
        integer("terms", terms, low=1),
        None if step is None else float(step),
        table,
        model.dynamics == "continuous",
    )
