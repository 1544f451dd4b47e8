"""What the explorer draws: each view is one figure that takes a limit and the network's realisations so far."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Span
from bokeh.plotting import figure

from largen import analysis
from largen.plot.common import colours

MOST_POINTS = 1500
"""Points of a line sent to the browser; longer series are averaged over equal blocks."""
NETWORK = "#7f7f7f"


class View(abc.ABC):
    """One figure. `draw` puts a limit and realisations into its data sources; the figure itself is made once."""

    def __init__(self, key: str, title: str, x: str, y: str, **options: Any):
        self.key = key  # names the figure's data in the browser
        self.figure: Any = figure(
            height=300, sizing_mode="stretch_width", title=title, x_axis_label=x, y_axis_label=y,
            tools="pan,box_zoom,wheel_zoom,reset,save", output_backend="canvas", **options,
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.sources: dict[str, ColumnDataSource] = {}

    def source(self, name: str, *columns: str) -> ColumnDataSource:
        """Make a named, empty source."""
        self.sources[name] = ColumnDataSource({column: [] for column in columns}, name=f"{self.key} {name}")
        return self.sources[name]

    def fill(self, name: str, **columns: Any) -> None:
        """Replace the contents of a source."""
        self.sources[name].data = {column: np.asarray(values) for column, values in columns.items()}

    @abc.abstractmethod
    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show a limit and the realisations that have arrived."""


class Series(View):
    """An observable of every population against time: the limit as lines, the network as mean and band."""

    def __init__(self, variable: xr.DataArray, time: xr.DataArray):
        unit = variable.attrs.get("units", "")
        words = str(variable.attrs.get("long_name", variable.name))
        super().__init__(str(variable.name), words, _axis("time", time.attrs.get("units", "")), _axis(words, unit))
        self.name = str(variable.name)
        self.labels = variable["population"].values.tolist() if "population" in variable.dims else [""]
        for label, colour in (colours(self.labels) if self.labels != [""] else {"": "#D55E00"}).items():
            word = f" {label}" if label else ""
            band = self.source(f"band{label}", "x", "low", "high")
            self.figure.varea("x", "low", "high", source=band, color=colour, alpha=0.25)
            mean = self.source(f"network{label}", "x", "y")
            self.figure.line(
                "x", "y", source=mean, color=colour, line_dash="dotted", width=1.5, legend_label=f"network{word}"
            )
            line = self.source(f"limit{label}", "x", "y")
            self.figure.line("x", "y", source=line, color=colour, width=2, legend_label=f"limit{word}")
        self.figure.legend.click_policy = "hide"
        self.figure.legend.background_fill_alpha = 0.5

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the limit, and the mean of the realisations with a band of twice their standard error."""
        for label in self.labels:
            chosen = {"population": label} if label else {}
            x, y = thin(limit["time"].values, limit[self.name].sel(chosen).values)
            self.fill(f"limit{label}", x=x, y=y)
            if not runs:
                self.fill(f"network{label}", x=[], y=[])
                self.fill(f"band{label}", x=[], low=[], high=[])
                continue
            values = np.concatenate([run[self.name].sel(chosen).values for run in runs])
            x, rows = thin(runs[0]["time"].values, values)
            mean = rows.mean(axis=0)
            error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros_like(mean)
            self.fill(f"network{label}", x=x, y=mean)
            self.fill(f"band{label}", x=x, low=mean - 2 * error, high=mean + 2 * error)


class Raster(View):
    """Spikes of the first realisation."""

    def __init__(self, limit: xr.Dataset):
        super().__init__("raster", "raster of the first network", _axis("time", "ms"), "neurons")
        self.labels = limit["population"].values.tolist()
        for label, colour in colours(self.labels).items():
            source = self.source(label, "x", "y")
            self.figure.scatter("x", "y", source=source, size=1.5, color=colour, legend_label=label)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset], most: int = 400) -> None:
        """Show at most `most` neurons, in proportion to the populations."""
        first = runs[0] if runs and "spike_time" in runs[0] else None
        base = 0
        for k, label in enumerate(self.labels):
            if first is None:
                self.fill(label, x=[], y=[])
                continue
            sizes = np.atleast_1d(first.attrs["sizes"])
            shown = max(1, min(int(sizes[k]), round(most * sizes[k] / sizes.sum())))
            mine = (first["spike_population"].values == k) & (first["spike_neuron"].values < shown)
            self.fill(label, x=first["spike_time"].values[mine], y=base + first["spike_neuron"].values[mine])
            base += shown


class Spectrum(View):
    """Power spectrum of the first population's rate."""

    def __init__(self, limit: xr.Dataset):
        label = str(limit["population"].values[0])
        super().__init__("spectrum", f"power spectrum of {label}", "frequency (Hz)", "power", y_axis_type="log")
        for name, colour, dash in (("network", NETWORK, "dotted"), ("limit", "#D55E00", "solid")):
            source = self.source(name, "x", "y")
            self.figure.line("x", "y", source=source, color=colour, line_dash=dash, width=2, legend_label=name)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the spectrum of the limit, and the mean one of the realisations."""
        self._line("limit", [limit])
        self._line("network", runs)

    def _line(self, name: str, datasets: Sequence[xr.Dataset]) -> None:
        if not datasets:
            self.fill(name, x=[], y=[])
            return
        found = [analysis.power_spectrum(dataset)["power"].isel(population=0) for dataset in datasets]
        power = np.mean([np.atleast_2d(one.values).mean(axis=0) for one in found], axis=0)
        frequency = found[0]["frequency"].values
        inside = (frequency >= 1) & (frequency <= 200)
        self.fill(name, x=frequency[inside], y=np.maximum(power[inside], 1e-12))


class Plane(View):
    """Orbits in the plane of two populations' observable."""

    def __init__(self, limit: xr.Dataset, name: str, smooth: bool):
        labels = limit["population"].values.tolist()[:2]
        unit = limit[name].attrs.get("units", "")
        super().__init__(
            f"{name} plane", f"{name} of {labels[0]} and {labels[1]}", *(_axis(f"{name} of {k}", unit) for k in labels)
        )
        self.name, self.smooth = name, smooth
        for who, colour, width in (("network", NETWORK, 1), ("limit", "#D55E00", 2)):
            source = self.source(who, "x", "y")
            self.figure.line("x", "y", source=source, color=colour, width=width, alpha=0.8, legend_label=who)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the orbit of the limit and of the first realisation, the first fifth of the time left out."""
        self._line("limit", limit)
        if runs:
            self._line("network", runs[0])
        else:
            self.fill("network", x=[], y=[])

    def _line(self, who: str, dataset: xr.Dataset) -> None:
        dataset = analysis.orbit(dataset) if self.smooth else dataset
        rate = dataset[self.name]
        rate = rate.isel(realisation=0) if "realisation" in rate.dims else rate
        start = rate.sizes["time"] // 5 if self.smooth else 0
        _, both = thin(rate["time"].values[start:], rate.values[:2, start:])
        self.fill(who, x=both[0], y=both[1])


class Density(View):
    """Voltage density, averaged over time."""

    def __init__(self, limit: xr.Dataset):
        super().__init__("density", "voltage density", "voltage", "probability per unit voltage")
        self.labels = limit["population"].values.tolist()
        for label, colour in colours(self.labels).items():
            for who, dash in (("limit", "solid"), ("network", "dotted")):
                source = self.source(f"{who}{label}", "x", "y")
                self.figure.step(
                    "x", "y", source=source, color=colour, line_dash=dash, width=2, mode="center",
                    legend_label=f"{who} {label}",
                )  # fmt: skip

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the limit's density and that of the first realisation."""
        for who, dataset in (("limit", limit), ("network", runs[0] if runs else None)):
            for label in self.labels:
                if dataset is None or "voltage_density" not in dataset:
                    self.fill(f"{who}{label}", x=[], y=[])
                    continue
                density = dataset["voltage_density"].sel(population=label)
                density = density.mean([dim for dim in density.dims if dim != "bin"])
                centre = density["bin"].values
                self.fill(f"{who}{label}", x=centre, y=density.values / np.gradient(centre))


