"""From a model to the numbers of the kernels: constants, the response to drives, tables of a user's gains."""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import AbstractGain, CustomGain, Logistic
from largen.systems.balanced.network.state import LOGISTIC, PROBIT, TABLE, Constants, DriveResponse

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

_CELLS = 256  # grid cells of the response per time constant: an error of 1e-12
_ENTRIES = 1 << 16
_EDGE = 1e-6  # a gain's table ends where the gain is this close (in bounds) to its limits


class Table(NamedTuple):
    """A monotone gain on a uniform grid: first state, grid points per unit of state, values."""

    first: float
    density: float
    values: np.ndarray


@eqx.filter_jit
def evaluate(gain: AbstractGain, z: Any) -> Any:
    """A gain at states z, compiled."""
    return gain(z)


def tabulate(gain: CustomGain) -> Table | None:
    """Tabulate a user's gain for thinning; None where it is not monotone.

    Raises:
        InputError: The gain passes its stated bound, is negative or not finite, or is steeper than stated.
    """

    def values(z: Any) -> np.ndarray:
        found = np.asarray(evaluate(gain, jnp.asarray(z)), dtype=np.float64)
        check_bound(gain, found)
        return found

    scale = float(gain.bound / gain.steepest)
    ends = values(scale * np.array([-1e9, 1e9]))
    edges = []
    for side, end in zip((-1.0, 1.0), ends, strict=True):
        far = scale * np.geomspace(1e-3, 1e9, 241)
        off = np.abs(values(side * far) - end) > _EDGE * float(gain.bound)
        near = side * np.concatenate([[0.0], far])[: off.sum() + 2][-1] if not off.all() else side * far[-1]
        edges.append(near)
    grid = np.linspace(edges[0], edges[1], _ENTRIES)
    table = values(grid)
    slope = np.diff(table) / (grid[1] - grid[0])
    if np.max(np.abs(slope)) > float(gain.steepest) * (1.0 + 1e-6) + 1e-9:
        raise InputError(
            f"Argument `steepest` must be at least the gain's greatest slope, but is {float(gain.steepest):g} where "
            f"the slope is {np.max(np.abs(slope)):.4g}, at state {grid[np.argmax(np.abs(slope))]:.4g}."
        )
    if np.all(slope >= 0) or np.all(slope <= 0):
        return Table(float(grid[0]), float((_ENTRIES - 1) / (grid[-1] - grid[0])), table)
    return None


def check_bound(gain: CustomGain, values: np.ndarray) -> None:
    """Refuse values of a gain outside [0, bound]."""
    bound = float(gain.bound)
    wrong = ~((values >= 0.0) & (values <= bound * (1.0 + 1e-12)))
    if np.any(wrong):
        raise InputError(
            f"Argument `maximum` must bound the gain, whose values lie in [0, maximum], but is {bound:g} where the "
            f"gain is {np.atleast_1d(values)[np.atleast_1d(wrong)][0]:.6g}."
        )


def constants_of(model: "BalancedNetwork", sizes: np.ndarray, tables: bool) -> Constants:
    """The network's constants, with the tables of a user's gains where thinning needs them."""
    count = len(sizes)
    n = float(np.mean(sizes))
    tau = np.array(np.broadcast_to(model.tau, (count,)))
    kind, slope, threshold = np.zeros(count, np.int64), np.ones(count), np.zeros(count)
    table = np.zeros((count, 2))
    for b, gain in enumerate(model.gain):
        if not isinstance(gain, CustomGain):
            kind[b] = LOGISTIC if isinstance(gain, Logistic) else PROBIT
            slope[b], threshold[b] = float(gain.slope), float(gain.threshold)
            continue
        kind[b] = TABLE
        if tables and (found := tabulate(gain)) is not None:
            table = np.resize(table, (count, _ENTRIES)) if table.shape[1] == 2 else table
            table[b], slope[b], threshold[b] = found.values, found.density, found.first
    return Constants(
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        jump=model.coupling * model.sign / np.sqrt(n),
        leak=1.0 / tau,
        noise=np.broadcast_to(model.noise, (count,)) * np.sqrt(0.5 * tau),
        kind=kind,
        bound=np.array([float(gain.bound) for gain in model.gain]),
        slope=slope,
        threshold=threshold,
        table=table,
        shared=model.synapses == "shared",
    )


def drive_response_of(model: "BalancedNetwork", times: np.ndarray, n: float) -> DriveResponse:
    """g_a on a grid: dg/dt = -g/tau + m + sqrt(n) h from g = 0; n is the mean size of a population."""
    count = len(model.gain)
    tau = np.broadcast_to(model.tau, (count,))
    span = float(times[-1] - times[0])
    cells = int(np.ceil(_CELLS * span / float(np.min(tau)))) + 1
    step = span / cells
    grid = times[0] + step * np.arange(cells + 1)
    if not callable(model.drive) and not callable(model.input):
        total = model.input + np.sqrt(n) * model.drive
        kept = np.exp(-(grid - times[0])[:, None] / tau)
        return DriveResponse(float(times[0]), step, tau * total * (1.0 - kept), total * kept)

    def force(t: Any) -> Any:
        return manifold.at(model.input, t) + np.sqrt(n) * manifold.at(model.drive, t)

    from scipy.signal import lfilter  # most of a second to import

    fine = np.asarray(jax.vmap(force)(jnp.asarray(times[0] + 0.5 * step * np.arange(2 * cells + 1))))
    kept, half = np.exp(-step / tau), np.exp(-0.5 * step / tau)
    added = step / 6.0 * (kept * fine[:-2:2] + 4.0 * half * fine[1:-1:2] + fine[2::2])  # Simpson's rule
    value = np.zeros((cells + 1, count))
    for a in range(count):
        value[1:, a] = lfilter([1.0], [1.0, -kept[a]], added[:, a])
    return DriveResponse(float(times[0]), step, value, fine[::2] - value / tau)


def response_bytes(model: "BalancedNetwork", times: np.ndarray) -> float:
    """Memory of the response and of the tables."""
    cells = _CELLS * float(times[-1] - times[0]) / float(np.min(model.tau)) + 2.0
    customs = sum(isinstance(gain, CustomGain) for gain in model.gain)
    return len(model.gain) * (16.0 * cells + 8.0 * _ENTRIES * (customs > 0))
