"""The spiking network in plain loops, double precision and NumPy's own generators: the law's reference.

One step is `_release`, `_fire` and `_arrive_*`, in this order, neuron by neuron, as the model reads (CLWTX 2024,
sec. 2). A pending spike acts until it is released or the step ends; where it lives for less than ten steps it draws
its own lifetime. Arrivals are drawn by
their inverse CDFs, tabulated by Panjer's recursion; nothing is shared with the kernels of largen.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.numerics.streams import stream
from largen.systems.spiking.drive import sample_drive

GUIDES = 64  # slots of the guide that says where a look-up starts


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


class Constants(NamedTuple):
    """The model: see `largen.systems.spiking.network.state.Constants`."""

    edge: np.ndarray
    inhibitory: np.ndarray
    strength: np.ndarray
    probability: np.ndarray
    decay: np.ndarray
    leak: np.ndarray
    kick_external: np.ndarray
    wait: np.ndarray
    fixed_wait: bool
    quenched: bool
    threshold: float
    reversal: float
    dt: float


class State(NamedTuple):
    """V, H and its charge by source, steps to wait, who fired, and the graph (bit i of row j: j reaches i)."""

    voltage: np.ndarray
    pending: np.ndarray
    charge: np.ndarray
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
                    inhibition += s.charge[b, i] / (c.threshold - c.reversal)
                else:
                    excitation += s.charge[b, i]
            v, kappa = s.voltage[i], inhibition + c.leak[a]
            part = -np.expm1(-kappa) / kappa if kappa > 0.0 else 1.0
            v += part * (excitation - (v - c.reversal) * inhibition - c.leak[a] * v + drift)
            if noise > 0.0:
                twice = -np.expm1(-2.0 * kappa) / (2.0 * kappa) if kappa > 0.0 else 1.0
                v += noise * np.sqrt(twice) * streams.noise.standard_normal()
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
    whole part of an exponential time. A fixed period is rounded up or down at random, so that its mean is right.
    """
    steps = mean + rng.random() if fixed else mean * rng.standard_exponential()
    return int(min(steps, 2147483647.0))


@njit(cache=True, error_model="numpy")
def _release(c: Constants, s: State, rng: np.random.Generator) -> None:
    """Let every pending spike act until its lifetime or the step ends."""
    for a in range(c.inhibitory.size):
        for b in range(c.inhibitory.size):
            if c.probability[a, b] == 0.0:
                continue
            tau = c.decay[a, b]
            mean = tau - c.dt / np.expm1(c.dt / tau)  # of a lifetime that ends within the step
            for i in range(c.edge[a], c.edge[a + 1]):
                left, acted = 0, 0.0
                if tau >= 10.0 * c.dt:
                    left = rng.binomial(s.pending[b, i], np.exp(-c.dt / tau)) if s.pending[b, i] > 0 else 0
                    acted = left * c.dt + (s.pending[b, i] - left) * mean
                else:
                    for _ in range(s.pending[b, i]):
                        lifetime = tau * rng.standard_exponential()
                        left += lifetime > c.dt
                        acted += min(lifetime, c.dt)
                s.pending[b, i] = left
                s.charge[b, i] = c.strength[a, b] * acted / tau


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
def _advance(c: Constants, s: State, rates: np.ndarray, streams: Streams, every: int, spikes, pending):
    """Take all steps; spikes (population, interval) and sums of H (target, source, interval) every so many steps."""
    for step in range(spikes.shape[1] * every):
        _release(c, s, streams.synapses)
        _fire(c, s, rates[min(step, rates.shape[0] - 1)], streams)
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
    constants = Constants(
        edge=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        inhibitory=np.array(model.inhibitory),
        strength=np.array(model.strength),
        probability=np.array(model.probability),
        decay=np.array(model.decay),
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
        np.zeros((populations, neurons)),
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
    _advance(constants, state, drive, streams, every, spikes, pending)
    return spikes / (size[:, None] * every * dt / 1000.0), pending / size[:, None, None]
