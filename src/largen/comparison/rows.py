"""The rows of a comparison: which differences are tested, on which scale, and with which tolerance.

A row is an entry of an observable's time mean, or of a statistic that the system declares, or the whole course of an
observable in time: its deviation from its own time mean in five stretches of time. The scale always comes from the
theory; the tolerance is a share of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, known_keys, mapping, real
from largen.comparison.decisions import Differences, p_beyond, p_within, pooled, welch
from largen.comparison.samples import Sample, Side, spread
from largen.datasets import component_labels
from largen.system import Yardstick
from largen.systems import class_of

COURSE = ", in time"
"""Ends the name of a row about an observable's course in time."""
COURSE_FACTOR = 2.0
"""Tolerance of a course, in tolerances of the time mean."""
KEPT = ("orbit_area",)
"""Statistics whose tolerance a single number for all does not replace: an area differs by second order."""
_ROUNDING = 1e-12


class Rows(NamedTuple):
    """What is compared; shapes (row,) or lists of that length, the rows of courses last.

    Attributes:
        names: Names, such as `rate[e]` or `rate, in time`.
        quantities: The observable or statistic of each.
        entries: Which of its entries, -1 for a course.
        units: Units.
        words: What the scale is, for people; empty for the theory's own value.
        share: Tolerated share of the scale, the natural size of a difference.
        entry_scales: By quantity, the scales of its entries, shape (entry,).
        left_out: Reason by the name of what is not compared.
        clause: What one side has and the other has not, for the headline; empty if nothing.
    """

    names: list[str]
    quantities: list[str]
    entries: np.ndarray
    units: list[str]
    words: list[str]
    share: np.ndarray
    entry_scales: dict[str, np.ndarray]
    left_out: dict[str, str]
    clause: str

    @property
    def course(self) -> np.ndarray:
        """Which rows are about a course in time, shape (row,)."""
        return self.entries < 0


class Measured(NamedTuple):
    """The rows' differences from one theory.

    Attributes:
        network: The network's values, shape (row,).
        theory: The theory's values, shape (row,).
        differences: Their differences; of a course, those of the entry and stretch that are farthest off.
        tolerance: In the units of the rows, shape (row,).
        within: P-values of `decisions.p_within`, shape (row,).
        beyond: P-values of `decisions.p_beyond`, shape (row,).
    """

    network: np.ndarray
    theory: np.ndarray
    differences: Differences
    tolerance: np.ndarray
    within: np.ndarray
    beyond: np.ndarray


class Yardsticks(NamedTuple):
    """What a user says of tolerances: one share for all or None, shares by name, and scales by name."""

    share: float | None
    shares: Mapping[str, float]
    scales: Mapping[str, float]

    def share_of(self, name: str, default: float) -> float:
        """The tolerated share of an observable or statistic."""
        if name in self.shares:
            return self.shares[name]
        return default if self.share is None or name in KEPT else self.share


def yardsticks(tolerance: Any, scale: Any) -> Yardsticks:
    """Check what a user gives as `tolerance=` (a share, or shares by name) and `scale=` (scales by name)."""
    scales = {str(key): real(f"scale[{key}]", value, above=0.0) for key, value in mapping("scale", scale).items()}
    if tolerance is None or isinstance(tolerance, Mapping):
        given = mapping("tolerance", tolerance)
        shares = {str(key): real(f"tolerance[{key}]", value, above=0.0) for key, value in given.items()}
        return Yardsticks(None, shares, scales)
    return Yardsticks(real("tolerance", tolerance, above=0.0), {}, scales)


def scales_of(side: Side, names: Sequence[str], samples: Mapping[str, Sample]) -> dict[str, tuple[np.ndarray, str]]:
    """Natural sizes of differences by observable, shape (entry,), and what they are; from the theory `side`."""
    system = class_of(side.dataset.attrs)
    sticks = {o.name: o.yardstick for o in (system.observables if system is not None else ())}
    theory = side.dataset.isel(time=np.flatnonzero(side.counted))
    found = {}
    for name in names:
        stick = sticks.get(name, Yardstick())
        own = np.abs(samples[name].measured.value)
        found[name] = (own, "") if stick.scale is None else (natural_scale(stick, theory, name), stick.words)
    return found


