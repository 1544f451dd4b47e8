"""A network of neurons with delta synapses in plain NumPy, for tests: arrivals drawn afresh for every neuron and step.

Given the spikes of the steps before, every neuron of an annealed network gets numbers of its own, so that all are
independent, as in the law that the reduction follows. It shares no formula with the kernels.
"""

import functools

import numpy as np


def rates(model, dt, duration, start, seed):
    """Mean rate (Hz) of each population after `start` (ms), and its standard error from ten blocks of time."""
    rng, count = np.random.default_rng(seed), len(model.size)
    owner = np.repeat(np.arange(count), model.size)
    each = lambda value: np.broadcast_to(np.asarray(value, float), count)[owner]  # noqa: E731
    v, waits = np.array(each(model.reset)), np.zeros(len(owner), int)
    history, steps, first = [], round(duration / dt), round(start / dt)
    spikes = np.zeros((steps, count))
    for i in range(steps):
        moved = _flow(model, v, dt, each)
        sd = each(model.external_sd) * np.sqrt(_noise(each(model.membrane_time), dt))
        kicks = np.zeros(len(owner))
        for b in range(count):
            arrived = np.concatenate([_arrivals(model, rng, history, a, b, dt) for a in range(count)])
            size = np.concatenate([np.full(model.size[a], model.strength[a, b]) for a in range(count)])
            if model.inhibitory[b] and model.inhibition == "conductance":
                left = 1.0 - size / (each(model.threshold) - model.reversal)
                moved = model.reversal + (moved - model.reversal) * left**arrived
            else:
                kicks += (-size if model.inhibitory[b] else size) * arrived
        if model.external_strength is not None:
            mean = each(model.external_rate) * dt
            gaussian = mean + np.sqrt(mean) * rng.standard_normal(len(owner))
            kicks += each(model.external_strength) * (rng.poisson(mean) if model.external == "poisson" else gaussian)
        moved = moved + kicks + sd * rng.standard_normal(len(owner))
        free = waits == 0
        v, waits = np.where(free, moved, v), np.maximum(waits - 1, 0)
        fired = free & (v >= each(model.threshold))
        v = np.where(fired, each(model.reset), v)
        rest = each(model.refractory_time) / dt
        if model.refractory == "fixed":
            waits = np.where(fired, np.rint(rest).astype(int), waits)
        else:
            waits = np.where(fired, np.floor(rng.exponential(1.0, len(owner)) * rest).astype(int), waits)
        history.append(np.bincount(owner[fired], minlength=count))
        spikes[i] = history[-1]
    blocks = spikes[first:].reshape(10, -1, count).mean(1) / np.asarray(model.size) * 1e3 / dt
    return blocks.mean(0), blocks.std(0, ddof=1) / np.sqrt(10)


def _flow(model, v, dt, each):
    """The leak over a step; a drive between spikes acts during it."""
    tau, drive = each(model.membrane_time), each(model.external_mean)
    if np.all(np.isinf(tau)):
        return v + drive * dt
    steady = each(model.rest) + tau * drive
    return steady + (v - steady) * np.exp(-dt / tau)


def _noise(tau, dt):
    """Variance of white noise of one unit per root ms after a step, by Simpson's rule over the step."""
    left = np.exp(-2.0 * np.array([0.0, 0.5, 1.0])[:, None] * dt / tau)
    return dt * (left[0] + 4.0 * left[1] + left[2]) / 6.0


@functools.cache
def _drawn_delays(delay, spread, dt):
    """Share of each number of steps among 400 000 drawn delays."""
    drawn = np.random.default_rng(7).normal(delay, spread * delay, 400_000)
    steps = np.maximum(1, np.floor(drawn[drawn >= 0.5 * dt] / dt + 0.5)).astype(int)
    found, counts = np.unique(steps, return_counts=True)
    return dict(zip(found.tolist(), (counts / counts.sum()).tolist(), strict=True))


def _arrivals(model, rng, history, a, b, dt):
    """Spikes of b that reach each neuron of a now, of which each took a delay of its own."""
    delay, spread = (np.broadcast_to(x, (len(model.size),) * 2)[a, b] for x in (model.delay, model.delay_spread))
    if spread == 0.0:
        d = max(1, int(np.floor(delay / dt + 0.5 + 1e-9)))
        shares = {d: 1.0}
    else:
        shares = _drawn_delays(float(delay), float(spread), dt)
    sent = sum(share * history[-d][b] for d, share in shares.items() if d <= len(history))
    if model.in_degree is not None:
        degree = np.broadcast_to(model.in_degree, (len(model.size),) * 2)[a, b]
        return rng.binomial(degree, sent / model.size[b], model.size[a])
    if model.synapses is not None:
        return rng.poisson(model.synapses[a, b] / model.size[a] * sent / model.size[b], model.size[a])
    return rng.binomial(round(sent), model.probability[a, b], model.size[a])
