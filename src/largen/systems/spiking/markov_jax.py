"""The spiking reduction in JAX: derivatives, batches of parameter sets, and the independent check of `markov`.

One step moves the neurons of every voltage bin by a drift affine in V and a Gaussian increment. What crosses an
edge l follows from three integrals of the law of V' = V + increment: its density F(l), its distribution G0(l), and
U(l) = E[(l - V')+], each the derivative of the next. With a density linear in the bin they are combinations of the
iterated integrals i1, i2, i3 of the normal distribution function i0. The step is then a finite-volume scheme: bins
exchange number, first moment and pending spikes by fluxes through their edges, so that mass is conserved whatever
the fluxes are.

All arrays of the core carry a last axis `set` (parameter sets, 1 for a single model), which is contiguous.
Source: CLWTX 2024 (see `model`), secs. 3 and 4, with the corrections and the `joint` closure documented in docs/.
Times in ms, V in the paper's units, numbers in neurons.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from largen.checks import InputError, LimitError, one_of, require
from largen.systems.spiking.bins import bin_edges, reset_bin
from largen.systems.spiking.drive import sample_drive

# Standard deviations beyond which a Gaussian carries nothing (one-sided tail 3e-14).
_TAIL = 7.5
# Bins with less than this fraction of a population have no meaningful mean: their density is uniform.
_DUST = 1e-20
# Bins with less than this fraction of a population have no slope of pending spikes.
_SPARSE = 1e-8


class State(NamedTuple):
    """State of the reduction.

    Attributes:
        number: Neurons per bin, shape (bin, population).
        moment: Sum over the bin's neurons of V minus the bin's centre, shape (bin, population).
        refractory: Refractory neurons, shape (population,).
        excess: Sum over the bin's neurons of X minus its population mean, X = sum of s H over the sources of a
            channel, shape (bin, population, channel); no channels for the white closure.
        refractory_excess: The same over the refractory neurons, shape (population, channel).
        pending: Mean of the pending spikes H, shape (population, source).
        variance: Variance of H, shape (population, source).
        fault: Whether the solution is wrong: a neuron moved beyond the band of edges, or a step of dt folded a
            bin onto itself; shape ().
    """

    number: Any
    moment: Any
    refractory: Any
    excess: Any
    refractory_excess: Any
    pending: Any
    variance: Any
    fault: Any


class Scheme(NamedTuple):
    """What is fixed when the program is compiled.

    Attributes:
        width: Bin width.
        bins: Number of bins.
        reset: Index of the bin [0, width).
        channels: Channel of every class, [target][source]: sources of one target with equal decay and sign.
        signs: Sign of every channel, [target][channel]: +1, -1, or 0 where the target has fewer channels.
        reach: How far below and above a bin its neurons may move in a step, in bins.
        joint: Whether the synaptic noise is carried with its correlation time (closure "joint").
        linear: Whether the carried pending spikes are linear in the bin.
        narrowest: Narrowest support of the density in a bin.
    """

    width: float
    bins: int
    reset: int
    channels: tuple[tuple[int, ...], ...]
    signs: tuple[tuple[int, ...], ...]
    reach: tuple[int, int]
    joint: bool
    linear: bool
    narrowest: float


class Parameters(NamedTuple):
    """The model's numbers, each with a last axis `set`; shapes (population,), (population, source) or ()."""

    size: Any
    strength: Any
    probability: Any
    decay: Any
    leak: Any
    external_scale: Any
    release: Any
    reversal: Any
    threshold: Any
    dt: Any


# The normal distribution and its iterated integrals ------------------------------------------------------------