class Eigenvalues(View):
    """The fast eigenvalues of the balanced limit along its solution: it exists while all lie left of zero."""

    def __init__(self, limit: xr.Dataset):
        super().__init__("eigenvalues", "fast eigenvalues along the solution", "real part", "imaginary part")
        self.figure.add_layout(Span(location=0, dimension="height", line_color="#cc0000", line_dash="dashed"))
        source = self.source("path", "x", "y", "time")
        self.figure.scatter("x", "y", source=source, size=5, color="#0072B2", alpha=0.6)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show one dot per mode and time."""
        real, imaginary = limit["fast_eigenvalues_real"].values, limit["fast_eigenvalues_imag"].values
        time = np.broadcast_to(limit["time"].values, real.shape)
        self.fill("path", x=real.ravel(), y=imaginary.ravel(), time=time.ravel())


class Surface(View):
    """A covariance over two times at one lag: of the limit, of the network, or their difference."""

    def __init__(self, limit: xr.Dataset, lag: int, what: str):
        who = "one neuron" if lag == 0 else f"neurons at lag {lag}"
        time = limit["time"].values
        super().__init__(
            f"{what} {lag}",
            f"{what}: covariance of {who}", "time s", "time t", match_aspect=True,
            x_range=(time[0], time[-1]), y_range=(time[0], time[-1]),
        )  # fmt: skip
        self.lag, self.what = lag, what
        self.mapper = LinearColorMapper(palette=_diverging(), low=-1, high=1)
        source = self.source("image", "image", "x", "y", "dw", "dh")
        self.figure.image("image", "x", "y", "dw", "dh", source=source, color_mapper=self.mapper)
        self.figure.add_layout(ColorBar(color_mapper=self.mapper, width=10), "right")

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the surface on a scale symmetric about zero."""
        theory = limit["covariance"].sel(lag=self.lag).values
        found = np.mean([run["covariance"].sel(lag=self.lag).values[0] for run in runs], axis=0) if runs else None
        image = {"limit": theory, "network": found, "difference": None if found is None else found - theory}[self.what]
        if image is None:
            self.fill("image", image=[], x=[], y=[], dw=[], dh=[])
            return
        top = float(np.abs(image if self.what == "difference" else theory).max()) or 1.0
        self.mapper.update(low=-top, high=top)
        time = limit["time"].values
        span = [time[-1] - time[0]]
        self.sources["image"].data = {"image": [image.T], "x": [time[0]], "y": [time[0]], "dw": span, "dh": span}


