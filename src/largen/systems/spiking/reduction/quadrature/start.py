"""The density of the potentials at the start."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from largen.systems.spiking import constants

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_POINTS, _WEIGHTS = 0.5 * (1.0 + _POINTS), 0.5 * _WEIGHTS
_PIECES = 8
_NARROW = 0.01
"""A normal law this narrow, in cells, is one place."""


def legendre(y: np.ndarray) -> np.ndarray:
    """phi_l(y) of (S62), shape (3, ...)."""
    y = np.asarray(y, np.float64)
    return np.stack([np.ones_like(y), np.sqrt(3.0) * (2.0 * y - 1.0), np.sqrt(5.0) * (6.0 * y * (y - 1.0) + 1.0)])


def first_density(model: "SpikingNetwork", edges: np.ndarray, row: int) -> np.ndarray:
    """Coefficients of the first potentials, normal or all at one place, shape (P, 3 row).

    A potential at or above the threshold is put right below it; one below the lowest cell, into that.

    Args:
        model: The network.
        edges: Edges of the cells, shape (P, K + 1).
        row: Length of a row for one degree.
    """
    first = model.reset if model.initial_mean is None else model.initial_mean
    mean, spread = constants.per_population(model, first), constants.per_population(model, model.initial_spread)
    out = np.zeros((len(edges), 3, row))
    for a, own in enumerate(edges):
        cells, unit = len(own) - 1, own[1] - own[0]
        place, sd = (mean[a] - own[0]) / unit, spread[a] / unit
        if sd > _NARROW:
            out[a, :, :cells], above = _normal(place, sd, cells)
            out[a, :, cells - 1] += above * legendre(np.array(1.0))
        else:
            place = float(np.clip(place, 0.0, cells))
            nearest = float(np.rint(place))
            place = nearest if abs(place - nearest) < 1e-9 else place
            k = min(int(place), cells - 1)
            out[a, :, k] = legendre(np.array(place - k))
    return out.reshape(len(edges), 3 * row)


def _normal(place: float, sd: float, cells: int) -> tuple[np.ndarray, float]:
    """Coefficients of a normal density on the cells, shape (3, cells), and what lies above them."""
    inside = ndtr((cells - place) / sd) - ndtr(-place / sd)
    y = ((np.arange(_PIECES)[:, None] + _POINTS) / _PIECES).ravel()
    weight = np.tile(_WEIGHTS, _PIECES) / _PIECES
    z = (np.arange(cells)[:, None] + y - place) / sd
    density = weight * np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * sd)
    u = np.einsum("ly,ky->lk", legendre(y), density)
    total = u[0].sum()
    u = u * (inside / total) if total > 0.0 else u
    u[0, 0] += ndtr(-place / sd) + (inside if total <= 0.0 else 0.0)
    return u, float(1.0 - u[0].sum())
