"""Stationary states with their stability, labelled."""

from typing import Any

import jax
import numpy as np
import xarray as xr

from largen.bifurcation import branches
from largen.checks import InputError, LimitError, known_keys, require
from largen.numerics.continuation.core import point_at
from largen.statistics.signals import labelled
from largen.system import AbstractSystem, Dynamics, Table

SHOWN = 12


def fixed_points(system: Any, *, n: int | None = None, start: Any = None, **options: Any) -> xr.Dataset:
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
        multipliers (of a map or a step), as `_real` and `_imag`. For a BalancedNetwork: mean, variance,
        third_cumulant, rate; the eigenvalues `fast` (times sqrt(n) they are rates) and `slow` (on the manifold).

    Raises:
        InputError: The system is of another kind, or its drive depends on time.
        LimitError: Newton's method found no stationary state.
    """
    known = _listed(system, n) if start is None else None
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
        dynamics: Dynamics = system.dynamics(None, n=n, **options)
        guesses = dynamics.starts(0.0) if start is None else list(np.atleast_2d(np.asarray(start, dtype=float)))
        found = branches.states(dynamics, 0.0, guesses)
        if not found:
            raise LimitError(
                f"No stationary state was found from {len(guesses)} starts: Newton's method does not converge. "
                "Give `start`, a state nearby."
            )
        return _label(system, dynamics, found, n)


def _listed(system: Any, n: int | None) -> Table | None:
    """All stationary states, of a system that can list them."""
    return system.stationary_states(n) if isinstance(system, AbstractSystem) else None


def _label(system: Any, dynamics: Dynamics, found: list[np.ndarray], n: int | None) -> xr.Dataset:
    points = []
    for x in found:
        problem, z = branches.stationary(dynamics, x, 1.0), np.append(x, 0.0)
        along = np.append(np.zeros(len(x)), 1.0)
        points.append(point_at(problem, z, along, problem.linearise(z)[1]))
    seen = [branches.observe(dynamics, point) for point in points]
    for one in seen:
        require(not one.fault, "dt", "be smaller", dynamics.dt, dynamics.faults.get(one.fault, ""))
    dim = dynamics.observables[0].dims[0]
    values: dict[str, Any] = {}
    for observable in dynamics.observables:
        note = {"units": observable.unit, "long_name": f"stationary {observable.long_name}"}
        values[observable.name] = (("state", dim), np.array([one.mean[observable.name] for one in seen]), note)
    name = "multiplier" if dynamics.form.discrete else "eigenvalue"
    for group in points[0].spectrum:
        table = np.array([point.spectrum[group][:SHOWN] for point in points])
        label = f"{group}_{name}".lstrip("_")
        for part, numbers in (("real", np.real(table)), ("imag", np.imag(table))):
            values[f"{label}_{part}"] = (("state", f"{label}_mode"), numbers, {"long_name": f"{label}, {part} part"})
    values["stable"] = ("state", np.array([point.unstable == 0 for point in points]), {"long_name": "stable"})
    values["unknowns"] = (("state", "unknown"), np.array(found), {"long_name": "the state, in own units"})
    attrs = {
        "kind": "fixed points",
        "system": getattr(system, "system", type(system).__name__.lower()),
        "n": float("inf") if n is None else n,
    }
    attrs |= {key: str(value).lower() if isinstance(value, bool) else value for key, value in dynamics.note.items()}
    return xr.Dataset(values, {dim: list(dynamics.coordinates)}, attrs)