_NUMERATOR = (
    3.52624965998911e-2,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_DENOMINATOR = (
    8.83883476483184e-2,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)


@jax.custom_jvp
def iterated_normal(z: jax.Array) -> tuple[jax.Array, ...]:
    """Return phi(z), Phi(z) and the next three iterated integrals of Phi from minus infinity.

    i0 = Phi, n i_n = z i_(n-1) + i_(n-2) with i_(-1) = phi. Phi by Hart's rational approximation 5666, absolute
    error 1e-15 (G. West, Better approximations to cumulative normal functions, Wilmott 2005).
    """
    far = jnp.minimum(jnp.abs(z), 38.0)
    above = below = jnp.zeros_like(z)
    for coefficient in _NUMERATOR:
        above = above * far + coefficient
    for coefficient in _DENOMINATOR:
        below = below * far + coefficient
    bell = jnp.exp(-0.5 * z * z)
    tail = bell * above / below
    density = bell * (1.0 / math.sqrt(2.0 * math.pi))
    i0 = jnp.where(z > 0, 1.0 - tail, tail)
    i1 = z * i0 + density
    i2 = 0.5 * (z * i1 + i0)
    i3 = (z * i2 + i1) * (1.0 / 3.0)
    return density, i0, i1, i2, i3


@iterated_normal.defjvp
def _iterated_normal_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    values = iterated_normal(z)
    density, i0, i1, i2, _ = values
    return values, (-z * density * dz, density * dz, i0 * dz, i1 * dz, i2 * dz)


# One step ------------------------------------------------------------------------------------------------------


class _Cells(NamedTuple):
    """The law of V' of the neurons of each bin, before noise: all relative to the bin's centre."""

    number: Any
    mean: Any  # E[V']
    length: Any  # of the support
    tilt: Any  # density from 1 - tilt at the lower end to 1 + tilt at the upper, relative to uniform
    sigma: Any


def _density(state: State, size: jax.Array, scheme: Scheme) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, length of the support and tilt of the density in each bin, from number and first moment.

    Linear over the whole bin while the mean is within w/6 of the centre, then a triangle at the nearer edge.
    """
    w = scheme.width
    dust = state.number <= _DUST * size
    mean = jnp.where(dust, 0.0, state.moment / jnp.where(dust, 1.0, state.number))
    length = jnp.clip(3.0 * (0.5 * w - jnp.abs(mean)), scheme.narrowest, w)
    tilt = jnp.clip(6.0 * mean / w, -1.0, 1.0)
    return mean, length, tilt


def _slope(number: jax.Array, mean: jax.Array, excess: jax.Array, size: jax.Array, scheme: Scheme) -> jax.Array:
    """Slope in V of the excess per neuron: van Leer's harmonic mean of the differences to both neighbours."""
    distance = jnp.maximum(scheme.width + jnp.diff(mean, axis=0), 0.25 * scheme.width)[:, :, None]
    difference = jnp.diff(excess, axis=0) / distance
    left, right = difference[:-1], difference[1:]
    filled = number >= _SPARSE * size
    agree = (left * right > 0) & (filled[:-2] & filled[1:-1] & filled[2:])[:, :, None]
    slope = 2.0 * left * right / jnp.where(agree, left + right, 1.0)
    return jnp.pad(jnp.where(agree, slope, 0.0), ((1, 1), (0, 0), (0, 0), (0, 0)))


def _fluxes(cells: _Cells, carried: tuple[jax.Array, ...], scheme: Scheme) -> tuple[jax.Array, ...]:
    """Fluxes of number, moment and excess through the edges 0 ... bins, shape (bin + 1, population, ..., set).

    Below a bin's centre an edge is crossed downwards (side = +1: V' < l), above it upwards (side = -1: V' > l), so
    that every flux is a tail and small where little moves.
    """
    number, mean, length, tilt, sigma = cells
    lower = mean - (tilt / 6.0 + 0.5) * length
    upper = lower + length
    ratio = sigma / length
    tilted = 2.0 * tilt * ratio
    low, high = 1.0 - tilt, 1.0 + tilt
    inverse = 1.0 / sigma

    def across(edge, usual):
        side = jnp.where(edge < mean, 1.0, -1.0)
        passed = 0.5 * (usual - side)
        _, a0, a1, a2, a3 = iterated_normal(side * inverse * (edge - lower))
        _, b0, b1, b2, b3 = iterated_normal(side * inverse * (edge - upper))
        crossing = ratio * (low * a1 - high * b1 + side * tilted * (a2 - b2))
        beyond = sigma * ratio * (side * (low * a2 - high * b2) + tilted * (a3 - b3))
        crossing += passed
        beyond += passed * (edge - mean)
        flux, surplus = number * crossing, number * beyond
        if not carried:
            return flux, surplus
        at_edge, along, by_density = carried
        density = (side * (low * a0 - high * b0) + tilted * (a1 - b1)) / length
        excess = (at_edge + edge * along) * crossing[:, :, None]
        excess += by_density * density[:, :, None] - along * beyond[:, :, None]
        return flux, surplus, excess

    down, up = scheme.reach
    offsets = np.arange(-down, up + 2)
    rows = scheme.bins + len(offsets) - 1
    empty = tuple(jnp.zeros((rows, *x.shape[1:]), x.dtype) for x in (number, number, *carried[:1]))

    def body(totals, row):
        first, edge, side = row
        parts = across(edge, side)
        added = tuple(
            lax.dynamic_update_slice_in_dim(
                total, lax.dynamic_slice_in_dim(total, first, scheme.bins) + part, first, 0
            )
            for total, part in zip(totals, parts, strict=True)
        )
        return added, None

    rows_of_edges = (
        jnp.arange(len(offsets)),
        jnp.asarray((offsets - 0.5) * scheme.width, number.dtype),
        jnp.asarray(np.where(offsets <= 0, 1.0, -1.0), number.dtype),
    )
    totals, _ = lax.scan(body, empty, rows_of_edges)
    inside = (total[down : down + scheme.bins + 1] for total in totals)
    return tuple(total.at[0].set(0.0) for total in inside)


def _by_channel(classes: jax.Array, scheme: Scheme) -> jax.Array:
    """Sum classes, shape (population, source, set), over channels, shape (population, channel, set)."""
    members = np.asarray(scheme.channels)[:, :, None] == np.arange(len(scheme.signs[0]))
    return jnp.einsum("abx,abc->acx", classes, jnp.asarray(members, classes.dtype))


class _Channels(NamedTuple):
    """Mean and variance of X = sum of s H per channel, and its decay; shape (population, channel, set)."""

    mean: Any
    variance: Any
    decay: Any


def _channels(state: State, p: Parameters, scheme: Scheme) -> _Channels:
    count = _by_channel(jnp.ones_like(p.decay[:, :, :1]), scheme)
    decay = _by_channel(p.decay, scheme) / jnp.maximum(count, 1.0)
    return _Channels(
        _by_channel(p.strength * state.pending, scheme),
        _by_channel(p.strength**2 * state.variance, scheme),
        jnp.where(count > 0, decay, 1.0),
    )


def _step(
    state: State, external: jax.Array, p: Parameters, scheme: Scheme
) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """One step of length dt; returns the new state, the spikes and the mean of the pending spikes after it."""
    w, dt = scheme.width, p.dt
    mean, length, tilt = _density(state, p.size, scheme)
    centre = ((np.arange(scheme.bins) - scheme.reset + 0.5) * w)[:, None, None]
    v = centre + mean
    inhibition = (v - p.reversal) / (p.threshold - p.reversal)
    sign = jnp.asarray(np.asarray(scheme.signs, float)[:, :, None], mean.dtype)
    # What one unit of X/tau does to V per ms: +1 or -g(V); shape (bin, population, channel, set).
    kick = jnp.maximum(sign, 0.0) - jnp.maximum(-sign, 0.0) * inhibition[:, :, None]
    x = _channels(state, p, scheme)

    if scheme.joint:
        dust = (state.number <= _DUST * p.size)[:, :, None]
        excess = jnp.where(dust, 0.0, state.excess / jnp.where(dust, 1.0, state.number[:, :, None]))
        idle = (state.refractory <= _DUST * p.size)[:, None]
        explained = jnp.sum(state.excess * excess, axis=0) + jnp.where(
            idle, 0.0, state.refractory_excess**2 / jnp.where(idle, 1.0, state.refractory[:, None])
        )
        noise = jnp.maximum(x.variance - explained / p.size[:, None], 0.0)
        current = (x.mean + excess) / x.decay
        synaptic = dt**2 * jnp.sum(kick**2 * noise / x.decay**2, axis=2)
        gradient = jnp.sum(jnp.maximum(-sign, 0.0) * current, axis=2) / (p.threshold - p.reversal)
        stretch = 1.0 - dt * (p.leak + gradient)
        slope = jnp.zeros_like(excess)
        if scheme.linear:
            slope = _slope(state.number, mean, excess, p.size, scheme)
            stretch += dt * jnp.sum(kick * slope / x.decay, axis=2)
    else:
        current = x.mean / x.decay
        synaptic = dt * jnp.sum(kick**2 * x.variance / x.decay**2, axis=2)
        stretch = jnp.broadcast_to(1.0 - dt * p.leak, mean.shape)
    shift = dt * (external * p.external_scale - p.leak * v + jnp.sum(kick * current, axis=2))
    variance = dt * external * p.external_scale**2 + synaptic
    sigma = jnp.sqrt(jnp.maximum(variance, (0.1 * scheme.narrowest) ** 2))

    moved = mean + shift
    cells = _Cells(state.number, moved, length * stretch, tilt, sigma)
    carried = ()
    if scheme.joint:
        number = state.number[:, :, None]
        along = number * slope
        by_density = along * (sigma**2)[:, :, None] - number * kick * noise * dt / x.decay
        carried = (number * excess - along * moved[:, :, None], along, by_density)
    flux, surplus, *rest = _fluxes(cells, carried, scheme)

    spikes = -flux[-1]
    number = state.number + jnp.diff(flux, axis=0)
    moment = state.number * moved + 0.5 * w * (flux[1:] + flux[:-1]) - jnp.diff(surplus, axis=0)
    refractory = state.refractory + spikes
    back = refractory * p.release
    number = number.at[scheme.reset].add(back)
    moment = moment.at[scheme.reset].add(-0.5 * w * back)
    excess, refractory_excess = state.excess, state.refractory_excess
    if scheme.joint:
        fading = 1.0 - dt / x.decay
        excess = (excess + jnp.diff(rest[0], axis=0)) * fading
        refractory_excess = (refractory_excess - rest[0][-1]) * fading
        back_excess = refractory_excess * p.release[:, None]
        excess = excess.at[scheme.reset].add(back_excess)
        refractory_excess = refractory_excess - back_excess

    h, var, hit = state.pending, state.variance, p.probability
    pending = h - h * dt / p.decay + hit * spikes
    new = State(
        number,
        moment,
        refractory - back,
        excess,
        refractory_excess,
        pending,
        var + (h - 2.0 * var) * dt / p.decay + hit * (1.0 - hit) * spikes,
        state.fault | _out_of_reach(cells, p.size, scheme) | jnp.any(stretch <= 0.0, axis=(0, 1)),
    )
    return new, (spikes, pending)


def _out_of_reach(cells: _Cells, size: jax.Array, scheme: Scheme) -> jax.Array:
    """Whether neurons cross an edge outside the band, shape (set,)."""
    down, up = scheme.reach
    half = (0.5 + jnp.abs(cells.tilt) / 6.0) * cells.length + _TAIL * cells.sigma
    lowest = cells.mean - half < -(down + 1.5) * scheme.width
    highest = cells.mean + half > (up + 1.5) * scheme.width
    # Beyond the outermost edges nothing is to be known: no flux below edge 0, all above the threshold are spikes.
    rows = np.arange(scheme.bins)
    lowest &= jnp.asarray(rows > down + 1)[:, None, None]
    highest &= jnp.asarray(rows < scheme.bins - 1 - up)[:, None, None]
    return jnp.any((lowest | highest) & (cells.number > 1e-12 * size), axis=(0, 1))


# Many steps ----------------------------------------------------------------------------------------------------


def _rest(p: Parameters, scheme: Scheme) -> State:
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
        jnp.zeros(sets, bool),
    )


