"""Branches of stationary states and periodic orbits against a parameter, with their special points."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from largen.bifurcation import branches
from largen.bifurcation.branches import Branch
from largen.bifurcation.cycles import start_at
from largen.bifurcation.diagram_dataset import Found, Row, label, plain, with_shifts
from largen.bifurcation.equations import Followable, require_followable
from largen.bifurcation.observables import observe
from largen.checks import InputError, LimitError, integer, real, require
from largen.numerics.continuation.branch import Steps, trace
from largen.numerics.continuation.corrector import NotConverged
from largen.numerics.continuation.kinds import Ending, SpecialKind, Stop
from largen.numerics.continuation.problem import Point, Start
from largen.runtime.progress import showing
from largen.system import Dynamics

Each = Callable[[dict[str, Any]], None]


class _Request(NamedTuple):
    """What `follow` was asked for; see there."""

    parameter: str
    to: float
    start: Any
    n: int | None
    within: tuple[float, float] | None
    cycles: bool
    switch: bool
    most_branches: int
    steps: Steps


class _Search:
    """The diagram as far as it is known: what was found, and which special points are the ends of known branches."""

    def __init__(self, dynamics: Dynamics, low: float, high: float, steps: Steps):
        self.dynamics, self.low, self.high, self.steps = dynamics, low, high, steps
        self.found = Found(dynamics)
        self.used: set[int] = set()

    @property
    def span(self) -> float:
        """Length of the parameter's range."""
        return self.high - self.low

    def follow(self, branch: Branch, each: Each | None, tick: Callable[[float], None]) -> None:
        """Follow one branch to its end."""
        if branch.origin < 0 and self._known(branch.start):
            return
        try:
            for count, item in enumerate(trace(branch.start, self.low, self.high, self.steps), 1):
                if isinstance(item, Ending):
                    self._close(branch, item)
                    return
                row = self._add(item)
                if row.observed.fault:
                    self._close(branch, Stop.FAULT.ending(why=self.dynamics.faults[row.observed.fault]))
                    return
                if each is not None:
                    each(plain(self.dynamics, row))
                tick(count / self.steps.points)
        except NotConverged as failure:
            if branch.origin < 0:
                raise LimitError(f"The branch could not be started: {failure} Give a start nearer to it.") from failure
            self._close(branch, Stop.NOT_STARTED.ending(why=failure))

    def _known(self, start: Start) -> bool:
        """Whether a start lies on a branch that was followed already."""
        same = [row.point for row in self.found.rows if len(row.point.z) == len(start.z)]
        return any(start.problem.length(point.z - start.z) < 1e-6 for point in same)

    def _add(self, point: Point) -> Row:
        row = Row(len(self.found.branches), point, observe(self.dynamics, point))
        self.found.rows.append(row)
        if point.special is not None:
            if any(_same(self.found.rows[other].point, point) for other in self.found.special):
                self.used.add(len(self.found.special))
            self.found.special.append(len(self.found.rows) - 1)
        return row

    def _close(self, branch: Branch, ending: Ending) -> None:
        """End a branch; from the special point at which it ends none need start."""
        self.found.branches.append((branch, ending))
        kind = ending.stop.special
        if kind is None or not self.found.rows:
            return
        last = self.found.rows[-1].point.parameter
        distances = [
            (abs(point.parameter - last), k)
            for k, point in enumerate(self.found.special_points)
            if _kind(point) is kind and k != branch.origin
        ]
        if distances and min(distances)[0] < 0.05 * self.span:
            self.used.add(min(distances)[1])

    def next_branches(self, known: int, request: _Request) -> list[Branch]:
        """The branches that leave the special points found after the first `known` ones."""
        leaving: list[Branch] = []
        for k in range(known, len(self.found.special)):
            row = self.found.special[k]
            point, near = self.found.rows[row].point, self.found.rows[max(row - 1, 0)].point
            born = _kind(point) in (SpecialKind.HOPF, SpecialKind.PERIOD_DOUBLING)
            if k not in self.used and (request.cycles if born else request.switch):
                leaving += branches.branches_from(self.dynamics, point, near, k)
        return leaving


def _kind(point: Point) -> SpecialKind | None:
    return None if point.special is None else point.special.kind


def _same(one: Point, two: Point) -> bool:
    """Whether two special points are one, found on different branches."""
    if _kind(one) is not _kind(two) or len(one.z) != len(two.z):
        return False
    return two.problem.length(one.z - two.z) < 1e-3


