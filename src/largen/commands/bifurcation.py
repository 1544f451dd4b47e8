"""The job behind `largen bifurcation`: a model in, a folder with the diagram, its points as they came, a figure."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from largen.analysis import follow
from largen.checks import InputError
from largen.commands.runs import Job
from largen.io.atomic import write_atomically
from largen.io.results import save
from largen.parameters.plain import json_safe
from largen.system import AbstractFlowSystem


def diagram(
    job: Job, parameter: str, begin: float | None, to: float, folder: Path, *, progress: Any, **settings: Any
) -> xr.Dataset:
    """Follow the branches of a model's limit and keep everything in a folder.

    Args:
        job: The model and its options.
        parameter: The parameter's name.
        begin: Where to begin; None is the model's own value.
        to: Where to stop.
        folder: Gets `points.jsonl` (one point a line, as they come), `diagram.nc`, `diagram.json` and `diagram.png`.
        progress: As in `follow`.
        settings: Further arguments of `follow`.
    """
    from largen import plot

    model = job.model
    if not isinstance(model, AbstractFlowSystem):
        raise InputError(f"A {type(model).__name__} has no branches to follow: its limit is a process, not a state.")
    options = dict(job.options)
    if begin is not None:
        model, options = _from(model, parameter, begin, options)
    with open(folder / "points.jsonl", "w", encoding="utf-8") as lines:

        def keep(point: dict[str, Any]) -> None:
            lines.write(json.dumps(json_safe(point)) + "\n")
            lines.flush()

        found = follow(model, parameter, to=to, n=job.n, progress=progress, each=keep, **settings, **options)
    save(found, folder / "diagram.nc")
    plain = as_plain(found, folder)
    write_atomically(folder / "diagram.json", lambda path: path.write_text(json.dumps(plain, indent=1) + "\n"))
    figure = plot.diagram_page(found, title=f"{job.name}: branches in {parameter}")
    write_atomically(folder / "diagram.png", lambda path: figure.savefig(path, dpi=150, format="png"))
    return found


def _from(
    model: AbstractFlowSystem, parameter: str, begin: float, options: dict[str, Any]
) -> tuple[AbstractFlowSystem, dict[str, Any]]:
    if parameter.endswith("*"):
        with jax.enable_x64(True):
            return model.varied(parameter, np.array(begin), model.populations), options
    return model.replace(**{parameter: begin}), options


def as_plain(found: xr.Dataset, folder: Path | None) -> dict[str, Any]:
    """A diagram as plain values: its branches and special points."""
    branches = [
        {
            "kind": str(found["branch_kind"].values[k]),
            "points": int(np.sum(found["on_branch"].values == k)),
            "ending": str(found["branch_ending"].values[k]),
        }
        for k in range(found.sizes["branch"])
    ]
    names = ("parameter", "uncertainty", "frequency", "period", "branch")
    special = []
    for k, kind in enumerate(found["special_kind"].values.tolist()):
        row: dict[str, Any] = {"kind": kind}
        for name in names:
            value = found[f"special_{name}"].values[k].item()
            row[name] = None if isinstance(value, float) and not np.isfinite(value) else value
        for key in found.data_vars:
            if str(key).startswith("special_shift_"):
                shift = float(found[key].values[k])
                row[str(key)[8:]] = shift if np.isfinite(shift) else None
        special.append(row | {"meaning": str(found["special_meaning"].values[k])})
    return {
        "parameter": str(found.attrs["parameter"]),
        "from": float(found.attrs["from"]),
        "to": float(found.attrs["to"]),
        "branches": branches,
        "special": special,
        "folder": str(folder) if folder else None,
    }


def show(found: xr.Dataset, folder: Path) -> None:
    """Print branches and special points as tables."""
    plain = as_plain(found, folder)
    for k, branch in enumerate(plain["branches"]):
        print(f"branch {k}: {branch['kind']}, {branch['points']} points. {branch['ending']}")
    unit = found["special_frequency"].attrs.get("units", "")
    for row in plain["special"]:
        extra = f", {row['frequency']:.5g} {unit}".rstrip() if row["frequency"] else ""
        extra += f", period {row['period']:.6g}" if row["period"] else ""
        print(
            f"{row['kind'].replace('_', ' '):17s} {row['parameter']:.8g} +- {row['uncertainty']:.1g}"
            f"{extra}  (branch {row['branch']}): {row['meaning']}"
        )
    print(f"Results in {folder}")
