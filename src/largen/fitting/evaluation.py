"""Observables of a limit and all their derivatives, for many parameter sets at once: the one compiled function."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.fitting.unknowns import Unknowns, place_in
from largen.system import AbstractSmoothLimit, AbstractSystem


class Values(NamedTuple):
    """Observables at S parameter sets.

    Attributes:
        value: Shape (S, datum); NaN where the limit does not exist.
        derivative: With respect to the parameters, shape (S, datum, p).
    """

    value: np.ndarray
    derivative: np.ndarray


@eqx.filter_jit
def _evaluate(limit: Any, model: Any, places: Any, index: Any, numbers: Any) -> tuple[Any, Any]:
    def one(numbers: Any) -> tuple[Any, Any]:
        vector = data_at(limit, model, places, index, numbers)
        return vector, vector

    derivative, value = jax.jacfwd(one, has_aux=True)(numbers)
    return value, derivative


def data_at(limit: Any, model: Any, places: Any, index: Mapping[str, Any], numbers: Any) -> Any:
    """The wanted entries of a limit's observables, shape (datum,), for traced parameters; NaN without a limit."""
    values, good = limit(place_in(model, places, numbers))
    vector = jnp.concatenate([jnp.reshape(values[name], -1)[entries] for name, entries in index.items()])
    return jnp.where(good, vector, jnp.nan)


def evaluate(
    limit: AbstractSmoothLimit,
    model: AbstractSystem,
    unknowns: Unknowns,
    index: Mapping[str, np.ndarray],
    batch: np.ndarray,
    *,
    compiled: bool = False,
) -> Values:
    """Evaluate in double precision: one program for one parameter set, on as many cores as there are sets.

    Args:
        limit: The limit.
        model: The model.
        unknowns: The parameters that vary.
        index: Which entries of each observable, flattened, are wanted.
        batch: Parameter sets, shape (S, p).
        compiled: Whether the program is known to be compiled; otherwise the first set is evaluated alone, so that it
            is compiled once.
    """

    def at(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with jax.enable_x64(True):  # of this thread
            value, derivative = _evaluate(limit, model, unknowns.places, dict(index), numbers)
            return np.asarray(value), np.asarray(derivative)

    points = np.asarray(batch, float)
    found = [] if compiled else [at(points[0])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found += pool.map(at, points[len(found) :])
    return Values(np.stack([value for value, _ in found]), np.stack([derivative for _, derivative in found]))
