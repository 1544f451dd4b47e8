"""Many steps of the quadrature in JAX, and how its form is chosen from a model."""

import functools
import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from largen.checks import require
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.quadrature_jax.step import (
    TAIL,
    Form,
    Numbers,
    State,
    at_rest,
    external_sd,
    noise_matrices,
    step,
)
from largen.systems.spiking.reduction.quadrature.channels import by_sign, channels_of
from largen.systems.spiking.reduction.quadrature.drive import in_cells
from largen.systems.spiking.reduction.quadrature.solve import choose, prepare, settle
from largen.systems.spiking.reduction_jax.chunks import chunk_length

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

ROOM = 1.5
"""Cells that the external noise may reach, over those it reaches at first."""
SETTLING = 400.0
"""Length (ms) of the run that decides how low the cells reach."""


def choose_form(
    model: "SpikingNetwork", discretisation: Discretisation, orders: Any, varied: str = ""
) -> tuple[Form, tuple[int, ...]]:
    """Decide orders and cells, and what else is fixed when the program is compiled.

    Args:
        model: The network, scaled to its number of neurons.
        discretisation: Width of the cells (None for the rule) and step.
        orders: (excitatory, inhibitory), one for each group (see `given_orders`), or "auto".
        varied: A parameter that will vary: a decay time that does is a channel of its own.

    Returns:
        The form, and the orders.
    """
    must = "be 'exponential' for derivatives of the quadrature"
    require(model.refractory == "exponential", "refractory", must, model.refractory)
    every = max(round(1.0 / discretisation.dt), 1)
    times = np.arange(0, round(SETTLING / discretisation.dt) + 1, every) * discretisation.dt
    problem = prepare(model, times, discretisation._replace(linear_in_bin=True), "auto", ())
    if varied.startswith("decay"):
        apart = model.varied(varied, model.value(varied) * (1.0 + 1e-6), model.populations)
        problem = problem._replace(channels=channels_of(apart))
    channels = problem.channels
    choice = choose(problem, discretisation.bin_width, orders, False)
    best = settle(problem, choice.orders, choice.cells, choice.depth, density=False, fixed=choice.fixed)
    layout, by_channel = best.run.layout, best.grid.orders
    sd = float(np.max(in_cells(model, problem.drive, problem.dt, layout.unit).sd))
    form = Form(
        nodes=tuple(order + 1 for order in by_channel),
        target=tuple(int(a) for a in channels.target),
        inhibitory=tuple(bool(sign) for sign in channels.inhibitory),
        sources=tuple(
            tuple(int(b) for b in channels.class_source[low:high]) for low, high in itertools.pairwise(channels.classes)
        ),
        silent=tuple(bool(silent) for silent in channels.silent),
        steepest=tuple(float(g) for g in layout.steepest),
        cells=layout.cells,
        above=best.grid.above,
        reach=int(np.ceil(ROOM * TAIL * sd)),
    )
    return form, by_sign(channels, choice.orders)


def numbers_of(model: "SpikingNetwork", dt: Any) -> Numbers:
    """A model's numbers; any real field and dt may be traced."""

    def array(value: Any, shape: tuple[int, ...]) -> Any:
        return jnp.broadcast_to(jnp.asarray(value, jnp.float64), shape)

    count = len(model.inhibitory)
    per, pair = (count,), (count, count)
    membrane = array(model.membrane_time, per)
    leaky = jnp.isfinite(membrane)
    leak = jnp.where(leaky, 1.0 / jnp.where(leaky, membrane, 1.0), 0.0)
    return Numbers(
        size=array(model.size, per),
        strength=array(model.strength, pair),
        probability=array(model.probability, pair),
        decay=array(model.decay, pair),
        leak=leak,
        gain=jnp.where(leaky, leak, 1.0),
        refractory=array(model.refractory_time, per),
        reversal=array(model.reversal, ()),
        threshold=array(model.threshold, ()),
        dt=array(dt, ()),
    )


def noise_of(numbers: Numbers, drive: Any, form: Form) -> tuple[Any, Any]:
    """Matrices of the external noise by population, and whether the form has room for them."""
    sd = external_sd(numbers, drive) * form.above / numbers.threshold
    if form.reach == 0:
        return jnp.zeros((len(form.target) + 1, 1, 3, 3)), jnp.all(sd == 0.0)
    good = (jnp.max(sd) * TAIL <= form.reach) & (jnp.min(sd) > 0.0)
    return jnp.stack([noise_matrices(sd[a], form.reach) for a in range(sd.shape[0])]), good


@functools.partial(jax.jit, static_argnames=("steps", "form"))
def run(numbers: Numbers, drive: Any, *, steps: int, form: Form, state: State | None = None) -> tuple[Any, State, Any]:
    """Run from rest or from a state: a pure function, for jvp and grad.

    Args:
        numbers: The model's.
        drive: External kicks per ms at the start of every step, shape (step, P), or (1, P) for a constant.
        steps: How many.
        form: What is fixed.
        state: Where to start.

    Returns:
        Spikes per neuron in every step, shape (step, P); the state at the end; whether the form held the noise.
    """
    constant, length = len(drive) == 1, chunk_length(steps)
    chunks, left = divmod(steps, length)
    fixed, good = noise_of(numbers, drive[0], form)

    def advance(carry: Any, row: Any) -> Any:
        state, sound = carry
        noise, room = (fixed, sound) if constant else noise_of(numbers, row, form)
        state, fired = step(state, drive[0] if constant else row, noise, numbers, form)
        return (state, sound & room), fired

    @functools.partial(jax.checkpoint, static_argnums=2)
    def chunk(carry: Any, rows: Any, length: int) -> Any:
        return lax.scan(advance, carry, rows, length=length)

    cut = chunks * length
    rows = None if constant else drive[:cut].reshape(chunks, length, -1)
    carry = (at_rest(form, len(numbers.size)) if state is None else state, good)
    carry, fired = lax.scan(lambda carry, rows: chunk(carry, rows, length), carry, rows, length=chunks)
    fired = fired.reshape(cut, -1)
    if left:
        carry, more = chunk(carry, None if constant else drive[cut:], left)
        fired = jnp.concatenate([fired, more])
    return fired, carry[0], carry[1]
