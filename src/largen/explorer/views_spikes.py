"""Views of spikes and rates: raster, power spectrum, density over bins."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from bokeh.models import Range1d

from largen.explorer.view import RECORDING, Pictured, axis
from largen.statistics.spectra import power_spectrum
from largen.system import pictures
from largen.system.colours import colours


class Raster(Pictured):
    """Spikes of the first realisation."""

    about = "one row a neuron, one dot a spike"
    ROWS = 400

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Raster) -> "Raster":
        """Make the view that a system declares."""
        return cls(limit)

    def __init__(self, limit: xr.Dataset):
        time = axis("time", limit["time"].attrs.get("units", ""))
        super().__init__(
            "raster", "spikes of the first network", time, "neurons",
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=-5, end=self.ROWS + 5),
        )  # fmt: skip
        self.labels = limit["population"].values.tolist()
        for label, colour in colours(self.labels).items():
            dots = self.figure.scatter("x", "y", source=self.source(label, "x", "y"), size=1.5, color=colour)
            self.entry(label, label, dots)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the first neurons of every population, in proportion."""
        time = limit["time"].values
        self.figure.x_range.update(start=time[0], end=time[-1], reset_start=time[0], reset_end=time[-1])
        base, first = 0, runs[0] if runs else None
        self.seen(first is not None and "spike_time" in first)
        for k, label in enumerate(self.labels):
            if first is None or "spike_time" not in first:
                self.empty(label)
                continue
            sizes = np.atleast_1d(first.attrs["sizes"])
            shown = max(1, min(int(sizes[k]), round(self.ROWS * sizes[k] / sizes.sum())))
            mine = (first["spike_population"].values == k) & (first["spike_neuron"].values < shown)
            self.fill(label, x=first["spike_time"].values[mine], y=base + first["spike_neuron"].values[mine])
            base += shown


class Spectrum(Pictured):
    """Power spectra of the rates."""

    about = "power spectra; dotted is the mean over the networks"

    @classmethod
    def fits(cls, picture: pictures.Spectrum, limit: xr.Dataset) -> bool:
        """Whether the limit has a firing rate."""
        return "rate" in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Spectrum) -> "Spectrum":
        """Make the view that a system declares."""
        return cls(limit)

    def __init__(self, limit: xr.Dataset):
        super().__init__("spectrum", "power spectrum", "frequency (Hz)", "power", y_axis_type="log")
        self.labels = limit["population"].values.tolist()
        for label, colour in colours(self.labels).items():
            for who, dash in (("limit", "solid"), ("network", "dotted")):
                source = self.source(f"{who}{label}", "x", "y")
                line = self.figure.line("x", "y", source=source, color=colour, line_dash=dash, width=2)
                self.entry(f"{who} {label}", f"{who}{label}", line)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the spectrum of the limit, and the mean one of the realisations."""
        self._lines("limit", [limit])
        self._lines("network", runs)

    def beside(self, recorded: xr.Dataset) -> None:
        """Show the mean spectrum of what was recorded."""
        order = [recorded["population"].values.tolist().index(label) for label in self.labels]
        self.add_recorded(self.labels, colours(self.labels))
        self._lines(RECORDING, [recorded.isel(population=order)])
        self.about += "; lines of dashes and dots are what was recorded"

    def _lines(self, who: str, datasets: Sequence[xr.Dataset]) -> None:
        found = [power_spectrum(dataset) for dataset in datasets]
        for k, label in enumerate(self.labels):
            if not found:
                self.empty(f"{who}{label}")
                continue
            rows = [np.atleast_2d(one["power"].isel(population=k).values).mean(axis=0) for one in found]
            frequency, power = found[0]["frequency"].values, np.mean(rows, axis=0)
            inside = (frequency >= 1) & (frequency <= 200)
            self.fill(f"{who}{label}", x=frequency[inside], y=np.maximum(power[inside], 1e-12))


class Density(Pictured):
    """A density over bins, averaged over time."""

    about = "density averaged over time; dotted is the first network"

    @classmethod
    def fits(cls, picture: pictures.Density, limit: xr.Dataset) -> bool:
        """Whether the limit has the density."""
        return picture.observable in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Density) -> "Density":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.Density):
        super().__init__("density", picture.title, picture.axis, f"probability per unit {picture.axis}")
        self.name = picture.observable
        self.labels = limit["population"].values.tolist()
        for label, colour in colours(self.labels).items():
            for who, dash in (("limit", "solid"), ("network", "dotted")):
                source = self.source(f"{who}{label}", "x", "y")
                line = self.figure.step("x", "y", source=source, color=colour, line_dash=dash, width=2, mode="center")
                self.entry(f"{who} {label}", f"{who}{label}", line)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show the limit's density and that of the first realisation."""
        for who, dataset in (("limit", limit), ("network", runs[0] if runs else None)):
            for label in self.labels:
                if dataset is None or self.name not in dataset:
                    self.empty(f"{who}{label}")
                    continue
                density = dataset[self.name].sel(population=label)
                density = density.mean([dim for dim in density.dims if dim != "bin"])
                centre = density["bin"].values
                self.fill(f"{who}{label}", x=centre, y=density.values / np.gradient(centre))
