"""With what the pages of a server begin: a model of every system, and its limit."""

import functools
from pathlib import Path
from typing import Any

import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.settings import limit_options_of, opening_of, run_of
from largen.explorer.solvers import limit_of, portrait_of
from largen.explorer.store import Store, key
from largen.io.model_files import read_model, time_grid
from largen.system import AbstractSystem, pictures
from largen.systems import system_class

PACKAGE = Path(__file__).parents[1]


class Beginning:
    """With what the page of a system begins; each part is read when it is first asked for."""

    def __init__(
        self,
        system: str,
        store: Store,
        model: AbstractSystem | None = None,
        name: str = "",
        limit: xr.Dataset | None = None,
    ):
        """Take what is known.

        Args:
            system: The system.
            store: Where limits are kept.
            model: The model, where it is not the system's own example.
            name: What that model is called.
            limit: Its limit, where that is known.
        """
        self.system, self.store = system, store
        self._given, self._name, self._limit = model, name, limit

    @functools.cached_property
    def _example(self) -> str:
        return opening_of(system_class(self.system)).example

    @property
    def name(self) -> str:
        """What the model is called, for files."""
        return self._name if self._given is not None else self._example or self.system

    @functools.cached_property
    def model(self) -> AbstractSystem:
        """The model with which the page begins."""
        if self._given is not None:
            return self._given
        return read_model(self._example) if self._example else system_class(self.system)()

    @property
    def limit(self) -> xr.Dataset | None:
        """The model's limit, where this server or one before has kept it."""
        if self._limit is None:
            self._limit = self.store.get(limit_key(self.model))
        return self._limit

    @property
    def question(self) -> tuple[Any, ...]:
        """What a process is asked, so that it has compiled what the page will ask."""
        return prepare, (self.system, self.store, self._given)


def prepare(system: str, store: Store, given: AbstractSystem | None = None) -> xr.Dataset | None:
    """Solve what a page begins with, for what that compiles, and keep the limit; None of a model that has none.

    Args:
        system: The system.
        store: Where the limit is kept.
        given: The model, where it is not the system's own example.
    """
    model = Beginning(system, store, given).model
    opening = opening_of(model)
    times = time_grid(0.0, opening.stop, opening.step)
    n = run_of(model).n if model.reference_size is not None else None
    try:
        limit = limit_of(model, times, limit_options_of(model), n)
    except (InputError, LimitError):
        return None
    name = limit_key(model)
    if store.get(name) is None:
        store.put(name, limit)
    if shows_portrait(model, limit):
        portrait_of(model, limit)
    return limit


def shows_portrait(model: AbstractSystem, limit: xr.Dataset) -> bool:
    """Whether the page of a model shows a phase portrait."""
    from largen.explorer.views_plane import PhasePlane

    declared = (picture for row in model.views.values() for picture in row)
    return any(isinstance(one, pictures.PhasePlane) and PhasePlane.fits(one, limit) for one in declared)


def limit_key(model: AbstractSystem) -> str | None:
    """Name under which the first limit of a model is kept: another one when any file of largen changes."""
    opening = opening_of(model)
    return key("first limit", model, opening.stop, opening.step, limit_options_of(model), run_of(model).n, _files())


@functools.cache
def _files() -> list[tuple[str, int, int]]:
    """Every file of largen with its size and the time of its last change (ns)."""
    found = ((path.relative_to(PACKAGE), path.stat()) for path in PACKAGE.rglob("*.py"))
    return sorted((str(path), about.st_size, about.st_mtime_ns) for path, about in found)
