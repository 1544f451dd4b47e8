"""A bifurcation diagram as plain points, and as a labelled Dataset."""

import itertools
import json
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.bifurcation.branches import Branch, frequency_of, meaning
from largen.bifurcation.observables import Observed, common_attrs
from largen.numerics.continuation.kinds import Ending
from largen.numerics.continuation.problem import Point
from largen.parameters.plain import to_plain
from largen.system import AbstractFlowSystem, Dynamics

SHOWN = 8
"""Leading eigenvalues or multipliers kept per point."""


class Row(NamedTuple):
    """A point with its branch and its observables."""

    branch: int
    point: Point
    observed: Observed


class Found:
    """A diagram: its points, its branches with their endings, and which of the points are special."""

    def __init__(self, dynamics: Dynamics):
        """Begin with nothing found."""
        self.dynamics = dynamics
        self.rows: list[Row] = []
        self.branches: list[tuple[Branch, Ending]] = []
        self.special: list[int] = []

    @property
    def special_points(self) -> list[Point]:
        """The special points, in order."""
        return [self.rows[row].point for row in self.special]


def plain(dynamics: Dynamics, row: Row) -> dict[str, Any]:
    """A point as plain values, for a file that grows."""
    point = row.point
    values: dict[str, Any] = {
        "branch": row.branch,
        "parameter": point.parameter,
        "stable": point.unstable == 0,
        "period": None if np.isnan(point.period) else point.period,
    }
    for observable in dynamics.observables:
        values[observable.name] = row.observed.mean[observable.name].tolist()
    if point.special is not None:
        values |= {"special": point.special.kind.value, "uncertainty": point.special.uncertainty}
    return values


def label(system: Any, parameter: str, n: int | None, to: float, found: Found) -> xr.Dataset:
    """The diagram as a Dataset; see `follow`."""
    dynamics = found.dynamics
    attrs = common_attrs("bifurcation diagram", system, dynamics, n)
    attrs |= {"parameter": parameter, "from": dynamics.value, "to": to, "form": dynamics.form.value}
    attrs |= _searched(parameter, found)
    if isinstance(system, AbstractFlowSystem):
        attrs["parameters"] = json.dumps(to_plain(system, strict=False))
    values = _points(parameter, found) | _observables(found) | _spectra([row.point for row in found.rows])
    values |= _states(found) | _branches(found) | _special(found)
    return xr.Dataset(values, {dynamics.observables[0].dims[0]: list(dynamics.coordinates)}, attrs)


def _searched(parameter: str, found: Found) -> dict[str, Any]:
    """How finely the branches were searched for special points."""
    rows = [row for row in found.rows if row.point.special is None]
    apart = [
        abs(two.point.parameter - one.point.parameter)
        for one, two in itertools.pairwise(rows)
        if one.branch == two.branch
    ]
    resolution = max(apart, default=0.0)
    return {
        "resolution": resolution,
        "searched": f"Special points were searched between points at most {resolution:.2g} apart in {parameter}, and "
        "where a test function has an extremum between two of them; a closer pair may be missed. Give a smaller "
        "`largest_step` to search more finely.",
    }


def _points(parameter: str, found: Found) -> dict[str, Any]:
    points = [row.point for row in found.rows]
    unit = {"units": found.dynamics.unit or "1", "long_name": parameter}
    time = {"units": found.dynamics.time_unit or "1", "long_name": "period"}
    return {
        "parameter": ("point", np.array([p.parameter for p in points]), unit),
        "on_branch": ("point", np.array([row.branch for row in found.rows]), {"long_name": "branch"}),
        "stable": ("point", np.array([p.unstable == 0 for p in points]), {"long_name": "whether no mode grows"}),
        "unstable_modes": ("point", np.array([p.unstable for p in points]), {"long_name": "growing modes"}),
        "period": ("point", np.array([p.period for p in points]), time),
    }


