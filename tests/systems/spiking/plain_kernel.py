"""The spiking network in plain loops, double precision and NumPy's own generators: the law's reference.

One step is `_fire`, `_release` and `_arrive_*`, in this order, neuron by neuron, as the model reads (CLWTX 2024,
sec. 2). Discrete laws are drawn by their inverse CDFs, tabulated by Panjer's recursion; nothing is shared with the
kernels of largen. About 40 to 60 ns of CPU time per neuron and step.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.numerics.streams import stream
from largen.systems.spiking.drive import sample_drive

GUIDES = 64  # slots of the guide that says where a look-up starts
DIGITS = 256  # rows per level of `poisson_rows`


class Rows(NamedTuple):
    """Inverse CDFs of several laws on the integers, one after another.

    Attributes:
        first: Smallest value of each law, shape (row,), int64.
        start: Where the CDF of each law starts in `cdf`, shape (row,), int64.
        guide: Where in its CDF a look-up of u in [g, g + 1)/GUIDES starts, shape (row, GUIDES), int32.
        cdf: P(X <= first + k) for all laws, flat.
    """

    first: np.ndarray
    start: np.ndarray
    guide: np.ndarray
    cdf: np.ndarray


@njit(cache=True, error_model="numpy")
def _tabulate(a: float, b: float, mode: int, top: int, variance: float) -> tuple[int, np.ndarray]:
    """Tabulate the law with pmf(k + 1)/pmf(k) = a + b/(k + 1) on 0..top; returns (first, cdf)."""
    # Bernstein: beyond 32 + 10 standard deviations from the mode less than 1e-20 is left.
    reach = int(32.0 + 10.0 * np.sqrt(variance))
    low = max(mode - reach, 0)
    high = min(mode + reach, top)
    weight = np.empty(high - low + 1)
    weight[mode - low] = 1.0
    first, last = mode, mode
    while first > low and weight[first - low] > 1e-20:
        weight[first - 1 - low] = weight[first - low] / (a + b / first)
        first -= 1
    while last < high and weight[last - low] > 1e-20:
        weight[last + 1 - low] = weight[last - low] * (a + b / (last + 1))
        last += 1
    cdf = np.cumsum(weight[first - low : last - low + 1])
    cdf /= cdf[-1]
    return first, cdf


@njit(cache=True, error_model="numpy")
def binomial(n: int, p: float) -> tuple[int, np.ndarray]:
    """Smallest value and CDF of Bin(n, p), 0 < p < 1."""
    odds = p / (1.0 - p)
    return _tabulate(-odds, (n + 1) * odds, min(int((n + 1) * p), n), n, n * p * (1.0 - p))


@njit(cache=True, error_model="numpy")
def poisson(mean: float) -> tuple[int, np.ndarray]:
    """Smallest value and CDF of Poisson(mean)."""
    return _tabulate(0.0, mean, int(mean), 2**62, mean)


@njit(cache=True, error_model="numpy")
def guide_into(cdf: np.ndarray, guide: np.ndarray) -> None:
    """Fill guide[g] with the smallest k such that cdf[k] > g/len(guide)."""
    k = 0
    for g in range(guide.size):
        while cdf[k] * guide.size <= g:
            k += 1
        guide[g] = k


@njit(cache=True, error_model="numpy")
def look_up(u: float, cdf: np.ndarray, guide: np.ndarray) -> int:
    """Smallest k with cdf[k] > u, for u in [0, 1)."""
    k = guide[int(u * GUIDES)]
    while cdf[k] <= u:
        k += 1
    return k


@njit(cache=True, error_model="numpy")
def _poisson_rows(rates: np.ndarray) -> Rows:
    count = rates.size * 2 * DIGITS
    first = np.empty(count, np.int64)
    start = np.empty(count, np.int64)
    guide = np.empty((count, GUIDES), np.int32)
    cdfs = []
    size = 0
    for row in range(count):
        level, digit = divmod(row % (2 * DIGITS), DIGITS)
        first[row], cdf = poisson(rates[row // (2 * DIGITS)] * digit * DIGITS**level)
        guide_into(cdf, guide[row])
        start[row] = size
        size += cdf.size
        cdfs.append(cdf)
    flat = np.empty(size)
    for row in range(count):
        flat[start[row] : start[row] + cdfs[row].size] = cdfs[row]
    return Rows(first, start, guide, flat)


@njit(cache=True, error_model="numpy")
def look_up_row(u: float, row: int, rows: Rows) -> int:
    """Value of law `row` at u in [0, 1): the smallest x with P(X <= x) > u."""
    k = rows.start[row] + rows.guide[row, int(u * GUIDES)]
    while rows.cdf[k] <= u:
        k += 1
    return rows.first[row] + k - rows.start[row]


class Constants(NamedTuple):
    """The model: see `largen.systems.spiking.network.state.Constants`."""

    edge: np.ndarray
    inhibitory: np.ndarray
    kick: np.ndarray
    probability: np.ndarray
    release: np.ndarray
    table: np.ndarray
    leak: np.ndarray
    kick_external: np.ndarray
    wait: np.ndarray
    fixed_wait: bool
    quenched: bool
    threshold: float
    reversal: float
    dt: float


class State(NamedTuple):
    """V, H by source population, steps to wait, who fired, and the graph (bit i of row j: j reaches i)."""

    voltage: np.ndarray
    pending: np.ndarray
    wait: np.ndarray
    fired: np.ndarray
    fired_to: np.ndarray
    graph: np.ndarray


class Streams(NamedTuple):
    """One generator per purpose."""

    noise: np.random.Generator
    synapses: np.random.Generator
    refractory: np.random.Generator


@njit(cache=True, error_model="numpy")
def _fire(c: Constants, s: State, rates: np.ndarray, streams: Streams) -> None:
    """Move every voltage by one step and list the spikes; rates: external kicks per ms, shape (P,)."""
    populations = c.inhibitory.size
    count = 0
    for a in range(populations):
        drift = rates[a] * c.dt * c.kick_external[a]
        noise = np.sqrt(rates[a] * c.dt) * c.kick_external[a]
        for i in range(c.edge[a], c.edge[a + 1]):
            if s.wait[i] > 0:
                s.wait[i] -= 1
                continue
            excitation, inhibition = 0.0, 0.0
            for b in range(populations):
                if c.inhibitory[b]:
                    inhibition += c.kick[a, b] * s.pending[b, i]
                else:
                    excitation += c.kick[a, b] * s.pending[b, i]
            v = s.voltage[i]
            g = (v - c.reversal) / (c.threshold - c.reversal)
            v += c.dt * (excitation - g * inhibition) - c.leak[a] * v + drift
            if noise > 0.0:
                v += noise * streams.noise.standard_normal()
            if v > c.threshold:
                v = 0.0
                s.wait[i] = _refractory_steps(c.wait[a], c.fixed_wait, streams.refractory)
                s.fired[count] = i
                count += 1
            s.voltage[i] = v
        s.fired_to[a + 1] = count


@njit(cache=True, error_model="numpy")
def _refractory_steps(mean: float, fixed: bool, rng: np.random.Generator) -> int:
    """Steps that a neuron misses after its spike.

    Leaving with probability q = 1 - exp(-dt/tau_r) a step, first in the spike step itself, is geometric: the
    whole part of an exponential time. A fixed period is rounded to whole steps, 1 at least.
    """
    steps = max(np.rint(mean), 1.0) if fixed else mean * rng.standard_exponential()
    return int(min(steps, 2147483647.0))


@njit(cache=True, error_model="numpy")
def _release(c: Constants, s: State, rows: Rows, rng: np.random.Generator) -> None:
    """Release Poisson(H dt/tau) of the pending spikes of every neuron and class."""
    for a in range(c.inhibitory.size):
        for b in range(c.inhibitory.size):
            if c.probability[a, b] == 0.0:
                continue
            rate, table = c.release[a, b], c.table[a, b]
            pending, row = s.pending[b], 2 * DIGITS * table
            for i in range(c.edge[a], c.edge[a + 1]):
                h = pending[i]
                if h == 0:
                    continue
                if h >= DIGITS * DIGITS or table < 0:
                    released = rng.poisson(h * rate)
                else:
                    released = look_up_row(rng.random(), row + h % DIGITS, rows)
                    if h >= DIGITS:
                        released += look_up_row(rng.random(), row + DIGITS + h // DIGITS, rows)
                pending[i] = max(h - released, 0)


@njit(cache=True, error_model="numpy")
def _arrive_annealed(c: Constants, s: State, rng: np.random.Generator) -> None:
    """Give every neuron its Bin(nf, p) new pending spikes: one table per class, shared by its neurons."""
    guide = np.empty(GUIDES, np.int32)
    for a in range(c.inhibitory.size):
        for b in range(c.inhibitory.size):
            p = c.probability[a, b]
            nf = s.fired_to[b + 1] - s.fired_to[b]
            if p == 0.0 or nf == 0:
                continue
            pending = s.pending[b]
            if p == 1.0:
                for i in range(c.edge[a], c.edge[a + 1]):
                    pending[i] += nf
                continue
            first, cdf = binomial(nf, p)
            guide_into(cdf, guide)
            for i in range(c.edge[a], c.edge[a + 1]):
                pending[i] += first + look_up(rng.random(), cdf, guide)


@njit(cache=True, error_model="numpy")
def _arrive_quenched(c: Constants, s: State) -> None:
    """Send every spike of this step to its neuron's targets on the graph."""
    neurons = s.voltage.size
    for b in range(c.inhibitory.size):
        pending = s.pending[b]
        for k in range(s.fired_to[b], s.fired_to[b + 1]):
            row = s.graph[s.fired[k]]
            for word in range(row.size):
                bits = row[word]
                base = 64 * word
                for bit in range(min(64, neurons - base)):
                    pending[base + bit] += np.int32((bits >> np.uint64(bit)) & np.uint64(1))


