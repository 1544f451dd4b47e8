"""The spiking reduction as a smooth map of one step, for continuation: x -> Phi_dt(x), with one parameter traced.

The state is one vector in natural units: neurons per population, potentials per bin width, pending spikes by their
own size. Per population the number of neurons is conserved. Source: CLWTX 2024 (arXiv 2411.14801) and the closure of
largen, derived in docs/spiking.md.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from largen.checks import InputError, one_of, require
from largen.system import Dynamics, Form, Observable
from largen.systems.spiking.discretisation import MIN_OCCUPANCY_VARIABLE, Discretisation
from largen.systems.spiking.reduction.bin_width import with_bins
from largen.systems.spiking.reduction_jax.run import at_rest, parameters_of, scheme
from largen.systems.spiking.reduction_jax.step import Parameters, State, step, sum_by_channel
from largen.systems.spiking.reduction_jax.transfer import Scheme
from largen.systems.spiking.time_step import check_step

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

SETTLING = 400.0
"""Time for which the reduction runs from rest before Newton's method takes over (ms)."""
VARIABLE = (
    "strength",
    "probability",
    "decay",
    "external_rate",
    "membrane_time",
    "refractory_time",
    "reversal",
)
RATE = Observable("rate", ("population",), "Hz", "firing rate")
MAX_DEVIATION = 20.0
"""Mean deviation of pending spikes in a bin, in standard deviations, beyond which an iterate is not trusted."""
FAULTS = {
    1: "The reduction ends here: its neurons move further in one step than it can follow. Give a smaller `dt`.",
}
"""Messages of the faults of a step (`State.fault`)."""


class ReductionStep(eqx.Module):
    """One step of the reduction as a map of a vector; `p` is the value of the parameter called `name`.

    Attributes:
        model: The network, with a constant external rate.
        min_support: Shortest support of the density in a bin, shape ().
        unit: Natural sizes of the unknowns, shape (m,), or one for all.
        name: The parameter; empty for none.
        labels: Labels of the populations.
        scheme: What is fixed when the program is compiled.
    """

    model: "SpikingNetwork"
    min_support: Any
    unit: Any
    name: str = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)
    scheme: Scheme = eqx.field(static=True)

    def __call__(self, x: Any, p: Any, dt: Any) -> Any:
        """The state after one step of length dt (ms)."""
        parameters, external = self.numbers(p, dt)
        state = _settled(self.sound(x, parameters), parameters.size, numbers_vary=False)
        return self.vector(step(state, external, parameters, self.scheme)[0])

    def advance(self, x: Any, p: Any, dt: Any, count: Any) -> Any:
        """The state after `count` steps."""
        parameters, external = self.numbers(p, dt)

        def once(_: Any, state: State) -> State:
            return step(_settled(state, parameters.size), external, parameters, self.scheme)[0]

        return self.vector(jax.lax.fori_loop(0, count, once, self.sound(x, parameters)))

    def rest(self) -> Any:
        """All neurons at V = 0, nothing pending."""
        start = jnp.asarray(self.model.value(self.name) if self.name else 0.0)
        return self.vector(at_rest(self.numbers(start, jnp.asarray(0.1))[0], self.scheme))

    def numbers(self, p: Any, dt: Any) -> tuple[Parameters, Any]:
        """The model's numbers at this parameter, and the external rates, each with the last axis `set`."""
        model = self.model.varied(self.name, p, self.labels) if self.name else self.model
        numbers = parameters_of(model, dt, self.min_support, jnp.float64)
        external = jnp.broadcast_to(jnp.asarray(model.external_rate, float), (len(model.inhibitory),))
        return jax.tree.map(lambda a: a[..., None], numbers), external[:, None]

    def state(self, x: Any) -> State:
        """The state that a vector holds."""
        return State._make((*self._form()[1](x * self.unit), jnp.zeros(1, jnp.int32)))

    def sound(self, x: Any, p: Parameters) -> State:
        """The state that a vector holds, made possible where an iterate of Newton's method is not.

        On a solution nothing changes. Off it a bin of few neurons may come out with a negative number or a mean
        outside the bin, from which the map would go astray.
        """
        state = self.state(x)
        number, refractory = jnp.maximum(state.number, 0.0), jnp.maximum(state.refractory, 0.0)
        most = (0.5 * self.scheme.width + p.min_support) * number
        moment = jnp.clip(state.moment, -most, most)
        state = state._replace(
            number=number,
            moment=moment,
            refractory=refractory,
            pending=jnp.maximum(state.pending, 0.0),
            variance=jnp.maximum(state.variance, 0.0),
        )
        if not self.scheme.joint:
            return state
        variance = sum_by_channel(p.strength**2 * state.variance, self.scheme)
        largest = MAX_DEVIATION * jnp.sqrt(variance + 1e-6)
        bins, pool = largest * number[:, :, None], largest * refractory[:, None]
        return state._replace(
            deviation=jnp.clip(state.deviation, -bins, bins),
            refractory_deviation=jnp.clip(state.refractory_deviation, -pool, pool),
        )

    def vector(self, state: State) -> Any:
        """The vector of a state."""
        return ravel_pytree(tuple(state[:-1]))[0] / self.unit

    def _form(self) -> Any:
        count, bins = len(self.labels), self.scheme.bins
        channels = len(self.scheme.signs[0]) if self.scheme.joint else 0
        shapes = (
            (bins, count), (bins, count), (count,), (bins, count, channels), (count, channels),
            (count, count), (count, count),
        )  # fmt: skip
        return ravel_pytree(tuple(jnp.zeros((*shape, 1)) for shape in shapes))

    def observe(self, x: Any, p: Any, dt: Any) -> dict[str, Any]:
        """Firing rates during the next step (Hz), and the fault of that step (0 if all is well)."""
        parameters, external = self.numbers(p, dt)
        after, (fired, _) = step(self.sound(x, parameters), external, parameters, self.scheme)
        return {"rate": 1e3 * fired[:, 0] / (parameters.size[:, 0] * dt), "_fault": after.fault.astype(float)}


