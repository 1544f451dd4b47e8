"""Tables for people: at most 100 columns wide, units beside numbers, errors as `0.123 ± 0.004`."""

import math
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console
from rich.table import Table

from largen.comparison.decisions import Label
from largen.comparison.words import (
    in_order,
    interval_in_words,
    next_step,
    percent,
    plain_percent,
    rows_of,
    what_is_said,
)
from largen.datasets import describe
from largen.parameters import AbstractComponent, ParameterInfo, entries, indexed_name, parameters
from largen.parameters.text import written
from largen.system import AbstractSystem

WIDTH = 100
"""Columns of a table at most, also where the output is no terminal."""
MOST_SIZES = 6
"""Sizes of a convergence study that fit beside each other."""
MOST_DECIMALS = 8
"""Decimals of an error beyond which numbers are written with exponents."""


def console() -> Console:
    """Standard output, plain text."""
    out = Console(highlight=False, markup=False)
    width = min(out.width, WIDTH) if out.is_terminal else WIDTH
    return Console(highlight=False, markup=False, width=width)


def table(*columns: str, left: tuple[str, ...] = ()) -> Table:
    """An empty table; the first column and those named in `left` are aligned to the left, the last one may wrap."""
    made = Table(box=None, pad_edge=False)
    for k, column in enumerate(columns):
        justify = "left" if k == 0 or column in left else "right"
        made.add_column(column, justify=justify, no_wrap=column not in left or k == 0, overflow="fold")
    return made


def unit(word: str) -> str:
    """A unit as a table shows it: nothing for a pure number."""
    return "" if word == "1" else word


def with_unit(name: str, word: str) -> str:
    """A column's name with the unit of its numbers."""
    return f"{name} ({word})" if unit(word) else name


def plus_minus(value: float, error: float | None, digits: int = 4) -> str:
    """Write a value with its standard error: `0.123 ± 0.004`, the error to two digits.

    Args:
        value: The value.
        error: Its standard error; the value stands alone where that is None, 0 or not finite.
        digits: Significant digits of a value without error.
    """
    if error is None or not (0 < error < math.inf and math.isfinite(value)):
        return f"{value:.{digits}g}"
    decimals = max(1 - math.floor(math.log10(error)), 0)
    if decimals > MOST_DECIMALS:
        return f"{value:.{digits}g} ± {error:.2g}"
    text = f"{value:.{decimals}f}"
    text = text.removeprefix("-") if float(text) == 0 else text
    return f"{text} ± {error:.{decimals}f}"


def show_comparison(report: xr.Dataset, everything: bool = False, again: str = "") -> None:
    """Print what a comparison found: its headline, and the rows that are not within their tolerance.

    Args:
        report: What `compare` returned.
        everything: Print all rows, with the values of both sides, and what the errors rest on.
        again: Command that would run as many networks as an open row needs, with {} for their number.
    """
    _say(f"{report.attrs['verdict'].upper()}: {report.attrs['headline']}")
    chosen = list(range(report.sizes["component"])) if everything else in_order(report)
    if chosen and everything:
        _all_rows(report)
    elif chosen:
        _open_rows(report, chosen)
    step = next_step(report)
    if step is not None:
        _say(_next(report, *step, again))
    if report.attrs["not_compared"]:
        _say(f"Not compared: {report.attrs['not_compared']}.")
    if report.attrs["unusual"] and not everything:
        _say(f"Note: {report.attrs['unusual']}.")
    if said := report.attrs.get("limit_flags"):
        _say(f"Note: {said}.")
    if everything:
        _say(f"{report.attrs['method']}; {report.attrs['assumptions']}.")
        level = plain_percent(report.attrs["level"])
        _say(f"At most {level} of such tables carry a false label, at most {level} a false cause.")


def _say(message: str) -> None:
    """Print a sentence in lines of at most 100 columns."""
    print(textwrap.fill(message, WIDTH, break_long_words=False, break_on_hyphens=False))


def _open_rows(report: xr.Dataset, chosen: list[int]) -> None:
    """The rows that are not within tolerance, the gravest first."""
    rows = table("", f"network - {report.attrs['other']}", "95 % interval", "tolerance", "", left=("",))
    for row in rows_of(report, chosen):
        share = percent(row["difference"] / row["scale"])
        said = what_is_said(row, report.attrs["realisations"])
        rows.add_row(row["component"], share, interval_in_words(row), plain_percent(row["tolerance"]), said)
    console().print(rows)


