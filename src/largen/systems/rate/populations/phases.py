"""Phase diagrams: the largest Lyapunov exponent and the structure of the activity over a plane of two parameters."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import LimitError, mapping, require, vector
from largen.systems.rate.populations import exponent
from largen.systems.rate.populations.onset import varied

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_WINDOW = 2**11  # points of a window: nearer to a transition, where activity is slower, nothing is found
_STRUCTURED = 1e-3  # size of a mean or latent variable above which activity has structure


class Phases(NamedTuple):
    """The plane.

    Attributes:
        names: The two parameters.
        axes: Their values.
        exponent: Largest Lyapunov exponent, NaN where none was found, shape (first, second).
        static: Whether activity is static, likewise.
        structure: Largest size of a mean state or latent variable, likewise.
        variance: Largest variance of a neuron, likewise.
        message: Why there is nothing, or empty, likewise.
    """

    names: tuple[str, str]
    axes: tuple[np.ndarray, np.ndarray]
    exponent: np.ndarray
    static: np.ndarray
    structure: np.ndarray
    variance: np.ndarray
    message: np.ndarray

    @property
    def phase(self) -> np.ndarray:
        """Words: "quiet", "structured", "chaotic", "structured chaos", or "" where nothing was found."""
        words = np.where(
            self.static,
            np.where(self.structure > _STRUCTURED, "structured", "quiet"),
            np.where(self.structure > _STRUCTURED, "structured chaos", "chaotic"),
        )
        return np.where(np.isfinite(self.exponent), words, "")


def find(
    model: "RatePopulations",
    over: Mapping[str, Any],
    *,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    tick: Callable[[float], None] = lambda done: None,
) -> Phases:
    """Solve the stationary regime that the model's own initial law leads to, and its exponent, at every point.

    Args:
        model: A RatePopulations.
        over: Two parameters, each a number of the model or a field with a trailing * (a factor), with their values.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        tick: Called with the fraction done.
    """
    over = mapping("over", over)
    require(len(over) == 2, "over", "name two parameters, each with its values", list(over))
    names = tuple(over)
    axes = tuple(vector(f"over[{name!r}]", values) for name, values in over.items())
    shape = (len(axes[0]), len(axes[1]))
    growth, structure, variance = np.full((3, *shape), np.nan)
    static, message = np.zeros(shape, bool), np.full(shape, "", dtype=object)
    for i, j in np.ndindex(shape):
        changed = varied(varied(model, names[0], float(axes[0][i])), names[1], float(axes[1][j]))
        try:
            found = exponent.solve(changed, rtol=rtol, atol=atol, longest=_WINDOW)
        except LimitError as error:
            message[i, j] = str(error)
        else:
            if found.regime.static and found.value >= 0.0:
                message[i, j] = (
                    "Too near to a transition: the static state is unstable, and what replaces it was not found."
                )
                continue
            law = found.regime.law
            growth[i, j], static[i, j] = found.value, found.regime.static
            structure[i, j] = float(np.abs(np.concatenate([law.mean, law.latent])).max())
            variance[i, j] = float(found.regime.covariance()[:, 0].max())
        tick((i * shape[1] + j + 1) / growth.size)
    return Phases((names[0], names[1]), (axes[0], axes[1]), growth, static, structure, variance, message.astype(str))