def _settled(state: State, size: Any, *, numbers_vary: bool = True) -> State:
    """The state in which a nearly empty bin has a number but no mean of its own.

    What such a bin holds means nothing for the rest, but its mean potential, a quotient of two small numbers, makes
    modes of its own. So its means are constants for derivatives; its number is not, so that over many steps mass is
    conserved. In one step at a stationary state Newton's method goes better with the number constant too, and what
    that changes are modes which die out within a step.
    """
    empty = state.number < MIN_OCCUPANCY_VARIABLE * size
    number = jnp.where(state.number > 0.0, state.number, 1.0)

    def still(sums: Any, where: Any, number: Any, filled: Any) -> Any:
        return jnp.where(where, jax.lax.stop_gradient(sums / number) * filled, sums)

    def wide(values: Any) -> Any:
        return values[:, :, None]

    filled = state.number if numbers_vary else jnp.where(empty, jax.lax.stop_gradient(state.number), state.number)
    return state._replace(
        number=filled,
        moment=still(state.moment, empty, number, filled),
        deviation=still(state.deviation, wide(empty), wide(number), wide(filled)),
    )


@eqx.filter_jit
def _advance(rhs: ReductionStep, x: Any, p: Any, dt: Any, count: Any) -> Any:
    return rhs.advance(x, p, dt, count)


