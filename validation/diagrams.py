"""Bifurcation diagrams of the studies: kept on disk, as tables, as pictures."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from study import ROOT, Results

import largen as ln
from largen import analysis, plot

KEPT = Path.home() / ".cache" / "largen" / "diagrams"
SPECIAL = (
    "diagram", "kind", ("value", ".6f"), ("uncertainty", ".0e"), ("frequency", ".4g"), ("period", ".4f"), "branch"
)  # fmt: skip
BRANCHES = ("diagram", "branch", "of", "points", "how it ends")
SPENT = ("diagram", "points", ("CPU s", ".0f"))


def keep_compiled() -> None:
    """Keep compiled programs, which take minutes, for the next process."""
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "largen"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def kept(arguments: Any, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """What this state of the code makes of the arguments: made once, so that an interrupted part goes on."""
    digest = hashlib.sha256(repr(arguments).encode())
    for file in sorted((ROOT / "src" / "largen").rglob("*.py")):
        digest.update(file.read_bytes())
    path = KEPT / f"{digest.hexdigest()[:24]}.nc"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        made = make()
        ln.save(made.assign_attrs(cpu=time.process_time() - started), path)
    return ln.load(path)


def printed(point: dict[str, Any]) -> None:
    """A point of a branch as it comes, on standard error."""
    words = [f"branch {point['branch']}: {point['parameter']:.6f}", f"T {point['period'] or np.nan:.3f}"]
    words += ["stable" if point["stable"] else "unstable", point.get("special", "")]
    print(" ".join(words), file=sys.stderr, flush=True)


def special_points(diagram: xr.Dataset) -> list[dict[str, Any]]:
    """The special points as dicts."""
    names = ("kind", "parameter", "uncertainty", "frequency", "period", "branch")
    columns = [diagram[f"special_{name}"].values.tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def branches_of(diagram: xr.Dataset) -> Iterable[tuple[int, str, int, str]]:
    """Number, kind, points and ending of every branch."""
    for k in range(diagram.sizes["branch"]):
        count = int((diagram["on_branch"] == k).sum())
        yield k, str(diagram["branch_kind"].values[k]), count, str(diagram["branch_ending"].values[k])


def tabulate(results: Results, parts: Iterable[tuple[str, xr.Dataset]]) -> None:
    """Special points and branches of diagrams, and the CPU time of those that were kept."""
    parts = list(parts)
    table = results.table("special points", *SPECIAL)
    for title, diagram in parts:
        for p in special_points(diagram):
            kind = p["kind"].replace("_", " ")
            period = None if np.isfinite(p["frequency"]) else p["period"]
            table.add(title, kind, p["parameter"], p["uncertainty"], p["frequency"], period, p["branch"])
    table = results.table("branches", *BRANCHES)
    for title, diagram in parts:
        for branch in branches_of(diagram):
            table.add(title, *branch)
    if all("cpu" in diagram.attrs for _, diagram in parts):
        table = results.table("CPU time", *SPENT)
        for title, diagram in parts:
            table.add(title, diagram.sizes["point"], diagram.attrs["cpu"])


def draw(name: str, title: str, diagrams: Iterable[xr.Dataset], networks: Any = None) -> None:
    """One picture of several diagrams, with networks on top, beside the page."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    ax = figure.subplots()
    for k, diagram in enumerate(diagrams):
        plot.bifurcation(diagram, ax=ax, component="e", networks=None if k else networks, start=300.0)
    known = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    ax.legend(known.values(), known.keys(), frameon=False, fontsize=7)
    ax.set_title(title, fontsize=9)
    figure.savefig(ROOT / "docs" / "validation" / f"bifurcation-{name}.png", dpi=110)


def followed(
    parameter: str, begin: float, to: float, *, orbit: bool = False, size: int | None = None, **options: Any
) -> xr.Dataset:
    """The diagram of the spiking reduction from one value of a parameter, or from the orbit to which it settles there.

    Args:
        parameter: Name.
        begin: First value.
        to: Last value.
        orbit: Whether to begin with the orbit.
        size: Neurons; None for the model's own.
        options: Of `follow`.
    """
    model = ln.SpikingNetwork().replace(**{parameter: begin})
    names = {"bin_width", "linear_in_bin", "affine_drift", "dt"} & options.keys()
    form = {name: options[name] for name in names}

    def make() -> xr.Dataset:
        start = analysis.limit_cycle(model, n=size, settle=2000.0, window=100.0, **form) if orbit else None
        return analysis.follow(model, parameter, to=to, start=start, n=size, each=printed, **options)

    return kept((parameter, begin, to, orbit, size, sorted(options.items())), make)
