"""What the parts of benchmarks/bifurcation.py share: sections of docs/bifurcation.md, tables, diagrams kept on disk."""

import hashlib
import re
import sys
import time
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot
from largen.bifurcation.cycles import _returning
from largen.numerics.continuation import shooting

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "bifurcation.md"
KEPT = Path.home() / ".cache" / "largen" / "bifurcation"
DECIDING = (
    "numerics/continuation/*.py", "analysis/bifurcation.py", "analysis/branches.py", "analysis/cycles.py",
    "systems/spiking/dynamics.py", "systems/spiking/markov_jax.py", "systems/spiking/step_jax.py",
    "systems/spiking/transfer_jax.py", "systems/spiking/resolution.py",
)  # fmt: skip
"""Sources that decide what a spiking diagram looks like."""


def section(name, text):
    """Replace one section of the page."""
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    command = f"`python benchmarks/bifurcation.py {name}`"
    body = f"{begin}\n{text.rstrip()}\n\nMade by {command}.\n{end}"
    page = PAGE.read_text()
    found = re.search(re.escape(begin) + ".*?" + re.escape(end), page, re.DOTALL)
    PAGE.write_text(page.replace(found.group(0), body) if found else page.rstrip() + "\n\n" + body + "\n")
    print(text, flush=True)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def listed(diagram):
    """The special points as dicts."""
    names = ("kind", "parameter", "uncertainty", "frequency", "period", "branch")
    columns = [diagram[f"special_{name}"].values.tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def turn(point, unit="Hz"):
    """Frequency or period of a special point, in words."""
    if np.isfinite(point["frequency"]):
        return f"{point['frequency']:.4g} {unit}".replace(" 1", "")
    return f"T {point['period']:.4f}" if np.isfinite(point["period"]) else ""


def specials(diagram):
    unit, rows = diagram["special_frequency"].attrs["units"], []
    for p in listed(diagram):
        value, error = f"{p['parameter']:.6f}", f"{p['uncertainty']:.0e}"
        rows.append([p["kind"].replace("_", " "), value, error, turn(p, unit), p["branch"]])
    return table(["kind", "value", "+-", "frequency / period", "branch"], rows)


def branches(diagram):
    rows = []
    for k in range(diagram.sizes["branch"]):
        count = int((diagram["on_branch"] == k).sum())
        rows.append([k, str(diagram["branch_kind"].values[k]), count, str(diagram["branch_ending"].values[k])])
    return table(["branch", "of", "points", "how it ends"], rows)


def kept(arguments, make):
    """What this state of the code makes of the arguments: made once, so that an interrupted part goes on."""
    sources = sorted(file for pattern in DECIDING for file in (ROOT / "src" / "largen").glob(pattern))
    digest = hashlib.sha256(repr(arguments).encode())
    for file in sources:
        digest.update(file.read_bytes())
    path = KEPT / f"{digest.hexdigest()[:24]}.nc"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        made = make()
        ln.save(made.assign_attrs(cpu=time.process_time() - started), path)
    return ln.load(path)


def followed(parameter, begin, to, *, orbit=False, size=None, dt=0.1, **options):
    """The diagram of the spiking reduction from one value of a parameter, or from the orbit to which it settles there.

    Args:
        parameter: Name.
        begin: First value.
        to: Last value.
        orbit: Whether to begin with the orbit.
        size: Neurons; None for the model's own.
        dt: Step (ms).
        options: Of `follow`.
    """
    model = ln.SpikingNetwork().replace(**{parameter: begin})
    form = {name: options[name] for name in ("bin_width", "linear_in_bin", "stretched") if name in options}
    started = time.process_time()

    def each(point):
        period, kind = point["period"] or np.nan, point.get("special", "")
        spent, stable = time.process_time() - started, "stable" if point["stable"] else "unstable"
        where = f"branch {point['branch']}: {point['parameter']:.6f} T {period:.3f} {stable} {kind}"
        print(f"{spent:7.1f} s {where}", file=sys.stderr, flush=True)

    def make():
        scaled = model if size is None else model.scaled(size)
        start = settled_orbit(scaled, parameter, begin, dt=dt, **form) if orbit else None
        return analysis.follow(model, parameter, to=to, start=start, n=size, dt=dt, each=each, **options)

    return kept((parameter, begin, to, orbit, size, dt, sorted(options.items())), make)


def settled_orbit(model, parameter, p, *, settle=2000.0, dt=0.1, **options):
    """An orbit for `follow` by the very program that follows it, which need not be compiled again."""
    with jax.enable_x64(True):
        dynamics = model.dynamics(parameter, n=None, dt=dt, **options)
        law, p = shooting.Repeated(dynamics.rhs), np.asarray(p)

        def ahead(x, count):
            return np.asarray(shooting._flow(law, x, np.asarray(count * dt), p, np.asarray(count)))

        path = [ahead(dynamics.starts(float(p))[0], round(settle / dt))]
        for _ in range(round(100.0 / dt)):
            path.append(ahead(path[-1], 1))
        period, orbit = _returning(dynamics, dt * np.arange(len(path)), np.array(path))
    return xr.Dataset({"period": ((), period), "unknowns": (("phase", "unknown"), orbit[:-1])})


def written(parts):
    """Special points and branches of several diagrams, (title, diagram), with the time they took."""
    text = []
    for title, diagram in parts:
        spent = f"CPU time {diagram.attrs['cpu']:.0f} s for {diagram.sizes['point']} points."
        text.append("\n\n".join([*([title] if title else []), specials(diagram), branches(diagram), spent]))
    return "\n\n".join(text)


def drawn(name, title, parts, networks=None):
    """One picture of several diagrams, networks on top; the line that shows it on the page."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    ax = figure.subplots()
    for k, (_, diagram) in enumerate(parts):
        plot.bifurcation(diagram, ax=ax, component="e", networks=None if k else networks, start=300.0)
    known = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    ax.legend(known.values(), known.keys(), frameon=False, fontsize=7)
    ax.set_title(title, fontsize=9)
    figure.savefig(PAGE.parent / f"bifurcation-{name}.png", dpi=110)
    return f"![{title}](bifurcation-{name}.png)"
