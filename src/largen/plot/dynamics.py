"""Pictures of dynamics: phase portraits, dwell times, distributions of multiple-firing events."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import dataset
from largen.plot.common import EXCITATORY, INHIBITORY, STYLES, axis_label, colours, line_styles, tidy

_ORBITS = {"network": ("0.55", 0.6), "finite": (EXCITATORY[1], 1.6), "limit": (EXCITATORY[0], 1.6)}
_NULLCLINES = (EXCITATORY[2], INHIBITORY[2])
_MANIFOLD = INHIBITORY[0]


def phase_portrait(portrait: xr.Dataset, *, ax: Axes, realisation: int = 0, arrows: bool = True) -> Axes:
    """Draw a phase portrait (from `analysis.phase_portrait`).

    Stable sheets of the balanced manifold are solid, unstable ones dashed, folds open diamonds; stationary states are
    filled circles where stable, open where not; nullclines are thin.

    Args:
        portrait: From `analysis.phase_portrait`.
        ax: Where to draw.
        realisation: Which network to show.
        arrows: Whether to show the directions of the velocity.
    """
    dataset("portrait", portrait, variables=("axis",), remedy="Pass what analysis.phase_portrait(...) returned.")
    if arrows and "velocity" in portrait:
        velocity = portrait["velocity"].values
        length = np.hypot(*velocity)
        velocity = velocity / np.where(length > 0, length, 1.0)
        ax.quiver(portrait["grid_x"], portrait["grid_y"], *velocity, color="0.8", pivot="mid", scale=40, width=0.002)
    for name, (colour, width) in _ORBITS.items():
        if f"{name}_orbit" in portrait:
            line = portrait[f"{name}_orbit"]
            line = line.isel(realisation=realisation) if "realisation" in line.dims else line
            label = "theory at this n" if name == "finite" else name
            ax.plot(*line.transpose("axis", ...).values, color=colour, lw=width, label=label)
    labels = portrait["axis"].values.tolist()
    if "nullcline" in portrait:
        for piece in np.unique(portrait["nullcline_piece"]):
            part = portrait.isel(vertex=portrait["nullcline_piece"].values == piece)
            of = int(part["nullcline_of"][0])
            first = of not in portrait["nullcline_of"].values[portrait["nullcline_piece"].values < piece]
            label = f"nullcline of {labels[of]}" if first else None
            ax.plot(*part["nullcline"].values.T, color=_NULLCLINES[of], ls=STYLES[of + 1], lw=0.9, label=label)
    if "manifold" in portrait:
        _manifold(portrait, ax)
    if "state" in portrait:
        for (x, y), stable in zip(portrait["state"].values, portrait["state_stable"].values, strict=True):
            ax.plot(x, y, "o", color="black", mfc="black" if stable else "white", ms=5, zorder=5)
    window = portrait["window"].values
    ax.set(xlim=window[0], ylim=window[1])
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, frameon=False)
    unit = portrait["window"].attrs["units"]
    what = portrait.attrs["quantity"] + (f" ({unit})" if unit not in ("", "1") else "")
    return tidy(ax, x=what.format(labels[0]), y=what.format(labels[1]))


def _manifold(portrait: xr.Dataset, ax: Axes) -> None:
    """Sheets of the balanced manifold, cut where the stability or the piece changes."""
    line, stable = portrait["manifold"].values, portrait["manifold_stable"].values
    piece = portrait["manifold_piece"].values
    cuts = np.flatnonzero((np.diff(piece) != 0) | (np.diff(stable.astype(int)) != 0)) + 1
    seen: set[bool] = set()
    for part in np.split(np.arange(len(line)), cuts):
        good = bool(stable[part[0]])
        joined = part if part[0] == 0 or piece[part[0]] != piece[part[0] - 1] else np.concatenate([part[:1] - 1, part])
        label = None if good in seen else f"balanced manifold, {'stable' if good else 'unstable'}"
        seen.add(good)
        marker = "D" if len(joined) == 1 else ""
        style = "-" if good else "--"
        ax.plot(*line[joined].T, color=_MANIFOLD, lw=1.8, ls=style, marker=marker, ms=4, label=label)
    if "fold" in portrait:
        ax.plot(*portrait["fold"].values.T, "D", color=_MANIFOLD, mfc="white", ms=6, label="fold", zorder=4)


def dwell_times(found: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw how long dwells last: the survival curve of each state, and the exponential law of the same mean.

    Args:
        found: From `analysis.metastability` of one run.
        ax: Where to draw.
    """
    needed = ("dwell", "dwell_se", "survival", "duration")
    dataset("found", found, numbers=needed, dims=("state",), remedy="Pass what analysis.metastability(...) returned.")
    for colour, style, state in zip((INHIBITORY[0], EXCITATORY[0]), STYLES, found["state"].values, strict=False):
        part = found.sel(state=state)
        mean, error = float(part["dwell"]), float(part["dwell_se"])
        there = part["survival"].values > 0
        label = f"{state}, mean {mean:.3g} ± {error:.2g} ms"
        ax.step(part["duration"][there], part["survival"][there], where="post", color=colour, ls=style, label=label)
        ax.plot(part["duration"], np.exp(-part["duration"] / mean), color=colour, ls=":", lw=0.9)
    ax.set_yscale("log")
    lowest = np.nanmin(found["survival"].where(found["survival"] > 0))
    ax.set_ylim(0.5 * float(lowest), 1.3)
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, x=axis_label(found["duration"]), y="probability of lasting longer")


def event_sizes(found: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw the distribution of event sizes with its error, a line per population (from `analysis.event_statistics`)."""
    needed = ("size_density", "size_density_se", "alternation", "alternation_p")
    remedy = "Pass what analysis.event_statistics(...) returned."
    dataset("found", found, numbers=needed, dims=("population", "size"), remedy=remedy)
    labels = [str(label) for label in found["population"].values]
    palette, styles = colours(labels), line_styles(labels)
    for label, colour in palette.items():
        part = found.sel(population=label)
        line, error = part["size_density"], part["size_density_se"]
        ax.step(found["size"], line, where="mid", color=colour, ls=styles[label], label=label)
        ax.fill_between(found["size"], line - 2 * error, line + 2 * error, step="mid", color=colour, alpha=0.3, lw=0)
    ax.set_ylim(0, None)
    ax.legend(fontsize=7, frameon=False)
    p_value, strength = float(found["alternation_p"]), float(found["alternation"])
    title = f"alternation {strength:.2f}, p = {p_value:.2g}"
    return tidy(ax, title=title, x=axis_label(found["size"]), y=axis_label(found["size_density"]))