@njit(cache=True, error_model="numpy")
def draw_graph(c: Constants, graph: np.ndarray, first: int, last: int, rng: np.random.Generator) -> None:
    """Draw the rows first..last-1 of the graph: independent links, self-links kept."""
    populations = c.inhibitory.size
    b = 0
    for j in range(first, last):
        while j >= c.edge[b + 1]:
            b += 1
        for a in range(populations):
            p = c.probability[a, b]
            for i in range(c.edge[a], c.edge[a + 1]):
                if rng.random() < p:
                    graph[j, i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@njit(cache=True, error_model="numpy")
def _advance(c: Constants, s: State, rates: np.ndarray, rows: Rows, streams: Streams, every: int, spikes, pending):
    """Take all steps; spikes (population, interval) and sums of H (target, source, interval) every so many steps."""
    for step in range(spikes.shape[1] * every):
        _fire(c, s, rates[min(step, rates.shape[0] - 1)], streams)
        _release(c, s, rows, streams.synapses)
        if c.quenched:
            _arrive_quenched(c, s)
        else:
            _arrive_annealed(c, s, streams.synapses)
        for a in range(c.inhibitory.size):
            spikes[a, step // every] += s.fired_to[a + 1] - s.fired_to[a]
            if (step + 1) % every == 0:
                for b in range(c.inhibitory.size):
                    pending[a, b, step // every] = s.pending[b, c.edge[a] : c.edge[a + 1]].sum()


def run(model, duration: float, *, seed: int, every: int = 1, dt: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Run from rest; returns rates in Hz (population, interval) and mean H (target, source, interval).

    Args:
        model: A `SpikingNetwork`.
        duration: ms, a multiple of `every` steps.
        seed: Of the named streams.
        every: Steps per interval.
        dt: Step (ms).
    """
    size, populations = np.array(model.size), len(model.size)
    membrane = np.array(np.broadcast_to(model.membrane_time, (populations,)))
    release = dt / model.decay
    rates, table = np.unique(release, return_inverse=True)
    constants = Constants(
        edge=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        inhibitory=np.array(model.inhibitory),
        kick=model.strength / model.decay,
        probability=np.array(model.probability),
        release=release,
        table=table.reshape(release.shape).astype(np.int64),
        leak=dt / membrane,
        kick_external=np.where(np.isfinite(membrane), 1.0 / membrane, 1.0),
        wait=np.array(np.broadcast_to(model.refractory_time, (populations,))) / dt,
        fixed_wait=model.refractory == "fixed",
        quenched=model.connectivity == "quenched",
        threshold=float(model.threshold),
        reversal=float(model.reversal),
        dt=dt,
    )
    neurons = int(size.sum())
    links = neurons if constants.quenched else 0
    state = State(
        np.zeros(neurons),
        np.zeros((populations, neurons), np.int32),
        np.zeros(neurons, np.int32),
        np.zeros(neurons, np.int32),
        np.zeros(populations + 1, np.int64),
        np.zeros((links, -(-links // 64)), np.uint64),
    )
    if links:
        draw_graph(constants, state.graph, 0, links, stream(seed, "graph"))
    steps = round(duration / dt)
    drive = sample_drive(model.external_rate, 0.0, steps, dt, populations)
    streams = Streams(*(stream(seed, name) for name in ("noise", "synapses", "refractory")))
    spikes = np.zeros((populations, steps // every), np.int64)
    pending = np.zeros((populations, populations, steps // every))
    _advance(constants, state, drive, _poisson_rows(rates), streams, every, spikes, pending)
    return spikes / (size[:, None] * every * dt / 1000.0), pending / size[:, None, None]
