"""Pictures of rings and sheets: maps, movies, dispersion relations with the power of a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import InputError, dataset, one_of, path_of, real, require
from largen.plot.common import axis_label, colours, page, tidy
from largen.runtime.progress import showing
from largen.statistics.labels import population_labels
from largen.statistics.maps import QUANTITY, geometry_of
from largen.statistics.space import activity_map as maps_of

MOST_FRAMES = 2000


def activity_map(
    run: xr.Dataset,
    *,
    ax: Axes,
    population: str | None = None,
    time: float | None = None,
    bin: float | None = None,
    quantity: str = QUANTITY,
) -> Axes:
    """Draw the activity on a ring against time, or a sheet at one time (or its mean over time).

    Args:
        run: A network or limit of a model with space; its first realisation is drawn.
        ax: Where to draw.
        population: Which population; the first if None.
        time: Of a sheet, the time to show; None for the mean over time.
        bin: Length of a bin of time.
        quantity: Which observable of patches.

    Raises:
        InputError: The Dataset has no such observable of patches, or no such population.
    """
    maps = _of_one(run, population, bin, quantity)
    values, edges = maps.values, _edges(run)
    if values.ndim == 2:
        step = float(maps["time"].values[1] - maps["time"].values[0]) if maps.sizes["time"] > 1 else 1.0
        first = float(maps["time"].values[0]) - 0.5 * step
        ends = first + step * np.arange(maps.sizes["time"] + 1)
        image = ax.pcolormesh(ends, edges[0], values, shading="flat", rasterized=True)
        tidy(ax, x=axis_label(maps["time"]), y="x")
    else:
        shown = values.mean(-1) if time is None else values[..., _nearest(maps, time)]
        image = ax.pcolormesh(edges[0], edges[1], shown.T, shading="flat", rasterized=True)
        ax.set_aspect("equal")
        tidy(ax, x="x", y="y", title="mean over time" if time is None else f"at {time:g}")
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, label=axis_label(maps))
    return ax


def _of_one(run: xr.Dataset, population: str | None, bin: float | None, quantity: str) -> xr.DataArray:
    maps = maps_of(run, bin=bin, quantity=quantity)["activity"]
    labels = population_labels(run)
    maps = maps.sel(population=one_of("population", labels[0] if population is None else population, labels))
    return maps.isel(realisation=0) if "realisation" in maps.dims else maps


def _edges(run: xr.Dataset) -> list[np.ndarray]:
    shape, lengths = geometry_of(run)
    return [np.linspace(0.0, float(length), m + 1) for m, length in zip(shape, lengths, strict=True)]


def _nearest(maps: xr.DataArray, time: float) -> int:
    times = maps["time"].values
    inside = times[0] - 1e-9 <= real("time", time) <= times[-1] + 1e-9
    require(inside, "time", f"lie in {times[0]:g} to {times[-1]:g}", time)
    return int(np.argmin(np.abs(times - time)))


def movie(
    run: xr.Dataset,
    path: Any,
    *,
    population: str | None = None,
    bin: float | None = None,
    quantity: str = QUANTITY,
    frames_per_second: float = 20.0,
    progress: Any = None,
) -> Path:
    """Write the activity on a ring or sheet as a movie: a GIF, or an MP4 where the program ffmpeg is installed.

    Args:
        run: A network or limit of a model with space; its first realisation is shown.
        path: The file, `.gif` or `.mp4`.
        population: Which population; the first if None.
        bin: Length of a bin of time; a frame each.
        quantity: Which observable of patches.
        frames_per_second: Of the movie.
        progress: None, True for a bar, or a function of the fraction done.

    Raises:
        InputError: Another ending, no ffmpeg, too many frames, or no such observable.
    """
    from matplotlib import animation
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = path_of("path", path)
    kind = one_of("path", path.suffix.lower(), (".gif", ".mp4"))
    rate = real("frames_per_second", frames_per_second, above=0.0)
    if kind == ".mp4" and not animation.FFMpegWriter.isAvailable():
        raise InputError(
            "Argument `path` must end in .gif, for the program ffmpeg is not installed here, which .mp4 needs."
        )
    maps = _of_one(run, population, bin, quantity)
    count = maps.sizes["time"]
    require(
        count <= MOST_FRAMES,
        "bin",
        f"leave at most {MOST_FRAMES} frames",
        bin,
        f"There are {count}: take a longer one.",
    )
    figure = page(1, 1, width=4.8, height=4.0)
    FigureCanvasAgg(figure)
    ax, edges = figure.subplots(), _edges(run)
    low, high = float(maps.min()), float(maps.max())
    if maps.ndim == 2:
        (line,) = ax.plot(0.5 * (edges[0][1:] + edges[0][:-1]), maps.values[:, 0])
        ax.set_ylim(low, high if high > low else low + 1.0)
        tidy(ax, x="x", y=axis_label(maps))
    else:
        image = ax.pcolormesh(edges[0], edges[1], maps.values[..., 0].T, vmin=low, vmax=high)
        ax.set_aspect("equal")
        tidy(ax, x="x", y="y")
        figure.colorbar(image, ax=ax, label=axis_label(maps))
    writer = animation.PillowWriter(fps=rate) if kind == ".gif" else animation.FFMpegWriter(fps=rate)  # type: ignore[arg-type]
    with showing(progress, f"movie of {count} frames") as tick, writer.saving(figure, str(path), dpi=100):
        for k, now in enumerate(maps["time"].values):
            if maps.ndim == 2:
                line.set_ydata(maps.values[:, k])
            else:
                image.set_array(maps.values[..., k].T)
            ax.set_title(f"{float(now):g} {maps['time'].attrs.get('units', '')}".strip(), loc="left", fontsize=10)
            writer.grab_frame()
            tick((k + 1) / count)
    return path


def dispersion(relation: xr.Dataset, *, ax: Axes, power: xr.Dataset | None = None, branches: int = 2) -> Axes:
    """Draw growth against the number of waves, with the power of a network on top.

    Args:
        relation: What `analysis.dispersion` returned.
        ax: Where to draw.
        power: What `analysis.spectrum` returned for a network: its power per mode, on an axis to the right.
        branches: How many branches, the fastest growing first; oscillating ones are drawn open.
    """
    dataset(
        "relation",
        relation,
        arrays={"growth": ("mode", "branch"), "waves": ("mode", "axis")},
        remedy="Pass what analysis.dispersion returned.",
    )
    waves = np.sqrt(np.sum(relation["waves"].values.astype(float) ** 2, axis=-1))
    order = np.argsort(waves, kind="stable")
    for branch in range(min(branches, relation.sizes["branch"])):
        growth = relation["growth"].values[order, branch]
        still = relation["frequency"].values[order, branch] < 1e-9
        ax.plot(waves[order], growth, color="black", lw=1.4 if branch == 0 else 0.7)
        ax.plot(waves[order][still], growth[still], "o", color="black", ms=4 if branch == 0 else 2)
        ax.plot(waves[order][~still], growth[~still], "o", color="black", mfc="white", ms=4 if branch == 0 else 2)
    ax.axhline(0.0, color="0.6", lw=0.8, ls="--")
    unit = relation["growth"].attrs.get("units", "")
    tidy(ax, x="waves |k|", y="growth rate" + (f" ({unit})" if unit not in ("", "1") else ""))
    if power is not None:
        right = ax.twinx()
        palette: Mapping[str, str] = colours(population_labels(power))
        for label in population_labels(power):
            line = power["shell_power"].sel(population=label)
            right.semilogy(
                power["shell"], line, ls=":", marker="s", ms=3, color=palette[label], label=f"power, {label}"
            )
        right.set_ylabel(axis_label(power["shell_power"]))
        right.legend(fontsize=7, frameon=False)
    return ax
