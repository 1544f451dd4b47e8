"""The reduction of a spiking network on a ring or a sheet: that of its patches, coupled by convolutions.

Every patch of every population is a population of its own to the reduction; see `reduction.patches`. It is the limit
of the annealed network of these patches. Patches that all start alike are one patch; see `alike`.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, flag, one_of, real, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.spiking import alike
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.reduction.layout import has_current
from largen.systems.spiking.reduction.quadrature.finite import solve as by_quadrature
from largen.systems.spiking.relations import refuse
from largen.systems.spiking.sheet import Sheet, require_neurons, sheet_of
from largen.systems.spiking.solve import solve as by_moments

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

DRIVE = ("external_rate", "external_mean", "external_sd")
"""Fields of the drive, which may be functions of time."""
CURRENTS = ("external_mean", "external_sd", "external_strength", "initial_mean", "initial_spread")
"""Fields beyond those of Chang et al. that the closures of moments have."""


def solve(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation,
    *,
    finite_size: bool,
    seed: int,
    realisations: int,
    engine: str,
    record: tuple[str, ...],
    perturbation: Any,
    orders: Any,
    error: bool,
) -> Arrays:
    """Solve the reduction of a sheet from rest.

    Args:
        model: The network, scaled to its number of neurons.
        times: Output times (ms), shape (time,).
        discretisation: Closure, bins and step.
        finite_size: Whether to sample the finite network's noise.
        seed: Seed of the chain.
        realisations: Realisations of the chain.
        engine: "numba" or "auto".
        record: Any of "voltage_density".
        perturbation: (amplitude, mode), or None.
        orders: Of the quadrature.
        error: Whether to estimate its error.

    Returns:
        As of the model without space, means over the sheet, with `patch_rate` (population, patch, time).
    """
    closure = one_of("closure", discretisation.closure, ("quadrature", "joint", "white"))
    finite_size = flag("finite_size", finite_size)
    require(engine != "jax", "engine", "be 'numba' with `space`", engine)
    sheet = sheet_of(model, perturbation)
    if sheet.uneven is not None:
        dt = real("dt", discretisation.dt, above=0.0)
        sheet = sheet.at_steps(float(times[0]), round((times[-1] - times[0]) / dt), dt)
    options: dict[str, Any]
    if closure == "quadrature":
        chain = {"finite_size": finite_size, "seed": seed, "realisations": realisations}
        engine_of, options = by_quadrature, {"orders": orders, "error": error} | chain
    else:
        require_currents(sheet.model)
        if sheet.uneven is not None and not has_current(sheet.model):
            raise InputError(
                "Argument `external_mean` must not be 0 on average where it depends on place with this closure. Take "
                "closure='quadrature', or give `external_sd`."
            )
        if finite_size:
            require_neurons(model)
        engine_of, options = by_moments, {"finite_size": finite_size, "seed": seed, "realisations": realisations}

    def run(of: Sheet, times: np.ndarray, **changes: Any) -> Arrays:
        """A run of as many patches as `of` has."""
        given = {"engine": engine, "record": record, "sheet": of} | options | changes
        return engine_of(of.model, times, discretisation, **given)

    if sheet.perturbation is not None or finite_size or sheet.uneven is not None:
        found = run(sheet, times)
    else:
        rates = 16.0 * len(times) * sheet.space.count * len(model.size)
        require_memory(rates, f"The rates of {sheet.space.count} patches", "Take fewer output times.")
        found = alike.for_all(run(alike.one_patch(sheet), times), sheet.space)
        quick = {"record": ()} | ({"error": False} if closure == "quadrature" else {})
        found = _told_of_growth(found, sheet, times, discretisation.dt, lambda of, at: run(of, at, **quick))
    return found._replace(attrs=dict(found.attrs) | about(sheet))


def _told_of_growth(
    found: Arrays, sheet: Sheet, times: np.ndarray, dt: float, run: Callable[[Sheet, np.ndarray], Arrays]
) -> Arrays:
    """Warn where a wave would grow that nothing starts, and say so in the attributes."""
    functions = any(callable(getattr(sheet.model, name)) for name in DRIVE)
    if times[-1] - times[0] < alike.SHORTEST or functions or sheet.space.count == 1:
        return found
    copies, waves = alike.with_waves(sheet)
    between = max(round(1.0 / dt), 1) * dt
    at = float(times[0]) + between * np.arange(round(alike.SEEN / between) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given with the run itself
        rates = run(copies, at).values["patch_rate"]
    growth = alike.fastest(rates, at - at[0], waves)
    if growth.rate < alike.LEAST:
        return found
    mode = growth.mode.tolist()
    written = mode[0] if len(mode) == 1 else tuple(mode)
    warnings.warn(
        f"All patches start alike, but the state in which they are alike is unstable: a {growth.kind} of mode "
        f"{written} would grow, at {growth.rate:.3g} per s, which nothing starts. Start it yourself: "
        f"perturbation=(1e-3, {written}).",
        stacklevel=5,
    )
    return found._replace(attrs=dict(found.attrs) | {"growing_mode": growth.mode, "growth": growth.rate})


def require_currents(model: "SpikingNetwork") -> None:
    """Refuse what the closures of moments do not have; they have a constant current with white noise."""
    refuse(model, tuple(name for name in model.extensions if name not in CURRENTS), "The reduction with this closure")
    if not has_current(model):
        return
    for name in DRIVE:
        if callable(getattr(model, name)):
            raise InputError(
                f"Argument `{name}` must be constant together with `external_mean` or `external_sd` with this closure, "
                "but is a function of time. Take closure='quadrature'."
            )


def about(sheet: Sheet) -> dict[str, Any]:
    """What a result of a sheet says of it."""
    found: dict[str, Any] = {"clipped": float(sheet.clipped.max())} if np.any(sheet.clipped > 1e-12) else {}
    if sheet.perturbation is not None:
        amplitude, mode = sheet.perturbation
        found |= {"perturbation": amplitude, "perturbation_mode": np.array(mode)}
    return found
