"""compare(): the distance between a network and its limit, with an error bar and a tolerance."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import SAMPLES, InputError, dataset, flag, neurons_of, real, require
from largen.comparison.alignment import aligned, not_recorded
from largen.comparison.assumptions import assumptions
from largen.comparison.decisions import (
    Cause,
    Label,
    causes_of,
    detectable,
    headline_of,
    interval,
    labels_of,
    needed,
)
from largen.comparison.rows import Measured, Rows, Yardsticks, measure, rows_of, scales_of, yardsticks
from largen.comparison.samples import Sample, Side, features, network_side, time_mean
from largen.comparison.sizes import of_unequal_samples, require_sizes, with_choice
from largen.comparison.words import headline
from largen.datasets import versions
from largen.system.values import COMPLETED


def compare(
    network: xr.Dataset,
    limit: xr.Dataset,
    *,
    finite: xr.Dataset | None = None,
    level: float = 0.05,
    tolerance: float | Mapping[str, float] | None = None,
    scale: Mapping[str, float] | None = None,
    strict: bool = True,
) -> xr.Dataset:
    """Measure the distance between a network and its limit, and say whether it is within a tolerance.

    Compared are the time mean of every observable that both have, the statistics of rhythm of a spiking system
    (synchrony, events, power, orbit area; dwells in two states where both sides switch), the power of a ring or sheet
    by wave number where both sides have several realisations, and the course of every observable in time. Each
    realisation gives one number, whose scatter is the error; a theory that is itself sampled brings its own error in
    (Welch; of power by wave number one variance for both sides). From one realisation the error is that of the system's
    own theory of fluctuations where it has one, else that of groups of whole cycles, or of blocks of time, left out in
    turn.

    A row is *within tolerance* or *beyond tolerance* where the data show it, else *undecided*: two one-sided tests
    against the tolerance, with Hochberg's and Holm's corrections over all rows. A difference beyond the tolerance is a
    *finite-size effect* where the theory at the network's size is shown to be within tolerance and explains half to one
    and a half of it; *theory differs* says that this theory is itself beyond tolerance. At most a share `level` of
    tables carries a false label, and at most that share a false cause.

    Args:
        network: What `simulate` or `recording` returned.
        limit: What `solve_limit` returned, at the same times; or another network, to compare the two.
        finite: The limit equations at the network's n, `solve_limit(..., n=N)`. A `limit` whose n is the
            network's serves for both.
        level: Chance of a false label in the table.
        tolerance: Share of a row's scale that is tolerated: one number for all rows (twice it for courses in time; that
            of orbit_area stays), or shares by observable or statistic. By default 5 % of means and rates, 10 % of
            variances, covariances, synchrony and event sizes.
        scale: Natural size of a difference by observable or statistic, where the theory's own is not wanted or is 0.
        strict: Refuse Datasets of different parameters; otherwise compare them all the same.

    Returns:
        Dataset with the dim `component`, one row each: network, theory, difference, standard_error, dof, ci_low,
        ci_high (95 %), scale, tolerance (share of the scale), p_within, p_beyond, label, cause, detectable (smallest
        true difference that would have been called beyond with probability 0.8), needed (realisations in all that
        would decide the row with that probability), needed_is_bound; and, against the theory at the network's
        size, finite_theory, finite_difference, finite_standard_error, finite_dof, finite_ci_low, finite_ci_high,
        finite_p_within, finite_p_beyond, finite_share. `attrs`: verdict, headline, level, realisations,
        theory_realisations, method, assumptions, not_compared, smallest_p; `limit_flags` where the limit warns of
        itself.

    A selection is compared by its labels: populations, lags and realisations in any order.

    Raises:
        InputError: Different systems, parameters, times, labels or sizes; nothing in common; a network without
            realisations; a theory that is 0 where the network is not, without a `scale`.
    Source: Schuirmann 1987 (two one-sided tests); Holm 1979; Hochberg 1988; Welch 1947.
    """
    strict = flag("strict", strict)
    level = real("level", level, above=0.0)
    require(level < 1, "level", "be below 1", level)
    sticks = yardsticks(tolerance, scale)
    network = _with_realisations(network, "network")
    is_network = isinstance(limit, xr.Dataset) and limit.attrs.get("kind") in SAMPLES
    if is_network:
        limit = _with_realisations(limit, "limit")
        require(finite is None, "finite", "not be given where two networks are compared", "a Dataset")
    limit = _checked_pair(network, limit, "limit", strict)
    own_size = require_sizes(network, limit) if not is_network else False
    if finite is not None:
        finite = _checked_pair(network, finite, "finite", strict)
        if float(finite.attrs["n"]) != float(network.attrs["n"]):
            raise InputError(
                f"Argument `finite` was solved at n = {finite.attrs['n']:g}, but the network has "
                f"n = {network.attrs['n']:g}: use solve_limit(model, times, n={network.attrs['n']:g})."
            )
    return _Comparison(network, limit, finite, level, sticks, is_network, own_size).report()


def _with_realisations(network: xr.Dataset, name: str) -> xr.Dataset:
    """The network, checked, with its dims in their usual order; where one realisation was selected its dim is back."""
    dataset(name, network, kinds=("network",), dims=("time",), attrs=("system", "n"))
    neurons_of(name, network)
    if "lag" in network.indexes:
        network = network.sortby("lag")
    run = str(network.attrs.get("populations", "")).split(", ")  # so that sums over populations round the same
    for dim in ("population", "source"):
        labels = network[dim].values.tolist() if dim in network.indexes else []
        if len(set(labels)) == len(labels) and set(labels) <= set(run):
            network = network.sel({dim: [label for label in run if label in labels]}) if labels else network
    timed = {key: network[key] for key in network.data_vars if "time" in network[key].dims}
    if "realisation" not in network.dims and "realisation" in network.coords:
        timed = {key: variable.expand_dims("realisation") for key, variable in timed.items()}
    usual = ("realisation", "population", "source", ...)
    network = network.assign(
        {key: variable.transpose(*usual, missing_dims="ignore") for key, variable in timed.items()}
    )
    return dataset(name, network, dims=("realisation",), remedy="Select it with isel(realisation=[0]).")


def _checked_pair(network: xr.Dataset, theory: xr.Dataset, name: str, strict: bool) -> xr.Dataset:
    """The theory with the network's labels, if it is one of this network."""
    dataset(name, theory, kinds=("limit", "network"), dims=("time",), attrs=("system", "n"))
    neurons_of(name, theory)
    for key, what in (("system", "systems"), ("parameters", "parameters")):
        known = all(key in part.attrs for part in (network, theory))  # a recording has no parameters
        if known and network.attrs[key] != theory.attrs[key] and (strict or key == "system"):
            detail = _first_difference(network, theory) if key == "parameters" else ""
            remedy = " Compare all the same with strict=False." if key == "parameters" else ""
            raise InputError(f"The network and `{name}` must be of the same {what}, but differ{detail}.{remedy}")
    return aligned(network, theory, name)


