"""Pictures of a run of populations."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from largen.system.pictures import Curves, Distance, Eigenvalues, Picture, Series

DRAWN = 300
"""Neurons of the network whose eigenvalues the explorer shows."""


def variances(run: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Variance of a neuron against time by population, and the part that is frozen."""
    curves = {}
    for name, words in (("covariance", ""), ("frozen_covariance", ", frozen")):
        if name not in run:
            continue
        both = run[name].sel(lag=0).transpose("population", "time", "time_")
        for label, part in zip(both["population"].values, both.values, strict=True):
            curves[f"{label}{words}"] = (run["time"].values, part.diagonal())
    return curves


def autocorrelations(run: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Covariance of a neuron's last state with its earlier ones by population, with the frozen level."""
    curves = {}
    for name, words in (("covariance", ""), ("frozen_covariance", ", frozen")):
        if name not in run:
            continue
        last = run[name].sel(lag=0).isel(time=-1).transpose("population", "time_")
        back = float(run["time"][-1]) - last["time_"].values[::-1]
        for label, part in zip(last["population"].values, last.values, strict=True):
            curves[f"{label}{words}"] = (back, part[::-1])
    return curves


def latents(run: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Latent variables against time."""
    if "latent" not in run:
        return {}
    rows = run["latent"].transpose("rank", "time")
    return {f"rank {r}": (run["time"].values, row) for r, row in zip(rows["rank"].values, rows.values, strict=True)}


def eigenvalues(model: Any, limit: Any) -> Any:
    """Eigenvalues of one network at rest with what the limit predicts; the prediction alone where it does not rest."""
    from largen.systems.rate.populations import jacobian, tables

    try:
        return tables.of_jacobian(jacobian.solve(model, n=DRAWN, seed=1), DRAWN)
    except jacobian.NoRest as error:
        return tables.of_jacobian(jacobian.predicted(model), 0).assign_attrs(note=str(error))


_LATENTS = Curves("latent variable", "time", "latent variable", latents, every=True)
_VARIANCES = Curves("variance of a neuron", "time", "variance", variances)
_AUTOCORRELATIONS = Curves("covariance with the last state", "time between", "covariance", autocorrelations)

_EIGENVALUES = Eigenvalues("eigenvalues at the static state", eigenvalues)

OVERVIEW: tuple[tuple[Picture, ...], ...] = (
    (Series("mean"), Series("rate")),
    (_LATENTS, _VARIANCES),
    (_AUTOCORRELATIONS, Distance()),
)
VIEWS: Mapping[str, tuple[Picture, ...]] = {
    "Mean": (Series("mean"), Series("rate")),
    "Latent": (_LATENTS,),
    "Variance": (_VARIANCES, _AUTOCORRELATIONS),
    "Eigenvalues": (_EIGENVALUES,),
}
