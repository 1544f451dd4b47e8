"""What `convergence` says of networks of several sizes: a Dataset of four statements, and their words.

The statistics are those of `power_laws`; this file gives them their labels and words.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.comparison.decisions import Differences, Label, labels_of, needed, p_beyond, p_within
from largen.comparison.power_laws import STEEPEST, bias_law, distance_law, noise_law, offset_at_infinity
from largen.numerics.distributions import t_ppf

SEEN = 0.05
"""p-value below which distances follow no single power, or bias is seen."""
NO_LINE = 0.01
"""p-value of the extrapolation below which what is left at infinite n is not judged."""
ROUNDING = 1e-12
"""Share of its scale below which a difference is none."""


def statements(study: xr.Dataset, order: float | None, level: float) -> dict[str, Any]:
    """The four statements as variables of a study; see `convergence`.

    Args:
        study: With dims `n` (two or more), `observable`, `component`, and each network's numbers: network_distance (n,
            realisation, observable) and network_bias (n, realisation, component), NaN where there are fewer networks,
            and scale and tolerance (n, component).
        order: Power with which the bias vanishes at leading order, or None.
        level: Level of the labels.
    """
    n = study["n"].values.astype(float)
    counts = study["realisations"].values
    distances = study["network_distance"].transpose("n", "realisation", "observable").values
    biases = study["network_bias"].transpose("n", "realisation", "component").values
    compared = np.asarray(np.isfinite(biases[:, 0]).all(axis=0))
    found = _of_distances(n, [one[:count] for one, count in zip(distances, counts, strict=True)])
    rows = _of_bias(
        n,
        [one[:count, compared] for one, count in zip(biases, counts, strict=True)],
        _Yardstick(study["scale"].values[0, compared], study["tolerance"].values[0, compared], order, level),
    )
    for key, column in rows.items():
        whole = np.full(len(compared), "" if column.dtype.kind == "U" else np.nan, column.dtype)
        whole[compared] = column
        found[key] = ("component", whole)
    return found


class _Yardstick(NamedTuple):
    """By what the components are judged.

    Attributes:
        scale: What a component's differences are measured in, shape (component,).
        share: Tolerated share of it, shape (component,).
        order: Power with which the bias vanishes at leading order, or None.
        level: Level of the labels.
    """

    scale: np.ndarray
    share: np.ndarray
    order: float | None
    level: float


def _of_distances(n: np.ndarray, distances: Sequence[np.ndarray]) -> dict[str, Any]:
    """Distances of single networks and their power law, by observable."""
    distances = [np.where(one < ROUNDING, 0.0, one) for one in distances]
    laws = [distance_law(n, [one[:, k] for one in distances]) for k in range(distances[0].shape[1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(one) for one in distances]
        centre = np.array([one.mean(0) for one in logs])
        half = np.array([t_ppf(0.975, len(one) - 1) * one.std(0, ddof=1) / np.sqrt(len(one)) for one in logs])
    return {
        "distance": (("n", "observable"), np.exp(centre)),
        "distance_low": (("n", "observable"), np.exp(centre - half)),
        "distance_high": (("n", "observable"), np.exp(centre + half)),
        "distance_exponent": ("observable", [law.exponent for law in laws]),
        "distance_exponent_low": ("observable", [law.low for law in laws]),
        "distance_exponent_high": ("observable", [law.high for law in laws]),
        "distance_lack_of_fit": ("observable", [law.lack_of_fit for law in laws]),
        "distance_exponent_between": (("observable", "step"), np.array([law.between for law in laws])),
    }


def _of_bias(n: np.ndarray, biases: Sequence[np.ndarray], by: _Yardstick) -> dict[str, np.ndarray]:
    """Noise, bias and what is left at infinite n, by component."""
    count = np.array([len(one) for one in biases], float)
    mean = np.array([one.mean(0) for one in biases])
    variance = np.array([one.var(0, ddof=1) for one in biases])
    variance[variance < (ROUNDING * by.scale) ** 2] = 0.0
    columns: dict[str, list[float]] = {}
    for k in range(len(by.scale)):
        noise = noise_law(n, variance[:, k], count - 1)
        error = np.sqrt(noise.variance / count)
        bias = bias_law(n, mean[:, k], error, noise.dof)
        row = {f"noise_{key}": value for key, value in _exponent(noise).items()}
        row |= {"noise_lack_of_fit": noise.lack_of_fit}
        row |= {f"bias_{key}": value for key, value in _exponent(bias).items()}
        row |= {"bias_p_value": bias.p_value, "bias_bound": bias.bound}
        if by.order is not None:
            row |= _left(n, mean[:, k], error, noise.dof, by.order)
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    found = {key: np.array(column) for key, column in columns.items()}
    if by.order is not None:
        found |= _labelled(found, by, int(count.sum()))
    return found | {"offset_scale": by.scale, "offset_tolerance": by.share}


def _exponent(law: Any) -> dict[str, float]:
    return {"exponent": law.exponent, "exponent_low": law.low, "exponent_high": law.high}


def _left(n: np.ndarray, mean: np.ndarray, error: np.ndarray, dof: float, order: float) -> dict[str, float]:
    """What is left at infinite n, with its 95 % interval."""
    left = offset_at_infinity(n, mean, error, dof, order)
    half = float(t_ppf(0.975, dof)) * left.standard_error if dof >= 1 else np.nan
    return {
        "offset": left.value,
        "offset_standard_error": left.standard_error,
        "offset_dof": dof,
        "offset_low": left.value - half,
        "offset_high": left.value + half,
        "offset_lack_of_fit": left.lack_of_fit,
    }


def _labelled(found: dict[str, np.ndarray], by: _Yardstick, realisations: int) -> dict[str, np.ndarray]:
    """p-values and labels of what is left at infinite n; undecided where the extrapolation does not fit.

    `offset_needed`: how many times as many realisations would decide it with probability 0.8, if it is as estimated.
    """
    error = found["offset_standard_error"]
    left = Differences(found["offset"], error, np.where(np.isnan(error), 1.0, found["offset_dof"]))
    tolerance = by.share * by.scale
    within, beyond = p_within(left, tolerance), p_beyond(left, tolerance)
    labels = labels_of(within, beyond, by.level)
    misfit = found["offset_lack_of_fit"] < NO_LINE
    words = [str(Label.UNDECIDED if off else label) for label, off in zip(labels, misfit, strict=True)]
    plan = needed(left, tolerance, labels, by.level, realisations).count / realisations
    return {
        "offset_needed": np.where(misfit, np.nan, plan),
        "offset_p_within": within,
        "offset_p_beyond": beyond,
        "offset_label": np.array(words),
    }


# Words -----------------------------------------------------------------------------------------------------------


def verdict_of(study: xr.Dataset, observable: str) -> str:
    """The gravest label of what is left of one observable at infinite n."""
    found = _labels(study, observable)
    return next((str(label) for label in (Label.BEYOND, Label.UNDECIDED, Label.WITHIN) if label in found), "undecided")


def headline_of(study: xr.Dataset, observable: str) -> str:
    """What is left of one observable at infinite n, in one line."""
    found = _labels(study, observable)
    if not found:
        return f"UNDECIDED at infinite n: the {study.attrs['system']} system has no `bias_order` to extrapolate with."
    words = ((Label.WITHIN, "within tolerance"), (Label.BEYOND, "beyond"), (Label.UNDECIDED, "undecided"))
    parts = [f"{found.count(label)} of {len(found)} {word}" for label, word in words if label in found]
    return f"{verdict_of(study, observable).upper()} at infinite n: {observable}, {', '.join(parts)}."


def _labels(study: xr.Dataset, observable: str) -> list[str]:
    return components_of(study, observable)["offset_label"].values.tolist() if "offset_label" in study else []


def sentences(study: xr.Dataset, observable: str) -> list[str]:
    """The four statements on one observable in words, a line for each component."""
    one, rows = study.sel(observable=observable), components_of(study, observable)
    width = max(len(name) for name in (*rows["component"].values.tolist(), observable))
    lines = ["a single network's distance from the limit ~ n^-a", f"  {observable:{width}s}  {_distance(one)}"]
    order = study.attrs.get("bias_order", "none")
    last = "what is left at infinite n: not asked, the system has no `bias_order`"
    blocks = [
        ("the mean of networks minus the limit ~ n^-b", _bias),
        (last if order == "none" else f"what is left at infinite n, extrapolated with n^-{_short(order)}", _offset),
        ("noise: s.d. of one network about the mean of networks ~ n^-a'", _noise),
    ]
    for head, words in blocks:
        lines.append(head)
        if head != last:
            for k, name in enumerate(rows["component"].values.tolist()):
                lines.append(f"  {name:{width}s}  {words(rows.isel(component=k))}")
    return lines


def components_of(study: xr.Dataset, observable: str) -> xr.Dataset:
    """The rows of one observable to which the statements belong."""
    mine = (study["observable_of"].values == observable) & study["offset_scale"].notnull().values
    return study.isel(component=np.flatnonzero(mine))


def _distance(one: xr.Dataset) -> str:
    value, low, high, p = (
        one[f"distance_{key}"].item() for key in ("exponent", "exponent_low", "exponent_high", "lack_of_fit")
    )
    if np.isnan(value):
        return "not known: a network has no distance from the limit"
    if p < SEEN:
        between = ", ".join(f"{a:.2f}" for a in one["distance_exponent_between"].values)
        return f"no single power (p = {p:.1g}); between neighbouring sizes {between}"
    check = "two sizes: no check of the power law" if np.isnan(p) else f"lack of fit p = {p:.2g}"
    return f"a = {value:.3f} [{low:.3f}, {high:.3f}], {check}"


def _bias(row: xr.Dataset) -> str:
    value, low, high, p = (
        row[f"bias_{key}"].item() for key in ("exponent", "exponent_low", "exponent_high", "p_value")
    )
    if np.isnan(value):
        return _UNKNOWN
    if p > SEEN:
        return f"not resolved: below {_percent(row, 'bias_bound')}{_bounds('; b', low, high)}"
    open_end = low == 0.0 or high == STEEPEST
    return f"b{_bounds('', low, high)}".strip() if open_end else f"b = {value:.2f} [{low:.2f}, {high:.2f}]"


def _bounds(before: str, low: float, high: float) -> str:
    """An interval of the exponent; an end of what is looked for is no bound."""
    if low == 0.0 and high == STEEPEST:
        return "" if before else " between 0 and 3"
    if low == 0.0:
        return f"{before} <= {high:.2f}"
    return f"{before} >= {low:.2f}" if high == STEEPEST else f"{before} in [{low:.2f}, {high:.2f}]"


_UNKNOWN = "not known: too few realisations, or they do not differ"


def _offset(row: xr.Dataset) -> str:
    if np.isnan(row["offset_standard_error"].item()):
        return _UNKNOWN
    low, high = (_percent(row, f"offset_{end}", sign=True, unit=False) for end in ("low", "high"))
    p = row["offset_lack_of_fit"].item()
    misfit = f", does not fit (p = {p:.1g})" if p < NO_LINE else ""
    value, tolerance = _percent(row, "offset", sign=True), f"{100 * row['offset_tolerance'].item():.3g} %"
    more = row["offset_needed"].item()
    plan = f" (about {more:.2g} times the realisations)" if np.isfinite(more) else ""
    return f"{value} [{low}, {high}]{misfit}, tolerance {tolerance}: {row['offset_label'].item()}{plan}"


def _noise(row: xr.Dataset) -> str:
    value, low, high, p = (
        row[f"noise_{key}"].item() for key in ("exponent", "exponent_low", "exponent_high", "lack_of_fit")
    )
    if np.isnan(value):
        return _UNKNOWN
    misfit = f", no single power (p = {p:.1g})" if p < SEEN else ""
    return f"a' = {value:.3f} [{low:.3f}, {high:.3f}]{misfit}"


def _percent(row: xr.Dataset, key: str, *, sign: bool = False, unit: bool = True) -> str:
    """A value in percent of its component's scale."""
    share = 100 * row[key].item() / row["offset_scale"].item()
    if sign:
        text = f"{share:+.2f}" if abs(share) < 10 else f"{share:+.1f}"
    else:
        text = f"{share:.2g}"
    return f"{text} %" if unit else text


def _short(order: float) -> str:
    return {0.5: "1/2", 1.0: "1"}.get(order, f"{order:g}")