def natural_scale(stick: Yardstick, theory: xr.Dataset, name: str) -> np.ndarray:
    """A scale that the system declares, shape (entry,); NaN where the theory lacks what it is made from."""
    dims = [dim for dim in theory[name].dims if dim not in ("realisation", "time", "time_")]
    shape = [theory.sizes[dim] for dim in dims]
    assert stick.scale is not None
    try:
        part = theory[list(stick.needs)]
        made = stick.scale(part.mean("realisation") if "realisation" in part.dims else part)
        like = xr.DataArray(np.zeros(shape), dims=dims, coords={dim: theory[dim] for dim in dims if dim in theory})
        return (like + made).transpose(*dims).values.reshape(-1).astype(float)
    except KeyError:  # a selection without it
        return np.full(int(np.prod(shape)), np.nan)


def tolerance_of(system: Any, name: str) -> float:
    """The default share of an observable that is tolerated."""
    observables = {o.name: o.yardstick for o in (system.observables if system is not None else ())}
    return observables.get(name, Yardstick()).tolerance


class _Kept(NamedTuple):
    """One quantity that both sides have."""

    name: str
    labels: list[str]
    unit: str
    words: str
    scale: np.ndarray
    share: float
    entries: np.ndarray
    course: bool


def rows_of(
    network: Side,
    theory: Side,
    ours: Mapping[str, Sample],
    theirs: Mapping[str, Sample],
    sticks: Yardsticks,
    other: str = "limit",
) -> Rows:
    """Choose the rows of a comparison.

    Args:
        network: The network.
        theory: The theory, from which the scales come.
        ours: Its samples by quantity, observables first.
        theirs: The theory's.
        sticks: What the user says of tolerances and scales.
        other: What the theory is called.

    Raises:
        InputError: A tolerance or scale for something that is not compared, or a difference without any scale.
    """
    names = [name for name in ours if name in theirs and not _both_lack(ours[name], theirs[name])]
    plain = [name for name in names if ours[name].feature is None]
    scales = scales_of(theory, plain, theirs)
    left_out: dict[str, str] = {}
    clauses: list[str] = []
    kept = []
    for name in names:
        one = _quantity(name, network, ours[name], theirs[name], scales, sticks)
        missing = _missing(one, ours[name], theirs[name], left_out, other)
        if missing.any() and not clauses:
            clauses.append(_clause(one, ours[name], theirs[name], int(np.flatnonzero(missing)[0]), other))
        one = one._replace(entries=np.array([k for k in one.entries if one.labels[k] not in left_out], dtype=int))
        if one.entries.size:
            kept.append(one._replace(scale=_nonzero(one)))
    known = [key for one in kept for key in ((one.name, one.name + COURSE) if one.course else (one.name,))]
    asked = {key: 0 for key in (*sticks.shares, *sticks.scales) if key not in (*names, *left_out)}
    known_keys("tolerance or scale", asked, known)
    return _assembled(kept, sticks, left_out, clauses[0] if clauses else "")


def _quantity(
    name: str,
    network: Side,
    ours: Sample,
    theirs: Sample,
    scales: Mapping[str, tuple[np.ndarray, str]],
    sticks: Yardsticks,
) -> _Kept:
    feature = theirs.feature
    if feature is None:
        variable = network.dataset[name]
        labels, unit = component_labels(variable), str(variable.attrs.get("units", ""))
        scale, words = scales[name]
        default = tolerance_of(class_of(network.dataset.attrs), name)
    else:
        labels = [f"{name}[{label}]" if label else name for label in feature.labels]
        scale, words, unit, default = feature.scale, feature.words, feature.unit, feature.tolerance
    if name in sticks.scales:
        scale, words = np.full(len(labels), sticks.scales[name]), "the given scale"
    course = ours.stretches is not None and theirs.stretches is not None
    share = sticks.share_of(name, default)
    return _Kept(name, labels, unit, words, scale, share, np.arange(len(labels)), course)


