"""The quadrature as a smooth map of one step, for continuation: x -> Phi_dt(x), with one parameter traced.

The state is one vector: fractions of each population by cell, degree and family, its refractory pool, and the moments
of the pending input in their own sizes. Per population the whole fraction is conserved.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from largen.checks import InputError, require
from largen.system import Dynamics
from largen.system import Form as Reading
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.dynamics import RATE, SETTLING, VARIABLE, Starts, run_steps
from largen.systems.spiking.quadrature_jax.run import choose_form, noise_of, numbers_of
from largen.systems.spiking.quadrature_jax.step import Form, Numbers, State, at_rest, step
from largen.systems.spiking.time_step import check_step

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

FAULTS = {1: "The reduction ends here: the external noise of a step reaches further than its cells were chosen for."}


class FamilyStep(eqx.Module):
    """One step of the quadrature as a map of a vector; `p` is the value of the parameter called `name`.

    Attributes:
        model: The network, with a constant external rate.
        unit: Natural sizes of the unknowns, shape (m,), or one for all.
        name: The parameter; empty for none.
        labels: Labels of the populations.
        form: What is fixed when the program is compiled.
    """

    model: "SpikingNetwork"
    unit: Any
    name: str = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)
    form: Form = eqx.field(static=True)

    def __call__(self, x: Any, p: Any, dt: Any) -> Any:
        """The state after one step of length dt (ms)."""
        numbers, external = self.numbers(p, dt)
        noise, _ = noise_of(numbers, external, self.form)
        return self.vector(step(self.state(x), external, noise, numbers, self.form)[0])

    def advance(self, x: Any, p: Any, dt: Any, count: Any) -> Any:
        """The state after `count` steps."""
        numbers, external = self.numbers(p, dt)
        noise, _ = noise_of(numbers, external, self.form)

        def once(_: Any, state: State) -> State:
            return step(state, external, noise, numbers, self.form)[0]

        return self.vector(jax.lax.fori_loop(0, count, once, self.state(x)))

    def numbers(self, p: Any, dt: Any) -> tuple[Numbers, Any]:
        """The model's numbers at this parameter, and the external rates."""
        model = self.model.varied(self.name, p, self.labels) if self.name else self.model
        external = jnp.broadcast_to(jnp.asarray(model.external_rate, float), (len(model.inhibitory),))
        return numbers_of(model, dt), external

    def rest(self) -> Any:
        """All neurons at the reset potential, nothing pending."""
        return self.vector(at_rest(self.form, len(self.labels)))

    def state(self, x: Any) -> State:
        """The state that a vector holds."""
        return ravel_pytree(at_rest(self.form, len(self.labels)))[1](x * self.unit)

    def vector(self, state: State) -> Any:
        """The vector of a state."""
        return ravel_pytree(state)[0] / self.unit

    def observe(self, x: Any, p: Any, dt: Any) -> dict[str, Any]:
        """Firing rates during the next step (Hz), and its fault (0 if all is well)."""
        numbers, external = self.numbers(p, dt)
        noise, good = noise_of(numbers, external, self.form)
        fired = step(self.state(x), external, noise, numbers, self.form)[1]
        return {"rate": 1e3 * fired / dt, "_fault": jnp.where(good, 0.0, 1.0)}


def build(
    model: "SpikingNetwork", parameter: str | None, discretisation: Discretisation, *, orders: Any = "auto"
) -> Dynamics:
    """The quadrature as a map of one step, with one parameter free.

    Args:
        model: The network with a constant external rate, scaled to its number of neurons.
        parameter: Name of the parameter, such as `probability[e,i]`.
        discretisation: Width of the cells and step; orders and cells are the same along the branch.
        orders: (excitatory, inhibitory), one for each group (see `given_orders`), or "auto".

    Raises:
        InputError: The external rate depends on time, or the parameter is not one number that may vary.
    """
    if callable(model.external_rate):
        raise InputError("Argument `external_rate` must be constant to follow a branch, but is a function of time.")
    name = parameter or ""
    field = name.split("[")[0].rstrip("*")
    require(not name or field in VARIABLE, "parameter", f"be an entry of {', '.join(VARIABLE)}", name)
    value, bounds, unit = model.free(parameter) if parameter else (0.0, (-np.inf, np.inf), "")
    dt = check_step(model, discretisation.dt)
    form, taken = choose_form(model, discretisation._replace(dt=dt), orders, name)
    rhs = FamilyStep(model, np.ones(()), name, model.populations, form)
    with jax.enable_x64(True):
        settled = rhs.state(run_steps(rhs, rhs.rest(), value, dt, round(SETTLING / dt)))
        unit_of = _units(jax.tree.map(np.asarray, settled))
        rows, rest = _populations(settled) * unit_of, np.asarray(rhs.rest()) / unit_of
    rhs = FamilyStep(model, unit_of, name, model.populations, form)
    note = {"closure": "quadrature", "bin_width": float(model.threshold) / form.above, "orders": np.array(taken)}
    note |= {"dt": dt, "n": int(np.sum(model.size))}
    return Dynamics(
        Reading.STEP, rhs, value, Starts(rhs, dt), np.full(len(unit_of), np.sqrt(2.0 * len(model.size) ** 2)), rows,
        dt, rhs.observe, (RATE,), model.populations, bounds=bounds, time_unit="ms", unit=unit, note=note, initial=rest,
        faults=FAULTS,
    )  # fmt: skip


def _units(state: State) -> np.ndarray:
    """Natural sizes: a population, and the moments' own values."""
    sizes = State(
        tuple(np.ones_like(u) for u in state.families),
        tuple(np.ones_like(r) for r in state.pool),
        np.maximum(np.abs(state.moments), 1e-3 * (1.0 + np.abs(state.moments).max(initial=0.0))),
        np.maximum(state.spread, 1e-3 * (1.0 + state.spread.max(initial=0.0))),
    )
    return np.asarray(ravel_pytree(sizes)[0])


def _populations(state: State) -> np.ndarray:
    """Rows that count the neurons of every population, shape (P, m)."""
    rows = []
    for a in range(len(state.pool)):
        parts = jax.tree.map(lambda part: np.zeros(np.shape(part)), state)
        parts.families[a][..., 0, :] = 1.0
        parts.pool[a][...] = 1.0
        rows.append(np.asarray(ravel_pytree(parts)[0]))
    return np.array(rows)
