"""Which patterns grow on a sheet: the reduction of one patch, linearised, mode by mode.

At the homogeneous state z* a step is z' = Phi0(z) + E [K nf(z)], Phi0 being the step without arrivals, nf(z) the
spikes (as a share of the neurons) and E putting what arrives into the rows of mean and variance of the pending spikes.
A wave exp(i q.x) of small deviations is multiplied in each step by the eigenvalues mu of

    J(q) = dPhi0/dz + E_m [K_ab(q) dnf_b/dz] + E_v [Q_ab(q) dnf_b/dz],
    K_ab(q) = n_b sum_D P_ab(D) exp(-i q.D),   Q_ab(q) = n_b sum_D P (1 - P) exp(-i q.D),                       (S81)

so that it grows at Re log(mu)/dt with the frequency |Im log(mu)|/(2 pi dt). Two multipliers are 1 at every q, for
no neuron changes its patch, and nearly empty bins have modes of their own, which may seem to grow: both are told by
their coupling |dnf w| |l on the rows of the pending spikes|/|l.w| (w right, l left eigenvector), and left out.

The refractory period is exponential here, whatever the model says. Source: largen's own.
"""

import functools
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy import linalg, optimize

from largen.checks import InputError, LimitError, integer, one_of
from largen.system import Table
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.reduction.bin_width import with_bins
from largen.systems.spiking.reduction.layout import drive_moments, drive_of
from largen.systems.spiking.reduction.trust import warning_for
from largen.systems.spiking.reduction_jax.run import at_rest, parameters_of, scheme
from largen.systems.spiking.reduction_jax.step import Parameters, State, step
from largen.systems.spiking.reduction_jax.transfer import Scheme
from largen.systems.spiking.sheet import Sheet, distinct_modes, sheet_of
from largen.systems.spiking.sheet_limit import require_currents
from largen.systems.spiking.time_step import check_step

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

COUPLED = 1e-6
"""Modes whose coupling is less do not act on the network."""
REAL = 1e-7
"""Multipliers with a smaller imaginary part are real: rounding splits two that nearly meet, as at 1 at an onset."""
SETTLING, AVERAGED = 400.0, 100.0
"""Time from rest before Newton's method, and over which states are averaged for its start (ms)."""
MODES = 50
"""Distinct modes of the lowest wave numbers that are looked at unless more are asked for."""
_ITERATIONS, _TOLERANCE, _LEAST_SHARE = 30, 1e-11, 1e-3


class Patch(NamedTuple):
    """One patch whose populations have size 1.

    Attributes:
        parameters: Its numbers, with no connections.
        external: Drive, shape (A, 1).
        mean: In-degrees K_ab, shape (A, A).
        variance: sum_D n_b P (1 - P), shape (A, A).
    """

    parameters: Parameters
    external: Any
    mean: Any
    variance: Any


class Linear(NamedTuple):
    """The linearisation.

    Attributes:
        alone: dPhi0/dz, shape (m, m).
        spikes: dnf/dz, shape (A, m).
        mean_rows: Row of every mean of pending spikes, shape (A, A).
        variance_rows: Row of every variance, shape (A, A).
        rates: Rates of the homogeneous state (Hz), shape (A,).
        residual: Largest change of a unit of the state in a step.
    """

    alone: np.ndarray
    spikes: np.ndarray
    mean_rows: np.ndarray
    variance_rows: np.ndarray
    rates: np.ndarray
    residual: float


class Relation(NamedTuple):
    """Coupled multipliers of every mode that was looked at.

    Attributes:
        waves: Waves around each axis, shape (mode, axis).
        exponents: log(mu)/dt (1/s), leading first, shape (mode, branch); NaN where there are fewer.
        coupling: Their coupling.
        rates: Rates of the homogeneous state (Hz), shape (A,).
        bin_width: Width of the bins.
    """

    waves: np.ndarray
    exponents: np.ndarray
    coupling: np.ndarray
    rates: np.ndarray
    bin_width: float