def _both_lack(*sides: Sample) -> bool:
    """Whether neither side has a statistic of which nothing is said then."""
    return all(side.feature is not None and side.feature.rare and np.isnan(side.runs).all() for side in sides)


def _missing(one: _Kept, ours: Sample, theirs: Sample, left_out: dict[str, str], other: str) -> np.ndarray:
    """Which entries one side has and the other lacks, shape (entry,); what is left out is noted with its reason."""
    lacking = [~(np.isfinite(side.measured.value) & np.isfinite(side.runs).all(0)) for side in (ours, theirs)]
    what = _lacks(ours if lacking[0].any() else theirs) or "value"
    for k, label in enumerate(one.labels):
        if lacking[0][k] and lacking[1][k]:
            left_out[label] = f"neither side has {what}"
        elif lacking[0][k] or lacking[1][k]:
            left_out[label] = f"the {'network' if lacking[0][k] else other} has no {what}"
        elif ours.zero[k] and theirs.zero[k]:
            left_out[label] = "0 on both sides"
    return lacking[0] ^ lacking[1]


def _lacks(side: Sample) -> str:
    return side.feature.lacks if side.feature is not None else ""


def _clause(one: _Kept, ours: Sample, theirs: Sample, k: int, other: str) -> str:
    """Say in words what one side has and the other has not."""
    with_it, theirs_lacks = np.isfinite(ours.runs[:, k]), not np.isfinite(theirs.measured.value[k])
    what = _lacks(theirs if theirs_lacks else ours) or one.labels[k]
    if theirs_lacks:
        seen = f"{float(ours.runs[with_it, k].mean()):.3g} {one.unit}".strip()
        return f"the {other} has no {what}, the network has ({one.name} {seen})"
    runs = f" in {int((~with_it).sum())} of {len(with_it)} realisations" if with_it.any() else ""
    seen = f"{float(theirs.measured.value[k]):.3g} {one.unit}".strip()
    return f"the network has no {what}{runs}, the {other} has ({one.name} {seen})"


def _nonzero(one: _Kept) -> np.ndarray:
    """Scales of the entries kept: where the theory is 0 the largest of the same quantity, else it must be given."""
    largest = float(np.nanmax(one.scale, initial=0.0))
    scale = np.where(one.scale > _ROUNDING * largest, one.scale, largest)
    missing = [one.labels[k] for k in one.entries if not scale[k] > 0]
    if missing:
        raise InputError(
            f"There is no natural scale for a difference in `{missing[0]}`: the theory is 0 there, or lacks what its "
            f'scale is made from, and the network is not. Give one, such as scale={{"{one.name}": 1.0}}.'
        )
    return scale


def _assembled(kept: Sequence[_Kept], sticks: Yardsticks, left_out: dict[str, str], clause: str) -> Rows:
    rows: list[tuple[str, str, int, str, str, float]] = []
    for one in kept:
        rows += [(one.labels[k], one.name, k, one.unit, one.words, one.share) for k in one.entries.tolist()]
    for one in (one for one in kept if one.course):
        name = one.name + COURSE
        share = sticks.shares.get(name, COURSE_FACTOR * one.share)
        rows.append((name, one.name, -1, one.unit, one.words, share))
    scales = {one.name: one.scale for one in kept}
    if not rows and (clause or "0 on both sides" not in left_out.values()):
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"Nothing can be compared of the network and the theory. {reasons}.")
    if not rows:  # both are silent
        return Rows([], [], np.zeros(0, int), [], [], np.zeros(0), scales, left_out, clause)
    names, quantities, entries, units, words, share = (list(column) for column in zip(*rows, strict=True))
    return Rows(names, quantities, np.array(entries), units, words, np.array(share), scales, left_out, clause)


