"""The reduction of a spiking network on a ring or a sheet: that of its patches, coupled by convolutions.

Every patch of every population is a population of its own to the reduction; see `reduction.patches`. It is the limit
of the annealed network of these patches.
"""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, flag, integer, one_of, require
from largen.system import Arrays
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.reduction.layout import has_current
from largen.systems.spiking.reduction.quadrature.solve import solve as by_quadrature
from largen.systems.spiking.relations import refuse
from largen.systems.spiking.sheet import Sheet, require_neurons, sheet_of
from largen.systems.spiking.solve import solve as by_moments

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

CURRENTS = ("external_mean", "external_sd", "external_strength", "initial_mean", "initial_spread")
"""Fields beyond those of Chang et al. that the closures of moments have."""
ROUNDING = 1e-6
"""Share of a rate by which patches that start alike may differ."""


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
    if closure == "quadrature":
        must, remedy = "be False with `space` and closure='quadrature'", "Take closure='joint' for the chain."
        require(not finite_size, "finite_size", must, True, remedy)
        once = integer("realisations", realisations, low=1) == 1
        require(once, "realisations", "be 1 without finite_size", realisations)
        asked: dict[str, Any] = {"orders": orders, "error": error}
        found = by_quadrature(sheet.model, times, discretisation, engine=engine, record=record, sheet=sheet, **asked)
    else:
        require_currents(sheet.model)
        if finite_size:
            require_neurons(model)
        chain: dict[str, Any] = {"finite_size": finite_size, "seed": seed, "realisations": realisations}
        found = by_moments(sheet.model, times, discretisation, engine=engine, record=record, sheet=sheet, **chain)
    if sheet.perturbation is None and not finite_size:
        warn_of_rounding(found.values["patch_rate"])
    return found._replace(attrs=dict(found.attrs) | about(sheet))


def warn_of_rounding(rates: np.ndarray) -> None:
    """Warn where patches that start alike have come to differ: only rounding can have begun that.

    Args:
        rates: Of every patch, shape (population, patch, time).
    """
    apart = np.ptp(rates, axis=1)
    if np.any(apart > ROUNDING * (1.0 + rates.mean(1))):
        warnings.warn(
            "All patches start alike, but their rates have come to differ: a pattern has grown out of rounding errors, "
            "which are others on another machine. Start it yourself with perturbation=(amplitude, mode); "
            "analysis.dispersion(model) says which mode grows.",
            stacklevel=4,
        )


def require_currents(model: "SpikingNetwork") -> None:
    """Refuse what the closures of moments do not have; they have a constant current with white noise."""
    refuse(model, tuple(name for name in model.extensions if name not in CURRENTS), "The reduction with this closure")
    if not has_current(model):
        return
    for name in ("external_rate", "external_mean", "external_sd"):
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