def _first_difference(a: xr.Dataset, b: xr.Dataset) -> str:
    try:
        one, two = dict(json.loads(a.attrs["parameters"])), dict(json.loads(b.attrs["parameters"]))
    except (TypeError, ValueError):  # made by hand
        return ""
    for key in one:
        if one[key] != two.get(key):
            return f" in `{key}`: {one[key]} and {two.get(key)}"
    return ""


def shared(network: xr.Dataset, limit: xr.Dataset) -> list[str]:
    """Observables with a time axis that both have, in the network's order; those of single neurons and patches not."""
    names = [
        str(name)
        for name, variable in network.data_vars.items()
        if name in limit
        and {"time", "realisation"} <= set(variable.dims)
        and not {"neuron", "patch"} & set(variable.dims)
    ]
    if not names:
        ours, theirs = (", ".join(map(str, part.data_vars)) or "none" for part in (network, limit))
        raise InputError(f"The network and the limit have no observable in common: {ours} and {theirs}.")
    return names


def after_layer(network: xr.Dataset, limit: xr.Dataset) -> np.ndarray:
    """Times that count: those after the boundary layer, whose length is attrs["layer"]/sqrt(n)."""
    times = limit["time"].values
    layer = float(limit.attrs.get("layer", 0.0))
    if layer == 0.0 or np.isfinite(float(limit.attrs["n"])):
        return np.ones(len(times), bool)
    width = layer / np.sqrt(float(network.attrs["n"]))
    inside = times >= float(limit.attrs.get("start_time", times[0])) + width
    if inside.sum() < 2:
        ended = limit.attrs.get("status", COMPLETED) != COMPLETED
        enough = (layer / (times[-2] - times[0])) ** 2 if len(times) > 2 else np.inf
        remedy = (
            (f"the limit ends before that, so take n above {enough:.3g}" if np.isfinite(enough) else "take a larger n")
            if ended
            else f"give times beyond {times[0] + width:.3g}, or a larger n"
        )
        raise InputError(
            f"At n = {network.attrs['n']:g} the network reaches the limit only {width:.3g} after its start: {remedy}."
        )
    return inside


