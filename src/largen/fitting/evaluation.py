"""Observables of a limit and all their derivatives, for many parameter sets at once: the one compiled function."""

from collections.abc import Mapping
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
def _evaluate(limit: Any, model: Any, places: Any, index: Any, batch: Any) -> tuple[Any, Any]:
    names = tuple(index)

    def one(numbers: Any) -> tuple[Any, Any]:
        values, good = limit(place_in(model, places, numbers))
        vector = jnp.concatenate([jnp.reshape(values[name], -1)[index[name]] for name in names])
        vector = jnp.where(good, vector, jnp.nan)
        return vector, vector

    derivative, value = jax.vmap(jax.jacfwd(one, has_aux=True))(batch)
    return value, derivative


def evaluate(
    limit: AbstractSmoothLimit,
    model: AbstractSystem,
    unknowns: Unknowns,
    index: Mapping[str, np.ndarray],
    batch: np.ndarray,
) -> Values:
    """Evaluate in double precision.

    Args:
        limit: The limit.
        model: The model.
        unknowns: The parameters that vary.
        index: Which entries of each observable, flattened, are wanted.
        batch: Parameter sets, shape (S, p).
    """
    with jax.enable_x64(True):
        value, derivative = _evaluate(limit, model, unknowns.places, dict(index), np.asarray(batch, float))
        return Values(np.asarray(value), np.asarray(derivative))
