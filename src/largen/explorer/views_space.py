"""View of a ring or sheet: its activity against time, or as a movie."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import panel as pn
import xarray as xr
from bokeh.models import ColorBar, LinearColorMapper, Range1d
from bokeh.palettes import Viridis256

from largen.checks import InputError
from largen.explorer.buttons import Toggle
from largen.explorer.components import Form
from largen.explorer.view import HEIGHT, Pictured, axis, blocks
from largen.statistics.maps import geometry_of
from largen.system import pictures

WIDEST = 460
"""Width of a map of a sheet (pixels), where the window has room for it."""
FRAME = 150
"""ms between two pictures of a movie."""


class ActivityMap(Pictured):
    """Activity of the patches of one population: on a ring against time, on a sheet at a time that can be played."""

    @classmethod
    def fits(cls, picture: pictures.ActivityMap, limit: xr.Dataset) -> bool:
        """Whether the limit has patches in space."""
        with contextlib.suppress(InputError):
            return picture.observable in limit and len(geometry_of(limit)[0]) < 3
        return False

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.ActivityMap) -> "ActivityMap":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.ActivityMap):
        self.name, self.who = picture.observable, picture.source
        self.counts, self.lengths = geometry_of(limit)
        self.labels = limit["population"].values.tolist()
        variable, self.unit = limit[self.name], str(limit["time"].attrs.get("units", ""))
        self.words_of = str(variable.attrs.get("long_name", self.name))
        self.sheet = len(self.counts) == 2
        self.about = f"{self.words_of}{_in(variable)} in colours, bright where it is high"
        size: dict[str, Any] = (
            {"sizing_mode": "scale_width", "width": WIDEST, "max_width": WIDEST, "height": 400}
            if self.sheet
            else {"height": HEIGHT}
        )
        self.ends = (Range1d(start=0, end=1), Range1d(start=0, end=float(self.lengths[-1])))
        across = "x" if self.sheet else axis("time", self.unit)
        super().__init__(
            f"map {self.who}", self.who, across, "y" if self.sheet else "x", x_range=self.ends[0], y_range=self.ends[1],
            **size,
        )  # fmt: skip
        self.mapper = LinearColorMapper(palette=Viridis256, low=0, high=1)
        source = self.source("map", "image", "x", "y", "dw", "dh")
        self.figure.image("image", "x", "y", "dw", "dh", source=source, color_mapper=self.mapper)
        self.figure.add_layout(ColorBar(color_mapper=self.mapper, width=8, padding=4, background_fill_alpha=0), "right")
        self.population = pn.widgets.Select(label="Population", options=self.labels, width=160, margin=0)
        self.population.param.watch(lambda event: self._show(), "value")
        self.controls = [self.population, *(self._player() if self.sheet else [])]
        self.maps = np.zeros((len(self.labels), *self.counts, 0))
        self.times = np.zeros(0)
        self.frame_shown = 0

    def _player(self) -> list[Any]:
        row = {"name": "time", "kind": "number", "label": axis("Time", self.unit), "words": "time that is shown",
               "unit": self.unit, "low": 0.0, "high": 1.0, "step": 1.0, "help": "Time of the map."}  # fmt: skip
        self.row = row
        self.slider = Form(self._typed, groups=[], prefix=f"movie-{self.who}", sizing_mode="stretch_width")
        self.play = Toggle("Play", margin=0)
        self._beat: Any = None
        self.play.param.watch(lambda event: self._played(event.new), "value")
        return [self.slider, self.play]

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the limit, or the first realisation."""
        run = limit if self.who == "limit" else runs[0] if runs else None
        if run is None or self.name not in run:
            self.seen(False)
            self.empty("map")
            return
        variable = run[self.name]
        variable = variable.isel(realisation=0) if "realisation" in variable.dims else variable
        values = variable.transpose("population", "patch", "time").values.astype(float)
        times = run["time"].values[1:]  # the value at the first time is of no step
        self.times, thin = blocks(times, values[..., 1:])
        self.maps = thin.reshape(len(self.labels), *self.counts, -1)
        if self.sheet:
            self.frame_shown = min(self.frame_shown, len(self.times) - 1) or len(self.times) - 1
            low, high = float(self.times[0]), float(self.times[-1])
            step = (high - low) / max(len(self.times) - 1, 1)
            self.slider.groups = [
                {"name": "", "title": "", "rows": [{**self.row, "low": low, "high": high, "step": step}]}
            ]
        self._show()
        self.seen(True)

    def _show(self) -> None:
        if not len(self.times):
            return
        maps = self.maps[self.labels.index(self.population.value)]
        self.mapper.update(low=float(maps.min()), high=float(maps.max()) or 1.0)
        title = f"{self.who}: {self.words_of}, {self.population.value}"
        if self.sheet:
            at, image = self.times[self.frame_shown], maps[..., self.frame_shown].T
            title += f", at {at:.4g} {self.unit}".rstrip()
            self.slider.values = {"time": float(f"{at:.6g}")}
            begin, width = 0.0, float(self.lengths[0])
        else:
            half = 0.5 * (self.times[1] - self.times[0]) if len(self.times) > 1 else 0.5
            begin, width = float(self.times[0] - half), float(self.times[-1] - self.times[0] + 2 * half)
            image = maps
        self.figure.title.text = title
        self.ends[0].update(start=begin, end=begin + width, reset_start=begin, reset_end=begin + width)
        old: Any = self.sources["map"].data
        if not (len(old["image"]) and old["dw"] == [width] and np.array_equal(old["image"][0], image)):
            self.sources["map"].data = {
                "image": [image], "x": [begin], "y": [0.0], "dw": [width], "dh": [float(self.lengths[-1])],
            }  # fmt: skip
        self.drawn()

    def _typed(self, said: Mapping[str, Any]) -> None:
        with contextlib.suppress(ValueError):
            wanted = float(str(said.get("text", ""))[:40])
            if np.isfinite(wanted) and len(self.times):
                self.frame_shown = int(np.argmin(np.abs(self.times - wanted)))
                self._show()

    def _played(self, on: bool) -> None:
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        if on and pn.state.curdoc is not None:
            self._beat = pn.state.add_periodic_callback(self.step, period=FRAME)

    def step(self) -> None:
        """Show the next picture; after the last comes the first."""
        if len(self.times):
            self.frame_shown = (self.frame_shown + max(1, len(self.times) // 100)) % len(self.times)
            self._show()


def _in(variable: xr.DataArray) -> str:
    unit = str(variable.attrs.get("units", ""))
    return f" ({unit})" if unit and unit != "1" else ""