def build(
    model: "SpikingNetwork",
    parameter: str | None,
    discretisation: Discretisation = Discretisation(),  # noqa: B008 (immutable)
) -> Dynamics:
    """The reduction as a map of one step, with one parameter free.

    Args:
        model: The network with a constant external rate, scaled to its number of neurons.
        parameter: Name of the parameter, such as `probability[e,i]`.
        discretisation: Closure "joint" or "white"; the width of the bins is the same along the branch.

    Raises:
        InputError: The external rate depends on time, or the parameter is not one number that may vary.
    """
    if callable(model.external_rate):
        raise InputError("Argument `external_rate` must be constant to follow a branch, but is a function of time.")
    name = parameter or ""
    field = name.split("[")[0].rstrip("*")
    require(not name or field in VARIABLE, "parameter", f"be an entry of {', '.join(VARIABLE)}", name)
    one_of("closure", discretisation.closure, ("joint", "white"))
    value, bounds, unit = model.free(parameter) if parameter else (0.0, (-np.inf, np.inf), "")
    drive = np.broadcast_to(np.asarray(model.external_rate, float), (1, len(model.size)))
    given = discretisation._replace(dt=check_step(model, discretisation.dt))
    resolved = with_bins(given, model, np.array(drive))
    joint, dt = resolved.closure == "joint", resolved.dt
    fixed = scheme(model, resolved._replace(linear_in_bin=resolved.linear_in_bin and joint))
    support = np.array(resolved.min_support)
    rhs = ReductionStep(model, support, np.ones(()), name, model.populations, fixed)
    with jax.enable_x64(True):
        settled = np.asarray(run_steps(rhs, rhs.rest(), value, dt, round(SETTLING / dt)))
        state = jax.tree.map(np.asarray, rhs.state(settled))
        unit_of = _units(rhs, state)
        rows = _populations(rhs, state) * unit_of
        rest = np.asarray(rhs.rest()) / unit_of
    rhs = ReductionStep(model, support, unit_of, name, model.populations, fixed)
    note = resolved._asdict() | {"bin_width": fixed.width, "n": int(np.sum(model.size))}
    del note["below"]
    return Dynamics(
        Form.STEP, rhs, value, Starts(rhs, dt), np.full(len(unit_of), np.sqrt(2.0 * len(model.size) ** 2)), rows, dt,
        rhs.observe, (RATE,), model.populations, bounds=bounds, time_unit="ms", unit=unit, note=note, initial=rest,
        faults=FAULTS,
    )  # fmt: skip


def run_steps(rhs: Any, x: Any, p: float, dt: float, count: int) -> Any:
    """The state after `count` steps of `rhs`, a map with a method `advance`."""
    return _advance(rhs, jnp.asarray(x), jnp.asarray(float(p)), jnp.asarray(float(dt)), jnp.asarray(count))


def _units(rhs: ReductionStep, state: State) -> np.ndarray:
    """Natural sizes: a population, a bin width, three pending spikes a neuron, the moments' own values."""
    size = np.asarray(rhs.model.size, dtype=float)[:, None]
    spread = (3.0 * float(np.max(rhs.model.strength)) if rhs.scheme.joint else 0.0) or 1.0  # without synapses 1
    sizes = (
        np.ones_like(state.number) * size,
        np.ones_like(state.moment) * size * rhs.scheme.width,
        np.ones_like(state.refractory) * size,
        np.ones_like(state.deviation) * size[:, None] * spread,
        np.ones_like(state.refractory_deviation) * size[:, None] * spread,
        np.maximum(state.pending, 0.1),
        np.maximum(state.variance, 0.1),
    )
    return np.asarray(ravel_pytree(sizes)[0])


def _populations(rhs: ReductionStep, state: State) -> np.ndarray:
    """Rows that count the neurons of every population, shape (P, m)."""
    rows = []
    for a in range(len(rhs.labels)):
        parts = [np.zeros(np.shape(part)) for part in state[:-1]]
        parts[0][:, a] = parts[2][a] = 1.0
        rows.append(np.asarray(ravel_pytree(tuple(parts))[0]))
    return np.array(rows)


class Starts:
    """States near the stationary one: the mean over the last 20 ms from rest."""

    def __init__(self, rhs: Any, dt: float):
        self.rhs, self.dt = rhs, dt

    def __call__(self, p: float) -> list[np.ndarray]:
        """That state, in a list."""
        every = max(round(1.0 / self.dt), 1)
        with jax.enable_x64(True):
            x = self.rhs.rest()
            x = run_steps(self.rhs, x, p, self.dt, round(SETTLING / self.dt))
            total = np.zeros(len(np.asarray(x)))
            for _ in range(20):
                x = run_steps(self.rhs, x, p, self.dt, every)
                total += np.asarray(x) / 20.0
        return [total]