def _observables(found: Found) -> dict[str, Any]:
    """Mean, lowest and highest value of every observable."""
    values: dict[str, Any] = {}
    for observable in found.dynamics.observables:
        note = {"units": observable.unit, "long_name": observable.long_name}
        for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high")):
            data = np.array([getattr(row.observed, part)[observable.name] for row in found.rows])
            values[observable.name + suffix] = (("point", observable.dims[0]), data, note)
    return values


def _states(found: Found) -> dict[str, Any]:
    size = len(found.dynamics.scale)
    states = np.array([row.point.z[:size] for row in found.rows])
    return {"unknowns": (("point", "unknown"), states, {"long_name": "a state on the solution, in own units"})}


def _spectra(points: list[Point]) -> dict[str, Any]:
    """Leading eigenvalues by group, padded with NaN."""
    groups = list(dict.fromkeys(group for p in points for group in p.spectrum))
    found: dict[str, Any] = {}
    for group in groups:
        name = {"": "eigenvalue", "_trivial": "trivial_multiplier"}.get(group, f"{group}_eigenvalue")
        width = min(max(len(p.spectrum.get(group, ())) for p in points), SHOWN)
        table = np.full((len(points), width), complex(np.nan, np.nan))
        for k, p in enumerate(points):
            first = p.spectrum.get(group, np.zeros(0))[:width]
            table[k, : len(first)] = first
        dims = ("point", f"{group.strip('_')}_mode".lstrip("_"))
        found[f"{name}_real"] = (dims, np.real(table), {"long_name": f"{name.replace('_', ' ')}, real part"})
        found[f"{name}_imag"] = (dims, np.imag(table), {"long_name": f"{name.replace('_', ' ')}, imaginary part"})
    return found


def _branches(found: Found) -> dict[str, Any]:
    return {
        "branch_kind": ("branch", np.array([branch.kind.value for branch, _ in found.branches], dtype=str)),
        "branch_origin": ("branch", np.array([branch.origin for branch, _ in found.branches], dtype=int)),
        "branch_ending": ("branch", np.array([ending.message for _, ending in found.branches], dtype=str)),
    }


def _special(found: Found) -> dict[str, Any]:
    points = found.special_points
    specials = [point.special for point in points if point.special is not None]
    hertz = {"units": "Hz" if found.dynamics.time_unit == "ms" else "1"}
    frequency = [frequency_of(found.dynamics, point) for point in points]
    return {
        "special_kind": ("special", np.array([special.kind.value for special in specials], dtype=str)),
        "special_parameter": ("special", np.array([point.parameter for point in points], dtype=float)),
        "special_uncertainty": ("special", np.array([special.uncertainty for special in specials], dtype=float)),
        "special_frequency": ("special", np.array(frequency, dtype=float), hertz),
        "special_period": ("special", np.array([point.period for point in points], dtype=float)),
        "special_branch": ("special", np.array([found.rows[row].branch for row in found.special], dtype=int)),
        "special_point": ("special", np.array(found.special, dtype=int)),
        "special_meaning": ("special", np.array([meaning(point) for point in points], dtype=str)),
    }


def with_shifts(diagram: xr.Dataset, again: xr.Dataset, name: str, value: Any) -> xr.Dataset:
    """Add how far every special point moves with one option changed; NaN where it has no counterpart.

    Args:
        diagram: What `follow` found.
        again: The same with the option changed.
        name: The option.
        value: Its changed value.
    """
    kinds, where = diagram["special_kind"].values, diagram["special_parameter"].values
    other_kinds, other = again["special_kind"].values, again["special_parameter"].values
    shift = np.full(len(kinds), np.nan)
    taken: set[int] = set()
    for k in range(len(kinds)):
        candidates = [j for j in range(len(other)) if other_kinds[j] == kinds[k] and j not in taken]
        if candidates:
            j = min(candidates, key=lambda j: abs(other[j] - where[k]))
            taken.add(j)
            shift[k] = other[j] - where[k]
    note = {"long_name": f"shift of the special point with {name} = {value}", "units": "1"}
    return diagram.assign({f"special_shift_{name}": ("special", shift, note)})
