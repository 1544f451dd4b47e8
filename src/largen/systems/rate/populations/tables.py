"""Theories of populations as Datasets with names, units and meanings."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from largen.statistics.signals import labelled
from largen.systems.rate.populations.dimension import Dimension
from largen.systems.rate.populations.exponent import Exponent
from largen.systems.rate.populations.fluctuations import Fluctuations
from largen.systems.rate.populations.jacobian import Spectrum
from largen.systems.rate.populations.onset import Onset
from largen.systems.rate.populations.phases import Phases
from largen.systems.rate.populations.static_states import StaticState
from largen.systems.rate.populations.stationary import Stationary

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_SYSTEM = "rate_populations"


def _coords(model: "RatePopulations", rank: int) -> dict[str, tuple[np.ndarray, str, str]]:
    coords: dict[str, tuple[np.ndarray, str, str]] = {"population": (np.array(model.populations), "1", "population")}
    if rank:
        coords["rank"] = (np.arange(rank), "1", "rank")
    return coords


def of_stationary(model: "RatePopulations", found: Stationary, lags: int) -> xr.Dataset:
    """The stationary regime by population, with its stability where it is static."""
    count, law = len(found.time), found.law
    variables: dict[str, Any] = {
        "mean": (("population",), law.mean, "1", "mean state"),
        "rate": (("population",), found.rates, "1", "mean rate"),
        "variance": (("population",), found.covariance()[:, 0], "1", "variance of a neuron"),
        "frozen": (("population",), found.frozen(), "1", "covariance frozen by weights and loadings"),
        "covariance": (("population", "time"), found.covariance()[:, :count], "1", "stationary covariance of a neuron"),
    }
    coords = _coords(model, len(law.latent)) | {"time": (found.time, "1", "time between the two states")}
    if len(law.latent):
        variables["latent"] = (("rank",), law.latent, "1", "latent variable")
    if lags:
        whole = np.stack([found.covariance(k)[:, :count] for k in range(lags + 1)], axis=1)
        frozen = np.stack([found.frozen(k) for k in range(lags + 1)], axis=1)
        words = "of two neurons at a lag on the ring"
        variables["lag_covariance"] = (("population", "lag", "time"), whole, "1", f"stationary covariance {words}")
        variables["lag_frozen"] = (("population", "lag"), frozen, "1", f"frozen covariance {words}")
        coords["lag"] = (np.arange(lags + 1), "1", "lag on the ring")
    attrs: dict[str, Any] = {
        "static": str(found.static).lower(),
        "stable": "not checked",
        "residual": found.residual,
        "error": found.error,
    }
    if found.state is not None:
        variables |= _stability(found.state)
        attrs["stable"] = str(found.state.stable).lower()
    return labelled(variables, coords, {"kind": "stationary", "system": _SYSTEM, **attrs})


def _stability(state: StaticState) -> dict[str, Any]:
    words = "largest modulus" if state.discrete else "rightmost point"
    return {
        "bulk_edge": ((), state.bulk_edge, "1", f"{words} of the bulk of the Jacobian's spectrum"),
        "outlier_real": (("outlier",), np.real(state.outliers), "1", "real part of an eigenvalue outside the bulk"),
        "outlier_imag": (
            ("outlier",),
            np.imag(state.outliers),
            "1",
            "imaginary part of an eigenvalue outside the bulk",
        ),
        "exponent": ((), state.exponent, "1", "growth rate of a small perturbation"),
    }


def of_static_states(model: "RatePopulations", found: list[StaticState]) -> xr.Dataset:
    """All static states, the most stable first."""
    widest = max(len(state.outliers) for state in found)
    outliers = np.full((len(found), widest), np.nan, complex)
    for row, state in zip(outliers, found, strict=True):
        row[: len(state.outliers)] = state.outliers
    words = "largest modulus" if found[0].discrete else "rightmost point"
    rows: dict[str, Any] = {
        name: (("state", "population"), np.array([getattr(state, name) for state in found]), "1", text)
        for name, text in (("mean", "mean state"), ("rate", "mean rate"), ("variance", "variance over neurons"))
    }
    if len(found[0].latent):
        rows["latent"] = (("state", "rank"), np.array([state.latent for state in found]), "1", "latent variable")
    edge = np.array([state.bulk_edge for state in found])
    rows["bulk_edge"] = (("state",), edge, "1", f"{words} of the bulk of the Jacobian's spectrum")
    rows["outlier_real"] = (("state", "outlier"), np.real(outliers), "1", "real part of an eigenvalue outside the bulk")
    rows["outlier_imag"] = (
        ("state", "outlier"),
        np.imag(outliers),
        "1",
        "imaginary part of an eigenvalue outside the bulk",
    )
    exponents = np.array([state.exponent for state in found])
    rows["exponent"] = (("state",), exponents, "1", "growth rate of a small perturbation")
    rows["stable"] = (("state",), exponents < 0.0, "1", "whether small perturbations decay")
    attrs = {"kind": "static states", "system": _SYSTEM}
    return labelled(rows, _coords(model, len(found[0].latent)), attrs)


def of_exponent(found: Exponent) -> xr.DataArray:
    """The largest Lyapunov exponent, a number with attributes."""
    attrs = {
        "units": "1",
        "long_name": "largest Lyapunov exponent",
        "collective": found.collective,
        "static": str(found.regime.static).lower(),
        "system": _SYSTEM,
    }
    return xr.DataArray(found.value, name="lyapunov_exponent", attrs=attrs)


def of_fluctuations(model: "RatePopulations", found: Fluctuations, times: np.ndarray, n: int) -> xr.Dataset:
    """Variances of averages over the neurons of a network of n: all, the frozen part, without feedback, the error."""
    square = ("population", "time", "time_")
    dims = {name: square for name in ("second_moment", "covariance")}
    dims |= {"mean": ("population", "time"), "rate": ("population", "time"), "latent": ("rank", "time")}
    words = {"": "", "_frozen": ", part frozen by weights and loadings", "_field": ", without feedback",
             "_error": ", Monte Carlo error"}  # fmt: skip
    parts = zip(words.items(), (found.total, found.frozen, found.field, found.error), strict=True)
    rank = len(found.total["latent"])
    variables: dict[str, Any] = {}
    for (ending, text), values in parts:
        for name, value in values.items():
            if name != "latent" or rank:
                about = f"variance of the {name.replace('_', ' ')} over draws{text}"
                variables[name + ending] = (dims[name], value / n, "1", about)
    coords = _coords(model, rank) | {"time": (times, "1", "time"), "time_": (times, "1", "other time")}
    return labelled(variables, coords, {"kind": "fluctuations", "system": _SYSTEM, "n": n})


def of_dimension(found: Dimension) -> xr.Dataset:
    """The dimension of the activity over the number of neurons."""
    text = "participation ratio of the covariance matrix over the number of neurons"
    variables: dict[str, Any] = {"dimension": ((), found.rates, "1", f"{text}, of the rates")}
    if np.isfinite(found.states):
        variables["dimension_of_states"] = ((), found.states, "1", f"{text}, of the states")
    return labelled(variables, {}, {"kind": "dimension", "system": _SYSTEM})


def of_onset(model: "RatePopulations", parameter: str, found: Onset) -> xr.Dataset:
    """Where a static state becomes unstable, and that state."""
    variables: dict[str, Any] = {
        "onset": ((), found.value, "1", f"{parameter} at the onset"),
        "static_mean": (("population",), found.state.mean, "1", "mean of the static state at the onset"),
        "static_variance": (("population",), found.state.variance, "1", "variance of the static state at the onset"),
    }
    attrs = {"kind": "onset", "system": _SYSTEM, "parameter": parameter, "by": found.by}
    return labelled(variables, _coords(model, 0), attrs)


def of_phases(found: Phases) -> xr.Dataset:
    """A plane of two parameters."""
    dims = found.names
    variables: dict[str, Any] = {
        "exponent": (dims, found.exponent, "1", "largest Lyapunov exponent"),
        "structure": (dims, found.structure, "1", "largest size of a mean state or latent variable"),
        "variance": (dims, found.variance, "1", "largest variance of a neuron"),
        "static": (dims, found.static, "1", "whether activity is static"),
        "phase": (dims, found.phase, "1", "phase in words"),
        "message": (dims, found.message, "1", "why there is nothing, or empty"),
    }
    coords = {name: (axis, "1", name) for name, axis in zip(found.names, found.axes, strict=True)}
    return labelled(variables, coords, {"kind": "phases", "system": _SYSTEM})


def of_jacobian(found: Spectrum, n: int) -> xr.Dataset:
    """Eigenvalues of one network of n neurons with what the limit predicts; n = 0 for the prediction alone."""
    state = found.state
    variables: dict[str, Any] = {
        "eigenvalue_real": (("neuron",), np.real(found.eigenvalues), "1", "real part of an eigenvalue of the network"),
        "eigenvalue_imag": (("neuron",), np.imag(found.eigenvalues), "1", "imaginary part"),
        "outlier_real": (("outlier",), np.real(state.outliers), "1", "real part of a predicted outlier"),
        "outlier_imag": (("outlier",), np.imag(state.outliers), "1", "imaginary part"),
        "radius": (("real", "imag"), found.radius, "1", "spectral radius, 1 on the predicted edge of the bulk"),
        "bulk_edge": ((), state.bulk_edge, "1", "rightmost point of the bulk, in discrete time its largest modulus"),
    }
    coords = {"real": (found.real, "1", "real part"), "imag": (found.imaginary, "1", "imaginary part")}
    attrs = {"kind": "jacobian", "system": _SYSTEM, "n": n, "stability": "stable" if state.stable else "unstable",
             "boundary": "unit circle" if state.discrete else "imaginary axis"}  # fmt: skip
    return labelled(variables, coords, attrs)
