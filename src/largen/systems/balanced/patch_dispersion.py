"""Growth of waves on a balanced ring or sheet: linear stability of its homogeneous state, mode by mode.

About the homogeneous state the moment equations of a mode k are, with A^(k), A2^(k) and A3^(k) the Fourier multipliers
(means over the ring) of s q alpha kt, q alpha^2 kt^2 and s q alpha^3 kt^3, and dE the derivatives in (v, K, kappa) of
E = F + (kappa/6) F''',

    J(k) = diag(-1/tau, -2/tau, -3/tau) + [sqrt(n) A^(k); A2^(k); n^(-1/2) A3^(k)] dE.

As n grows the modes in which A^(k) has full rank are balanced: their fast eigenvalues are those of A^(k) D, times
sqrt(n), D = diag(dF/dv). Derived here from eqs. B4 to B7 of docs/balanced.md.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import scipy.integrate
import scipy.optimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import structural_rank

from largen.checks import InputError, LimitError, integer, real, require
from largen.parameters import TimeSeries
from largen.system import Arrays, Table
from largen.systems.balanced import manifold, patch_equations
from largen.systems.balanced.gains import Logistic, Probit

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

NEGLIGIBLE = 1e-10
"""Entries of A^(k) below this share of the largest count as zero."""


class State(NamedTuple):
    """The state that all patches share: v, K, kappa and E, each of shape (population,)."""

    mean: np.ndarray
    variance: np.ndarray
    third_cumulant: np.ndarray
    rate: np.ndarray


def require_space(model: "BalancedNetwork") -> None:
    """Refuse a model without space, or with inputs that change in time."""
    if model.space is None:
        raise InputError("Argument `space` must be given for a dispersion relation, such as ln.Ring(16), but is None.")
    for name in ("drive", "input"):
        require(not callable(getattr(model, name)), name, "be constant for a dispersion relation", getattr(model, name))


def homogeneous(model: "BalancedNetwork", n: int | None) -> State:
    """The homogeneous state: of n neurons in all by Newton's method from that of the limit, which is in closed form.

    Raises:
        LimitError: There is none, or it was not found.
    """
    limiting = _limiting(model)
    if n is None:
        if limiting is None:
            raise LimitError(
                "There is no homogeneous balanced state: the coupling is not of full rank, or balance needs rates "
                "beyond the gains' bounds. Change the drive or the coupling, or say n=..."
            )
        return limiting
    system = patch_equations.equations(model, n, homogeneous=True)
    count = len(model.gain)
    own = np.concatenate([np.asarray(model.initial_mean), np.asarray(model.initial_variance), np.zeros(count)])
    starts = [own] if limiting is None else [np.concatenate(limiting[:3]), own]
    for start in starts:
        found = _root(system, start)
        if found is not None:
            v, k, kappa = found.reshape(3, -1)
            return State(v, k, kappa, system.rates(found.reshape(3, -1)).value)
    raise LimitError(f"No homogeneous stationary state of {n} neurons was found. Change the start, or take another n.")


def _root(system: patch_equations.Equations, start: np.ndarray) -> np.ndarray | None:
    """A root of the moment equations from a start, or from where the flow leads from there."""
    tau = float(np.max(np.asarray(system.model.tau)))
    for span in (0.0, 30.0 * tau):
        y = start
        if span:
            y = scipy.integrate.solve_ivp(system.rhs, (0.0, span), start, "Radau", jac=system.jacobian).y[:, -1]
        y = scipy.optimize.root(lambda x: system.rhs(0.0, x), y, jac=lambda x: system.jacobian(0.0, x), tol=1e-13).x
        count = len(y) // 3
        if np.max(np.abs(system.rhs(0.0, y))) < 1e-7 * system.root and np.all(y[count : 2 * count] >= 0.0):
            return y
    return None


def _limiting(model: "BalancedNetwork") -> State | None:
    """The homogeneous state of the limit: rates from balance, variances from them, means by inverting the gains."""
    if not all(isinstance(gain, Logistic | Probit) for gain in model.gain):
        return None
    with jax.enable_x64(True):
        share = np.asarray(manifold.shares(model))
        couplings = patch_equations.couplings_by_offset(model, share).mean(-1)
        bound = np.array([float(gain.bound) for gain in model.gain])
        tau = np.broadcast_to(model.tau, bound.shape)
        if np.linalg.matrix_rank(couplings[0], tol=1e-10) < len(bound):
            return None
        rate = np.linalg.solve(couplings[0], -np.asarray(model.drive, float))
        if not np.all((rate > 0.0) & (rate < bound)):
            return None
        variance = 0.5 * tau * (couplings[1] @ rate + np.asarray(model.noise, float) ** 2)
        nodes = manifold.structure(model.replace(space=None, kernel=None)).nodes
        inverse = [gain.inverse(rate[b], variance[b], nodes) for b, gain in enumerate(model.gain)]
        mean = np.array([float(v) for v in inverse])
    return State(mean, variance, np.zeros_like(mean), rate)


class Linear(NamedTuple):
    """The linearised equations of every mode.

    Attributes:
        modes: Waves around each axis, shape (mode, axis).
        matrices: J(k), shape (mode, 3P, 3P); in the limit A^(k) D, shape (mode, P, P).
        full: Whether A^(k) has full rank, shape (mode,).
        state: The homogeneous state.
    """

    modes: np.ndarray
    matrices: np.ndarray
    full: np.ndarray
    state: State


def linearise(model: "BalancedNetwork", n: int | None, modes: np.ndarray, state: State | None = None) -> Linear:
    """Linearise about a state that all patches share, the stationary one if None, at modes, shape (mode, axis)."""
    state, space = state or homogeneous(model, n), model.space
    with jax.enable_x64(True):
        share = np.asarray(manifold.shares(model))
    by_offset = patch_equations.couplings_by_offset(model, share)
    whole = np.fft.fftn(by_offset.reshape(*by_offset.shape[:3], *space.shape), axes=range(3, 3 + space.dimensions)).real
    place = tuple(modes[:, axis] % m for axis, m in enumerate(space.shape))
    hats = np.moveaxis(whole[(..., *place)] / space.count, -1, 0)  # mode, power, target, source
    nonzero = np.abs(hats[:, 0]) > NEGLIGIBLE * np.abs(hats[:, 0]).max()
    full = np.array([structural_rank(csr_array(pattern)) == len(pattern) for pattern in nonzero])
    system = patch_equations.equations(model, 1 if n is None else n, homogeneous=True)
    slopes = system.rates(np.stack(state[:3]))
    if n is None:
        return Linear(modes, hats[:, 0] * slopes.in_mean, full, state)
    parts = np.stack([slopes.in_mean, slopes.in_variance, slopes.in_third])
    size = 3 * len(model.gain)
    matrices = np.einsum("i,kiab,jb->kiajb", system.factors, hats, parts).reshape(-1, size, size)
    return Linear(modes, matrices + np.diag(system.decay.ravel()), full, state)


def distinct(space: Any) -> np.ndarray:
    """Modes that differ in more than direction along an axis, in order of their wave number, shape (mode, axis)."""
    modes = np.unique(np.abs(space.modes()), axis=0)
    return modes[np.argsort(np.sum((modes / space.lengths) ** 2, axis=1), kind="stable")]


def chosen(model: "BalancedNetwork", modes: Any) -> np.ndarray:
    """The modes asked for: all distinct ones (None), so many of lowest wave number, or a list, shape (mode, axis)."""
    space = model.space
    if modes is None:
        return distinct(space)
    if np.ndim(modes) == 0:
        return distinct(space)[: integer("modes", modes, low=1)]
    return np.array([space.mode(tuple(mode) if np.ndim(mode) else mode) for mode in modes])


def dispersion(model: "BalancedNetwork", *, n: int | None, modes: Any, branches: int) -> Table:
    """Growth and frequency of every mode; see `analysis.dispersion`."""
    require_space(model)
    branches = integer("branches", branches, low=1)
    found = linearise(model, n, chosen(model, modes))
    values: Any = np.linalg.eigvals(found.matrices).astype(complex)
    order = np.lexsort((-values.imag, -values.real), axis=-1)
    values = np.take_along_axis(values, order, axis=-1)[:, :branches]
    if n is None:
        values[~found.full] = np.nan
    unit = "sqrt(n)" if n is None else "1"
    q = 2.0 * np.pi * found.modes / model.space.lengths
    variables: dict[str, Any] = {
        "growth": (("mode", "branch"), values.real, unit, "growth rate"),
        "frequency": (("mode", "branch"), np.abs(values.imag) / (2.0 * np.pi), unit, "frequency"),
        "balanced": (("mode",), found.full, "1", "whether sqrt(n) acts on all populations in this mode"),
        "waves": (("mode", "axis"), found.modes, "1", "waves around each axis"),
        "wave_number": (("mode",), np.sqrt(np.sum(q**2, axis=1)), "1/length", "wave number"),
    }
    for axis, name in enumerate(("kx", "ky")[: q.shape[1]]):
        variables[name] = (("mode",), q[:, axis], "1/length", f"wave vector along axis {axis}")
    for name, column in zip(State._fields, found.state, strict=True):
        variables[f"homogeneous_{name}"] = (("population",), column, "1", f"{name.replace('_', ' ')} of that state")
    leading = int(np.nanargmax(values.real[:, 0]))
    attrs = {
        "n": float("inf") if n is None else n,
        "unstable": bool(values.real[leading, 0] > 0.0),
        "leading_mode": found.modes[leading],
        "kind_of_leading_mode": kind_of(found.modes[leading].tolist(), values[leading, 0]),
    }
    coords = {"population": (list(model.populations), "1", "population")}
    return Table(variables, coords, attrs)


def with_growing_mode(model: "BalancedNetwork", n: int, found: Arrays) -> Arrays:
    """What the equations of n neurons gave, and a warning where a wave would grow that nothing has started.

    A start that all patches share stays shared, up to rounding, whether or not that state is stable. The equations are
    linearised about the state at the end. Functions of time may tell patches apart; then nothing is said.
    """
    if any(callable(value) and not isinstance(value, TimeSeries) for value in (model.drive, model.input)):
        return found
    ends = [np.asarray(found.values[name])[:, -1].reshape(len(model.gain), -1) for name in State._fields]
    modes = distinct(model.space)
    matrices = linearise(model, n, modes, State(*(end.mean(1) for end in ends))).matrices
    values: Any = np.linalg.eigvals(matrices).astype(complex)
    leading = values[np.arange(len(modes)), np.argmax(values.real, axis=1)]
    leading[~modes.any(axis=1)] = 0.0  # a change that all patches share is seen in the run itself
    k = int(np.argmax(leading.real))
    if leading[k].real <= 0.0:
        return found
    mode = modes[k].tolist()
    written = mode[0] if len(mode) == 1 else tuple(mode)
    apart = any(np.ptp(end, axis=1).max() > 1e-6 * (1.0 + np.abs(end).max()) for end in ends)
    grows = "has begun to grow out of rounding errors" if apart else "would grow, which nothing starts"
    warnings.warn(
        f"All patches start alike, but a {kind_of(mode, leading[k])} of mode {written} {grows}; its rate is "
        f"{leading[k].real:.4g}. Start it yourself: perturbation=(1e-3, {written}).",
        stacklevel=4,
    )
    about = {"growing_mode": modes[k], "growth": float(leading[k].real)}
    return found._replace(attrs=dict(found.attrs) | about)


def kind_of(mode: Sequence[int], eigenvalue: complex) -> str:
    """What grows: a stationary pattern, a uniform oscillation, or a wave."""
    still = abs(eigenvalue.imag) <= 1e-9 * max(1.0, abs(eigenvalue.real))
    if not any(mode):
        return "uniform change" if still else "uniform oscillation"
    return "stationary pattern" if still else "wave"


def onset(
    model: "BalancedNetwork", parameter: str, *, low: Any, high: Any, n: int | None = None, modes: Any = None
) -> Table:
    """The value of a parameter at which the first mode begins to grow; see `analysis.onset`."""
    require_space(model)
    low, high = real("low", low), real("high", high)
    require(low < high, "high", f"be above low = {low:g}", high)

    def leading(value: float) -> tuple[float, int, complex, Linear]:
        there = model.replace(**{parameter: value})
        found = linearise(there, n, chosen(there, modes))
        values: Any = np.linalg.eigvals(found.matrices).astype(complex)
        if n is None:
            values[~found.full] = -np.inf
        mode, branch = np.unravel_index(int(np.argmax(values.real)), values.shape)
        return float(values[mode, branch].real), int(mode), complex(values[mode, branch]), found

    at_low, at_high = leading(low)[0], leading(high)[0]
    if np.sign(at_low) == np.sign(at_high):
        raise LimitError(
            f"No mode begins to grow between `{parameter}` = {low:g} and {high:g}: the largest growth is {at_low:.4g} "
            f"and {at_high:.4g} there. Take a wider interval."
        )
    value = float(scipy.optimize.brentq(lambda p: leading(p)[0], low, high, xtol=1e-13, rtol=1e-12))  # type: ignore[arg-type]
    _, k, eigenvalue, found = leading(value)
    mode = found.modes[k]
    unit = "sqrt(n)" if n is None else "1"
    variables: dict[str, Any] = {
        "onset": ((), value, "", f"onset in {parameter}"),
        "waves": (("axis",), mode, "1", "waves around each axis"),
        "frequency": ((), abs(eigenvalue.imag) / (2.0 * np.pi), unit, "frequency of the mode at the onset"),
    }
    attrs = {"parameter": parameter, "kind_of_leading_mode": kind_of(mode.tolist(), eigenvalue)}
    return Table(variables, {}, attrs | {"n": float("inf") if n is None else n})
