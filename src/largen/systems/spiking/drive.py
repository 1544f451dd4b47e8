"""The external drive on the step grid: one array for the network and both engines of the reduction."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, require, shown

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


class Drive(NamedTuple):
    """The external drive at the start of every step, each of shape (step, P), or (1, P) for a constant.

    Attributes:
        rate: External kicks per ms.
        mean: Constant drive that is not in the neuron's own flow (unit/ms).
        sd: White noise (unit/root ms).
    """

    rate: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


def drive_of(model: "SpikingNetwork", start: float, steps: int, dt: float) -> Drive:
    """The drive of a run from `start` (ms); of quadratic and exponential neurons the mean is part of the flow."""
    count, mean = len(model.size), model.external_mean if model.neuron == "leaky" else 0.0
    return Drive(
        sample_drive(model.external_rate, start, steps, dt, count),
        sample_drive(mean, start, steps, dt, count, name="external_mean", low=-np.inf),
        sample_drive(model.external_sd, start, steps, dt, count, name="external_sd"),
    )


def sample_drive(
    external_rate: Any,
    start: float,
    steps: int,
    dt: float,
    populations: int,
    *,
    name: str = "external_rate",
    low: float = 0.0,
) -> np.ndarray:
    """Sample the external rate, or another field of the drive, at the start of every step.

    Args:
        external_rate: Kicks per ms: one number, one per population, or a function of time (ms) with such a
            value. A function may be written with JAX or with NumPy; it is called with scalar times.
        start: Time at which the first step starts (ms).
        steps: Number of steps.
        dt: Step (ms); step i goes from start + i dt to start + (i + 1) dt and uses the value at its start.
        populations: Number of populations.
        name: Name of the field.
        low: Smallest value that it may have.

    Returns:
        Rates per ms, float64, shape (steps, populations), or (1, populations) for a constant.

    Raises:
        InputError: A value is not finite, is too small, or has the wrong shape.
    """
    if callable(external_rate):
        times = start + dt * np.arange(steps)
        rates = _sampled(external_rate, times, name)
        if rates.ndim == 1:
            rates = rates[:, None]
        wrong = rates.shape[1:] not in ((populations,), (1,))
        shape = rates.shape[1:]
    else:
        times = np.array([start])
        rates = np.atleast_1d(np.array(external_rate, dtype=np.float64))[None]
        wrong = rates.shape not in ((1, populations), (1, 1))
        shape = rates.shape[1:]
    if wrong:
        raise InputError(
            f"Argument `{name}` must give one number per population ({populations}), but gives shape {shape}."
        )
    rates = np.array(np.broadcast_to(rates, (len(times), populations)))
    good = np.isfinite(rates) & (rates >= low)
    if not np.all(good):
        words = f" and at least {low:g}" if np.isfinite(low) else ""
        step, population = (int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"Argument `{name}` must be finite{words} at all times, but is "
            f"{rates[step, population]:g} for population {population} at time {times[step]:g}."
        )
    return rates


def _sampled(function: Any, times: np.ndarray, name: str) -> np.ndarray:
    """Values of a function of time, shape (time, ...): at once if it is JAX, else one by one."""
    if not len(times):
        return np.empty((0, 1))
    with jax.enable_x64(True):
        try:
            values = jax.vmap(lambda time: jnp.asarray(function(time), dtype=jnp.float64))(jnp.asarray(times))
            return np.asarray(values)
        except jax.errors.JAXTypeError:  # a NumPy function cannot be traced
            values = [np.asarray(function(float(time)), dtype=np.float64) for time in times]
    shapes = {value.shape for value in values}
    require(len(shapes) == 1, name, "give the same shape at all times", shown(sorted(shapes)))
    return np.stack(values)
