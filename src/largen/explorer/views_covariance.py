"""Views of a covariance over two times: surfaces, frozen and dynamic parts, against the lag."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from bokeh.models import ColorBar, LinearColorMapper, Range1d

from largen.explorer.view import DYNAMIC, FROZEN, LIMIT, Pictured
from largen.statistics.lags import correlation_against_lag
from largen.system import pictures


class Surface(Pictured):
    """A covariance over two times at one lag: of the limit, of the network, or their difference."""

    about = "covariance over two times: blue below zero, red above"

    @classmethod
    def fits(cls, picture: pictures.Surface, limit: xr.Dataset) -> bool:
        """Whether the limit has this covariance at this lag."""
        return picture.observable in limit and picture.lag in limit["lag"]

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Surface) -> "Surface":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.Surface):
        self.name, lag, what = picture.observable, picture.lag, picture.source
        who = "one neuron" if lag == 0 else f"lag {lag}"
        time = limit["time"].values
        self.ends = (Range1d(start=time[0], end=time[-1]), Range1d(start=time[0], end=time[-1]))
        super().__init__(
            f"{what} {lag}", f"{what}: {who}", "time s", "time t", sizing_mode="fixed", width=275, height=250,
            x_range=self.ends[0], y_range=self.ends[1],
        )  # fmt: skip
        self.lag, self.what = lag, what
        self.mapper = LinearColorMapper(palette=_diverging(), low=-1, high=1)
        source = self.source("image", "image", "x", "y", "dw", "dh")
        self.figure.image("image", "x", "y", "dw", "dh", source=source, color_mapper=self.mapper)
        self.figure.add_layout(ColorBar(color_mapper=self.mapper, width=8, padding=4, background_fill_alpha=0), "right")

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the surface on a scale symmetric about zero."""
        theory = limit[self.name].sel(lag=self.lag).values
        found = np.mean([run[self.name].sel(lag=self.lag).values[0] for run in runs], axis=0) if runs else None
        image = {"limit": theory, "network": found, "difference": None if found is None else found - theory}[self.what]
        if image is None:
            self.empty("image")
            return
        top = float(np.abs(image if self.what == "difference" else theory).max()) or 1.0
        self.mapper.update(low=-top, high=top)
        time = limit["time"].values
        span = [time[-1] - time[0]]
        for axis in self.ends:
            axis.update(start=time[0], end=time[-1], reset_start=time[0], reset_end=time[-1])
        self.sources["image"].data = {"image": [image.T], "x": [time[0]], "y": [time[0]], "dw": span, "dh": span}


PARTS = {"all": LIMIT, "frozen": FROZEN, "dynamic": DYNAMIC}


class Parts(Pictured):
    """Variance of a neuron against time, the part frozen by the weights, and the part that fluctuates."""

    about = "lines are the limit, dots the mean of the networks"

    @classmethod
    def fits(cls, picture: pictures.Parts, limit: xr.Dataset) -> bool:
        """Whether the limit has both covariances."""
        return picture.whole in limit and picture.frozen in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Parts) -> "Parts":
        """Make the view that a system declares."""
        return cls(picture)

    def __init__(self, picture: pictures.Parts):
        super().__init__("parts", "variance of a neuron: frozen and dynamic parts", "time", "variance")
        self.names = (picture.whole, picture.frozen)
        for name, colour in PARTS.items():
            line = self.figure.line("x", "y", source=self.source(f"limit {name}", "x", "y"), color=colour, width=2)
            source = self.source(f"network {name}", "x", "y")
            dots = self.figure.scatter("x", "y", source=source, color=colour, size=7, fill_alpha=0)
            self.entry(f"limit, {name}", f"limit {name}", line)
            self.entry(f"network, {name}", f"network {name}", dots)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the three variances."""
        self._lines("limit", [limit])
        self._lines("network", runs)

    def _lines(self, who: str, datasets: Sequence[xr.Dataset]) -> None:
        if not datasets:
            for name in PARTS:
                self.empty(f"{who} {name}")
            return
        time = datasets[0]["time"].values
        both = []
        for name in self.names:
            found = [one[name].sel(lag=0).transpose("time", "time_", ...).values for one in datasets]
            both.append(np.mean([np.einsum("tt...->t...", one).reshape(len(time), -1).mean(-1) for one in found], 0))
        for name, values in zip(PARTS, (*both, both[0] - both[1]), strict=True):
            self.fill(f"{who} {name}", x=time, y=values)


class AgainstLag(Pictured):
    """Correlation at the last time against the lag, its frozen and its dynamic part: no propagation of chaos."""

    about = "correlation of two neurons at the last time; dots are the networks, with two standard errors"

    @classmethod
    def fits(cls, picture: pictures.AgainstLag, limit: xr.Dataset) -> bool:
        """Whether the limit has both covariances."""
        return picture.whole in limit and picture.frozen in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.AgainstLag) -> "AgainstLag":
        """Make the view that a system declares."""
        return cls(limit)

    def __init__(self, limit: xr.Dataset):
        super().__init__("lags", "correlation at the last time, against the lag", "lag on the ring", "correlation")
        self.figure.xaxis.ticker = limit["lag"].values.tolist()
        for name, colour in PARTS.items():
            source = self.source(f"limit {name}", "x", "y")
            line = self.figure.line("x", "y", source=source, color=colour, width=2)
            marks = self.figure.scatter("x", "y", source=source, color=colour, marker="dash", size=14, line_width=2)
            bars = self.source(f"network {name}", "x", "y", "low", "high")
            dots = self.figure.scatter("x", "y", source=bars, color=colour, size=8, fill_alpha=0)
            whisker = self.figure.segment("x", "low", "x", "high", source=bars, color=colour, line_width=2)
            self.entry(f"limit, {name}", f"limit {name}", line, marks)
            self.entry(f"network, {name}", f"network {name}", dots, whisker)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the three correlations of the limit, and of the realisations together."""
        theory, found = _correlation([limit]), _correlation(runs)
        for name in PARTS:
            word = name.replace("all", "correlation")
            if theory is not None:
                self.fill(f"limit {name}", x=theory["lag"].values, y=theory[word].values)
            if found is None:
                self.empty(f"network {name}")
                continue
            middle = found[word].values
            error = 2 * found[f"{word}_se"].values if f"{word}_se" in found else np.zeros_like(middle)
            self.fill(f"network {name}", x=found["lag"].values, y=middle, low=middle - error, high=middle + error)


def _correlation(datasets: Sequence[xr.Dataset]) -> xr.Dataset | None:
    """Correlation against lag of a limit, or of some realisations together; None without any variance."""
    if not datasets:
        return None
    names = ["covariance", "frozen_covariance"]
    whole = datasets[0] if len(datasets) == 1 else xr.concat([one[names] for one in datasets], "realisation")
    variance = float(whole["covariance"].sel(lag=0).isel(time=-1, time_=-1).mean())
    return correlation_against_lag(whole) if variance > 0 else None


def _diverging() -> list[str]:
    """256 colours from blue over white to vermilion, told apart by the colour-blind."""
    blue, white, red = (
        np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) for code in ("#0072B2", "#f7f7f7", "#D55E00")
    )
    ramp = np.concatenate([np.linspace(blue, white, 128), np.linspace(white, red, 128)])
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.round(ramp).astype(int)]
