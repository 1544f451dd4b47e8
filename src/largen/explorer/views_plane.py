"""Views of a plane: orbits of two populations, phase portraits, curves that a system makes itself."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from largen.explorer.solvers import portrait_of
from largen.explorer.view import DYNAMIC, FROZEN, LIMIT, NETWORK, Pictured, axis, thin
from largen.statistics.events import orbit
from largen.system import pictures
from largen.system.colours import INHIBITORY, colours
from largen.system.values import COMPLETED

NULLCLINES = (DYNAMIC, FROZEN)


class Orbit(Pictured):
    """Orbits in the plane of an observable of the first two populations."""

    about = "the orbit of the limit and of the first network, the first fifth of the time left out"

    @classmethod
    def fits(cls, picture: pictures.Orbit, limit: xr.Dataset) -> bool:
        """Whether there are two populations with this observable."""
        return picture.observable in limit and limit.sizes.get("population", 0) > 1

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Orbit) -> "Orbit":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.Orbit):
        name, labels = picture.observable, limit["population"].values.tolist()[:2]
        unit = limit[name].attrs.get("units", "")
        super().__init__("plane", f"orbit of the {name}", *(axis(f"{name} of {label}", unit) for label in labels))
        self.picture = picture
        for who, colour, width in (("network", NETWORK, 1), ("limit", LIMIT, 2)):
            line = self.figure.line("x", "y", source=self.source(who, "x", "y"), color=colour, width=width, alpha=0.8)
            self.entry(who, who, line)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the orbit of the limit and of the first realisation."""
        self._line("limit", limit)
        if runs:
            self._line("network", runs[0])
        else:
            self.empty("network")

    def _line(self, who: str, dataset: xr.Dataset) -> None:
        if self.picture.smoothing:
            dataset = orbit(dataset, smoothing=self.picture.smoothing)
        path = dataset[self.picture.observable]
        path = path.isel(realisation=0) if "realisation" in path.dims else path
        x, y = path.values[:2, path.sizes["time"] // 5 :]
        kept = thin(x)
        self.fill(who, x=x[kept], y=y[kept])


class PhasePlane(Pictured):
    """The phase portrait around the limit: nullclines, a manifold and its folds, stationary states, and the orbits."""

    about = (
        "the phase portrait around the limit: thin lines are nullclines, dots stationary states (open: unstable); a "
        "manifold is solid where it attracts, dashed where not, diamonds are its folds"
    )
    question = staticmethod(portrait_of)

    @classmethod
    def fits(cls, picture: pictures.PhasePlane, limit: xr.Dataset) -> bool:
        """Whether there are two populations with this observable."""
        return picture.observable in limit and limit.sizes.get("population", 0) == 2

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.PhasePlane) -> "PhasePlane":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.PhasePlane):
        self.name, self.title = picture.observable, picture.title
        labels = limit["population"].values.tolist()[:2]
        words = str(limit[self.name].attrs.get("long_name", self.name))
        super().__init__("portrait", self.title, *(f"{words} of {k}" for k in labels), height=420)
        blue = INHIBITORY[0]
        for k, (label, colour) in enumerate(zip(labels, NULLCLINES, strict=True)):
            line = self.figure.multi_line("xs", "ys", source=self.source(f"nullcline{k}", "xs", "ys"), color=colour)
            self.entry(f"nullcline of {label}", f"nullcline{k}", line)
        for name, dash in (("attracting", "solid"), ("repelling", "dashed")):
            source = self.source(name, "xs", "ys")
            line = self.figure.multi_line("xs", "ys", source=source, color=blue, line_dash=dash, width=3)
            self.entry(f"manifold, {name}", name, line)
        for name, colour, width in (("network", NETWORK, 1), ("limit", LIMIT, 2)):
            line = self.figure.line("x", "y", source=self.source(name, "x", "y"), color=colour, width=width)
            self.entry(name, name, line)
        start = self.source("start", "x", "y")
        self.entry("start", "start", self.figure.scatter("x", "y", source=start, marker="x", size=9, color=LIMIT))
        for name, marker, size in (
            ("fold", "diamond", 14),
            ("stable state", "circle", 9),
            ("unstable state", "circle", 9),
        ):
            fill = 1.0 if name == "stable state" else 0.0
            dots = self.figure.scatter(
                "x", "y", source=self.source(name, "x", "y"), marker=marker, size=size, color=INHIBITORY[2],
                fill_alpha=fill, line_width=2,
            )  # fmt: skip
            self.entry(name, name, dots)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the orbits of the limit and of the first realisation."""
        x, y = limit[self.name].values[:2]
        self.fill("limit", x=x, y=y)
        self.fill("start", x=x[:1], y=y[:1])
        if runs:
            x, y = runs[0][self.name].values[0, :2]
            kept = thin(x)
            self.fill("network", x=x[kept], y=y[kept])
        else:
            self.empty("network")

    def show_answer(self, found: xr.Dataset | None, words: str) -> None:
        """Show what `analysis.phase_portrait` found, or say in words why there is none."""
        if found is None:
            for name in self.sources.keys() - {"limit", "network", "start"}:
                self.empty(name)
            self.figure.title.text = f"{self.title}: {words}"
            return
        sheets = _sheets(found)
        for name, good in (("attracting", True), ("repelling", False)):
            self.fill_lines(name, sheets[good])
        for k in range(2):
            self.fill_lines(f"nullcline{k}", _nullclines(found, k))
        folds = found["fold"].values if "fold" in found else np.zeros((0, 2))
        states = found["state"].values if "state" in found else np.zeros((0, 2))
        good = found["state_stable"].values if "state" in found else np.zeros(0, bool)
        for name, dots in (("fold", folds), ("stable state", states[good]), ("unstable state", states[~good])):
            self.fill(name, x=dots[:, 0], y=dots[:, 1])
        self.figure.title.text = self.title
        if found.attrs["status"] != COMPLETED and not any((*sheets.values(), _nullclines(found, 0))):
            self.figure.title.text = f"{self.title}: {found.attrs['status']}"


def _sheets(portrait: xr.Dataset) -> dict[bool, list[np.ndarray]]:
    """Pieces of the manifold that attract, and that do not."""
    pieces: dict[bool, list[np.ndarray]] = {True: [], False: []}
    if "manifold" not in portrait:
        return pieces
    line, stable = portrait["manifold"].values, portrait["manifold_stable"].values
    piece = portrait["manifold_piece"].values
    cuts = np.flatnonzero((np.diff(piece) != 0) | (np.diff(stable.astype(int)) != 0)) + 1
    for part in np.split(np.arange(len(line)), cuts):
        if part[0] and piece[part[0]] == piece[part[0] - 1]:
            part = np.append(part[0] - 1, part)
        pieces[bool(stable[part[-1]])].append(line[part])
    return pieces


def _nullclines(portrait: xr.Dataset, axis: int) -> list[np.ndarray]:
    """Pieces of the nullcline on which the velocity along one axis vanishes."""
    if "nullcline" not in portrait:
        return []
    line, piece = portrait["nullcline"].values, portrait["nullcline_piece"].values
    mine = portrait["nullcline_of"].values == axis
    return [line[piece == number] for number in np.unique(piece[mine])]


class Curves(Pictured):
    """Labelled curves that the system makes of a limit and of the first network."""

    about = "lines are the limit, dotted the first network"

    @classmethod
    def fits(cls, picture: pictures.Curves, limit: xr.Dataset) -> bool:
        """Whether the limit has any of the curves."""
        return bool(picture.of(limit))

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Curves) -> "Curves":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.Curves):
        super().__init__(f"curves {picture.title}", picture.title, picture.x, picture.y)
        self.every = picture.every
        if self.every:
            self.about = "lines are the limit, thin dotted ones the networks"
        self.curves = picture.of
        self.labels = list(self.curves(limit))
        for label, colour in colours(self.labels).items():
            line = self.figure.line("x", "y", source=self.source(f"limit{label}", "x", "y"), color=colour, width=2)
            self.entry(f"limit {label}", f"limit{label}", line)
            if self.every:
                source, look = self.source(f"network{label}", "xs", "ys"), {"line_dash": "dotted", "line_width": 1}
                drawn = self.figure.multi_line("xs", "ys", source=source, color=colour, **look)
            else:
                source = self.source(f"network{label}", "x", "y")
                drawn = self.figure.line("x", "y", source=source, color=colour, line_dash="dotted", width=2)
            self.entry(f"network {label}", f"network{label}", drawn)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the curves of the limit, and of the first realisation or all."""
        solved = self.curves(limit)
        drawn = [self.curves(run.isel(realisation=0)) for run in (runs if self.every else runs[:1])]
        for label in self.labels:
            x, y = solved.get(label, ([], []))
            self.fill(f"limit{label}", x=x, y=y)
            lines = [np.column_stack(one[label]) for one in drawn if label in one]
            if self.every:
                self.fill_lines(f"network{label}", lines)
            else:
                x, y = lines[0].T if lines else ([], [])
                self.fill(f"network{label}", x=x, y=y)
