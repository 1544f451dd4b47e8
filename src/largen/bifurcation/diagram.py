"""Branches of stationary states and periodic orbits against a parameter, with their special points."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from largen.bifurcation import branches
from largen.bifurcation.branches import Curve, Seen
from largen.checks import InputError, LimitError, integer, real, require
from largen.numerics.continuation import Ending, NotConverged, Point, Stop, trace
from largen.numerics.continuation.branch import Steps
from largen.parameters.plain import to_plain
from largen.runtime.progress import showing
from largen.system import AbstractFlowSystem, Dynamics

SHOWN = 8
"""Leading eigenvalues or multipliers kept per point."""


class _Row(NamedTuple):
    """A point with what is known of it."""

    branch: int
    point: Point
    seen: Seen


class _Branch(NamedTuple):
    kind: str
    origin: int
    ending: str


class _Work:
    """What `follow` has found so far."""

    def __init__(self, dynamics: Dynamics, span: float):
        self.dynamics, self.span = dynamics, span
        self.rows: list[_Row] = []
        self.branches: list[_Branch] = []
        self.special: list[int] = []
        self.used: set[int] = set()

    def add(self, branch: int, point: Point) -> _Row:
        row = _Row(branch, point, branches.observe(self.dynamics, point))
        self.rows.append(row)
        if point.special is not None:
            index = len(self.rows) - 1
            if any(self._same(self.rows[other].point, point) for other in self.special):
                self.used.add(len(self.special))
            self.special.append(index)
        return row

    def _same(self, one: Point, two: Point) -> bool:
        """Whether two special points are one, found on different branches."""
        if one.special.kind != two.special.kind or len(one.z) != len(two.z):
            return False
        return two.problem.length(one.z - two.z) < 1e-3

    def close(self, curve: Curve, ending: Ending) -> None:
        """A branch of cycles that died or merged ends at a special point: none need start there."""
        self.branches.append(_Branch(curve.kind, curve.origin, ending.sentence))
        if ending.stop is not Stop.ENDED or not self.rows:
            return
        kind = "period_doubling" if "merges" in ending.sentence else "hopf"
        last = self.rows[-1].point
        candidates = [
            (abs(self.rows[row].point.parameter - last.parameter), k)
            for k, row in enumerate(self.special)
            if self.rows[row].point.special.kind == kind and k != curve.origin
        ]
        if candidates and min(candidates)[0] < 0.05 * self.span:
            self.used.add(min(candidates)[1])


def follow(
    system: Any,
    parameter: str,
    *,
    to: float,
    start: Any = None,
    n: int | None = None,
    within: tuple[float, float] | None = None,
    cycles: bool = True,
    switch: bool = True,
    points: int = 300,
    first_step: float = 0.01,
    smallest_step: float = 1e-6,
    largest_step: float = 0.04,
    tolerance: float = 1e-7,
    most_branches: int = 12,
    refine: Mapping[str, Any] | None = None,
    progress: Any = None,
    each: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Follow stationary states and periodic orbits of a limit as a parameter changes.

    Args:
        system: A SpikingNetwork (the reduction as a map of one step), a BalancedNetwork (the limit, or the
            finite-size equations with `n`), or your own `Flow` or `Map`.
        parameter: Its name, such as `probability[e,i]`; `drive*` is a factor of the whole field `drive`.
        to: Value at which to stop; the branches start at the model's own value.
        start: A state to start from, a Dataset of `fixed_points` or `limit_cycle`, or None for every stationary
            state that is found.
        n: Total number of neurons.
        within: Range that branches may not leave; by default from the model's value to `to`.
        cycles: Whether to follow the periodic orbits born at Hopf points and their doublings.
        switch: Whether to follow the branches that cross at branch points and at period doublings.
        points: Points after which a branch is cut.
        first_step: First step along a branch, as a fraction of the range.
        smallest_step: Step at which a branch is given up.
        largest_step: Largest step.
        tolerance: Length along the branch to which special points are located, as a fraction of the range.
        most_branches: Branches after which no more are started.
        refine: Options of the system, such as `{"bin_width": 2.0, "dt": 0.05}`: for each the diagram is computed again
            with it alone, and every special point gets its shift.
        progress: None, True (a bar on standard error) or a function of the fraction done.
        each: Called with every point as a plain dict, as it comes.
        options: Options of the system's equations (spiking: `closure`, `bin_width`, `linear_in_bin`,
            `affine_drift`, `min_support`, `dt`; balanced: `skewness`).

    Returns:
        Dataset with dims `point`, `branch`, `special`: per point `parameter`, `on_branch`, `stable`, `unstable_modes`,
        the observables with `_low` and `_high` over the orbit, `period` (NaN for stationary states), eigenvalues or
        multipliers `eigenvalue_real`, `eigenvalue_imag` (those fixed by conservation or along the orbit left out),
        `state` on the solution; per branch `kind`, `origin` (a special point, or -1) and `ending` (a sentence); per
        special point `special_kind`, `special_parameter`, `special_uncertainty`, `special_frequency`,
        `special_period`, `special_branch`, `special_point` and `special_meaning`.

    Raises:
        InputError: The parameter or an option cannot be used, or `to` is out of the parameter's bounds.
        LimitError: There is no stationary state or orbit to start from.
    """
    require(
        callable(getattr(system, "dynamics", None)),
        "system",
        "be a SpikingNetwork, BalancedNetwork, Flow or Map",
        system,
    )
    to = real("to", to)
    steps = Steps(
        real("first_step", first_step, above=0.0), real("smallest_step", smallest_step, above=0.0),
        real("largest_step", largest_step, above=0.0), integer("points", points, low=2),
        real("tolerance", tolerance, above=0.0),
    )  # fmt: skip
    with jax.enable_x64(True), showing(progress, f"following {parameter}") as tick:
        dynamics = system.dynamics(parameter, n=n, **options)
        low, high = _range(dynamics, parameter, to, within)
        work = _Work(dynamics, high - low)
        queue = _first(dynamics, start, to, low, high)
        while queue and len(work.branches) < most_branches:
            curve = queue.pop(0)
            if curve.origin in work.used:
                continue
            known = len(work.special)
            _trace(work, curve, low, high, steps, each, partial(_tick, tick, work, len(queue)))
            queue += _next(work, known, cycles, switch)
        result = _label(system, parameter, n, to, work)
    for name, value in (refine or {}).items():
        again = follow(
            system, parameter, to=to, start=None, n=n, within=within, cycles=cycles, switch=switch, points=points,
            first_step=first_step, smallest_step=smallest_step, largest_step=largest_step, tolerance=tolerance,
            most_branches=most_branches, progress=progress, **(options | {name: value}),
        )  # fmt: skip
        result = _compare(result, again, name, value)
    return result