def _all_rows(report: xr.Dataset) -> None:
    """All rows, in per cent of their scales."""
    at_size = "finite_difference" in report
    columns = ["", "network", report.attrs["other"], "diff.", "95 % interval", "tol.", "detects"]
    rows = table(*columns, *(["at n"] if at_size else []), "label", left=("label",))
    starred = False
    for row in rows_of(report, range(report.sizes["component"])):
        unit = 100 / row["scale"]
        label = row["cause"] or row["label"].removesuffix(" tolerance")
        resolved = row["label"] == Label.WITHIN and not row["ci_low"] <= 0 <= row["ci_high"]
        starred |= resolved
        finite = [f"{unit * row['finite_difference']:+.1f}"] if at_size else []
        rows.add_row(
            row["component"], f"{row['network']:.4g}", f"{row['theory']:.4g}", f"{unit * row['difference']:+.1f}",
            interval_in_words(row), f"{100 * row['tolerance']:.3g}", f"{unit * row['detectable']:.1f}", *finite,
            label + (" *" if resolved else ""),
        )  # fmt: skip
    console().print(rows)
    scales = _scales(report)
    others = "; ".join(f"{', '.join(names)}: of {words}" for words, names in scales.items() if words)
    _say(f"In per cent of the {report.attrs['other']}'s value{'; ' + others if others else ''}.")
    if at_size:
        _say(f"At n: difference from the theory of {report.attrs['n']:g} neurons.")
    if starred:
        _say("* not zero: the interval excludes 0, but the difference is smaller than the tolerance.")


