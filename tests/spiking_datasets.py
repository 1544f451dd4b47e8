"""Datasets of the spiking system made from given rates."""

import json

import numpy as np
import xarray as xr

SIZE = np.array([300, 100])


def dataset(rate, *, step=0.1, kind="network", inhibitory=(False, True), size=SIZE, start=0.0, **attrs):
    """A Dataset as `simulate` (rate with realisations) or `solve_limit` (without) returns it."""
    rate = np.asarray(rate, dtype=float)
    lead = ("realisation",) if rate.ndim == 3 else ()
    parameters = {"size": np.asarray(size).tolist(), "inhibitory": list(inhibitory)}
    about = {"system": "spiking", "kind": kind, "n": int(np.sum(size)), "parameters": json.dumps(parameters)}
    about["sizes"] = np.asarray(size)
    return xr.Dataset(
        {"rate": ((*lead, "population", "time"), rate, {"units": "Hz"})},
        {"time": start + step * np.arange(rate.shape[-1]), "population": [f"p{k}" for k in range(rate.shape[-2])]},
        about | attrs,
    )