def _tick(tick: Callable[[float], None], work: _Work, waiting: int, share: float) -> None:
    """Report the fraction of the branches known so far."""
    finished = len(work.branches)
    tick(min((finished + share) / (finished + 1 + waiting), 1.0))


def _range(dynamics: Dynamics, parameter: str, to: float, within: tuple[float, float] | None) -> tuple[float, float]:
    low, high = dynamics.bounds
    if not low <= to <= high:
        raise InputError(
            f"Argument `to` must lie within the bounds of `{parameter}`, {low:g} to {high:g}, but is {to:g}."
        )
    if within is None:
        within = (min(dynamics.value, to), max(dynamics.value, to))
    first, last = (real("within", value) for value in within)
    must = f"be an interval that holds the model's value {dynamics.value:g} and `to`"
    require(
        first <= min(dynamics.value, to) and last >= max(dynamics.value, to) and last > first, "within", must, within
    )
    return max(first, low), min(last, high)


def _first(dynamics: Dynamics, start: Any, to: float, low: float, high: float) -> list[Curve]:
    """The curves through the states given, or through all that are found."""
    span, p = high - low, dynamics.value
    sign = 1.0 if to > p else -1.0
    if isinstance(start, xr.Dataset) and "period" in start:
        from largen.bifurcation.cycles import problem_of

        problem, z = problem_of(dynamics, start, span)
        return [Curve(problem, z, _parameter_up(len(z), sign), False, "cycle", -1)]
    if isinstance(start, xr.Dataset):
        guesses = [np.asarray(x) for x in start["unknowns"].values]
    else:
        guesses = dynamics.starts(p) if start is None else [np.atleast_1d(np.asarray(start, dtype=float))]
    found = branches.states(dynamics, p, guesses)
    if not found:
        raise LimitError(
            f"No stationary state was found at {p:g} from {len(guesses)} starts: Newton's method does not converge. "
            "Give `start`, a state nearby, or begin at another value of the parameter."
        )
    along = _parameter_up(len(found[0]) + 1, sign)
    problems = [branches.stationary(dynamics, x, span) for x in found]
    return [
        Curve(problem, np.append(x, p), along, False, "stationary", -1)
        for problem, x in zip(problems, found, strict=True)
    ]