class _Comparison(NamedTuple):
    """What is compared, checked and with the same labels."""

    network: xr.Dataset
    limit: xr.Dataset
    finite: xr.Dataset | None
    level: float
    sticks: Yardsticks
    is_network: bool
    own_size: bool

    def report(self) -> xr.Dataset:
        """Measure all rows, decide, and put it into words."""
        names = shared(self.network, self.limit)
        counted = after_layer(self.network, self.limit)
        length = self.limit.sizes["time"]
        ours_side = network_side(_first(self.network, length), names, counted)
        theirs_side = self._theory_side(self.limit, names, counted, ours_side)
        ours, why = _samples(ours_side, names)
        theirs, too = _samples(theirs_side, names)
        ours, theirs = with_choice(self.network, ours), with_choice(self.limit, theirs)
        ours, theirs, unequal = of_unequal_samples(self.network, self.limit, ours, theirs)
        too |= unequal
        other = "second network" if self.is_network else "limit"
        rows = rows_of(ours_side, theirs_side, ours, theirs, self.sticks, other)
        main = measure(rows, ours, theirs)
        finite = self._against_finite(rows, names, counted, ours_side, ours)
        report = _dataset(self, rows, main, finite, ours_side, theirs_side)
        assumed, against = assumptions(ours_side.dataset.sizes["realisation"], _runs(rows, ours))
        report.attrs |= {
            "other": other,
            "from_time": float(self.limit["time"].values[counted][0]),
            "not_compared": "; ".join(
                filter(None, (not_recorded(self.network, self.limit), _not_compared(rows, too | why)))
            ),
            "clause": rows.clause,
            "assumptions": f"{assumed}, but {against}" if against else assumed,
            "unusual": against,
        }
        if said := self.limit.attrs.get("flags"):
            report.attrs["limit_flags"] = said
        report.attrs["headline"] = headline(report)
        return report

    def _theory_side(self, theory: xr.Dataset, names: list[str], counted: np.ndarray, ours: Side) -> Side:
        """The theory over the times that count: those of the network's cycles where that is one realisation."""
        length = theory.sizes["time"]
        counted = counted[:length] if length <= counted.size else np.pad(counted, (0, length - counted.size))
        if "realisation" in theory.dims:
            return network_side(theory, names, counted)
        if ours.parts is not None:
            used = np.flatnonzero(ours.parts.any(0))
            counted = counted & (np.arange(length) >= used[0]) & (np.arange(length) <= used[-1])
        return Side(theory, counted)

    def _against_finite(
        self, rows: Rows, names: list[str], counted: np.ndarray, ours_side: Side, ours: Mapping[str, Sample]
    ) -> Measured | None:
        """The network against the theory of its size, on the larger of the scales of the limit and of this theory."""
        if self.finite is None:
            return None
        missing = [name for name in names if name not in self.finite]
        require(not missing, "finite", "have the limit's observables", missing)
        side = self._theory_side(_first(self.finite, self.limit.sizes["time"]), names, counted, ours_side)
        theirs, _ = _samples(side, names)
        own = {name: found for name, (found, _) in scales_of(side, names, theirs).items()}
        own |= {name: one.feature.scale for name, one in theirs.items() if one.feature is not None}
        fixed = self.sticks.scales
        scales = {
            name: found if name in fixed or name not in own else np.fmax(found, own[name])
            for name, found in rows.entry_scales.items()
        }
        return measure(rows, ours, theirs, scales)


