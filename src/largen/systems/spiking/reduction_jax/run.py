"""The spiking reduction in JAX: derivatives, batches of parameter sets, and the check of the numba engine.

`run` is the pure function, `solve` the checked entry, `rates` the mean rates for derivatives and sweeps; one step
stands in `step`, whose arrays carry a last axis `set`. Source: CLWTX 2024 (see `model`); derived in docs/spiking.md.
"""

import functools
import math
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from largen.checks import InputError, LimitError, known_keys, one_of, require
from largen.systems.spiking.discretisation import Discretisation, bin_edges, reset_bin
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.reduction_jax.chunks import Plan, chunk_length, plan_outputs
from largen.systems.spiking.reduction_jax.step import Parameters, State, step
from largen.systems.spiking.reduction_jax.transfer import Scheme

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

# How far neurons may move in a step, down and up from where their population moves, beyond half a bin. Edges that no
# neuron reaches cost nothing.
_REACH = {"joint": (20.0, 20.0), "white": (28.0, 28.0)}

# Many steps ----------------------------------------------------------------------------------------------------


def at_rest(p: Parameters, scheme: Scheme) -> State:
    """All neurons at V = 0, nothing pending."""
    size = p.size
    populations, sets = size.shape
    channels = len(scheme.signs[0]) if scheme.joint else 0
    bins = jnp.zeros((scheme.bins, populations, sets), size.dtype)
    classes = jnp.zeros((populations, populations, sets), size.dtype)
    return State(
        bins.at[scheme.reset].set(size),
        bins.at[scheme.reset].set(-0.5 * scheme.width * size),
        jnp.zeros_like(size),
        jnp.zeros((scheme.bins, populations, channels, sets), size.dtype),
        jnp.zeros((populations, channels, sets), size.dtype),
        classes,
        classes,
        jnp.zeros(sets, jnp.int32),
    )


@functools.partial(jax.jit, static_argnames=("steps", "scheme"))
def _integrate(
    state: State, drive: jax.Array, plan: Plan, p: Parameters, *, steps: int, scheme: Scheme
) -> tuple[jax.Array, jax.Array, State]:
    """All steps, in chunks whose inside is recomputed in reverse mode; see `run`, with a last axis `set`."""
    length = chunk_length(steps)
    chunks, left = divmod(steps, length)
    constant = len(drive) == 1

    @functools.partial(jax.checkpoint, static_argnums=2)
    def chunk(state, inputs, length):
        external, picks = inputs

        def advance(state, row):
            return step(state, drive[0] if constant else row, p, scheme)

        state, (spikes, pending) = lax.scan(advance, state, external, length=length)
        return state, (spikes, pending[picks])

    cut = chunks * length
    rows = None if constant else drive[:cut].reshape(chunks, length, *drive.shape[1:])
    last = None if constant else drive[cut:]
    start = state.pending[None]
    state, (spikes, pending) = lax.scan(
        lambda state, inputs: chunk(state, inputs, length), state, (rows, plan.picks[:chunks])
    )
    spikes, pending = (x.reshape(-1, *x.shape[2:]) for x in (spikes, pending))
    if left:
        state, more = chunk(state, (last, plan.picks[-1]), left)
        spikes, pending = jnp.concatenate([spikes, more[0]]), jnp.concatenate([pending, more[1]])
    return spikes, jnp.concatenate([start, pending])[plan.order], state


# A model's numbers ---------------------------------------------------------------------------------------------


def _concrete(name: str, value: Any, why: str) -> np.ndarray:
    if isinstance(value, Tracer):
        raise InputError(
            f"Argument `{name}` must be known when the reduction is compiled ({why}), but is traced. "
            "Close over the model and trace only the parameters that vary."
        )
    return np.asarray(value)


def channels_of(model: "SpikingNetwork") -> tuple[tuple[int, ...], ...]:
    """Number the channels of a model's synapse classes, [target][source].

    Sources of one target with equal decay and sign act through the one sum of their pending spikes. The `joint`
    closure then depends on which classes are taken together, so that the choice must not follow a traced decay.

    Raises:
        InputError: The decay is traced and a target has several sources of one sign.
    """
    inhibitory = _concrete("inhibitory", model.inhibitory, "it decides the form of the synapses")
    if len(inhibitory) == len(set(inhibitory.tolist())):
        return tuple(tuple(range(len(inhibitory))) for _ in inhibitory)
    decay = _concrete("decay", model.decay, "classes of equal decay are taken together; or give `channels`")
    numbered = []
    for row in decay.tolist():
        kinds = list(zip(row, inhibitory.tolist(), strict=True))
        order = list(dict.fromkeys(kinds))
        numbered.append(tuple(order.index(kind) for kind in kinds))
    return tuple(numbered)


