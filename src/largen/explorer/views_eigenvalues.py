"""Views of eigenvalues: real parts against time, and in the complex plane."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from bokeh.models import Span
from contourpy import contour_generator

from largen.explorer.view import FROZEN, LIMIT, NETWORK, Pictured, axis
from largen.explorer.words import Words
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


class JacobianPlane(Pictured):
    """Eigenvalues of a drawn network at rest with the predicted edge of their bulk and the predicted outliers."""

    about = (
        "dots are the eigenvalues of one drawn network at rest, the line is the predicted edge of their bulk, crosses "
        "are predicted outliers; dashed is where a perturbation neither grows nor decays"
    )

    @classmethod
    def of(cls, limit: xr.Dataset, picture: pictures.Eigenvalues) -> "JacobianPlane":
        """Make the view that a system declares."""
        return cls(picture)

    def __init__(self, picture: pictures.Eigenvalues):
        super().__init__("jacobian", picture.title, "real part", "imaginary part", height=420, match_aspect=True)
        self.question = picture.of
        self.said = Words("", margin=0)
        self.controls = [self.said]
        self.figure.scatter([-1.0, 1.0], [-1.0, 1.0], alpha=0.0)  # gives the axes a range until the answer comes
        dots = self.figure.scatter("x", "y", source=self.source("network", "x", "y"), size=4, color=NETWORK)
        self.entry("network", "network", dots)
        line = self.figure.multi_line("xs", "ys", source=self.source("bulk", "xs", "ys"), color=LIMIT, line_width=2)
        self.entry("edge of the bulk", "bulk", line)
        source = self.source("outliers", "x", "y")
        crosses = self.figure.scatter("x", "y", source=source, marker="x", size=13, color=FROZEN, line_width=3)
        self.entry("predicted outliers", "outliers", crosses)
        source, look = self.source("boundary", "xs", "ys"), {"line_dash": "dashed", "line_width": 1}
        self.entry(
            "boundary of stability",
            "boundary",
            self.figure.multi_line("xs", "ys", source=source, color=NETWORK, **look),
        )
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Sequence[xr.Dataset]) -> None:
        """Nothing here is read from the limit that is shown: `show_answer` has it all."""

    def show_answer(self, found: xr.Dataset | None, words: str) -> None:
        """Show the spectrum, or say in words why there is none."""
        if found is None:
            for name in self.sources:
                self.empty(name)
            self.said.object = words
            return
        self.fill("network", x=found["eigenvalue_real"].values, y=found["eigenvalue_imag"].values)
        self.fill("outliers", x=found["outlier_real"].values, y=found["outlier_imag"].values)
        self.fill_lines("bulk", _edge(found))
        self.fill_lines("boundary", _boundary(found))
        of = f"one network of {found.attrs['n']} neurons" if found.attrs["n"] else "no network"
        said = [f"The static state is {found.attrs['stability']}; bulk edge {float(found['bulk_edge']):.4g}"]
        outliers = found["outlier_real"].values + 1j * found["outlier_imag"].values
        said += (
            [f"outliers {', '.join(f'{z:.4g}' if z.imag else f'{z.real:.4g}' for z in outliers[:4])}"]
            if len(outliers)
            else []
        )
        self.said.object = f"{', '.join(said)}. Shown: the prediction and {of}. {found.attrs.get('note', '')}".strip()


def _edge(found: xr.Dataset) -> list[np.ndarray]:
    """Where the spectral radius is 1: the edge of the bulk."""
    radius = found["radius"].transpose("imag", "real").values
    level = np.log(np.clip(np.where(np.isfinite(radius), radius, 1e6), 1e-12, 1e6))
    lines = contour_generator(found["real"].values, found["imag"].values, level).lines(0.0)
    return [np.asarray(line) for line in lines]


def _boundary(found: xr.Dataset) -> list[np.ndarray]:
    """The imaginary axis, as far as the picture reaches, or the unit circle."""
    if found.attrs["boundary"] == "unit circle":
        angle = np.linspace(0.0, 2.0 * np.pi, 181)
        return [np.column_stack([np.cos(angle), np.sin(angle)])]
    ends = found["imag"].values[[0, -1]]
    return [np.column_stack([np.zeros(2), ends])]