def _first(part: xr.Dataset, length: int) -> xr.Dataset:
    """The first times only: a limit that is lost on the way ends earlier."""
    cut = {dim: slice(0, length) for dim in ("time", "time_") if part.sizes.get(dim, 0) > length}
    return part.isel(cut) if cut else part


def _samples(side: Side, names: list[str]) -> tuple[dict[str, Sample], dict[str, str]]:
    found, why = features(side)
    return {name: time_mean(side, name) for name in names} | found, why


def _runs(rows: Rows, ours: Mapping[str, Sample]) -> dict[str, np.ndarray]:
    """Run values of every row that is no course, by its name."""
    chosen = [k for k in range(len(rows.names)) if not rows.course[k]]
    return {rows.names[k]: ours[rows.quantities[k]].runs[:, rows.entries[k]] for k in chosen}


def _not_compared(rows: Rows, why: Mapping[str, str]) -> str:
    """What is left out and why, by reason; a quantity of which nothing is left stands for its entries.

    Args:
        rows: The rows, with what they leave out.
        why: Reasons of the systems, by name.
    """
    reasons: dict[str, dict[str, None]] = {}
    for name, reason in rows.left_out.items():
        stem = name.partition("[")[0]
        reasons.setdefault(reason, {})[name if stem in rows.quantities else stem] = None
    parts = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
    return "; ".join(parts + [f"{name} ({reason})" for name, reason in why.items()])


def _dataset(
    what: _Comparison, rows: Rows, main: Measured, finite: Measured | None, ours: Side, theirs: Side
) -> xr.Dataset:
    """All numbers, labels and causes as a labelled Dataset."""
    m, level = len(rows.names), what.level
    realisations = what.network.sizes["realisation"]
    labels = labels_of(main.within, main.beyond, level)
    share = _share(rows, main, finite)
    if finite is not None:
        causes = causes_of(labels, finite.within, finite.beyond, share, level)
    else:
        beyond = Cause.NONE if what.is_network else Cause.THEORY if what.own_size else Cause.NOT_SEPARATED
        causes = [beyond if label is Label.BEYOND else Cause.NONE for label in labels]
    plan = needed(main.differences, main.tolerance, labels, level, realisations)
    count = plan.count
    if ours.lengthening > 1:
        count = np.where([label is Label.UNDECIDED for label in labels], np.ceil(ours.lengthening), np.nan)
    columns: dict[str, Any] = {"network": main.network, "theory": main.theory}
    columns |= _numbers(main, "")
    columns |= {
        "scale": main.tolerance / rows.share,
        "tolerance": rows.share,
        "label": np.array([label.value for label in labels]),
        "cause": np.array([cause.value for cause in causes]),
        "detectable": detectable(main.differences.error, main.differences.dof, main.tolerance, level, max(m, 1)),
        "needed": count,
        "needed_is_bound": plan.at_least,
    }
    if finite is not None:
        columns |= {"finite_theory": finite.theory, **_numbers(finite, "finite_"), "finite_share": share}
    variables = {name: ("component", column, {"long_name": _NOTES[name]}) for name, column in columns.items()}
    coords = {
        "component": rows.names,
        "observable_of": ("component", rows.quantities),
        "unit": ("component", rows.units),
        "scale_words": ("component", rows.words),
    }
    attrs = {
        "kind": "comparison",
        "system": what.network.attrs["system"],
        "parameters": what.network.attrs.get("parameters", ""),
        "n": what.network.attrs["n"],
        "limit_n": what.limit.attrs["n"],
        "realisations": realisations,
        "theory_realisations": _sampled(theirs, what.finite),
        "theory_at_network_size": "yes" if finite is not None or what.own_size else "no",
        "level": level,
        "method": _method(ours, theirs, what.finite),
        "verdict": headline_of(labels, causes, complete=not rows.clause),
        "smallest_p": float(min(main.within.min(initial=1.0), main.beyond.min(initial=1.0))),
        "versions": versions(),
    }
    return xr.Dataset(variables, coords, attrs)