class AgainstLag(View):
    """Covariance at the last time against the lag, and the part frozen by the weights: no propagation of chaos."""

    def __init__(self, limit: xr.Dataset):
        super().__init__("lags", "at the last time, against the lag", "lag on the ring", "covariance")
        for name, colour, word in PARTS:
            source = self.source(f"limit {name}", "x", "y")
            self.figure.line("x", "y", source=source, color=colour, width=2, legend_label=f"limit, {word}")
            dots = self.source(f"network {name}", "x", "y")
            self.figure.scatter(
                "x", "y", source=dots, color=colour, size=9, fill_alpha=0, legend_label=f"network, {word}"
            )

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show all of it and the frozen part, of the limit and (the mean of) the realisations."""
        for name, _, _ in PARTS:
            theory = limit[name].isel(time=-1, time_=-1)
            self.fill(f"limit {name}", x=theory["lag"].values, y=theory.values)
            found = [run[name].isel(time=-1, time_=-1, realisation=0).values for run in runs if name in run]
            empty = {"x": [], "y": []}
            shown = {"x": runs[0]["lag"].values, "y": np.mean(found, axis=0)} if found else empty
            self.fill(f"network {name}", **shown)


PARTS = (("covariance", "#D55E00", "all"), ("frozen_covariance", "#0072B2", "frozen"))


def thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average a series over equal blocks so that at most MOST_POINTS points are left."""
    block = -(-len(x) // MOST_POINTS)
    if block == 1:
        return x, y
    whole = len(x) // block * block
    return x[:whole].reshape(-1, block).mean(-1), y[..., :whole].reshape(*y.shape[:-1], -1, block).mean(-1)


def _axis(words: str, unit: str) -> str:
    return f"{words} ({unit})" if unit and unit != "1" else words


def _diverging() -> list[str]:
    """256 colours from blue over white to vermilion, told apart by the colour-blind."""
    blue, white, red = (
        np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) for code in ("#0072B2", "#f7f7f7", "#D55E00")
    )
    ramp = np.concatenate([np.linspace(blue, white, 128), np.linspace(white, red, 128)])
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.round(ramp).astype(int)]


def spiking(limit: xr.Dataset) -> dict[str, list[View]]:
    """Views of the spiking system, by tab."""
    tabs: dict[str, list[View]] = {"Rates": [Series(limit["rate"], limit["time"]), Raster(limit)]}
    tabs["Spectra"] = [Spectrum(limit)]
    if limit.sizes["population"] > 1:
        tabs["Orbit"] = [Plane(limit, "rate", smooth=True)]
    tabs["Voltage"] = [Density(limit)]
    return tabs


def balanced(limit: xr.Dataset) -> dict[str, list[View]]:
    """Views of the balanced system, by tab."""
    names = ("mean", "variance", "rate", "third_cumulant")
    lines = {name: Series(limit[name], limit["time"]) for name in names}
    tabs: dict[str, list[View]] = {
        "Means and variances": [lines["mean"], lines["variance"]],
        "Rates": [lines["rate"], lines["third_cumulant"]],
        "Fast eigenvalues": [Eigenvalues(limit)],
    }
    if limit.sizes["population"] > 1:
        tabs["Plane"] = [Plane(limit, "mean", smooth=False)]
    return tabs


def rate(limit: xr.Dataset) -> dict[str, list[View]]:
    """Views of the rate system, by tab."""
    tabs: dict[str, list[View]] = {"Mean and lags": [Series(limit["mean"], limit["time"]), AgainstLag(limit)]}
    for lag in limit["lag"].values[:2].tolist():
        words = "Covariance of a neuron" if lag == 0 else "Covariance of neighbours"
        tabs[words] = [Surface(limit, lag, what) for what in ("limit", "network", "difference")]
    return tabs


VIEWS: dict[str, Callable[[xr.Dataset], dict[str, list[View]]]] = {
    "spiking": spiking,
    "balanced": balanced,
    "rate": rate,
}
