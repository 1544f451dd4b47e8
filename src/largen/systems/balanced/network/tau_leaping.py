"""Tau-leaping (Gillespie 2001), one neuron at a time, for every network that the model allows.

One step of length dt (eq. B15 of docs/balanced.md), with e = exp(-dt/tau_a) and J_ab = s_b alpha_ab/sqrt(n):

    Z' = e Z + [g_a(t + dt) - e g_a(t)] + tau_a (1 - e)/dt sum_b J_ab N_ab,    N_ab ~ Poisson(dt lambda_b),

independent over targets, or one N_b for all of them with shared synapses. lambda_b is sum_k f_b(Z_b^k) in the middle
of the step, extrapolated from its present and last values (Adams-Bashforth): with the present value alone the means
lag by dt/2, which a few hundred networks of 2000 neurons show in the boundary layer. Drive and jumps act in the same
step, because they are of order sqrt(n) each and cancel. `alias_tau_leaping` is the quick variant for independent
synapses; this plain loop is its reference.
"""

import math

import numpy as np

from largen.numerics.compiled import njit
from largen.systems.balanced.network.state import Constants, DriveResponse, Spikes, drive_response, intensities


@njit(cache=True)
def leap(
    constants: Constants,
    response: DriveResponse,
    z: np.ndarray,
    intensity: np.ndarray,
    past: np.ndarray,
    time: float,
    dt: float,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> None:
    """One step.

    Args:
        constants: The network.
        response: Response to drive and input.
        z: States, shape (N,), changed in place.
        intensity: f of the states, shape (N,).
        past: sum_k f_b before the last step, and that step (0 before the first), shape (P + 1,), changed in place.
        time: Start of the step.
        dt: Its length.
        spikes: Generator of the counts.
        noise: Generator of the intrinsic noise.
        record: Spikes of watched neurons, at uniform times within the step.
    """
    count = constants.leak.size
    ahead = 0.5 * dt / past[count] if past[count] > 0.0 else 0.0
    mean, change = np.empty(count), np.ones(count)
    for b in range(count):
        total = intensity[constants.first[b] : constants.first[b + 1]].sum()
        if total > 0.0:
            change[b] = max(1.0 + ahead * (total - past[b]) / total, 0.0)
        mean[b] = dt * total * change[b]
        past[b] = total
    past[count] = dt
    numbers = np.zeros(count)
    if constants.shared:
        for b in range(count):
            numbers[b] = emitted(constants, b, intensity, mean[b], change[b], time, dt, spikes, record)
    for a in range(count):
        kept = math.exp(-dt * constants.leak[a])
        pushed = drive_response(response, time + dt, a) - kept * drive_response(response, time, a)
        share = (1.0 - kept) / (dt * constants.leak[a])
        spread = constants.noise[a] * math.sqrt(1.0 - kept * kept)
        for k in range(constants.first[a], constants.first[a + 1]):
            jumps = 0.0
            for b in range(count):
                number = numbers[b] if constants.shared else float(spikes.poisson(mean[b]))
                jumps += constants.jump[a, b] * number
                if not constants.shared and record.watched.size > 0 and record.watched[k]:
                    record_spikes(record, k, b, int(number), time, dt, spikes)
            z[k] = kept * z[k] + pushed + share * jumps
            if spread > 0.0:
                z[k] += spread * noise.standard_normal()


@njit(cache=True)
def leaps(
    constants: Constants,
    response: DriveResponse,
    z: np.ndarray,
    intensity: np.ndarray,
    past: np.ndarray,
    start: float,
    dt: float,
    step: int,
    end: int,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> int:
    """Steps `step` to `end` - 1 after `start` with built-in gains; returns early when the spike buffer is half full.

    Returns:
        The next step to take.
    """
    while step < end and 2 * record.count[0] <= record.time.size:
        leap(constants, response, z, intensity, past, start + step * dt, dt, spikes, noise, record)
        for a in range(constants.leak.size):
            low, high = constants.first[a], constants.first[a + 1]
            intensities(constants, a, z[low:high], intensity[low:high])
        step += 1
    return step


@njit(cache=True)
def emitted(
    constants: Constants,
    b: int,
    intensity: np.ndarray,
    mean: float,
    change: float,
    time: float,
    dt: float,
    spikes: np.random.Generator,
    record: Spikes,
) -> float:
    """Number of spikes that population b emits in a step; those of watched neurons are drawn one by one.

    Args:
        constants: The network.
        b: Population.
        intensity: f of all states, shape (N,).
        mean: Mean of the number.
        change: Factor on the intensities that gives that mean.
        time: Start of the step.
        dt: Its length.
        spikes: Generator.
        record: Spikes of watched neurons.
    """
    number, rest = 0, mean
    if record.watched.size > 0:
        for k in range(constants.first[b], constants.first[b + 1]):
            if record.watched[k]:
                own = dt * change * intensity[k]
                fired = spikes.poisson(own)
                record_spikes(record, k, b, fired, time, dt, spikes)
                number += fired
                rest -= own
    return float(number + spikes.poisson(max(rest, 0.0)))


@njit(cache=True)
def record_spikes(
    record: Spikes, k: int, source: int, number: int, time: float, dt: float, spikes: np.random.Generator
) -> None:
    """Record a number of spikes at uniform times within a step; what does not fit in the buffer is only counted."""
    for _ in range(number):
        i = record.count[0]
        if i < record.time.size:
            record.time[i], record.neuron[i], record.source[i] = time + dt * spikes.random(), k, source
        record.count[0] += 1
