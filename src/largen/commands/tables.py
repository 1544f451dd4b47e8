"""What the command line prints: plain values for JSON, tables for people."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.datasets import component_labels, describe
from largen.io.model_files import read_file
from largen.parameters import parameters
from largen.parameters.plain import json_safe, to_plain
from largen.system import AbstractSystem


def statistics_as_plain(system: AbstractSystem, datasets: dict[str, xr.Dataset]) -> dict[str, Any]:
    """The system's own statistics of network and theories: value, standard error and unit by name."""
    found: dict[str, Any] = {}
    if not system.statistic_names():
        return found
    for source, dataset in datasets.items():
        try:
            table = system.statistics(dataset)
        except InputError as error:  # times that do not allow statistics are no reason to lose the run
            return {"unavailable": {"reason": str(error)}}
        rows = found[source] = {}
        for key, variable in table.data_vars.items():
            if str(key).endswith("_se"):
                continue
            errors = table[f"{key}_se"].values.ravel()
            for k, label in enumerate(component_labels(variable)):
                value, error = float(variable.values.ravel()[k]), float(errors[k])
                rows[label] = {
                    "value": value if np.isfinite(value) else None,
                    "standard_error": error if np.isfinite(error) else None,
                    "unit": str(variable.attrs["units"]),
                }
    return found


def parameter_table(model: str, functions: bool) -> list[dict[str, Any]]:
    """The parameter table of a model file or example, with its values."""
    system = read_file(model, functions=functions)[0]
    plain = to_plain(system, strict=False)
    return [
        {
            "name": info.name,
            "value": json_safe(plain[info.name]),
            "unit": info.unit,
            "symbol": info.symbol,
            "dims": list(info.dims),
            "low": info.low if info.low is not None else info.above,
            "high": info.high,
            "doc": info.doc,
        }
        for info in parameters(system).values()
    ]


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return table


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, markup=False, soft_wrap=True, width=200)


def show_table(report: xr.Dataset) -> None:
    """Print a comparison as a table, and each verdict as a sentence."""
    console = _console()
    at_size = "finite_bias" in report
    columns = ["", "network", "limit", "bias", "+-", "z"] + (["bias at n", "+-", "z"] if at_size else [])
    table = _table(*columns)
    for name in report["component"].values.tolist():
        row = report.sel(component=name)
        keys = ["network", "limit", "bias", "standard_error", "z"]
        keys += ["finite_bias", "finite_standard_error", "finite_z"] if at_size else []
        table.add_row(
            name, *(f"{row[key].item():.4g}" if "z" not in key else f"{row[key].item():+.1f}" for key in keys)
        )
    console.print(table)
    for sentence in report["sentence"].values.tolist():
        console.print(sentence)


def show_run(report: xr.Dataset, summary: dict[str, Any], folder: Path) -> None:
    """Print the comparison of a run, its statistics, and where the files are."""
    show_table(report)
    console = _console()
    statistics = summary.get("statistics")
    if statistics and "unavailable" in statistics:
        console.print(f"\nNo statistics: {statistics['unavailable']['reason']}")
    elif statistics:
        columns = list(statistics)
        table = _table("", *columns)
        for key in statistics[columns[0]]:
            table.add_row(key, *(_with_error(statistics[column].get(key)) for column in columns))
        console.print()
        console.print(table)
    console.print(f"\nResults: {folder}{os.sep} ({', '.join(summary['files'])})")


def _with_error(entry: Any) -> str:
    if entry is None or entry["value"] is None:
        return "-"
    text = f"{entry['value']:.4g}"
    return text + (f" +- {entry['standard_error']:.2g}" if entry["standard_error"] else "")


def show_dataset(dataset: xr.Dataset, out: Path | None) -> None:
    """Print time means of a network or limit."""
    plain = describe(dataset, None)
    console = _console()
    table = _table("time mean", "value", "+-", "unit")
    for name, row in plain["time_means"].items():
        error = f"{row['standard_error']:.2g}" if "standard_error" in row else ""
        table.add_row(name, f"{row['mean']:.6g}", error, row["unit"])
    console.print(table)
    console.print(
        f"{dataset.attrs['kind']}, n = {dataset.attrs['n']:g}, {dataset.attrs['method']}: {dataset.attrs['status']}."
    )
    if out:
        console.print(f"Saved in {out}.")


def show_convergence(study: xr.Dataset, folder: Path) -> None:
    """Print a convergence study."""
    console = _console()
    table = _table("n", "error", "+-", "95 % interval")
    for k, n in enumerate(study["n"].values.tolist()):
        row = study.isel(n=k)
        interval = f"[{row['ci_low'].item():.3g}, {row['ci_high'].item():.3g}]"
        table.add_row(str(n), f"{row['error'].item():.4g}", f"{row['standard_error'].item():.2g}", interval)
    console.print(table)
    if "exponent" in study:
        low, high = study["exponent_low"].item(), study["exponent_high"].item()
        console.print(f"error ~ n^{study['exponent'].item():.3f}, 95 % interval [{low:.3f}, {high:.3f}]")
    console.print(f"Results: {folder}{os.sep}")


def show_parameters(table: list[dict[str, Any]]) -> None:
    """Print a parameter table."""
    console = _console()
    rows = _table("parameter", "value", "unit", "bounds")
    for row in table:
        low = "" if row["low"] is None else f">= {row['low']:g}"
        high = "" if row["high"] is None else f"<= {row['high']:g}"
        rows.add_row(row["name"], str(row["value"]), row["unit"], " ".join(filter(None, (low, high))))
    console.print(rows)