def _parameter_up(size: int, sign: float) -> np.ndarray:
    along = np.zeros(size)
    along[-1] = sign
    return along


def _trace(
    work: _Work,
    curve: Curve,
    low: float,
    high: float,
    steps: Steps,
    each: Any,
    tick: Callable[[float], None],
) -> None:
    """Follow one curve to its end."""
    branch = len(work.branches)
    if curve.origin < 0 and _known(work, curve):
        return
    try:
        for item in trace(curve.problem, curve.z, curve.along, low, high, steps, leave=curve.leave):
            if isinstance(item, Ending):
                work.close(curve, item)
                return
            row = work.add(branch, item)
            if row.seen.fault:
                work.close(curve, Ending(Stop.STEP_MINIMUM, work.dynamics.faults[row.seen.fault]))
                return
            if each is not None:
                each(_plain(work, row))
            count = sum(1 for other in work.rows if other.branch == branch)
            tick(count / steps.points)
    except NotConverged as failure:
        if curve.origin < 0:
            raise LimitError(f"The branch could not be started: {failure} Give a start nearer to it.") from failure
        sentence = f"The branch could not be started from its special point: {failure} Try another `first_step`."
        work.close(curve, Ending(Stop.STEP_MINIMUM, sentence))


def _known(work: _Work, curve: Curve) -> bool:
    """Whether a start lies on a branch that was followed already."""
    same = [row.point for row in work.rows if len(row.point.z) == len(curve.z)]
    return any(curve.problem.length(point.z - curve.z) < 1e-6 for point in same)


def _next(work: _Work, known: int, cycles: bool, switch: bool) -> list[Curve]:
    """The curves that leave the special points found since."""
    found: list[Curve] = []
    for k in range(known, len(work.special)):
        row = work.special[k]
        point, near = work.rows[row].point, work.rows[max(row - 1, 0)].point
        born = point.special.kind in ("hopf", "period_doubling")
        if k in work.used or not (cycles if born else switch):
            continue
        found += branches.curves_from(work.dynamics, point, near, k, work.span)
    return found


# Labels --------------------------------------------------------------------------------------------------------


def _plain(work: _Work, row: _Row) -> dict[str, Any]:
    """A point as plain values, for a file that grows."""
    point = row.point
    plain: dict[str, Any] = {
        "branch": row.branch,
        "parameter": point.parameter,
        "stable": point.unstable == 0,
        "period": None if np.isnan(branches.period_of(point)) else branches.period_of(point),
    }
    for observable in work.dynamics.observables:
        plain[observable.name] = row.seen.mean[observable.name].tolist()
    if point.special is not None:
        plain |= {"special": point.special.kind, "uncertainty": point.special.uncertainty}
    return plain


