"""A view: one figure that takes a limit and the network's realisations so far."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from bokeh.models import ColumnDataSource, Legend, LegendItem, Line, MultiLine, Step
from bokeh.plotting import figure

from largen.system import pictures
from largen.system.colours import EXCITATORY, INHIBITORY, colours

MOST_POINTS = 6000
"""Points of a line sent to the browser; of longer series the lowest and highest of equal blocks are."""
LIMIT, FROZEN, DYNAMIC = EXCITATORY[0], INHIBITORY[0], INHIBITORY[2]
MOST_BLOCKS = 500
"""Points of a network's mean, averaged over equal blocks of time where there are more: single steps are noise."""
NETWORK = "#8c8c8c"  # seen on white and on black
HEIGHT = 300
RECORDING = "recording"
"""Begin of the names of sources that hold what was recorded."""
FADED = {"opacity": "0.35"}
"""Style of figures that belong to other parameters."""
CLEAR = {"opacity": "1"}
"""Style of all others, said in full: a style that is only left out may stay in the browser."""


class View(abc.ABC):
    """One figure. `draw` puts a limit and realisations into its data sources; the figure itself is made once."""

    about = ""
    """What the picture shows, for those who do not see it."""
    question: Callable[[Any, xr.Dataset], xr.Dataset] | None = None
    """What else is asked for the figure, in a process of its own: a function of the model and its limit."""

    def __init__(self, key: str, title: str, x: str, y: str, **options: Any):
        self.key = key  # names the figure's data in the browser
        size = {"height": HEIGHT, "sizing_mode": "stretch_width"} | options
        self.figure: Any = figure(
            title=title, x_axis_label=x, y_axis_label=y, tools="pan,box_zoom,wheel_zoom,reset,save",
            output_backend="canvas", active_scroll=None, **size,
        )  # fmt: skip
        self.figure.title.text_font_size = "10pt"  # a whole title where the page is narrow
        self.figure.axis.axis_label_text_font_size, self.figure.axis.major_label_text_font_size = "9pt", "8pt"
        self.figure.toolbar.logo = None
        self.figure.toolbar.autohide = True
        self.figure.name = f"{key} figure"
        self.sources: dict[str, ColumnDataSource] = {}
        self._items: list[tuple[LegendItem, str]] = []
        self._pinned: list[Any] = []
        self.words: dict[str, str] = {}  # what a source holds
        self.frame: Any = None  # what holds the figure and its description on a page
        self.controls: list[Any] = []  # what stands above the figure
        self.recorded: xr.Dataset | None = None  # what was recorded, for views that show it
        self.table: Any = None  # the numbers behind the figure, on a page

    def source(self, name: str, *columns: str) -> ColumnDataSource:
        """Make a named, empty source."""
        self.sources[name] = ColumnDataSource({column: [] for column in columns}, name=f"{self.key} {name}")
        return self.sources[name]

    def entry(self, words: str, source: str, *renderers: Any) -> None:
        """Add to the legend, where it is seen while the source has data."""
        self.words[source] = words
        self._items.append((LegendItem(label=words, renderers=list(renderers), visible=False), source))

    def legend(self) -> None:
        """Put the legend above the figure, off the data; a click hides a line."""
        legend = Legend(items=[item for item, _ in self._items], orientation="horizontal", click_policy="hide")
        legend.update(
            border_line_color=None, background_fill_alpha=0, label_text_font_size="9pt", spacing=12, padding=0, margin=2
        )
        self.figure.add_layout(legend, "above")

    def beside(self, recorded: xr.Dataset) -> None:  # noqa: B027
        """Show a recording beside the limit from now on; for views that can."""

    def add_recorded(self, labels: Sequence[str], tints: Mapping[str, str]) -> None:
        """Add an empty line of a recording for every population, and its words to the legend."""
        for label in labels:
            name = f"{RECORDING}{label}"
            look: dict[str, Any] = {"color": tints[label], "line_dash": "dotdash", "width": 1.5}
            line = self.figure.line("x", "y", source=self.source(name, "x", "y"), **look)
            self.entry(f"{RECORDING} {label}".strip(), name, line)
        self.figure.legend[0].items = [item for item, _ in self._items]

    def fill(self, name: str, **columns: Any) -> None:
        """Replace the contents of a source, where they differ."""
        new: Any = {column: np.asarray(values) for column, values in columns.items()}
        old = self.sources[name].data
        if all(np.array_equal(old[column], values) for column, values in new.items()):
            return
        self.sources[name].data = new
        for item, of in self._items:
            if of == name and item.visible != bool(len(next(iter(new.values())))):
                item.visible = not item.visible

    def fill_lines(self, name: str, lines: Sequence[np.ndarray]) -> None:
        """Replace the contents of a source of many lines, each of shape (vertex, 2)."""
        xs, ys = ([one[:, axis].tolist() for one in lines] for axis in (0, 1))
        self.sources[name].data = {"xs": xs, "ys": ys}
        for item, of in self._items:
            if of == name:
                item.visible = bool(len(lines))

    def empty(self, name: str) -> None:
        """Empty a source."""
        self.fill(name, **{str(column): [] for column in self.sources[name].data})

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        every: list[Any] = [source.data for source in self.sources.values()]
        return not any(len(column) for data in every for column in data.values())

    def pin(self) -> None:
        """Keep the present lines as a faint reference behind those to come."""
        self.unpin()
        for drawn in list(self.figure.renderers):
            glyph, data = getattr(drawn, "glyph", None), getattr(drawn, "data_source", None)
            own = [
                source for name, source in self.sources.items() if not name.startswith(RECORDING)
            ]  # it stays as it is
            if not isinstance(glyph, Line | MultiLine | Step) or data is None or data not in own:
                continue
            if len(next(iter(data.data.values()))):
                faint = glyph.clone(line_alpha=0.35, line_width=4)
                self._pinned.append(self.figure.add_glyph(ColumnDataSource(dict(data.data)), faint, level="underlay"))

    def unpin(self) -> None:
        """Take the reference away."""
        if self._pinned:
            self.figure.renderers = [drawn for drawn in self.figure.renderers if drawn not in self._pinned]
            self._pinned = []

    def drawn(self) -> None:
        """Bring the table up to what was drawn."""
        if self.table is not None:
            self.table.refresh()

    def seen(self, there: bool) -> None:
        """Take the figure off the page while it has nothing to show."""
        if self.frame is not None:
            self.frame.visible = there

    def show_answer(self, found: xr.Dataset | None, words: str) -> None:  # noqa: B027
        """Show what came of `question`, or say in words why there is nothing; for views that ask one."""

    @abc.abstractmethod
    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show a limit and the realisations that have arrived."""


class Pictured(View):
    """A view of a kind that systems declare (`largen.system.pictures`)."""

    @classmethod
    def fits(cls, picture: Any, limit: xr.Dataset) -> bool:
        """Whether the limit has what the picture shows."""
        return True

    @classmethod
    @abc.abstractmethod
    def of(cls, limit: xr.Dataset, picture: Any) -> "Pictured":
        """Make the view that a system declares."""


class Series(Pictured):
    """An observable of every population against time: the limit as lines, the network as mean and band."""

    about = "lines are the limit; dotted lines and bands are the mean of the networks, with two standard errors"

    @classmethod
    def fits(cls, picture: pictures.Series, limit: xr.Dataset) -> bool:
        """Whether the limit has the observable."""
        return picture.observable in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Series) -> "Series":
        """Make the view that a system declares."""
        return cls(limit[picture.observable], limit["time"])

    def __init__(self, variable: xr.DataArray, time: xr.DataArray):
        unit = variable.attrs.get("units", "")
        words = str(variable.attrs.get("long_name", variable.name))
        super().__init__(
            str(variable.name),
            words,
            axis("time", time.attrs.get("units", "")),
            axis(str(variable.name).replace("_", " "), unit),
        )
        self.name = str(variable.name)
        self.labels = variable["population"].values.tolist() if "population" in variable.dims else [""]
        for label, colour in (colours(self.labels) if self.labels != [""] else {"": LIMIT}).items():
            word = f" {label}" if label else ""
            band = self.source(f"band{label}", "x", "low", "high")
            self.figure.varea("x", "low", "high", source=band, color=colour, alpha=0.25)
            mean = self.source(f"network{label}", "x", "y")
            dots = self.figure.line("x", "y", source=mean, color=colour, line_dash=[2, 3], width=1.5)
            line = self.figure.line("x", "y", source=self.source(f"limit{label}", "x", "y"), color=colour, width=2)
            self.entry(f"limit{word}", f"limit{label}", line)
            self.entry(f"network{word}", f"network{label}", dots)
            self.words[f"band{label}"] = f"two standard errors{word}"
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the limit, and the mean of the realisations with a band of twice their standard error."""
        time, lines = limit["time"].values, np.atleast_2d(limit[self.name].values)
        many = [run[self.name].values.reshape(run.sizes["realisation"], len(self.labels), -1) for run in runs]
        self._draw_recorded(time)
        for k, label in enumerate(self.labels):
            kept = thin(lines[k])
            self.fill(f"limit{label}", x=time[kept], y=lines[k][kept])
            if not runs:
                self.empty(f"network{label}")
                self.empty(f"band{label}")
                continue
            x, rows = blocks(runs[0]["time"].values, np.concatenate([one[:, k] for one in many]))
            mean = rows.mean(axis=0)
            error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros_like(mean)
            self.fill(f"network{label}", x=x, y=mean)
            self.fill(f"band{label}", x=x, low=mean - 2 * error, high=mean + 2 * error)

    def beside(self, recorded: xr.Dataset) -> None:
        """Show the mean of what was recorded, its times counted from its begin."""
        if self.name not in recorded or self.labels == [""]:
            return
        rows = recorded[self.name].sel(population=self.labels)
        rows = rows.mean("realisation") if "realisation" in rows.dims else rows
        self.recorded = xr.Dataset({self.name: rows.transpose("population", "time")})
        self.add_recorded(self.labels, colours(self.labels))
        self.about += "; lines of dashes and dots are the mean of what was recorded, its times counted from its begin"

    def _draw_recorded(self, time: np.ndarray) -> None:
        """Show what was recorded, as long as the limit lasts."""
        if self.recorded is None:
            return
        passed = self.recorded["time"].values - self.recorded["time"].values[0]
        inside = (passed > 0) & (passed <= time[-1] - time[0])  # the value at the first time is of no step
        if np.count_nonzero(inside) < 2:
            return
        x, rows = blocks(time[0] + passed[inside], self.recorded[self.name].values[:, inside])
        for label, row in zip(self.labels, rows, strict=True):
            self.fill(f"{RECORDING}{label}", x=x, y=row)


def thin(y: np.ndarray) -> np.ndarray:
    """Indices of a series that keep at most MOST_POINTS: all, or the lowest and the highest of equal blocks."""
    block = -(-2 * len(y) // MOST_POINTS)
    if len(y) <= MOST_POINTS:
        return np.arange(len(y))
    whole = len(y) // block * block
    rows, begin = y[:whole].reshape(-1, block), np.arange(0, whole, block)
    both = np.stack([begin + rows.argmin(-1), begin + rows.argmax(-1)], axis=1)
    return np.unique(both)


def blocks(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average series over equal blocks so that at most MOST_BLOCKS points are left."""
    block = -(-len(x) // MOST_BLOCKS)
    whole = len(x) // block * block
    return x[:whole].reshape(-1, block).mean(-1), y[..., :whole].reshape(*y.shape[:-1], -1, block).mean(-1)


def axis(words: str, unit: str) -> str:
    """Label an axis with its unit."""
    return f"{words} ({unit})" if unit and unit != "1" else words