def measure(
    rows: Rows, ours: Mapping[str, Sample], theirs: Mapping[str, Sample], scales: Mapping[str, np.ndarray] | None = None
) -> Measured:
    """Difference of every row from one theory, with its p-values; NaN, and undecided, where the theory lacks it.

    Args:
        rows: The rows.
        ours: The network's samples.
        theirs: The theory's.
        scales: Scales of the entries by quantity where they are not those of `rows`.
    """
    scales = rows.entry_scales if scales is None else scales
    columns: list[tuple[float, ...]] = []
    for k, quantity in enumerate(rows.quantities):
        if quantity not in theirs:
            columns.append((np.nan,) * 8)
        elif rows.entries[k] < 0:
            columns.append(_course(rows, k, ours[quantity], theirs[quantity], scales[quantity]))
        else:
            columns.append(_entry(rows, k, ours[quantity], theirs[quantity], scales[quantity]))
    network, theory, value, error, dof, tolerance, within, beyond = np.reshape(columns, (len(columns), 8)).T
    beyond, within = (np.where(np.isnan(p), 1.0, p) for p in (beyond, within))
    return Measured(network, theory, Differences(value, error, dof), tolerance, within, beyond)


def _entry(rows: Rows, k: int, ours: Sample, theirs: Sample, scales: np.ndarray) -> tuple[float, ...]:
    at = rows.entries[k : k + 1]
    one, two = (Differences(*(field[at] for field in side.measured)) for side in (ours, theirs))
    if not np.isfinite(two.value[0]):
        return (float(one.value[0]), *(np.nan,) * 7)
    test = pooled if theirs.feature is not None and theirs.feature.pooled else welch
    found, tolerance = test(one, two), rows.share[k] * scales[at]
    within, beyond = p_within(found, tolerance), p_beyond(found, tolerance)
    columns = (one.value, two.value, *found, tolerance, within, beyond)
    return tuple(float(column[0]) for column in columns)


def _course(rows: Rows, k: int, ours: Sample, theirs: Sample, scales: np.ndarray) -> tuple[float, ...]:
    """The course of an observable: all entries and stretches together, and the one farthest off for the table."""
    if ours.stretches is None or theirs.stretches is None:
        return (np.nan,) * 8
    quantity = rows.quantities[k]
    mine = [
        int(entry) for entry, name in zip(rows.entries, rows.quantities, strict=True) if name == quantity and entry >= 0
    ]
    one, two = (_cells(side, mine) for side in (ours, theirs))
    found = welch(one, two)
    stretches = ours.stretches.shape[-1]
    tolerance = rows.share[k] * np.repeat(scales[mine], stretches)
    within, beyond = p_within(found, tolerance), p_beyond(found, tolerance)
    worst = int(np.argmax(np.abs(found.value) / tolerance))
    shown = (one.value[worst], two.value[worst], *(field[worst] for field in found), tolerance[worst])
    return (*map(float, shown), float(within.max()), float(min(1.0, len(within) * beyond.min())))


def _cells(side: Sample, entries: list[int]) -> Differences:
    """Deviations in every entry and stretch, flattened to (cell,): mean, standard error, degrees of freedom."""
    assert side.stretches is not None
    runs, stretches = len(side.stretches), side.stretches.shape[-1]
    flat = side.stretches[:, entries].reshape(runs, -1)
    if runs < 2:
        return Differences(flat[0], np.zeros(flat.shape[1]), np.full(flat.shape[1], np.inf))
    same = np.repeat(side.same[entries], stretches)
    error = spread(flat)
    error = np.where(error == 0, np.where(same, 0.0, np.nan), error)
    return Differences(flat.mean(0), error, np.full(flat.shape[1], runs - 1.0))
