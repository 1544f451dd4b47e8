"""What the explorer draws of a system: the pictures that it declares, by tab, or its observables against time."""

from collections.abc import Callable, Mapping

import xarray as xr

from largen.explorer.view import Pictured, Series, View
from largen.explorer.views_covariance import AgainstLag, Parts, Surface
from largen.explorer.views_eigenvalues import ComplexPlane, Growth, JacobianPlane
from largen.explorer.views_plane import Curves, Orbit, PhasePlane
from largen.explorer.views_space import ActivityMap
from largen.explorer.views_spikes import Density, Raster, Spectrum
from largen.system import AbstractSystem, pictures
from largen.system.pictures import Picture

OBSERVABLES = "Observables"
_KINDS: dict[type, type[Pictured]] = {
    pictures.Series: Series,
    pictures.Raster: Raster,
    pictures.Spectrum: Spectrum,
    pictures.Orbit: Orbit,
    pictures.PhasePlane: PhasePlane,
    pictures.Density: Density,
    pictures.Growth: Growth,
    pictures.ComplexPlane: ComplexPlane,
    pictures.Surface: Surface,
    pictures.Parts: Parts,
    pictures.AgainstLag: AgainstLag,
    pictures.Curves: Curves,
    pictures.Eigenvalues: JacobianPlane,
    pictures.ActivityMap: ActivityMap,
}


def views_of(system: AbstractSystem, limit: xr.Dataset) -> dict[str, Callable[[], list[View]]]:
    """The views of a system by tab, made when they are called for."""
    declared = {tab: _shown(row, limit) for tab, row in _declared(system, limit).items()}
    return {tab: _maker(row, limit) for tab, row in declared.items() if row}


def _declared(system: AbstractSystem, limit: xr.Dataset) -> Mapping[str, tuple[Picture, ...]]:
    if system.views:
        return system.views
    time = {("population", "time"), ("time",)}
    names = [str(name) for name, variable in limit.data_vars.items() if variable.dims in time]
    return {OBSERVABLES: tuple(pictures.Series(name) for name in names)}


def _shown(row: tuple[Picture, ...], limit: xr.Dataset) -> list[Picture]:
    return [picture for picture in row if type(picture) in _KINDS and _KINDS[type(picture)].fits(picture, limit)]


def _maker(row: list[Picture], limit: xr.Dataset) -> Callable[[], list[View]]:
    return lambda: [_KINDS[type(picture)].of(limit, picture) for picture in row]