def _label(system: Any, parameter: str, n: int | None, to: float, work: _Work) -> xr.Dataset:
    dynamics, rows = work.dynamics, work.rows
    points = [row.point for row in rows]
    unit = {"units": dynamics.unit or "1", "long_name": parameter}
    time = {"units": dynamics.time_unit or "1", "long_name": "period"}
    values: dict[str, Any] = {
        "parameter": ("point", np.array([p.parameter for p in points]), unit),
        "on_branch": ("point", np.array([row.branch for row in rows]), {"long_name": "branch"}),
        "stable": ("point", np.array([p.unstable == 0 for p in points]), {"long_name": "whether no mode grows"}),
        "unstable_modes": ("point", np.array([p.unstable for p in points]), {"long_name": "growing modes"}),
        "period": ("point", np.array([branches.period_of(p) for p in points]), time),
    }
    dim = dynamics.observables[0].dims[0]
    for observable in dynamics.observables:
        note = {"units": observable.unit, "long_name": observable.long_name}
        for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high")):
            data = np.array([getattr(row.seen, part)[observable.name] for row in rows])
            values[observable.name + suffix] = (("point", dim), data, note)
    values |= _spectra(points)
    size = len(dynamics.scale)
    state = np.array([branches.state_of(p, size) for p in points])
    values["unknowns"] = (("point", "unknown"), state, {"long_name": "a state on the solution, in own units"})
    values |= _branches(work) | _specials(work)
    attrs: dict[str, Any] = {
        "kind": "bifurcation diagram",
        "system": getattr(system, "system", type(system).__name__.lower()),
        "parameter": parameter,
        "from": dynamics.value,
        "to": to,
        "form": dynamics.form.value,
        "n": float("inf") if n is None else n,
    }
    attrs |= {key: str(value).lower() if isinstance(value, bool) else value for key, value in dynamics.note.items()}
    if isinstance(system, AbstractFlowSystem):
        attrs["parameters"] = json.dumps(to_plain(system, strict=False))
    return xr.Dataset(values, {dim: list(dynamics.coordinates)}, attrs)


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


def _branches(work: _Work) -> dict[str, Any]:
    return {
        "branch_kind": ("branch", np.array([b.kind for b in work.branches], dtype=str)),
        "branch_origin": ("branch", np.array([b.origin for b in work.branches], dtype=int)),
        "branch_ending": ("branch", np.array([b.ending for b in work.branches], dtype=str)),
    }


def _specials(work: _Work) -> dict[str, Any]:
    rows = [work.rows[k] for k in work.special]
    kinds = [row.point.special.kind for row in rows]
    hertz = "Hz" if work.dynamics.time_unit == "ms" else "1"
    return {
        "special_kind": ("special", np.array(kinds, dtype=str)),
        "special_parameter": ("special", np.array([row.point.parameter for row in rows], dtype=float)),
        "special_uncertainty": ("special", np.array([row.point.special.uncertainty for row in rows], dtype=float)),
        "special_frequency": (
            "special",
            np.array([branches.frequency_of(work.dynamics, row.point) for row in rows], dtype=float),
            {"units": hertz},
        ),
        "special_period": ("special", np.array([branches.period_of(row.point) for row in rows], dtype=float)),
        "special_branch": ("special", np.array([row.branch for row in rows], dtype=int)),
        "special_point": ("special", np.array(work.special, dtype=int)),
        "special_meaning": ("special", np.array([branches.meaning(row.point) for row in rows], dtype=str)),
    }


def _compare(result: xr.Dataset, again: xr.Dataset, name: str, value: Any) -> xr.Dataset:
    """How far every special point moves with one option changed; NaN where it has no counterpart."""
    kinds, where = result["special_kind"].values, result["special_parameter"].values
    other_kinds, other = again["special_kind"].values, again["special_parameter"].values
    shift = np.full(len(kinds), np.nan)
    taken: set[int] = set()
    for k in range(len(kinds)):
        open_ = [j for j in range(len(other)) if other_kinds[j] == kinds[k] and j not in taken]
        if open_:
            j = min(open_, key=lambda j: abs(other[j] - where[k]))
            taken.add(j)
            shift[k] = other[j] - where[k]
    note = {"long_name": f"shift of the special point with {name} = {value}", "units": "1"}
    return result.assign({f"special_shift_{name}": ("special", shift, note)})
