"""The spiking reduction as a smooth map of one step, for continuation: x -> Phi_dt(x), with one parameter traced.

The state is one vector in natural units: neurons per population, potentials per bin width, pending spikes by their
own size. Per population the number of neurons is conserved. Source: CLWTX 2024 and largen's own closure (`markov_jax`).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from largen.checks import InputError, require
from largen.systems.spiking import markov_jax
from largen.systems.spiking.step_jax import Parameters, Scheme, State, step

SETTLING = 400.0
"""Time for which the reduction runs from rest before Newton's method takes over (ms)."""
EMPTY = 1e-9
"""Share of a population below which a bin is no variable of its own."""


class ReductionStep(eqx.Module):
    """One step of the reduction as a map of a vector; `p` is the value of the parameter called `name`."""

    model: Any
    narrowest: Any
    unit: Any
    name: str = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)
    scheme: Scheme = eqx.field(static=True)

    def __call__(self, x: jax.Array, p: jax.Array, dt: jax.Array) -> jax.Array:
        """The state after one step of length dt (ms)."""
        return self.advance(x, p, dt, 1)

    def advance(self, x: jax.Array, p: jax.Array, dt: jax.Array, count: Any) -> jax.Array:
        """The state after `count` steps."""
        parameters, external = self.numbers(p, dt)

        def once(_: Any, state: State) -> State:
            return step(_settled(state, parameters.size), external, parameters, self.scheme)[0]

        return self.vector(jax.lax.fori_loop(0, count, once, self.state(x)))

    def numbers(self, p: jax.Array, dt: jax.Array) -> tuple[Parameters, jax.Array]:
        """The model's numbers at this parameter, and the external rates, each with the last axis `set`."""
        model = self.model.varied(self.name, p, self.labels)
        numbers = markov_jax._parameters(model, dt, self.narrowest, jnp.float64)
        external = jnp.broadcast_to(jnp.asarray(model.external_rate, float), (len(model.inhibitory),))
        return jax.tree.map(lambda a: a[..., None], numbers), external[:, None]

    def state(self, x: jax.Array) -> State:
        """The state that a vector holds."""
        return State(*self._form()[1](x * self.unit), jnp.zeros(1, jnp.int32))

    def vector(self, state: State) -> jax.Array:
        """The vector of a state."""
        return ravel_pytree(tuple(state[:-1]))[0] / self.unit

    def _form(self) -> Any:
        count, bins, channels = len(self.model.inhibitory), self.scheme.bins, len(self.scheme.signs[0])
        shapes = (
            (bins, count), (bins, count), (count,), (bins, count, channels), (count, channels),
            (count, count), (count, count),
        )  # fmt: skip
        return ravel_pytree(tuple(jnp.zeros((*shape, 1)) for shape in shapes))

    def spikes(self, x: jax.Array, p: jax.Array, dt: jax.Array) -> jax.Array:
        """Firing rates during one step (Hz), shape (population,)."""
        parameters, external = self.numbers(p, dt)
        fired = step(self.state(x), external, parameters, self.scheme)[1][0]
        return 1e3 * fired[:, 0] / (parameters.size[:, 0] * dt)


def _settled(state: State, size: jax.Array) -> State:
    """The state without the derivatives of nearly empty bins.

    What such a bin holds means nothing for the rest, but its mean potential, a quotient of two small numbers, makes
    modes of its own. So it is not a variable: the map says what it holds.
    """
    empty = state.number < EMPTY * size

    def still(values: jax.Array, where: jax.Array) -> jax.Array:
        return jnp.where(where, jax.lax.stop_gradient(values), values)

    return state._replace(
        number=still(state.number, empty),
        moment=still(state.moment, empty),
        excess=still(state.excess, empty[:, :, None]),
    )
