"""With what the pages of a server begin: a model of every system, and its limit."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.settings import limit_options_of, opening_of, run_of
from largen.explorer.solvers import limit_of
from largen.explorer.store import Store, key
from largen.explorer.views_plane import PhasePlane
from largen.io.model_files import read_model, time_grid
from largen.system import AbstractSystem, pictures
from largen.systems import SYSTEMS, system_class

PACKAGE = Path(__file__).parents[1]
Limits = Mapping[str, xr.Dataset | None]
"""Limits by system; None of a model that has none."""


def first_models() -> tuple[dict[str, AbstractSystem], dict[str, str]]:
    """The model with which each system's page begins, and its name, by system."""
    models, names = {}, {}
    for system in SYSTEMS:
        example = opening_of(system_class(system)).example
        models[system] = read_model(example) if example else system_class(system)()
        names[system] = example or system
    return models, names


def first_portrait(models: Mapping[str, AbstractSystem], limits: Limits) -> tuple[Any, ...] | None:
    """What `portrait_of` takes of the first system that shows a phase portrait."""
    for system, model in models.items():
        limit = limits[system]
        for picture in (picture for row in model.views.values() for picture in row):
            if limit is not None and isinstance(picture, pictures.PhasePlane) and PhasePlane.fits(picture, limit):
                return model, limit
    return None


def first_limits(models: Mapping[str, AbstractSystem]) -> dict[str, xr.Dataset | None]:
    """The limits with which the pages begin; in a worker, which has then compiled what they take.

    A model without one has None: its page says why.
    """
    found: dict[str, xr.Dataset | None] = {}
    for system, model in models.items():
        opening = opening_of(model)
        times = time_grid(0.0, opening.stop, opening.step)
        n = run_of(model).n if model.reference_size is not None else None
        try:
            found[system] = limit_of(model, times, limit_options_of(model), n)
        except (InputError, LimitError):
            found[system] = None
    return found


def kept_limits(models: Mapping[str, AbstractSystem], store: Store) -> dict[str, xr.Dataset | None] | None:
    """The limits of `first_limits`, where all were kept by a server before: its pages then open at once."""
    found = {system: store.get(limit_key(model)) for system, model in models.items()}
    return found if all(one is not None for one in found.values()) else None


def limit_key(model: AbstractSystem) -> str | None:
    """Name under which the first limit of a model is kept: another one when any file of largen changes."""
    opening = opening_of(model)
    return key("first limit", model, opening.stop, opening.step, limit_options_of(model), run_of(model).n, _files())


@functools.cache
def _files() -> list[tuple[str, int, int]]:
    """Every file of largen with its size and the time of its last change (ns)."""
    found = ((path.relative_to(PACKAGE), path.stat()) for path in PACKAGE.rglob("*.py"))
    return sorted((str(path), about.st_size, about.st_mtime_ns) for path, about in found)