# The homogeneous state -------------------------------------------------------------------------------------------


def _flat(state: State) -> Any:
    return ravel_pytree(tuple(state[:-1]))[0]


def _state(x: Any, form: Scheme, count: int) -> State:
    """The state that a vector holds."""
    channels = len(form.signs[0]) if form.joint else 0
    shapes = (
        (form.bins, count), (form.bins, count), (count,), (form.bins, count, channels), (count, channels),
        (count, count), (count, count),
    )  # fmt: skip
    parts, place = [], 0
    for shape in shapes:
        number = int(np.prod(shape))
        parts.append(x[place : place + number].reshape(*shape, 1))
        place += number
    return State(*parts, jnp.zeros(1, jnp.int32))  # pyright: ignore[reportCallIssue]


def _alone(x: Any, patch: Patch, form: Scheme) -> tuple[Any, Any]:
    """The state after a step without arrivals, and the spikes."""
    new, (spikes, _) = step(_state(x, form, len(patch.external)), patch.external, patch.parameters, form)
    return _flat(new), spikes[:, 0]


def _arrive(x: Any, spikes: Any, patch: Patch, rows: tuple[np.ndarray, np.ndarray]) -> Any:
    x = x.at[rows[0].ravel()].add((patch.mean * spikes).ravel())
    return x.at[rows[1].ravel()].add((patch.variance * spikes).ravel())


