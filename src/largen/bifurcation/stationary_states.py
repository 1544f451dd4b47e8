"""Stationary states with their stability, labelled."""

from typing import Any

import jax
import numpy as np
import xarray as xr

from largen.bifurcation import branches
from largen.bifurcation.equations import Followable
from largen.bifurcation.observables import common_attrs, observe
from largen.checks import InputError, LimitError, known_keys, require, shown
from largen.numerics.continuation.problem import Point, groups, point_at
from largen.statistics.signals import labelled
from largen.system import AbstractSystem, Dynamics
from largen.system.values import COMPLETED

SINGULAR, NEARBY = 1e-8, 0.01
"""Ratio of the smallest eigenvalue to the largest near a degenerate state; how far "near" is, in sizes of the unknowns.
"""
MAX_PROBED = 50
"""Unknowns up to which eigenvalues are computed beside the state too; with many, some mode sets the scale."""
SHOWN = 12
"""Leading eigenvalues or multipliers kept."""


def fixed_points(system: Followable, *, n: int | None = None, start: Any = None, **options: Any) -> xr.Dataset:
    """Find stationary states of a limit, or of its equations at n neurons, with their stability.

    Args:
        system: A BalancedNetwork with constant drive and input (all stationary states), a SpikingNetwork (the
            stationary state of the reduction, stable or not), or your own `Flow` or `Map`.
        n: Total number of neurons; None is the model's own size.
        start: A state, or several, shape (start, unknown), from which Newton's method starts (not for a
            BalancedNetwork, which tries many).
        options: Options of the equations, as for `follow`.

    Returns:
        Dataset with dim `state`: the observables (state, population), `stable`, and eigenvalues (of a flow) or
        multipliers (of a map or a step), as `_real` and `_imag`; `degenerate`, whether one of them is 0 (1): such a
        state is not called stable, for its linearisation does not say (`attrs["status"]`). For a BalancedNetwork:
        mean, variance, third_cumulant, rate; the eigenvalues `fast` (times sqrt(n) they are rates) and `slow` (on the
        manifold).

    Raises:
        InputError: The system is of another kind, or its drive depends on time.
        LimitError: Newton's method found no stationary state.
    """
    if isinstance(system, AbstractSystem) and start is None:
        known = system.stationary_states(n)
        if known is not None:
            known_keys("option", options, ())
            attrs = {"kind": "fixed points", "system": system.system, "n": float("inf") if n is None else n}
            return labelled(known.variables, known.coords, attrs | dict(known.attrs))
    if not callable(getattr(system, "dynamics", None)):
        raise InputError(
            f"analysis.fixed_points needs a system whose limit is a flow or a map, or your own Flow or Map, but the "
            f"model is a {type(system).__name__}."
        )
    with jax.enable_x64(True):
        dynamics = system.dynamics(None, n=n, **options)
        guesses = dynamics.starts(0.0) if start is None else list(np.atleast_2d(np.asarray(start, dtype=float)))
        found = branches.states(dynamics, 0.0, guesses)
        if not found:
            raise branches.none_found(dynamics, 0.0, guesses, start is not None)
        return _label(system, dynamics, found, n)


def _label(system: Followable, dynamics: Dynamics, found: list[np.ndarray], n: int | None) -> xr.Dataset:
    points = [_point(dynamics, x) for x in found]
    degenerate = np.array([_is_degenerate(dynamics, point) for point in points])
    observed = [observe(dynamics, point) for point in points]
    for one in observed:
        require(not one.fault, "dt", "be smaller", dynamics.dt, dynamics.faults.get(one.fault, ""))
    dim = dynamics.observables[0].dims[0]
    values: dict[str, Any] = {}
    for observable in dynamics.observables:
        note = {"units": observable.unit, "long_name": f"stationary {observable.long_name}"}
        values[observable.name] = (("state", dim), np.array([one.mean[observable.name] for one in observed]), note)
    name = "multiplier" if dynamics.form.discrete else "eigenvalue"
    for group in points[0].spectrum:
        table = np.array([point.spectrum[group][:SHOWN] for point in points])
        values |= _parts(f"{group}_{name}".lstrip("_"), table)
    stable = np.array([point.unstable == 0 for point in points]) & ~degenerate
    values["stable"] = ("state", stable, {"long_name": "whether every mode decays"})
    values["degenerate"] = ("state", degenerate, {"long_name": f"whether {_CRITICAL[dynamics.form.discrete]}"})
    values["unknowns"] = (("state", "unknown"), np.array(found), {"long_name": "the state, in own units"})
    attrs = common_attrs("fixed points", system, dynamics, n) | {"status": _status(dynamics, degenerate)}
    return xr.Dataset(values, {dim: list(dynamics.coordinates)}, attrs)


_CRITICAL = {False: "an eigenvalue is 0", True: "a multiplier is 1"}


def _status(dynamics: Dynamics, degenerate: np.ndarray) -> str:
    which = [str(k) for k in np.flatnonzero(degenerate)]
    if not which:
        return COMPLETED
    many = len(which) > 1
    return (
        f"state{'s' if many else ''} {', '.join(which)}: degenerate, for {_CRITICAL[dynamics.form.discrete]} to "
        "rounding: a root of several equal ones or one of a curve of states, known to fewer digits; the linearisation "
        "does not decide whether it is stable"
    )


def _is_degenerate(dynamics: Dynamics, point: Point) -> bool:
    """Whether the Jacobian is singular, compared with what it is a little way off."""
    problem, critical = point.problem, 1.0 if dynamics.form.discrete else 0.0
    values = np.concatenate([point.spectrum[group] for group in groups(point)])
    if not len(values):
        return False
    sizes = [np.abs(values - critical).max()]
    for side in (1.0, -1.0) if len(point.z) <= MAX_PROBED else ():
        moved = problem.linearise(point.z + np.append(side * NEARBY * dynamics.scale, 0.0))[1].derivative
        if moved is not None and np.all(np.isfinite(moved)):
            sizes.append(np.abs(np.linalg.eigvals(moved) - critical).max())
    return bool(np.abs(values - critical).min() <= SINGULAR * max(sizes))


def _point(dynamics: Dynamics, x: np.ndarray) -> Point:
    """A stationary state with its spectrum."""
    problem, z = branches.stationary(dynamics, x, 1.0), np.append(x, 0.0)
    jacobian = problem.linearise(z)[1]
    if jacobian.derivative is not None and not np.all(np.isfinite(jacobian.derivative)):
        raise LimitError(f"The stationary state {shown(x)} has no eigenvalues: the equations have no derivative there.")
    return point_at(problem, z, np.append(np.zeros(len(x)), 1.0), jacobian)


def _parts(name: str, table: np.ndarray) -> dict[str, Any]:
    """Real and imaginary parts of complex numbers, shape (state, mode)."""
    return {
        f"{name}_{part}": (("state", f"{name}_mode"), numbers, {"long_name": f"{name}, {part} part"})
        for part, numbers in (("real", np.real(table)), ("imag", np.imag(table)))
    }
