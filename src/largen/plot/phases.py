"""Pictures of chaos and stability: planes of two parameters coloured by an exponent, eigenvalues of a network."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import dataset
from largen.plot.common import EXCITATORY, INHIBITORY, axis_label, tidy

_STRUCTURED = 1e-3


def phases(plane: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw a plane of two parameters: colour is the largest Lyapunov exponent, crosses are points without one.

    The solid line is where activity becomes chaotic (exponent 0), the dashed one where it gets structure, that is a
    mean or a latent variable.

    Args:
        plane: From `RatePopulations.phases`.
        ax: Where to draw.
    """
    needed = ("exponent", "structure", "static")
    dataset("plane", plane, variables=needed, remedy="Pass what model.phases(...) returned.")
    first, second = (str(dim) for dim in plane["exponent"].dims)
    x, y = plane[first].values, plane[second].values
    exponent = plane["exponent"].values.T
    largest = float(np.nanmax(np.abs(exponent), initial=1e-9))
    # cells around the values, wider than the plane where there is one value only
    colours = ax.pcolormesh(x, y, exponent, shading="nearest", cmap="RdBu_r", vmin=-largest, vmax=largest)
    ax.figure.colorbar(colours, ax=ax, label=axis_label(plane["exponent"]))
    if min(exponent.shape) > 1:
        chaotic = np.where(plane["static"].values.T, -1.0, 1.0)
        chaotic = np.where(np.isfinite(exponent), chaotic, np.nan)
        ax.contour(x, y, chaotic, levels=[0.0], colors="black", linewidths=1.2)
        structured = np.where(plane["structure"].values.T > _STRUCTURED, 1.0, -1.0)
        if np.ptp(structured) > 0:
            ax.contour(x, y, structured, levels=[0.0], colors="black", linewidths=1.2, linestyles="dashed")
    lost = np.argwhere(~np.isfinite(exponent))
    ax.plot(x[lost[:, 1]], y[lost[:, 0]], "x", color="0.4", ms=4)
    return tidy(ax, x=first, y=second)


def jacobian(spectrum: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw the eigenvalues of one network's Jacobian, the predicted edge of their bulk, and the predicted outliers.

    Args:
        spectrum: From `RatePopulations.jacobian`.
        ax: Where to draw.
    """
    needed = ("eigenvalue_real", "eigenvalue_imag", "radius", "outlier_real", "outlier_imag")
    dataset("spectrum", spectrum, variables=needed, remedy="Pass what model.jacobian(...) returned.")
    label = f"network of {spectrum.attrs['n']}"
    ax.plot(spectrum["eigenvalue_real"], spectrum["eigenvalue_imag"], ".", color="0.5", ms=3, label=label)
    radius = spectrum["radius"].transpose("imag", "real").values
    finite = np.where(np.isfinite(radius), radius, 1e6)
    ax.contour(spectrum["real"], spectrum["imag"], np.log(np.maximum(finite, 1e-12)), levels=[0.0],
               colors=[EXCITATORY[0]], linewidths=1.4)  # fmt: skip
    ax.plot([], [], color=EXCITATORY[0], lw=1.4, label="edge of the bulk, limit")
    if spectrum.sizes["outlier"]:
        ax.plot(spectrum["outlier_real"], spectrum["outlier_imag"], "x", color=INHIBITORY[0], ms=9, mew=2,
                label="outlier, limit")  # fmt: skip
    ax.legend(fontsize=7, frameon=False, loc="upper left")
    ax.set_aspect("equal", adjustable="datalim")
    return tidy(ax, x="real part", y="imaginary part")
