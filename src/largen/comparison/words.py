"""What a comparison says in words: its headline, its rows and its assumptions."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from largen.comparison.decisions import Cause, Label
from largen.comparison.rows import COURSE


def percent(share: float, digits: int = 1) -> str:
    """A signed share in per cent, such as `-7.5 %`."""
    return f"{100 * share:+.{digits}f} %".replace("-0.0 %", "+0.0 %")


def plain_percent(share: float) -> str:
    """A share in per cent without a sign, with as few digits as it needs: `5 %`, `7.5 %`."""
    return f"{100 * share:.3g} %"


def headline(report: xr.Dataset) -> str:
    """The sentence of a comparison: the row that the verdict is about, how many rows say what, what has no counterpart.

    Args:
        report: A comparison with its labels, causes and verdict.
    """
    labels, causes = report["label"].values.tolist(), report["cause"].values.tolist()
    verdict = report.attrs["verdict"]
    counts = _counts(labels)
    clause = f"; {report.attrs['clause']}" if report.attrs["clause"] else ""
    if not labels:
        return f"the network and the {_other(report)} are both 0 throughout."
    if verdict == Label.WITHIN:
        count, n = report.attrs["realisations"], report.attrs["n"]
        networks = f"{count} networks" if count > 1 else "the network"
        row = _largest(report, [True] * len(labels), "")
        nearest = f"{row['component'].item()} {percent(float(row['difference'] / row['scale']))}"
        tolerance = plain_percent(float(row["tolerance"]))
        said = f"the {_other(report)} holds for {networks} of {n:g} neurons in all {len(labels)} comparisons"
        if _other(report) != "limit":
            said = f"{networks} of {n:g} neurons and the {_other(report)} do not differ by more than the tolerance"
        return f"{said}; nearest to its tolerance is {nearest} (tolerance {tolerance})."
    if verdict == Label.UNDECIDED:
        return f"{counts}{clause}."
    return f"{_found(report, labels, causes, verdict)}; {counts}{clause}."


def _other(report: xr.Dataset) -> str:
    return str(report.attrs["other"])


def _counts(labels: list[str]) -> str:
    within, undecided, beyond = (labels.count(one) for one in (Label.WITHIN, Label.UNDECIDED, Label.BEYOND))
    return f"{within} of {len(labels)} within tolerance, {undecided or 'none'} undecided, {beyond or 'none'} beyond"


def _found(report: xr.Dataset, labels: list[str], causes: list[str], verdict: str) -> str:
    """The row that the verdict is about, in words."""
    n = f"the theory of {report.attrs['n']:g} neurons"
    if verdict == Cause.THEORY:
        prefix = "finite_" if "finite_difference" in report else ""
        row = _largest(report, [cause == Cause.THEORY for cause in causes], prefix)
        return difference_in_words(row, n if prefix else f"the {_other(report)}", prefix)
    cause_meant = next((cause for cause in (Cause.UNDECIDED, Cause.FINITE_SIZE) if cause in verdict), None)
    chosen = [
        label == Label.BEYOND and (cause_meant is None or cause == cause_meant)
        for label, cause in zip(labels, causes, strict=True)
    ]
    row = _largest(report, chosen, "")
    text = difference_in_words(row, f"the {_other(report)}", "")
    if verdict == Cause.FINITE_SIZE:
        predicted = float((row["finite_theory"] - row["theory"]) / row["scale"])
        return f"{text}: a finite-size effect, {n} predicts {percent(predicted)}"
    if Cause.UNDECIDED in verdict:
        return f"{text}, and it is open whether {n} explains it"
    if Cause.NOT_SEPARATED in verdict:
        return f"{text}; there is no theory of {report.attrs['n']:g} neurons that could explain it"
    return text


def _largest(report: xr.Dataset, chosen: list[bool], prefix: str) -> xr.Dataset:
    """Of the chosen rows the one whose difference is the largest in tolerances."""
    part = report.isel(component=np.flatnonzero(chosen))
    size = np.abs(part[f"{prefix}difference"].values) / (part["tolerance"] * part["scale"]).values
    return part.isel(component=int(np.argmax(size)))


def difference_in_words(row: xr.Dataset, other: str, prefix: str = "") -> str:
    """One row in words, such as "event_rate is 8.3 % lower in the network than in the limit (tolerance 5 %)"."""
    share = float(row[f"{prefix}difference"] / row["scale"])
    name, words = str(row["component"].item()), str(row["scale_words"].item())
    tolerance = f"(tolerance {plain_percent(float(row['tolerance']))})"
    if name.endswith(COURSE):
        return f"{name.removesuffix(COURSE)} runs {percent(share)} off its course in {other} {tolerance}"
    where = "lower" if share < 0 else "higher"
    of = f" of {words}" if words else ""
    return f"{name} is {abs(100 * share):.1f} %{of} {where} in the network than in {other} {tolerance}"


def next_step(report: xr.Dataset, most: float = 16.0) -> tuple[int, str] | None:
    """How many networks in all would decide an open row, and the row; None where nothing is open or could be said.

    The largest number that is at most `most` times as many as there are, else the smallest of all.
    """
    needed = report["needed"].values
    open_rows = [k for k in np.argsort(needed).tolist() if np.isfinite(needed[k])]
    if not open_rows:
        return None
    affordable = [k for k in open_rows if needed[k] <= most * report.attrs["realisations"]] or open_rows[:1]
    decided = [str(report["component"].values[k]) for k in affordable]
    names = decided[-1] if len(decided) == 1 else f"{decided[-1]} and {len(decided) - 1} more"
    return int(needed[affordable[-1]]), names


def in_order(report: xr.Dataset) -> list[int]:
    """Rows that are not within tolerance, the gravest first."""
    rank: dict[Any, int] = {Label.BEYOND.value: 0, Label.UNDECIDED.value: 1}
    labels, causes = report["label"].values.tolist(), report["cause"].values.tolist()
    size = np.abs(report["difference"].values) / (report["tolerance"] * report["scale"]).values
    chosen = [k for k, (label, cause) in enumerate(zip(labels, causes, strict=True)) if label in rank or cause]
    return sorted(chosen, key=lambda k: (causes[k] != Cause.THEORY, rank.get(labels[k], 2), -size[k]))


def rows_of(report: xr.Dataset, chosen: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Rows of a comparison as plain values, coordinates included."""
    for k in chosen:
        row = report.isel(component=k)
        yield {str(key): value.values.item() for key, value in row.variables.items() if value.ndim == 0}