def follow(
    system: Followable,
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
    each: Each | None = None,
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
        smallest_step: Step below which a branch ends.
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
        `unknowns`, a state on the solution; per branch `branch_kind` ("stationary" or "cycle"), `branch_origin` (a
        special point, or -1) and `branch_ending` (why it ends, in words); per special point `special_kind`,
        `special_parameter`, `special_uncertainty`, `special_frequency`, `special_period`, `special_branch`,
        `special_point` and `special_meaning`; `attrs["resolution"]`, the largest distance in the parameter of the
        points between which special points were searched, and the same in words in `attrs["searched"]`.

    Raises:
        InputError: The parameter or an option cannot be used, or `to` is out of the parameter's bounds.
        LimitError: There is no stationary state or orbit to start from.
    """
    require_followable(system)
    to = real("to", to)
    steps = Steps(
        real("first_step", first_step, above=0.0), real("smallest_step", smallest_step, above=0.0),
        real("largest_step", largest_step, above=0.0), integer("points", points, low=2),
        real("tolerance", tolerance, above=0.0),
    )  # fmt: skip
    request = _Request(parameter, to, start, n, within, cycles, switch, most_branches, steps)
    result = _compute(system, request, options, progress, each)
    for name, value in (refine or {}).items():
        again = _compute(system, request._replace(start=None), options | {name: value}, progress)
        result = with_shifts(result, again, name, value)
    return result


def _compute(
    system: Followable, request: _Request, options: dict[str, Any], progress: Any, each: Each | None = None
) -> xr.Dataset:
    """The diagram for one set of options."""
    parameter, to = request.parameter, request.to
    with jax.enable_x64(True), showing(progress, f"following {parameter}") as tick:
        dynamics = system.dynamics(parameter, n=request.n, **options)
        search = _Search(dynamics, *_range(dynamics, request), request.steps)
        queue = _first_branches(dynamics, request, search.span)
        found = search.found
        while queue and len(found.branches) < request.most_branches:
            branch = queue.pop(0)
            if branch.origin in search.used:
                continue
            known = len(found.special)
            search.follow(branch, each, partial(_tick, tick, len(found.branches), len(queue)))
            queue += search.next_branches(known, request)
        return label(system, parameter, request.n, to, found)


def _tick(tick: Callable[[float], None], finished: int, waiting: int, share: float) -> None:
    """Report the fraction of the branches known so far."""
    tick(min((finished + share) / (finished + 1 + waiting), 1.0))


def _range(dynamics: Dynamics, request: _Request) -> tuple[float, float]:
    """Lowest and highest value of the parameter."""
    (low, high), to, within = dynamics.bounds, request.to, request.within
    if not low <= to <= high:
        raise InputError(
            f"Argument `to` must lie within the bounds of `{request.parameter}`, {low:g} to {high:g}, but is {to:g}."
        )
    if within is None:
        within = (min(dynamics.value, to), max(dynamics.value, to))
    first, last = (real("within", value) for value in within)
    must = f"be an interval that holds the model's value {dynamics.value:g} and `to`"
    require(
        first <= min(dynamics.value, to) and last >= max(dynamics.value, to) and last > first, "within", must, within
    )
    return max(first, low), min(last, high)


def _first_branches(dynamics: Dynamics, request: _Request, span: float) -> list[Branch]:
    """The branches through the states given, or through all that are found."""
    start, p = request.start, dynamics.value
    sign = 1.0 if request.to > p else -1.0
    if isinstance(start, xr.Dataset) and "period" in start:
        problem, z = start_at(dynamics, start, span)
        return [Branch(Start(problem, z, _parameter_direction(len(z), sign)))]
    if isinstance(start, xr.Dataset):
        guesses = [np.asarray(x) for x in start["unknowns"].values]
    else:
        guesses = dynamics.starts(p) if start is None else [np.atleast_1d(np.asarray(start, dtype=float))]
    found = branches.states(dynamics, p, guesses)
    if not found:
        raise branches.none_found(dynamics, p, guesses, start is not None)
    direction = _parameter_direction(len(found[0]) + 1, sign)
    return [Branch(Start(branches.stationary(dynamics, x, span), np.append(x, p), direction)) for x in found]


def _parameter_direction(size: int, sign: float) -> np.ndarray:
    direction = np.zeros(size)
    direction[-1] = sign
    return direction
