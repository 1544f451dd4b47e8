"""What one time step makes of the model, for the network and the reduction alike: which steps can hold it.

Pending spikes are released, and act, in continuous time within a step; potentials relax exponentially; a fixed
refractory period between two integer numbers of steps takes either at random. What is left to refuse is a membrane
that forgets within a step: the threshold is looked at once a step.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, real

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

_FORGOTTEN = 700.0  # decay times after which no pending spike is left, in double precision


class Release(NamedTuple):
    """One pending spike in a step of length dt, its lifetime T exponential of mean tau; all without unit.

    Attributes:
        probability: P(T < dt) = 1 - exp(-dt/tau); also E[min(T, dt)]/tau, the part of its charge that acts.
        stay: Part of its charge that acts if it stays pending, dt/tau.
        leave: The same if it is released: E[T | T < dt]/tau.
        variance: Variance of the part that acts, Var[min(T, dt)]/tau^2.
    """

    probability: np.ndarray
    stay: np.ndarray
    leave: np.ndarray
    variance: np.ndarray


def release(dt: float, decay: np.ndarray) -> Release:
    """The law of one pending spike in a step dt (ms) for decay times tau (ms), any shape."""
    with np.errstate(over="ignore"):
        stay = np.minimum(dt / np.asarray(decay, np.float64), _FORGOTTEN)
    left = np.exp(-stay)
    variance = np.where(stay < 1e-3, stay**3 / 3.0, 1.0 - left**2 - 2.0 * stay * left)
    return Release(-np.expm1(-stay), stay, 1.0 - stay / np.expm1(stay), variance)


def check_step(model: "SpikingNetwork", dt: float) -> float:
    """Return dt (ms) as a number; refuses one that cannot hold the model."""
    dt = real("dt", dt, above=0.0)
    fastest = float(np.min(model.membrane_time))
    if dt >= fastest:
        raise InputError(
            f"Argument `dt` must be less than the shortest membrane time ({fastest:g} ms), but is {dt:g}. "
            "Choose a smaller dt, or a longer `membrane_time`."
        )
    return dt


def output_steps(times: np.ndarray, dt: float) -> np.ndarray:
    """Step at which every output time is reached, shape (time,); refuses a time between two steps."""
    exact = (times - times[0]) / dt
    steps = np.rint(exact)
    # Times such as np.arange(0, 5000, .1) are integer numbers of steps only up to rounding.
    slack = 1e-6 * np.maximum(steps, 1.0) + 4.0 * np.spacing(np.abs(times).max()) / dt
    off = np.abs(exact - steps) > np.minimum(slack, 1e-3)
    if np.any(off):
        i = int(np.argmax(off))
        raise InputError(
            f"Argument `times` must be times[0] plus multiples of dt = {dt:g} ms, but times[{i}] - times[0] = "
            f"{times[i] - times[0]:.10g} ms is {exact[i]:.6g} steps. Choose other times, or a dt that divides them."
        )
    return steps.astype(np.int64)


def refractory_steps(model: "SpikingNetwork", dt: float) -> np.ndarray:
    """The refractory period in steps, shape (P,): an integer where it is one up to rounding."""
    steps = np.array(np.broadcast_to(model.refractory_time, len(model.size)), np.float64) / dt
    whole = np.rint(steps)
    return np.where(np.abs(steps - whole) <= 1e-6 * steps, whole, steps)
