"""What one step dt makes of an integrate-and-fire model, for the network and the reduction alike (plain NumPy).

Populations a (target) and b (source); times in ms; potentials in the model's unit. Between two steps a neuron with
rest E, membrane time tau_m, constant drive m and channels I of decay tau follows, exactly,

    V <- E + (V - E) P + m D + I T,   I <- I Q,                                                                  (S24)
    P = exp(-dt/tau_m),  D = tau_m (1 - P),  Q = exp(-dt/tau),  T = (Q - P)/(1/tau_m - 1/tau),

with the limits P = 1, D = dt, T = tau (1 - Q) without leak, and T = dt P where tau = tau_m. Source: Rotter & Diesmann,
Exact digital simulation of time-invariant linear systems, Biol. Cybern. 81 (1999), eqs. 3 and 8.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import exprel, log_ndtr, ndtr

from largen.checks import InputError

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

NEGLIGIBLE_SHARE = 1e-12
"""Delays that fewer than this share of the synapses have are left out of the law of delays."""
MOST_DELAY_STEPS = 1_000_000
"""Steps that the longest delay may take: as many slots hold the spikes on their way."""


class Propagators(NamedTuple):
    """One step of a leaky membrane and of its exponential channels (S24).

    Attributes:
        membrane: P, what is left of V - E, shape (P,).
        drive: D, what a constant drive of one unit per ms brings (ms), shape (P,).
        noise: Variance that white noise of one unit per root ms brings (ms), tau_m (1 - P^2)/2, shape (P,).
        channel: Q, what is left of a channel, shape (P, P).
        charge: T, what a channel of one unit per ms brings (ms), shape (P, P).
        external_channel: Q of the external channel, 0 for delta kicks, shape (P,).
        external_charge: T of the external channel, 0 for delta kicks, shape (P,).
    """

    membrane: np.ndarray
    drive: np.ndarray
    noise: np.ndarray
    channel: np.ndarray
    charge: np.ndarray
    external_channel: np.ndarray
    external_charge: np.ndarray


class Delays(NamedTuple):
    """The law of the delays in steps: a spike of step n acts in the update of step n + d, d >= 1.

    Attributes:
        shares: Share of the synapses with d = 1, 2, ... steps, shape (P, P, d); each adds up to 1.
        first: Smallest d with a share, shape (P, P).
        last: Largest d with a share, shape (P, P).
    """

    shares: np.ndarray
    first: np.ndarray
    last: np.ndarray


class Kicks(NamedTuple):
    """What one external kick does, by population.

    Attributes:
        size: Jump of V, or of the drift where the kicks pass an exponential synapse (unit/ms), shape (P,).
        rate: Kicks per ms, shape (P,); None where it is a function of time.
    """

    size: np.ndarray
    rate: np.ndarray | None


def count(model: "SpikingNetwork") -> int:
    """Number of populations."""
    return len(model.size)


def per_population(model: "SpikingNetwork", value: Any) -> np.ndarray:
    """One number for each population, shape (P,), from such an array or from one number for all."""
    return np.array(np.broadcast_to(np.asarray(value, np.float64), (count(model),)))


def per_pair(model: "SpikingNetwork", value: Any) -> np.ndarray:
    """One number for each target and source, shape (P, P), from such an array or from one number for all."""
    return np.array(np.broadcast_to(np.asarray(value, np.float64), (count(model), count(model))))


# One step of membrane and channels --------------------------------------------------------------------------------


def propagators(model: "SpikingNetwork", dt: float) -> Propagators:
    """The constants of (S24) of every population for a step dt (ms).

    With a quadratic or exponential neuron the flow of the neuron itself stands in place of P and D (`flow`); what
    comes from outside it then is added as without leak: D = dt, T = tau (1 - Q), and white noise of variance dt.
    """
    with np.errstate(divide="ignore"):
        leak = 1.0 / per_population(model, model.membrane_time)
    if model.neuron != "leaky":
        leak = np.zeros_like(leak)
    decay, external = per_pair(model, model.decay), per_population(model, model.external_decay)
    has_channel = external > 0.0
    safe = np.where(has_channel, external, 1.0)
    return Propagators(
        membrane=np.exp(-dt * leak),
        drive=dt * exprel(-dt * leak),
        noise=dt * exprel(-2.0 * dt * leak),
        channel=np.exp(-dt / decay),
        charge=channel_charge(dt, leak[:, None], decay),
        external_channel=np.where(has_channel, np.exp(-dt / safe), 0.0),
        external_charge=np.where(has_channel, channel_charge(dt, leak, safe), 0.0),
    )


def channel_charge(dt: float, leak: Any, decay: Any) -> np.ndarray:
    """T of (S24) for leak 1/tau_m (1/ms) and decay tau (ms), any shapes that broadcast.

    Written as dt exp(-min(dt/tau_m, dt/tau)) (1 - exp(-|x|))/|x| with x = dt/tau_m - dt/tau, it has no special case.
    """
    x = dt * (np.asarray(leak) - 1.0 / np.asarray(decay))
    slower = np.minimum(dt * np.asarray(leak), dt / np.asarray(decay))
    return dt * np.exp(-slower) * exprel(-np.abs(x))


# Synapses ---------------------------------------------------------------------------------------------------------


def weights(model: "SpikingNetwork") -> np.ndarray:
    """What one spike adds, with its sign, shape (P, P).

    Exponential synapse: to the drift (unit/ms), strength/capacitance, or strength/decay without a capacitance. Delta,
    release and pending synapses: to V in all (unit).
    """
    size = per_pair(model, model.strength)
    if model.synapse == "exponential":
        size = size / (per_pair(model, model.decay) if model.capacitance is None else _capacitance(model)[:, None])
    return np.where(np.asarray(model.inhibitory), -size, size)


def external_kicks(model: "SpikingNetwork") -> Kicks:
    """Size and rate of external kicks; a kick of a given size is not divided by the membrane time.

    Without `external_strength` a kick is one unit, divided by the membrane time where there is a leak.
    """
    if model.external_strength is None:
        with np.errstate(divide="ignore"):
            leak = 1.0 / per_population(model, model.membrane_time)
        size = np.where(leak > 0.0, leak, 1.0)
    else:
        size = per_population(model, model.external_strength)
        decay = per_population(model, model.external_decay)
        through = np.where(decay > 0.0, decay, 1.0) if model.capacitance is None else _capacitance(model)
        size = size / through
    rate = None if callable(model.external_rate) else per_population(model, model.external_rate)
    return Kicks(size, rate)


def _capacitance(model: "SpikingNetwork") -> np.ndarray:
    assert model.capacitance is not None
    return per_population(model, model.capacitance)


# Connections ------------------------------------------------------------------------------------------------------


def in_degrees(model: "SpikingNetwork") -> np.ndarray:
    """Mean number of inputs of a neuron, kappa, shape (P, P): p N_b, K or M/N_a, by what the model gives."""
    size = np.asarray(model.size, np.float64)
    if model.in_degree is not None:
        return per_pair(model, model.in_degree)
    if model.synapses is not None:
        return per_pair(model, model.synapses) / size[:, None]
    return per_pair(model, model.probability) * size


def arrival_variance(model: "SpikingNetwork", mean: np.ndarray) -> np.ndarray:
    """Variance of the spikes that reach a neuron of an annealed network in a step, from their mean.

    A draw is Bin(nf, p) with `probability`, of variance mean (1 - p); Bin(K, f) with `in_degree`, f being the share of
    sources that fired, of variance mean (1 - mean/K); Poisson with `synapses`.

    Args:
        model: The network.
        mean: Mean of one draw (of one delay), shape (..., P, P).
    """
    if model.in_degree is not None:
        kappa = in_degrees(model)
        return mean * (1.0 - np.where(kappa > 0.0, mean / np.where(kappa > 0.0, kappa, 1.0), 0.0))
    if model.synapses is not None:
        return np.array(mean)
    return mean * (1.0 - per_pair(model, model.probability))


# Delays -----------------------------------------------------------------------------------------------------------


def nearest_step(delay: Any, dt: float) -> np.ndarray:
    """The step in which a spike acts that was sent with this delay (ms), any shape: at least the next, halves up."""
    exact = np.asarray(delay, np.float64) / dt
    if np.any(exact > MOST_DELAY_STEPS):
        longest = float(np.max(delay))
        raise InputError(
            f"Argument `delay` must be at most {MOST_DELAY_STEPS * dt:g} ms with steps of {dt:g} ms, but reaches "
            f"{longest:g}. Choose a larger dt."
        )
    return np.maximum(1, np.floor(exact + 0.5 + 1e-9)).astype(np.int64)


def delays(model: "SpikingNetwork", dt: float) -> Delays:
    """The law of the delays on the grid of steps.

    A delay is normal with mean `delay` and standard deviation `delay_spread` times that, drawn again while it is below
    half a step, and rounded to the grid, as in NEST. So d steps have the share

        P(d) = [Phi(z(d + 1/2)) - Phi(z(d - 1/2))]/[1 - Phi(z(1/2))],   z(x) = (x dt - delay)/sd.               (S25)

    Raises:
        InputError: The longest delay takes more steps than can be kept.
    """
    mean, spread = per_pair(model, model.delay), per_pair(model, model.delay_spread)
    step, sd = nearest_step(mean, dt), mean * spread
    longest = nearest_step(mean + 9.0 * sd, dt)
    shares = np.zeros((*mean.shape, int(longest.max())))
    for a, b in np.ndindex(mean.shape):
        if sd[a, b] > 0.0:
            shares[a, b, : longest[a, b]] = _normal_shares(
                float(mean[a, b]) / dt, float(sd[a, b]) / dt, int(longest[a, b])
            )
        else:
            shares[a, b, step[a, b] - 1] = 1.0
    there = shares > 0.0
    first = np.argmax(there, axis=2) + 1
    last = int(longest.max()) - np.argmax(there[:, :, ::-1], axis=2)
    return Delays(np.ascontiguousarray(shares[:, :, : last.max()]), first, last)


def _normal_shares(mean: float, sd: float, steps: int) -> np.ndarray:
    """(S25) for d = 1 ... steps; mean and sd in steps. What is negligible is left out, and the rest adds up to 1."""
    z = (np.arange(steps + 1) + 0.5 - 1e-9 - mean) / sd
    z[0] = (0.5 - mean) / sd
    # Differences of the smaller tail, so that none is lost in rounding.
    upper, lower = -np.diff(ndtr(-z)), np.diff(ndtr(z))
    shares = np.where(z[:-1] > 0.0, upper, lower) / np.exp(log_ndtr(-z[0]))
    kept = np.where(shares < NEGLIGIBLE_SHARE, 0.0, shares)
    return kept / kept.sum()