def interval_in_words(row: Mapping[str, Any]) -> str:
    """The 95 % interval of a row in per cent of its scale, such as `[-9.2, -5.8]`."""
    if not math.isfinite(row["ci_low"]):
        return "not known"
    low, high = (f"{100 * row[key] / row['scale']:+.1f}" for key in ("ci_low", "ci_high"))
    return f"[{low}, {high}]"


def what_is_said(row: Mapping[str, Any], realisations: int) -> str:
    """What is said of a row: its label and cause, or how many networks would decide it."""
    if row["cause"]:
        return row["cause"] if row["label"] != Label.WITHIN else f"within; {row['cause']}"
    if row["label"] != Label.UNDECIDED or not math.isfinite(row["needed"]):
        return row["label"]
    word = "at least" if row["needed_is_bound"] else "about"
    unit = "times as long" if realisations == 1 else "networks in all"
    return f"undecided: {word} {row['needed']:.0f} {unit}"


def lines(report: xr.Dataset) -> list[str]:
    """A comparison in a few lines: its headline, and the rows that are not within their tolerance."""
    found = [f"{report.attrs['verdict'].upper()}: {report.attrs['headline']}"]
    for row in rows_of(report, in_order(report)):
        share = f"{percent(row['difference'] / row['scale'])} {interval_in_words(row)}"
        said = what_is_said(row, report.attrs["realisations"])
        found.append(f"{row['component']}: {share}, tolerance {plain_percent(row['tolerance'])}: {said}")
    if said := report.attrs.get("limit_flags"):
        found.append(f"The {_other(report)} warns of itself: {said}.")
    return found