def _rows(form: Scheme, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the means and variances of the pending spikes in the vector, shape (A, A) each."""
    channels = len(form.signs[0]) if form.joint else 0
    first = 2 * form.bins * count + count + form.bins * count * channels + count * channels
    mean = first + np.arange(count * count).reshape(count, count)
    return mean, mean + count * count


@functools.partial(jax.jit, static_argnames=("form", "steps"))
def _run(x: Any, patch: Patch, *, form: Scheme, steps: int) -> tuple[Any, Any]:
    """The state after so many steps, and the mean of the states on the way."""
    rows = _rows(form, len(patch.external))

    def once(_: Any, carry: Any) -> Any:
        x, total = carry
        moved = _arrive(*_alone(x, patch, form), patch, rows)
        return moved, total + moved

    end, total = jax.lax.fori_loop(0, steps, once, (x, jnp.zeros_like(x)))
    return end, total / steps


@functools.partial(jax.jit, static_argnames=("form",))
def _derivatives(x: Any, patch: Patch, *, form: Scheme) -> tuple[Any, Any, Any, Any]:
    """The step without arrivals, its spikes, and the derivatives of both."""

    def both(x: Any) -> tuple[Any, Any]:
        values = _alone(x, patch, form)
        return values, values

    (alone, spikes), (moved, fired) = jax.jacfwd(both, has_aux=True)(x)
    return moved, fired, alone, spikes


def linearise(sheet: Sheet, chosen: Discretisation) -> tuple[Linear, Scheme]:
    """Find the homogeneous state, and linearise a step about it.

    Args:
        sheet: The sheet; a constant drive.
        chosen: Closure "joint" or "white", step, and bins or None for the rule's.

    Raises:
        LimitError: Newton's method does not find it.
    """
    if sheet.uneven is not None:
        raise InputError(
            "Argument `external_mean` must be the same everywhere for a dispersion relation, but depends on place."
        )
    require_currents(sheet.model)
    one_of("closure", chosen.closure, ("joint", "white"))
    chosen = chosen._replace(linear_in_bin=chosen.linear_in_bin and chosen.closure == "joint")
    model = sheet.model.replace(refractory="exponential")
    count = len(model.size)
    resolved = with_bins(chosen, model, drive_of(model, 0.0, 1, chosen.dt))
    form = scheme(model, resolved)
    with jax.enable_x64(True):
        patch = _patch(sheet, model, resolved)
        rows = _rows(form, count)
        x, _ = _run(_flat(at_rest(patch.parameters, form)), patch, form=form, steps=round(SETTLING / resolved.dt))
        _, x = _run(x, patch, form=form, steps=round(AVERAGED / resolved.dt))
        masses = _masses(form, count, len(x))
        for _ in range(_ITERATIONS):
            moved, fired, alone, spikes = (np.asarray(part) for part in _derivatives(x, patch, form=form))
            residual = np.asarray(_arrive(jnp.asarray(moved), jnp.asarray(fired), patch, rows)) - np.asarray(x)
            linear = Linear(alone, spikes, *rows, fired * 1000.0 / resolved.dt, float(np.abs(residual).max()))
            if linear.residual < _TOLERANCE:
                return linear, form
            matrix = np.concatenate([np.real(matrix_of(linear, patch.mean, patch.variance)) - np.eye(len(x)), masses])
            right = np.concatenate([-residual, 1.0 - masses @ np.asarray(x)])
            solved: Any = linalg.lstsq(matrix, right, lapack_driver="gelsd")
            x = _less_far(x, jnp.asarray(solved[0]), patch, form, masses)
    raise LimitError(
        f"The homogeneous state was not found: after {_ITERATIONS} steps of Newton's method a step still changes it by "
        f"{linear.residual:.1e}. Give another `bin_width` (here {form.width:g}), such as {0.8 * form.width:g}."
    )


def _less_far(x: Any, step: Any, patch: Patch, form: Scheme, masses: np.ndarray) -> Any:
    """As much of Newton's step from x, halved if need be, as brings it nearer to a state that a step leaves alone."""

    def far(at: Any) -> float:
        change = _run(at, patch, form=form, steps=1)[0] - at
        size = float(jnp.sqrt(jnp.sum(change**2) + jnp.sum((1.0 - masses @ at) ** 2)))
        return size if np.isfinite(size) else np.inf

    here, share = far(x), 1.0
    while share > _LEAST_SHARE and far(x + share * step) >= here:
        share *= 0.5
    return x + share * step


def _patch(sheet: Sheet, model: "SpikingNetwork", resolved: Discretisation) -> Patch:
    """One patch whose populations have size 1, without connections, with what arrives from all patches alike."""
    mean, variance = drive_moments(model)
    rate = drive_of(model, 0.0, 1, resolved.dt)[0]
    mean, variance = mean * rate, variance * rate
    # Kicks of size v/m at the rate m^2/v have the mean m and the variance v.
    scale = np.where(mean != 0.0, variance / np.where(mean != 0.0, mean, 1.0), 1.0)
    external = np.where(scale != 0.0, mean / np.where(scale != 0.0, scale, 1.0), 0.0)
    if np.any((scale * external != mean) & (np.abs(scale * external - mean) > 1e-12 * np.abs(mean))):
        raise LimitError("The dispersion relation needs an external drive with noise: `external_sd` is 0.")
    numbers = parameters_of(model, resolved.dt, resolved.min_support, jnp.float64)
    numbers = numbers._replace(
        size=jnp.ones(len(mean)),
        probability=jnp.zeros_like(numbers.probability),
        external_scale=jnp.asarray(scale),
    )
    size = np.asarray(sheet.model.size) / sheet.space.count
    p = sheet.probability
    return Patch(
        jax.tree.map(lambda a: a[..., None], numbers),
        jnp.asarray(external)[:, None],
        jnp.asarray(p.sum((2, 3)) * size),
        jnp.asarray((p * (1.0 - p)).sum((2, 3)) * size),
    )


def _masses(form: Scheme, count: int, length: int) -> np.ndarray:
    """Rows that count the neurons of every population, shape (A, m)."""
    rows = np.zeros((count, length))
    for a in range(count):
        rows[a, a : form.bins * count : count] = 1.0
        rows[a, 2 * form.bins * count + a] = 1.0
    return rows


# Modes -----------------------------------------------------------------------------------------------------------


def matrix_of(linear: Linear, mean: Any, variance: Any) -> np.ndarray:
    """J(q) of (S81), from K_ab(q) and Q_ab(q)."""
    found = linear.alone.astype(np.complex128)
    for rows, factor in ((linear.mean_rows, np.asarray(mean)), (linear.variance_rows, np.asarray(variance))):
        for a, b in np.ndindex(*rows.shape):
            found[rows[a, b]] += factor[a, b] * linear.spikes[b]
    return found


def coupled(linear: Linear, matrix: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Exponents log(mu)/dt (1/s) of the modes that couple, leading first, and their coupling."""
    parts = np.real(matrix), np.imag(matrix)
    real = np.abs(parts[1]).max() <= 1e-14 * np.abs(parts[0]).max()
    found: Any = linalg.eig(parts[0] if real else matrix, left=True, right=True)
    mu, left, right = found
    rows = np.concatenate([linear.mean_rows.ravel(), linear.variance_rows.ravel()])
    out = np.linalg.norm(linear.spikes @ right, axis=0)
    into = np.linalg.norm(left[rows], axis=0)
    overlap = np.abs(np.sum(left.conj() * right, axis=0))
    coupling = out * into / np.maximum(overlap, 1e-300)
    keep = (coupling > COUPLED) & (np.abs(mu) > 1e-3)
    mu = np.where(np.abs(mu.imag) < REAL, mu.real, mu)[keep]
    exponents = 1e3 * np.log(mu.astype(np.complex128)) / dt
    order = np.lexsort((-exponents.imag, -np.round(exponents.real, 9)))
    return exponents[order], coupling[keep][order]


def relation(
    model: "SpikingNetwork", chosen: Discretisation, *, modes: int | None = None, branches: int = 4
) -> Relation:
    """The dispersion relation of a sheet, at the distinct modes of the lowest wave numbers."""
    sheet = sheet_of(model)
    chosen = chosen._replace(dt=check_step(sheet.model, chosen.dt))
    linear, form = linearise(sheet, chosen)
    waves, mean, variance = distinct_modes(sheet)
    most = min(len(waves), MODES if modes is None else modes)
    exponents = np.full((most, branches), np.nan + 0j)
    coupling = np.full((most, branches), np.nan)
    for k in range(most):
        found, strength = coupled(linear, matrix_of(linear, mean[k], variance[k]), chosen.dt)
        number = min(branches, len(found))
        exponents[k, :number], coupling[k, :number] = found[:number], strength[:number]
    return Relation(waves[:most], exponents, coupling, linear.rates, form.width)


def _flags(model: "SpikingNetwork", chosen: Discretisation, rates: np.ndarray) -> dict[str, str]:
    """What to say of a relation of "joint" at these rates (Hz), as an attribute; warns of it."""
    said = warning_for(model, rates, drive_of(model, 0.0, 1, chosen.dt)[0]) if chosen.closure == "joint" else ""
    if said:
        said += ", and where it is stable or not may be off with it: ask solve_limit with closure='quadrature'"
        warnings.warn(f"{said}.", stacklevel=4)
    return {"flags": said}


def table(model: "SpikingNetwork", chosen: Discretisation, modes: Any, branches: Any) -> Table:
    """The dispersion relation for `analysis.dispersion`."""
    modes = None if modes is None else integer("modes", modes, low=1)
    found = relation(model, chosen, modes=modes, branches=integer("branches", branches, low=1))
    q = 2.0 * np.pi * found.waves / model.space.lengths
    growth, frequency = np.real(found.exponents), np.abs(np.imag(found.exponents)) / (2.0 * np.pi)
    dims = ("mode", "branch")
    variables: dict[str, Any] = {
        "growth": (dims, growth, "1/s", "growth rate"),
        "frequency": (dims, frequency, "Hz", "frequency"),
        "coupling": (dims, found.coupling, "1", "coupling of the mode to the network"),
        "waves": (("mode", "axis"), found.waves, "1", "waves around each axis"),
        "wave_number": (("mode",), np.sqrt(np.sum(q**2, axis=1)), "1/length", "wave number"),
        "homogeneous_rate": (("population",), found.rates, "Hz", "firing rate of the homogeneous state"),
    }
    for axis, name in enumerate(("kx", "ky")[: q.shape[1]]):
        variables[name] = (("mode",), q[:, axis], "1/length", f"wave vector along axis {axis}")
    leading = int(np.nanargmax(growth[:, 0]))
    note = {
        "closure": chosen.closure,
        "bin_width": found.bin_width,
        "dt": chosen.dt,
        "refractory": "exponential",
        "unstable": bool(growth[leading, 0] > 0.0),
        "leading_mode": found.waves[leading],
        "kind_of_leading_mode": kind_of(found.waves[leading], float(frequency[leading, 0])),
    } | _flags(model, chosen, found.rates)
    coords: dict[str, Any] = {"population": (np.array(model.populations), "1", "population")}
    return Table(variables, coords, note)


def kind_of(waves: np.ndarray, frequency: float) -> str:
    """What grows: a uniform state or oscillation, a stationary pattern, or a wave."""
    if not np.any(waves):
        return "uniform oscillation" if frequency > 0.0 else "uniform state"
    return "wave" if frequency > 0.0 else "stationary pattern"


# Onsets ----------------------------------------------------------------------------------------------------------


def onset(
    model: "SpikingNetwork", parameter: str, low: float, high: float, chosen: Discretisation, modes: Any
) -> Table:
    """The value of a parameter at which the fastest growing mode neither grows nor decays, for `analysis.onset`.

    Args:
        model: The network, scaled to its number of neurons.
        parameter: A number of the model, such as `strength[e,e]` or `kernel[e,i].width`.
        low: One end of the interval.
        high: The other end.
        chosen: Closure, bins and step.
        modes: How many distinct modes are looked at; None as of `relation`.

    Raises:
        LimitError: The homogeneous state is stable, or unstable, at both ends, or was not found.
    """
    modes = None if modes is None else integer("modes", modes, low=1)
    found: dict[float, Relation] = {}

    def growth(value: float) -> float:
        varied = model.replace(**{parameter: np.reshape(value, np.shape(model.value(parameter)))})
        found[value] = relation(varied, chosen, modes=modes, branches=1)
        return float(np.nanmax(np.real(found[value].exponents)))

    ends = growth(low), growth(high)
    if ends[0] * ends[1] > 0.0:
        what = "stable" if ends[0] < 0.0 else "unstable"
        raise LimitError(
            f"The homogeneous state is {what} both at `{parameter}` = {low:g} (growth {ends[0]:.4g} per s) and at "
            f"{high:g} ({ends[1]:.4g} per s): there is no onset between them that this can find. Take another interval."
        )
    value = float(optimize.brentq(growth, low, high, xtol=1e-5 * abs(high - low)))  # type: ignore[arg-type]
    growth(value)
    here = found[value]
    leading = int(np.nanargmax(np.real(here.exponents[:, 0])))
    frequency = abs(float(here.exponents[leading, 0].imag)) / (2.0 * np.pi)
    return Table(
        {
            "onset": ((), value, "", f"onset in {parameter}"),
            "waves": (("axis",), here.waves[leading], "1", "waves around each axis of the mode that begins to grow"),
            "frequency": ((), frequency, "Hz", "its frequency"),
            "homogeneous_rate": (("population",), here.rates, "Hz", "firing rate of the homogeneous state"),
        },
        {"population": (np.array(model.populations), "1", "population")},
        {
            "parameter": parameter,
            "kind_of_leading_mode": kind_of(here.waves[leading], frequency),
            "closure": chosen.closure,
            "bin_width": here.bin_width,
            "dt": chosen.dt,
        }
        | _flags(model, chosen, here.rates),
    )