def _chunk_length(steps: int) -> int:
    """A length near the square root, so that reverse mode keeps few states; a divisor if there is one near."""
    root = max(1, math.isqrt(steps))
    near = [length for length in range(max(1, root // 3), 3 * root + 1) if steps % length == 0]
    return min(near, key=lambda length: abs(length - root)) if near else root


class _Plan(NamedTuple):
    """When the pending spikes are read out: steps `picks` of every chunk, then entries `order` of these."""

    picks: Any
    order: Any


def _plan(output_steps: np.ndarray, steps: int) -> _Plan:
    """Plan the outputs, given as numbers of steps from the start (0 is the start itself)."""
    length = _chunk_length(steps)
    wanted = np.unique(output_steps[output_steps > 0])
    chunk, place = np.divmod(wanted - 1, length)
    slot = np.arange(len(wanted)) - np.searchsorted(chunk, chunk)
    most = int(slot.max(initial=0)) + 1
    picks = np.zeros((-(-steps // length), most), np.int32)
    picks[chunk, slot] = place
    order = np.concatenate([[0], 1 + chunk * most + slot])
    return _Plan(picks, order[np.searchsorted(wanted, output_steps, side="right")].astype(np.int32))


@functools.partial(jax.jit, static_argnames=("steps", "scheme"))
def _integrate(
    state: State, drive: jax.Array, plan: _Plan, p: Parameters, *, steps: int, scheme: Scheme
) -> tuple[jax.Array, jax.Array, State]:
    """All steps, in chunks whose inside is recomputed in reverse mode; see `run`, with a last axis `set`."""
    length = _chunk_length(steps)
    chunks, left = divmod(steps, length)
    constant = len(drive) == 1

    @functools.partial(jax.checkpoint, static_argnums=2)
    def chunk(state, inputs, length):
        external, picks = inputs

        def step(state, row):
            return _step(state, drive[0] if constant else row, p, scheme)

        state, (spikes, pending) = lax.scan(step, state, external, length=length)
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
    if isinstance(value, jax.core.Tracer):
        raise InputError(
            f"Argument `{name}` must be known when the reduction is compiled ({why}), but is traced. "
            "Close over the model and trace only the parameters that vary."
        )
    return np.asarray(value)


def channels(model: Any) -> tuple[tuple[int, ...], ...]:
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
    model: Any,
    *,
    bin_width: float = 4.0,
    closure: str = "joint",
    linear_in_bin: bool = True,
    narrowest: float = 1e-2,
    reach: tuple[float, float] = (16.0, 28.0),
    channels: tuple[tuple[int, ...], ...] | None = None,
) -> Scheme:
    """Decide what is fixed at compilation; see `run` for the arguments."""
    one_of("closure", closure, ("joint", "white"))
    require(
        model.refractory == "exponential",
        "refractory",
        "be 'exponential' for the reduction",
        model.refractory,
    )
    threshold = float(_concrete("threshold", model.threshold, "it is an edge of the voltage bins"))
    inhibitory = _concrete("inhibitory", model.inhibitory, "it decides the form of the synapses").tolist()
    edges = bin_edges(threshold, bin_width)
    given = globals()["channels"](model) if channels is None else channels
    count = max(max(row) for row in given) + 1
    signs = np.zeros((len(given), count), int)
    for a, row in enumerate(given):
        for b, channel in enumerate(row):
            signs[a, channel] = -1 if inhibitory[b] else 1
    bins = len(edges) - 1
    width = threshold / (bins - reset_bin(edges))
    down, up = (min(bins, math.ceil(distance / width)) for distance in reach)
    return Scheme(
        width,
        bins,
        reset_bin(edges),
        given,
        tuple(tuple(row) for row in signs.tolist()),
        (down, up),
        closure == "joint",
        bool(linear_in_bin),
        float(narrowest),
    )


def _parameters(model: Any, dt: Any, dtype: Any) -> Parameters:
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
    model: Any,
    drive: Any,
    output_steps: np.ndarray,
    *,
    dt: Any,
    state: State | None = None,
    single: bool = False,
    **options: Any,
) -> tuple[jax.Array, jax.Array, State]:
    """Run the reduction of one model: a pure function, for jit, vmap, jvp and grad.

    Args:
        model: A SpikingNetwork; its real fields may be traced, except the threshold.
        drive: External rates per ms at the start of every step, shape (step, population), or one row for all.
        output_steps: When to report the pending spikes, in steps from the start, increasing; the last one is the
            number of steps. Concrete integers, shape (output,).
        dt: Step (ms).
        state: Where to start; from rest (V = 0, nothing pending) by default.
        single: Whether to accept single precision.
        options: `bin_width`, `closure` ("joint" or "white"), `linear_in_bin`, `narrowest` (least support of the
            density in a bin), `reach` (how far a neuron may move down and up within one step, in units of V) and
            `channels` (see there).

    Returns:
        The expected number of spikes in every step, shape (step, population); the mean number of pending spikes
        at the outputs, shape (output, population, source); the state at the end. `state.fault` must be False,
        else the numbers are wrong (`solve` and `rates` check it).

    Raises:
        InputError: The closure is not known here, or single precision was not asked for.
    """
    dtype = _dtype(single)
    fixed = scheme(model, **options)
    p = _one_set(_parameters(model, dt, dtype))
    output_steps = np.asarray(output_steps)
    steps = int(output_steps[-1])
    begin = _rest(p, fixed) if state is None else _one_set(state)
    rows = jnp.asarray(drive, dtype)[:, :, None]
    result = _integrate(begin, rows, _plan(output_steps, steps), p, steps=steps, scheme=fixed)
    return jax.tree.map(lambda x: x[..., 0], result)