def _scales(report: xr.Dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for words, name in zip(report["scale_words"].values.tolist(), report["observable_of"].values.tolist(), strict=True):
        names = found.setdefault(words, [])
        if name not in names:
            names.append(name)
    return found


def _next(report: xr.Dataset, count: int, names: str, again: str) -> str:
    """One line on what to do about open rows."""
    if report.attrs["realisations"] == 1:
        return f"Next: a run about {count} times as long would decide {names}; several realisations tell more."
    command = f": {again.format(count)}" if again else ""
    return f"Next: about {count} networks in all would decide {names}{command}"


def show_run(
    report: xr.Dataset, summary: dict[str, Any], folder: Path, everything: bool = False, again: str = ""
) -> None:
    """Print the comparison of a run, where the files are and, with everything, its statistics."""
    show_comparison(report, everything, again)
    out = console()
    statistics = summary.get("statistics")
    if statistics and "unavailable" in statistics:
        print(f"\nNo statistics: {statistics['unavailable']['reason']}")
    elif statistics and everything:
        sources = list(statistics)
        rows = table("", "unit", *sources)
        for name, entry in statistics[sources[0]].items():
            cells = (_statistic(statistics[source].get(name)) for source in sources)
            rows.add_row(name, unit(entry["unit"]), *cells)
        print()
        out.print(rows)
    print(f"\nResults: {folder}{os.sep} ({', '.join(summary['files'])})" + ("" if everything else ". All rows: --all"))


def _statistic(entry: dict[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return "-"
    return plus_minus(entry["value"], entry["standard_error"])


def show_dataset(dataset: xr.Dataset, out: Path | None) -> None:
    """Print time means of a network or limit."""
    rows = table("time mean", "value", "unit", left=("unit",))
    for name, row in describe(dataset, None)["time_means"].items():
        rows.add_row(name, plus_minus(row["mean"], row.get("standard_error"), digits=6), unit(row["unit"]))
    console().print(rows)
    about = dataset.attrs
    print(f"{about['kind']}, n = {about['n']:g}, {about['method']}: {about['status']}.")
    if out:
        print(f"Saved in {out}.")


def show_convergence(study: xr.Dataset, folder: Path, everything: bool = False) -> None:
    """Print a convergence study: its headline, the differences at each n, and the four statements.

    Args:
        study: What `convergence` returned.
        folder: Where it is saved.
        everything: All observables; otherwise the first, or, without an infinite limit, what is not within tolerance.
    """
    from largen.comparison.statements import components_of, headline_of, sentences, verdict_of

    first = str(study.attrs["observable"])
    if "distance" not in study:
        _show_sizes(study, _rows_shown(study, everything))
        print(f"{study.attrs['sentences'].capitalize()}: {study.attrs['verdict']}.\nResults: {folder}{os.sep}")
        return
    print(headline_of(study, first))
    names = study["observable"].values.tolist() if everything else [first]
    for name in names:
        _show_sizes(study, [str(row) for row in components_of(study, name)["component"].values], name)
        print(*sentences(study, name), sep="\n")
    others = [str(name) for name in study["observable"].values if name not in names]
    if others and "offset_label" in study:
        labels = [f"{name} {verdict_of(study, name)}" for name in others]
        print(f"At infinite n: {', '.join(labels)}. All of them: --all")
    print(f"Results: {folder}{os.sep}")


def _rows_shown(study: xr.Dataset, everything: bool) -> list[str]:
    """The rows of a study without an infinite limit that people see."""
    rows = [str(row) for row in study["component"].values]
    within = [set(study["label"].sel(component=row).values) <= {"within tolerance", ""} for row in rows]
    if everything or all(within):
        return rows
    print(f"{sum(within)} of {len(rows)} comparisons are within tolerance at every n; the others (all: --all):")
    return [row for row, good in zip(rows, within, strict=True) if not good]


def _show_sizes(study: xr.Dataset, components: list[str], observable: str = "") -> None:
    """Print differences from the limit at each n, in percent of their scale, a few sizes beside each other."""
    out, sizes = console(), study["n"].values.tolist()
    for start in range(0, len(sizes), MOST_SIZES):
        part = study.isel(n=slice(start, start + MOST_SIZES))
        scales = {str(word) for word in part["scale_words"].sel(component=components).values}
        what = f"% of {scales.pop() or 'the limit'}" if observable and len(scales) == 1 else "% of its scale"
        rows = table(f"network - limit, {what}", *(f"n = {n}" for n in part["n"].values.tolist()))
        if observable:
            distance = part["distance"].sel(observable=observable).values
            rows.add_row(f"{observable}: one network, rms", *(f"{100 * value:.1f}  " for value in distance))
        for name in components:
            row = part.sel(component=name)
            shares = (row["difference"] / row["scale"]).values
            rows.add_row(name, *map(_marked, shares, row["label"].values, row["cause"].values))
            if "predicted" in part and observable:
                shares = (row["predicted"] / row["scale"]).values
                rows.add_row("  theory of n neurons", *(f"{_signed(share)}  " for share in shares))
        out.print(rows)
    if components:
        print("? undecided, ! beyond tolerance, f beyond by a finite-size effect, T the theory of n neurons differs")


def _marked(share: float, label: str, cause: str) -> str:
    """A difference as a share of its scale, marked by its label or cause."""
    mark = {"undecided": "?", "beyond tolerance": "!"}.get(label, " ")
    mark = {"finite-size effect": "f", "theory differs": "T"}.get(cause, mark)
    return f"{_signed(share)} {mark}" if math.isfinite(share) else "-  "


def _signed(share: float) -> str:
    """A share in per cent with its sign, zero as `+0.0`."""
    return f"{100 * share:+.1f}".replace("-0.0", "+0.0") if abs(share) < 5e-4 else f"{100 * share:+.1f}"


def show_examples(found: dict[str, str]) -> None:
    """Print the names of the examples and what each shows."""
    rows = table("example", "what it shows", left=("what it shows",))
    for name, about in found.items():
        rows.add_row(name, about)
    console().print(rows)


def show_parameters(model: AbstractSystem) -> None:
    """Print the parameter table of a model; the parts of a component follow it, under the names that --set takes."""
    out = console()
    n = model.reference_size
    size = "" if n is None else f", {n} neurons"
    populations = f", populations {', '.join(model.populations)}" if any(model.populations) else ""
    print(f"{model.system} system{populations}{size}")
    rows = table("parameter", "value", "bounds", "meaning", left=("value", "bounds", "meaning"))
    for name, info, value in _parameter_rows(model, model.populations):
        text = type(value).__name__ if isinstance(value, AbstractComponent) else written(value)
        meaning = f"{info.doc} One of {', '.join(info.choices)}." if info.kind == "choice" else info.doc
        rows.add_row(name, f"{text} {unit(info.unit)}".rstrip(), bounds(info), meaning)
    out.print(rows)


def _parameter_rows(
    component: AbstractComponent, labels: tuple[str, ...], stem: str = ""
) -> Iterator[tuple[str, ParameterInfo, Any]]:
    """Name, row of the parameter table and value of each parameter, those inside components included."""
    for info in parameters(component).values():
        value = getattr(component, info.name)
        for index, part in entries(value) if info.kind == "component" else (((), value),):
            name = stem + indexed_name(info, index, labels)
            yield name, info, part
            if isinstance(part, AbstractComponent):
                yield from _parameter_rows(part, labels, f"{name}.")


def bounds(info: ParameterInfo) -> str:
    """The bounds of a parameter: `> 0`, `0 to 1`, or nothing."""
    if info.low is not None and info.high is not None:
        return f"{info.low:g} to {info.high:g}"
    words = [f">= {info.low:g}"] if info.low is not None else []
    words += [f"> {info.above:g}"] if info.above is not None else []
    words += [f"<= {info.high:g}"] if info.high is not None else []
    return ", ".join(words)
