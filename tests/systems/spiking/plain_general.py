"""The general network in plain Python and NumPy, as the model reads; for tests. It shares nothing with the kernels."""

import math

import numpy as np


def _charge(tau, decay, dt):
    """What a channel of one unit per ms brings in a step dt, by quadrature of e^{-s/decay} e^{-(dt - s)/tau}."""
    s, weight = np.polynomial.legendre.leggauss(20)
    s = 0.5 * dt * (s + 1.0)
    return 0.5 * dt * float(np.sum(weight * np.exp(-s / decay - (dt - s) / tau)))


class Plain:
    """A network without noise, one neuron after another, with exponential or delta synapses.

    Args:
        model: A `SpikingNetwork`.
        dt: Step (ms).
        synapses: By source, rows (target, delay in steps, what a spike brings): the jump or the drift, with its sign.
        voltage: First potentials, shape (N,).
    """

    def __init__(self, model, dt, synapses, voltage):
        self.model, self.dt, self.synapses = model, dt, synapses
        self.owner = np.repeat(np.arange(len(model.size)), model.size)
        self.neurons, self.v = len(self.owner), [float(v) for v in voltage]
        each = lambda value: np.broadcast_to(np.asarray(value, float), len(model.size))[self.owner].tolist()  # noqa: E731
        self.rest, self.reset, self.threshold = each(model.rest), each(model.reset), each(model.threshold)
        self.tau, self.mean, self.wait = (
            each(model.membrane_time),
            each(model.external_mean),
            each(model.refractory_time),
        )
        self.jump_w, self.tau_w = each(model.adaptation_step), each(model.adaptation_time)
        self.w, self.free_in = [0.0] * self.neurons, [0] * self.neurons
        self.current = np.zeros((self.neurons, len(model.size)))  # by source population
        self.coming = {}  # step -> list of (target, source population, what it brings)
        self.step, self.spikes = 0, []
        decays = np.unique(np.concatenate([np.ravel(model.decay), np.ravel(self.tau_w)])).tolist()
        self.charge = {(tau, decay): _charge(tau, decay, dt) for tau in set(self.tau) for decay in decays}

    def advance(self, steps):
        """Take so many steps; returns the spikes so far, as (step, neuron)."""
        for _ in range(steps):
            self.step += 1
            arrived = [[] for _ in range(self.neurons)]
            for target, b, size in self.coming.pop(self.step, []):
                arrived[target].append((b, size))
            fired = [i for i in range(self.neurons) if self._move(i, arrived[i])]
            for source in fired:
                self.spikes.append((self.step, source))
                for target, d, size in self.synapses[source]:
                    self.coming.setdefault(self.step + d, []).append((target, self.owner[source], size))
        return self.spikes

    def _move(self, i, arrived):
        m, dt, a, before = self.model, self.dt, self.owner[i], self.v[i]
        span = self.threshold[i] - m.reversal
        shunts = [bool(flag) and m.inhibition == "conductance" for flag in m.inhibitory]
        v = self._flow(i, before) - self.charge[self.tau[i], self.tau_w[i]] * self.w[i]
        for b in range(len(m.size)):
            g = (before - m.reversal) / span if shunts[b] else 1.0
            v += g * self.charge[self.tau[i], float(m.decay[a, b])] * self.current[i, b]
            self.current[i, b] *= math.exp(-dt / m.decay[a, b])
        for b, size in arrived:
            if m.synapse == "exponential":
                self.current[i, b] += size
            elif shunts[b]:
                v = m.reversal + (v - m.reversal) * (1.0 - abs(size) / span)
        v += sum(size for b, size in arrived if m.synapse == "delta" and not shunts[b])
        self.w[i] *= math.exp(-dt / self.tau_w[i])
        if self.free_in[i] > 0:
            self.free_in[i] -= 1
            return False
        self.v[i] = v
        if v >= self.threshold[i]:
            self.v[i], self.free_in[i] = self.reset[i], round(self.wait[i] / dt)
            self.w[i] += self.jump_w[i]
            return True
        return False

    def _flow(self, i, v):
        tau = self.tau[i]
        if math.isinf(tau):
            return v + self.mean[i] * self.dt
        steady = self.rest[i] + tau * self.mean[i]
        return steady + (v - steady) * math.exp(-self.dt / tau)


