"""Views of the balanced system."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from bokeh.models import Span

from largen.explorer.view import FROZEN, LIMIT, NETWORK, Series, View, thin
from largen.plot.common import INHIBITORY


class Manifold(View):
    """The balanced manifold in the plane of the means, its folds, stationary states, and the orbits."""

    about = (
        "the balanced manifold at the limit's late variances: solid where it attracts, dashed where not; diamonds are "
        "its folds, dots stationary states (open: unstable)"
    )
    portrait = True

    def __init__(self, limit: xr.Dataset):
        labels = limit["population"].values.tolist()[:2]
        super().__init__("manifold", "balanced manifold", *(f"mean state of {k}" for k in labels), height=420)
        blue = INHIBITORY[0]
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
        x, y = limit["mean"].values[:2]
        self.fill("limit", x=x, y=y)
        self.fill("start", x=x[:1], y=y[:1])
        if runs:
            x, y = runs[0]["mean"].values[0, :2]
            kept = thin(x)
            self.fill("network", x=x[kept], y=y[kept])
        else:
            self.empty("network")

    def show_portrait(self, portrait: xr.Dataset) -> None:
        """Show what `analysis.phase_portrait` found."""
        pieces: dict[bool, list[np.ndarray]] = {True: [], False: []}
        if "manifold" in portrait:
            line, stable = portrait["manifold"].values, portrait["manifold_stable"].values
            piece = portrait["manifold_piece"].values
            cuts = np.flatnonzero((np.diff(piece) != 0) | (np.diff(stable.astype(int)) != 0)) + 1
            for part in np.split(np.arange(len(line)), cuts):
                if part[0] and piece[part[0]] == piece[part[0] - 1]:
                    part = np.append(part[0] - 1, part)
                pieces[bool(stable[part[-1]])].append(line[part])
        for name, good in (("attracting", True), ("repelling", False)):
            xs, ys = ([one[:, axis].tolist() for one in pieces[good]] for axis in (0, 1))
            self.sources[name].data = {"xs": xs, "ys": ys}
        folds = portrait["fold"].values if "fold" in portrait else np.zeros((0, 2))
        states = portrait["state"].values if "state" in portrait else np.zeros((0, 2))
        good = portrait["state_stable"].values if "state" in portrait else np.zeros(0, bool)
        for name, dots in (("fold", folds), ("stable state", states[good]), ("unstable state", states[~good])):
            self.fill(name, x=dots[:, 0], y=dots[:, 1])
        for item, of in self._items:
            if of in ("attracting", "repelling"):
                item.visible = bool(pieces[of == "attracting"])
        point = "manifold" in portrait and portrait.sizes["point"] == 1
        self.figure.title.text = (
            "balanced manifold: one point, for the coupling has full rank" if point
            else "balanced manifold" + ("" if "manifold" in portrait else ": none here")
        )  # fmt: skip


class Growth(View):
    """Real parts of the fast eigenvalues against time: the limit exists while all lie below zero."""

    about = "real parts of the fast eigenvalues; where one reaches zero the limit ends"

    def __init__(self, limit: xr.Dataset):
        super().__init__("growth", "fast eigenvalues along the solution", "time", "real part")
        self.figure.add_layout(Span(location=0, dimension="width", line_color=FROZEN, line_dash="dashed"))
        self.modes = limit.sizes["mode"]
        for k in range(self.modes):
            self.figure.line("x", "y", source=self.source(f"mode{k}", "x", "y"), color=LIMIT, width=2)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show one line per mode."""
        for k in range(self.modes):
            values = limit["fast_eigenvalues_real"].values
            self.fill(f"mode{k}", x=limit["time"].values, y=values[k] if k < len(values) else [])


class Eigenvalues(View):
    """The fast eigenvalues of the balanced limit in the complex plane."""

    about = "fast eigenvalues, one dot per mode and time"

    def __init__(self, limit: xr.Dataset):
        super().__init__("eigenvalues", "fast eigenvalues in the complex plane", "real part", "imaginary part")
        self.figure.add_layout(Span(location=0, dimension="height", line_color=FROZEN, line_dash="dashed"))
        self.figure.scatter("x", "y", source=self.source("path", "x", "y"), size=5, color=LIMIT, alpha=0.6)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show one dot per mode and time."""
        real, imaginary = limit["fast_eigenvalues_real"].values, limit["fast_eigenvalues_imag"].values
        self.fill("path", x=real.ravel(), y=imaginary.ravel())


def views(limit: xr.Dataset) -> dict[str, Callable[[], list[View]]]:
    """Views of the balanced system, by tab, made when they are called for."""

    def lines(*names: str) -> list[View]:
        return [Series(limit[name], limit["time"]) for name in names]

    tabs: dict[str, Callable[[], list[View]]] = {
        "Means and variances": lambda: lines("mean", "variance"),
        "Rates": lambda: lines("rate", "third_cumulant"),
    }
    if limit.sizes["population"] == 2:
        tabs["Manifold"] = lambda: [Manifold(limit)]
    tabs["Fast eigenvalues"] = lambda: [Growth(limit), Eigenvalues(limit)]
    return tabs