def _share(rows: Rows, main: Measured, finite: Measured | None) -> np.ndarray:
    """Share of each difference from the limit that the theory of n neurons explains; NaN for a course in time."""
    if finite is None:
        return np.full(len(rows.names), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (finite.theory - main.theory) / (main.network - main.theory)
    return np.where(rows.course, np.nan, share)


def _numbers(measured: Measured, prefix: str) -> dict[str, np.ndarray]:
    low, high = interval(measured.differences)
    return {
        f"{prefix}difference": measured.differences.value,
        f"{prefix}standard_error": measured.differences.error,
        f"{prefix}dof": measured.differences.dof,
        f"{prefix}ci_low": low,
        f"{prefix}ci_high": high,
        f"{prefix}p_within": measured.within,
        f"{prefix}p_beyond": measured.beyond,
    }


def _sampled(theirs: Side, finite: xr.Dataset | None) -> int:
    """Realisations of the limit or of the theory at the network's size; 0 where both are deterministic."""
    sizes = [part.sizes.get("realisation", 0) for part in (theirs.dataset, finite) if part is not None]
    return max(sizes)


def _method(ours: Side, theirs: Side, finite: xr.Dataset | None) -> str:
    """Where the errors come from."""
    count = ours.dataset.sizes["realisation"]
    runs = _sampled(theirs, finite)
    both = f" + {runs}" if runs else ""
    if count > 1:
        return f"{count}{both} realisations, errors from their scatter"
    if ours.law:
        return f"one realisation, errors from the {ours.dataset.attrs['system']} system's theory of fluctuations"
    if ours.parts is not None:
        return f"one realisation, errors from {len(ours.parts)} groups of its times, each left out in turn"
    return "one realisation, too short for an error"


_NOTES = {
    "network": "value in the network",
    "theory": "value in the limit",
    "difference": "network minus limit",
    "standard_error": "standard error of the difference",
    "dof": "degrees of freedom of the standard error",
    "ci_low": "lower end of the 95 % interval of the difference",
    "ci_high": "upper end of the 95 % interval of the difference",
    "scale": "natural size of a difference",
    "tolerance": "tolerated share of the scale",
    "p_within": "p-value of: the true difference is at least the tolerance",
    "p_beyond": "p-value of: the true difference is at most the tolerance",
    "label": "label against the limit",
    "cause": "what is said of the theory at the network's n",
    "detectable": "smallest true difference that would have been called beyond with probability 0.8",
    "needed": "realisations in all (of one realisation: times as long) that would decide with probability 0.8",
    "needed_is_bound": "whether `needed` is a lower bound",
    "finite_share": "share of the difference that the theory at the network's n explains",
    "finite_theory": "value in the theory at the network's n",
}
_NOTES |= {
    f"finite_{name}": f"{_NOTES[name].replace('limit', 'theory')} (theory at the network's n)"
    for name in ("difference", "standard_error", "dof", "ci_low", "ci_high", "p_within", "p_beyond")
}