def counted(model, dt, duration, realisations, seed):
    """An annealed network whose spikes are counted until they are released, all realisations side by side.

    Its probabilities, in-degrees or synapses are drawn spike by spike or target by target. Delta synapses too.

    Returns:
        Spikes of a neuron, their square, and the mean pending spikes (release only); a row for each realisation.
    """
    rng, count = np.random.default_rng(seed), len(model.size)
    owner = np.repeat(np.arange(count), model.size)
    each = lambda value: np.broadcast_to(np.asarray(value, float), count)[owner]  # noqa: E731
    tau, rest, reset, threshold = map(each, (model.membrane_time, model.rest, model.reset, model.threshold))
    mean, sd, wait = map(each, (model.external_mean, model.external_sd, model.refractory_time))
    strength, eps = model.strength[owner], dt / model.decay[owner]
    shunts, span = np.asarray(model.inhibitory) & (model.inhibition == "conductance"), threshold - model.reversal
    sign = np.where(model.inhibitory, -1.0, 1.0)
    delay = np.broadcast_to(model.delay, (count, count))
    steps_of = np.maximum(1, np.floor(delay / dt + 0.5 + 1e-9)).astype(int)
    v, h = np.tile(reset, (realisations, 1)), np.zeros((realisations, owner.size, count), int)
    free_in, fired_at = np.zeros(v.shape, int), {}
    total, pending = np.zeros((realisations, count)), 0.0
    for step in range(1, round(duration / dt) + 1):
        arrived = np.zeros(h.shape, int)
        for b in range(count):
            for a in range(count):
                spikes = fired_at.get(step - steps_of[a, b], np.zeros(total.shape, int))[:, b]
                arrived[:, owner == a, b] = _draw(model, a, b, spikes, (realisations, model.size[a]), rng)
        h = h + arrived * (model.synapse == "pending")
        gone = rng.binomial(h, -np.expm1(-eps)) if model.synapse != "delta" else arrived
        h = h - gone + arrived * (model.synapse == "release") if model.synapse != "delta" else h
        charge = strength * (eps * h + (1.0 - eps / np.expm1(eps)) * gone) if model.synapse == "pending" else 0.0 * h
        pull = np.where(shunts, charge, 0.0).sum(2) / span
        rate = 1.0 / tau + pull / dt
        drive = mean + (np.where(shunts, 0.0, sign) * charge).sum(2) / dt
        factor = np.prod(np.where(shunts, 1.0 - strength / span[:, None], 1.0) ** gone, axis=2)
        kicks = (np.where(shunts, 0.0, sign * strength) * gone).sum(2)
        early = (np.where(shunts | ~np.asarray(model.inhibitory), 0.0, strength) * gone).sum(2)
        moved = v
        if model.synapse == "release":
            moved, kicks = model.reversal + (v - model.reversal) * factor - early, kicks + early
        steady = (rest / tau + pull / dt * model.reversal + drive) / rate
        noise = sd * np.sqrt(-np.expm1(-2.0 * rate * dt) / (2.0 * rate)) * rng.standard_normal(v.shape)
        moved = steady + (moved - steady) * np.exp(-rate * dt)
        if model.synapse == "delta":
            moved = model.reversal + (moved - model.reversal) * factor
        moved = moved + noise + (kicks if model.synapse != "pending" else 0.0)
        v, fired = np.where(free_in > 0, v, moved), (free_in == 0) & (moved > threshold)
        free_in = np.maximum(free_in - 1, 0)
        v = np.where(fired, reset, v)
        drawn = np.floor(rng.exponential(wait / dt, v.shape)) if model.refractory != "fixed" else np.rint(wait / dt)
        free_in = np.where(fired, drawn, free_in).astype(int)
        fired_at[step] = np.stack([fired[:, owner == b].sum(1) for b in range(count)], axis=1)
        total = total + fired_at[step]
        if model.synapse == "release":
            pending = pending + np.stack([h[:, owner == a].mean(1) for a in range(count)], axis=1)
    own = total / model.size
    kept = pending.reshape(realisations, -1) * dt / duration if model.synapse == "release" else own[:, :0]
    return np.concatenate([own, own**2, kept], axis=1)


def _draw(model, a, b, spikes, shape, rng):
    """Spikes of source b that reach the neurons of a, given how many there were; shape (realisation, target)."""
    spikes = spikes[:, None]
    if model.in_degree is not None:
        return rng.binomial(model.in_degree[a, b], spikes / model.size[b], shape)
    if model.synapses is not None:
        return rng.poisson(model.synapses[a, b] / (model.size[a] * model.size[b]) * spikes, shape)
    return rng.binomial(spikes, model.probability[a, b], shape)
