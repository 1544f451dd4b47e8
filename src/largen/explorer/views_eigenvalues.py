"""Views of eigenvalues: real parts against time, and in the complex plane."""

from collections.abc import Sequence

import xarray as xr
from bokeh.models import Span

from largen.explorer.view import FROZEN, LIMIT, Pictured, axis
from largen.system import pictures


class Growth(Pictured):
    """Real parts of eigenvalues against time."""

    @classmethod
    def fits(cls, picture: pictures.Growth, limit: xr.Dataset) -> bool:
        """Whether the limit has the eigenvalues."""
        return picture.observable in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Growth) -> "Growth":
        """Make the view that a system declares."""
        return cls(limit, picture)

    def __init__(self, limit: xr.Dataset, picture: pictures.Growth):
        super().__init__("growth", picture.title, axis("time", limit["time"].attrs.get("units", "")), "real part")
        self.name, self.about = picture.observable, picture.about
        self.figure.add_layout(Span(location=0, dimension="width", line_color=FROZEN, line_dash="dashed"))
        self.modes = limit.sizes["mode"]
        for k in range(self.modes):
            self.figure.line("x", "y", source=self.source(f"mode{k}", "x", "y"), color=LIMIT, width=2)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show one line per mode."""
        for k in range(self.modes):
            values = limit[self.name].values
            self.fill(f"mode{k}", x=limit["time"].values, y=values[k] if k < len(values) else [])


class ComplexPlane(Pictured):
    """Eigenvalues in the complex plane."""

    about = "eigenvalues, one dot per mode and time"

    @classmethod
    def fits(cls, picture: pictures.ComplexPlane, limit: xr.Dataset) -> bool:
        """Whether the limit has the eigenvalues."""
        return picture.real in limit and picture.imaginary in limit

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.ComplexPlane) -> "ComplexPlane":
        """Make the view that a system declares."""
        return cls(picture)

    def __init__(self, picture: pictures.ComplexPlane):
        super().__init__("eigenvalues", picture.title, "real part", "imaginary part")
        self.names = (picture.real, picture.imaginary)
        self.figure.add_layout(Span(location=0, dimension="height", line_color=FROZEN, line_dash="dashed"))
        self.figure.scatter("x", "y", source=self.source("path", "x", "y"), size=5, color=LIMIT, alpha=0.6)

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Show one dot per mode and time."""
        real, imaginary = (limit[name].values for name in self.names)
        self.fill("path", x=real.ravel(), y=imaginary.ravel())
