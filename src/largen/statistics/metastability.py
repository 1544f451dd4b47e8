"""Metastability: how long a finite network stays in each of two states, and how often it leaves them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import one_of, real, require, several, vector
from largen.numerics.hidden_markov import fit
from largen.statistics import states
from largen.statistics.errors import BLOCKS
from largen.statistics.signals import FINEST, SMOOTHING, Signals, labelled, read, smoothing_used
from largen.system.values import COMPLETED

_LABELS = np.array(["quiet", "bursting"])
_GRID = 60  # points of the survival curves
_UNCLEAR = 0.1  # share of peaks in the middle third above which there are no two kinds of peak
_METHODS = ("thresholds", "hidden_markov")


class Visits(NamedTuple):
    """Stays in a state, in order of realisation and time; shape (visit,) each.

    Attributes:
        realisation: Index of the realisation.
        state: 0 (quiet) or 1 (bursting).
        begin: First step.
        length: Number of steps.
        entered: Whether its beginning was seen.
        left: Whether its end was seen.
    """

    realisation: np.ndarray
    state: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    entered: np.ndarray
    left: np.ndarray


def metastability(
    runs: xr.Dataset | Sequence[xr.Dataset],
    *,
    states: str = "thresholds",
    thresholds: tuple[float, float] | None = None,
    gap: float | None = None,
    window: float | None = None,
    smoothing: float = SMOOTHING,
    start: float | None = None,
) -> xr.Dataset:
    """Measure dwell times and switching rates between two states, quiet and bursting, of a spiking run.

    The rate of the excitatory neurons is smoothed by a Gaussian. With `states="thresholds"` a burst begins where it
    rises above the higher threshold and ends where it falls below the lower one (hysteresis); bursts whose onsets
    are at most `gap` apart form a run. The network is *bursting* from the onset of a run's first burst to the end of
    its last, and *quiet* in between. `gap=0` makes every burst a run of its own: the plain two-level switch. With
    `states="hidden_markov"` a two-state hidden Markov model with Gaussian observations is fitted to the largest
    smoothed rate in windows of `window`; a dwell then is window/(probability of leaving within a window).

    The mean dwell is (all time in a state)/(number of exits seen). By the renewal theorem that is the mean of whole
    dwells of any stationary process: the first and last dwell, of which only a part was seen, give their time and no
    exit. The mean of the dwells that were seen whole would be too short. The switching rate is its inverse.

    Args:
        runs: What `simulate` or `solve_limit(..., finite_size=True)` returned for the spiking system, times at most
            0.5 ms apart; or several of these, of different n or origin.
        states: "thresholds" or "hidden_markov".
        thresholds: Lower and higher threshold (Hz); by default Otsu's threshold between the two kinds of peak is the
            higher one, and half of it the lower.
        gap: Longest interval within a run (ms); by default 3/2 of the median interval between bursts.
        window: Window of the hidden Markov model (ms); by default the median interval between bursts.
        smoothing: S.d. of the Gaussian (ms).
        start: Time (ms) after which statistics are taken; by default 500 ms, or a quarter of the run if that is less.

    Returns:
        Per `state`: `dwell` (ms), `switching_rate` (out of it, Hz) and `fraction` of time, each with `_se` (delete-one
        jackknife over realisations, or over blocks of the only one), `exits`. With one Dataset also the visits
        (`visit_state`, `visit_realisation`, `visit_begin`, `visit_duration`, `visit_complete`) and `survival`
        (state, duration), the Kaplan-Meier estimate of the probability that a dwell lasts longer, in which the last
        visit is censored and the first, whose beginning was not seen, left out. Scalars: thresholds `low`, `high`,
        `gap`, `between` (share of peaks in the middle third between the two kinds: near 0 for two clear states,
        0.17 to 0.21 for one kind of peak), `n`. With several Datasets all of it has a dim `run`. `attrs["status"]`
        holds warnings.

    Raises:
        InputError: Not a spiking run, or nothing tells two states apart.
    """
    many = several("runs", runs)
    one_of("states", states, _METHODS)
    smoothing = real("smoothing", smoothing, unit="ms", above=0.0)
    thresholds = _checked(thresholds)
    gap = None if gap is None else real("gap", gap, unit="ms", low=0.0)
    window = None if window is None else real("window", window, unit="ms", above=0.0)
    found = [_of_one(run, states, thresholds, gap, window, smoothing, start) for run in many]
    if isinstance(runs, xr.Dataset):
        return found[0]
    scalars = [one.drop_dims(["visit", "duration"]) for one in found]
    joined = xr.concat(scalars, "run", combine_attrs="drop_conflicts")
    joined = joined.assign_coords(source=("run", [one.attrs["source"] for one in found]))
    joined.attrs["status"] = "; ".join(f"run {k}: {one.attrs['status']}" for k, one in enumerate(found))
    return joined


def _checked(thresholds: Any) -> tuple[float, float] | None:
    if thresholds is None:
        return None
    pair = vector("thresholds", thresholds, dims=None)
    good = pair.shape == (2,) and np.all(np.isfinite(pair)) and pair[0] <= pair[1]
    require(good, "thresholds", "be a pair of rates (Hz), the lower first", thresholds)
    return float(pair[0]), float(pair[1])


def _of_one(
    run: xr.Dataset,
    method: str,
    thresholds: tuple[float, float] | None,
    gap: float | None,
    window: float | None,
    smoothing: float,
    start: float | None,
) -> xr.Dataset:
    signals = read(run, start, finest=FINEST)
    rate = states.activity(signals, smoothing)
    needed = method == "thresholds" or window is None
    rule = states.find_rule(rate, signals.step, thresholds, gap, needed=needed)
    if method == "thresholds":
        width, path = 1, states.by_thresholds(rate, signals.step, rule)
        values = _with_errors(path, signals.stochastic, _ratios)
    else:
        median = rule.gap / 1.5 if gap is None else 0.0
        require(window is not None or median > 0, "window", "be given where there are no intervals", window)
        width = max(1, round((median if window is None else window) / signals.step))
        path, model, maxima = states.by_hidden_markov(rate, width)

        def refit(part: np.ndarray) -> dict[str, np.ndarray]:
            leaving = np.diag(fit(part, start=model).transition[:, ::-1])
            return {"dwell": 1.0 / leaving, "fraction": leaving[::-1] / leaving.sum()}

        values = _with_errors(maxima, signals.stochastic, refit)
    step = width * signals.step
    visits = find_visits(path)
    warnings = _warnings(visits, rule, signals, method)
    lacking = [name for name, error in values.items() if name.endswith("_se") and not np.all(np.isfinite(error))]
    if lacking:
        warnings.append(f"NaN, because too few dwells were seen for a standard error: {', '.join(lacking)}")
    return _labelled(values, visits, rule, signals, step, run, method, smoothing, warnings)


def find_visits(path: np.ndarray) -> Visits:
    """List the stays in a state of paths of shape (realisation, step)."""
    rows = []
    for r, row in enumerate(path):
        edges = np.concatenate([[0], np.flatnonzero(np.diff(row)) + 1, [row.size]])
        for k, (a, b) in enumerate(itertools.pairwise(edges)):
            rows.append((r, row[a], a, b - a, k > 0, b < row.size))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 6).T
    realisation, state, begin, length, entered, left = columns
    return Visits(realisation, state, begin, length, entered.astype(bool), left.astype(bool))


def _ratios(path: np.ndarray) -> dict[str, np.ndarray]:
    """Mean dwell in steps and fraction of time per state: the time in it, over the exits seen."""
    time = np.array([np.sum(path == state) for state in (0, 1)], np.float64)
    leaves = (path[:, :-1] != path[:, 1:]) & np.isfinite(path[:, 1:])
    exits = np.array([np.sum(leaves & (path[:, :-1] == state)) for state in (0, 1)], np.float64)
    return {"dwell": np.where(exits > 0, time / np.maximum(exits, 1), np.nan), "fraction": time / time.sum()}


def _with_errors(
    rows: np.ndarray, stochastic: bool, statistic: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Statistics of all rows and, as `<name>_se`, delete-one jackknife errors over rows or blocks of the only row.

    A dwell that a block's edge cuts loses its exit; the value itself is that of the whole.
    """
    value = statistic(rows)
    value["switching_rate"] = 1.0 / value["dwell"]
    parts = rows
    if len(rows) == 1:
        count = min(BLOCKS, rows.shape[1] // 10)
        length = rows.shape[1] // max(count, 1)
        parts = rows[0, : count * length].reshape(count, length)
    errors = {f"{name}_se": np.full(2, np.nan if stochastic else 0.0) for name in value}
    if stochastic and len(parts) > 1:
        left_out = [statistic(np.delete(parts, r, axis=0)) for r in range(len(parts))]
        for one in left_out:
            one["switching_rate"] = 1.0 / one["dwell"]
        for name in value:
            spread = np.var([one[name] for one in left_out], axis=0)
            errors[f"{name}_se"] = np.sqrt((len(parts) - 1) * spread)
    return value | errors


def _warnings(visits: Visits, rule: states.Rule, signals: Signals, method: str) -> list[str]:
    found = []
    if rule.between > _UNCLEAR:
        found.append(
            f"no two clear kinds of peak: {rule.between:.0%} of them lie midway (a single kind has 17 to 21 %)"
        )
    for state, label in enumerate(_LABELS):
        if not np.any(visits.entered & visits.left & (visits.state == state)):
            found.append(f"no dwell in the state `{label}` was seen whole: its survival is not available (NaN)")
        if not np.any(visits.left & (visits.state == state)):
            found.append(f"no exit from the state `{label}` was seen: its dwell is not available")
    return found


def _survival(visits: Visits, step: float, state: int, grid: np.ndarray) -> np.ndarray:
    """Kaplan-Meier estimate of the probability that a dwell lasts longer than each duration."""
    from scipy import stats  # slow to import

    mine = visits.entered & (visits.state == state)
    whole, cut = (step * visits.length[mine & flag] for flag in (visits.left, ~visits.left))
    if not whole.size:
        return np.full(grid.shape, np.nan)
    curve = stats.ecdf(stats.CensoredData(uncensored=whole, right=cut)).sf
    return np.asarray(curve.evaluate(grid))


def _labelled(
    values: dict[str, np.ndarray],
    visits: Visits,
    rule: states.Rule,
    signals: Signals,
    step: float,
    run: xr.Dataset,
    method: str,
    smoothing: float,
    warnings: list[str],
) -> xr.Dataset:
    one, each = ("state",), ("visit",)
    longest = step * visits.length.max(initial=1)
    grid = np.linspace(0.0, longest, _GRID)
    scale = {"dwell": (step, "ms", "mean dwell time"), "fraction": (1.0, "1", "fraction of time")}
    scale["switching_rate"] = (1000.0 / step, "Hz", "rate of leaving the state")
    variables: dict[str, Any] = {}
    for name, (factor, unit, text) in scale.items():
        variables[name] = (one, factor * values[name], unit, text)
        variables[f"{name}_se"] = (one, factor * values[f"{name}_se"], unit, f"standard error: {text}")
    exits = np.array([np.sum(visits.left & (visits.state == state)) for state in (0, 1)])
    begin = signals.times[0] - signals.step + step * visits.begin
    variables |= {
        "exits": (one, exits, "1", "exits seen"),
        "survival": (
            ("state", "duration"),
            np.array([_survival(visits, step, state, grid) for state in (0, 1)]),
            "1",
            "probability that a dwell lasts longer",
        ),
        "visit_state": (each, visits.state, "1", "state of the visit (0 quiet, 1 bursting)"),
        "visit_realisation": (each, visits.realisation, "1", "realisation of the visit"),
        "visit_begin": (each, begin, "ms", "beginning of the visit"),
        "visit_duration": (each, step * visits.length, "ms", "duration of the visit as seen"),
        "visit_complete": (each, visits.entered & visits.left, "1", "whether the visit was seen whole"),
        "low": ((), np.array(rule.low), "Hz", "rate below which a burst ends"),
        "high": ((), np.array(rule.high), "Hz", "rate above which a burst begins"),
        "gap": ((), np.array(rule.gap), "ms", "longest interval between bursts of one run"),
        "between": ((), np.array(rule.between), "1", "share of peaks midway between the two kinds"),
        "n": ((), np.array(int(signals.size.sum())), "1", "number of neurons"),
    }
    attrs = {
        "kind": "metastability",
        "system": run.attrs["system"],
        "source": "finite-size chain" if run.attrs.get("kind") == "limit" else "network",
        "states": method,
        "smoothing": smoothing_used(smoothing, signals.step),
        "start": float(signals.times[0] - signals.step),
        "stop": float(signals.times[-1]),
        "status": "; ".join(warnings) or COMPLETED,
    }
    if method == "hidden_markov":
        attrs["window"] = step
    if not signals.stochastic:
        attrs["source"] = "deterministic limit"
    return labelled(variables, {"state": (_LABELS, "1", "state"), "duration": (grid, "ms", "duration")}, attrs)