def scheme(
    model: "SpikingNetwork",
    discretisation: Discretisation,
    *,
    reach: tuple[float, float] | None = None,
    channels: tuple[tuple[int, ...], ...] | None = None,
) -> Scheme:
    """Decide what is fixed at compilation; see `run` for the arguments."""
    closure, bin_width = discretisation.closure, discretisation.bin_width
    assert bin_width is not None
    one_of("closure", closure, ("joint", "white"))
    require(
        model.refractory == "exponential",
        "refractory",
        "be 'exponential' for the reduction",
        model.refractory,
    )
    threshold = float(_concrete("threshold", model.threshold, "it is an edge of the voltage bins"))
    inhibitory = _concrete("inhibitory", model.inhibitory, "it decides the form of the synapses").tolist()
    edges = bin_edges(threshold, bin_width, discretisation.below)
    given = channels_of(model) if channels is None else channels
    count = max(max(row) for row in given) + 1
    signs = np.zeros((len(given), count), int)
    for a, row in enumerate(given):
        for b, channel in enumerate(row):
            signs[a, channel] = -1 if inhibitory[b] else 1
    bins = len(edges) - 1
    width = threshold / (bins - reset_bin(edges))
    distances = np.array(_REACH[closure]) * threshold / 100.0 if reach is None else reach
    down, up = (min(bins, math.ceil(distance / width)) for distance in distances)
    return Scheme(
        width,
        bins,
        reset_bin(edges),
        given,
        tuple(tuple(row) for row in signs.tolist()),
        (down, up),
        closure == "joint",
        bool(discretisation.linear_in_bin),
        bool(discretisation.affine_drift),
    )


def parameters_of(model: "SpikingNetwork", dt: Any, min_support: Any, dtype: Any) -> Parameters:
    """A model's numbers without the axis `set`; dt and min_support may be traced."""

    def array(value: Any, shape: tuple[int, ...]) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(value, dtype), shape)

    count = len(model.inhibitory)
    per, pair = (count,), (count, count)
    membrane = array(model.membrane_time, per)
    leaky = jnp.isfinite(membrane)
    leak = jnp.where(leaky, 1.0 / jnp.where(leaky, membrane, 1.0), 0.0)
    dt = array(dt, ())
    return Parameters(
        array(model.size, per),
        array(model.strength, pair),
        array(model.probability, pair),
        array(model.decay, pair),
        leak,
        jnp.where(leaky, leak, 1.0),
        -jnp.expm1(-dt / array(model.refractory_time, per)),
        array(model.reversal, ()),
        array(model.threshold, ()),
        array(min_support, ()) * array(model.threshold, ()) * 0.01,
        dt,
    )


def _dtype(single: bool) -> Any:
    if single:
        return jnp.float32
    if jnp.result_type(float) != jnp.float64:
        raise InputError(
            "The reduction needs double precision: call it inside `with jax.enable_x64(True):`, "
            "or accept single precision with single=True."
        )
    return jnp.float64


def _one_set(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[..., None], tree)


def run(
    model: "SpikingNetwork",
    drive: Any,
    output_steps: np.ndarray,
    discretisation: Discretisation,
    *,
    state: State | None = None,
    single: bool = False,
    **form: Any,
) -> tuple[jax.Array, jax.Array, State]:
    """Run the reduction of one model: a pure function, for jit, vmap, jvp and grad.

    Args:
        model: The network; its real fields may be traced, except the threshold.
        drive: External rates per ms at the start of every step, shape (step, population), or one row for all.
        output_steps: When to report the pending spikes, in steps from the start, increasing; the last one is the
            number of steps. Concrete integers, shape (output,).
        discretisation: With a bin width; closure "joint" or "white".
        state: Where to start; from rest (V = 0, nothing pending) by default.
        single: Whether to accept single precision.
        form: `reach` (how far neurons may move down and up within one step, in units of V) and `channels` (see
            `channels_of`).

    Returns:
        The expected number of spikes in every step, shape (step, population); the mean number of pending spikes
        at the outputs, shape (output, population, source); the state at the end. `state.fault` must be 0,
        else the numbers are wrong (`solve` and `rates` check it).

    Raises:
        InputError: The closure is not known here, or single precision was not asked for.
    """
    dtype = _dtype(single)
    fixed = scheme(model, discretisation, **form)
    p = parameters_of(model, discretisation.dt, discretisation.min_support, dtype)
    return _run(_one_set(p), drive, output_steps, state, fixed)


def _run(
    p: Parameters, drive: Any, output_steps: Any, state: State | None, fixed: Scheme
) -> tuple[jax.Array, jax.Array, State]:
    output_steps = np.asarray(output_steps)
    steps = int(output_steps[-1])
    begin = at_rest(p, fixed) if state is None else _one_set(state)
    rows = jnp.asarray(drive, p.dt.dtype)[:, :, None]
    require(len(rows) in (1, steps), "drive", f"have 1 row or one per step ({steps})", rows.shape[:2])
    result = _integrate(begin, rows, plan_outputs(output_steps, steps), p, steps=steps, scheme=fixed)
    return jax.tree.map(lambda x: x[..., 0], result)


_FAULTS = {1: "Neurons moved further in one step than `reach` allows. Give a larger `reach`."}


def solve(
    model: "SpikingNetwork", drive: np.ndarray, output_steps: np.ndarray, discretisation: Discretisation, **form: Any
) -> tuple[np.ndarray, np.ndarray, State]:
    """Run the reduction of one model in double precision; arguments and results as in `run`, as NumPy arrays.

    The band of edges is widened, and the run repeated, where neurons move beyond it.

    Raises:
        LimitError: The solution is not finite.
    """
    fixed = scheme(model, discretisation, **form)
    with jax.enable_x64(True):
        p = _one_set(parameters_of(model, discretisation.dt, discretisation.min_support, jnp.float64))
        while True:
            result = _run(p, drive, output_steps, None, fixed)
            result = jax.tree.map(np.asarray, result)
            fault = int(result[2].fault)
            if fault != 1 or min(fixed.reach) == fixed.bins:
                break
            fixed = fixed._replace(reach=tuple(min(fixed.bins, 2 * bins + 1) for bins in fixed.reach))
    if fault or not all(np.all(np.isfinite(x)) for x in result[:2]):
        raise LimitError(_FAULTS.get(fault, "The reduction is not finite: the parameters are out of its range."))
    return result


_VARIABLE = (
    "size",
    "strength",
    "probability",
    "decay",
    "external_rate",
    "membrane_time",
    "refractory_time",
    "reversal",
)


def _batch(
    model: "SpikingNetwork", sets: dict[str, Any] | None, discretisation: Discretisation, dtype: Any, tied: bool
) -> tuple[Parameters, Any]:
    """Parameters and constant external rate (None for a function of time), with their last axis."""

    def numbers(values):
        varied = model.replace(**values)
        constant = not callable(varied.external_rate)
        rate = jnp.broadcast_to(jnp.asarray(varied.external_rate, dtype), varied_shape) if constant else None
        return parameters_of(varied, discretisation.dt, discretisation.min_support, dtype), rate

    varied_shape = (len(model.inhibitory),)
    if not sets:
        return _one_set(numbers({}))
    for name, values in sets.items():
        field = name.split("[")[0]
        known_keys("parameter of a batch", [field], _VARIABLE)
        require(
            not (field == "decay" and tied),
            "sets",
            "not vary a decay while sources of one sign share theirs",
            name,
            "Give `channels`.",
        )
        if not isinstance(values, Tracer):
            for extreme in (np.min(values, axis=0), np.max(values, axis=0)):
                model.replace(**{name: extreme})  # bounds are intervals: checks all sets
    lengths = {name: len(values) for name, values in sets.items()}
    require(len(set(lengths.values())) == 1, "sets", "have equally many values of every parameter", lengths)
    arrays = {name: jnp.asarray(values, dtype) for name, values in sets.items()}
    return jax.vmap(numbers, out_axes=-1)(arrays)


def rates(
    model: "SpikingNetwork",
    discretisation: Discretisation,
    *,
    duration: float,
    start: float = 0.0,
    sets: dict[str, Any] | None = None,
    single: bool = False,
    **form: Any,
) -> jax.Array:
    """Mean rate of every population over a window, from rest: a pure function, for jit, vmap, jvp and grad.

    For example, inside `with jax.enable_x64(True):`,

        bins = Discretisation(bin_width=4.0)
        jax.grad(lambda s: rates(model.replace(**{"strength[e,e]": s}), bins, duration=200.0)[0])(0.95)

    Args:
        model: The network; its real fields may be traced, except the threshold.
        discretisation: As in `run`.
        duration: End of the window (ms after rest), a multiple of dt.
        start: Start of the window (ms), a multiple of dt.
        sets: Many parameter sets at once, faster than `jax.vmap`: values by parameter name as in
            `model.replace`, each with a first axis over the sets.
        single: Whether to accept single precision.
        form: As in `run`.

    Returns:
        Rates in Hz, shape (population,), or (set, population) with `sets`. An error is raised when the compiled
        function runs if neurons moved beyond `reach`.
    """
    dt = discretisation.dt
    dtype = _dtype(single)
    steps, first = round(duration / dt), round(start / dt)
    require(steps > first >= 0, "duration", "be greater than `start` by at least `dt`", duration)
    for name, value, count in (("duration", duration, steps), ("start", start, first)):
        require(abs(count * dt - value) <= 1e-9 * max(dt, value), name, f"be a multiple of dt ({dt:g} ms)", value)
    fixed = scheme(model, discretisation, **form)
    tied = "channels" not in form and any(len(set(row)) < len(row) for row in fixed.channels)
    p, rate = _batch(model, sets, discretisation, dtype, tied)
    if rate is None:
        drive = jnp.asarray(sample_drive(model.external_rate, 0.0, steps, dt, len(model.inhibitory)), dtype)
        drive = drive[:, :, None]
    else:
        drive = rate[None]
    plan = plan_outputs(np.array([steps]), steps)
    spikes, _, state = _integrate(at_rest(p, fixed), drive, plan, p, steps=steps, scheme=fixed)
    values = 1e3 * jnp.sum(spikes[first:], axis=0) / (p.size * (steps - first) * dt)
    for code, message in _FAULTS.items():
        values = eqx.error_if(values, state.fault == code, message, on_error="raise")
    return values[:, 0] if not sets else values.T
