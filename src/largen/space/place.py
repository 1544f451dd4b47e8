"""Functions of place on a ring or sheet, told from functions of time by their first argument, x; averages over patches.

On a ring such a function takes (x) or (x, t), on a sheet (x, y) or (x, y, t): arrays of coordinates of the same shape
and one time. It returns one value per place, shape (place,), or one per population and place, shape (population,
place).
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from largen.checks import InputError, shown
from largen.space.geometry import AbstractSpace

_NODES = 4
"""Nodes of Gauss's rule in a patch along each axis."""


def arguments(function: Any) -> tuple[str, ...]:
    """Names of the arguments that have to be given; none for numbers, ufuncs, and what does not say."""
    if not callable(function) or isinstance(function, np.ufunc):
        return ()
    try:
        known = inspect.signature(function).parameters.values()
    except ValueError:
        return ()
    needed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(one.name for one in known if one.kind in needed and one.default is inspect.Parameter.empty)


def of_place(function: Any) -> bool:
    """Whether it is a function of place: its first argument is called x."""
    return arguments(function)[:1] == ("x",)


def check(name: str, function: Any, space: AbstractSpace | None) -> None:
    """Refuse a function of place with other arguments than the ring or sheet has, or without any space."""
    given = arguments(function)
    if space is None:
        if given[:2] == ("x", "y") or given == ("x", "t"):
            raise InputError(
                f"Argument `{name}` must be a function of time without `space`, but is one of ({', '.join(given)})."
            )
        return
    axes = ("x", "y")[: space.dimensions]
    if of_place(function) and given not in (axes, (*axes, "t")):
        still, moving = (", ".join(words) for words in (axes, (*axes, "t")))
        raise InputError(
            f"Argument `{name}` must be a function of ({still}) or ({moving}) on a {space.word}, but is one of "
            f"({', '.join(given)}). A function of time has another first argument than x."
        )


class AtPlaces:
    """A function of place as one of time, at given places or averaged over patches.

    Calling it with a time gives values of shape (population, place).
    """

    def __init__(self, name: str, function: Callable[..., Any], populations: int, nodes: np.ndarray, weights: Any):
        """Take the values at some nodes.

        Args:
            name: Name of the argument, for messages.
            function: The function.
            populations: Number of populations.
            nodes: Coordinates of the nodes of all places, shape (place x node, axis).
            weights: Weights of the nodes of a place, shape (node,).
        """
        self.name, self.function, self.populations = name, function, populations
        self.nodes, self.weights = np.ascontiguousarray(nodes.T), np.asarray(weights, float)
        self.moves = arguments(function)[-1] == "t"
        first = np.asarray(self._values(0.0))
        if not np.all(np.isfinite(first)):
            raise InputError(
                f"Argument `{name}` must be finite everywhere, but is {shown(first[~np.isfinite(first)][0])}."
            )

    def _values(self, time: Any) -> Any:
        found: Any = self.function(*self.nodes, *((time,) if self.moves else ()))
        jax: Any = sys.modules.get("jax")  # nothing is an array of JAX where nobody has imported it
        numbers: Any = jax.numpy if jax is not None and isinstance(found, jax.Array) else np
        found, count = numbers.asarray(found, float), self.nodes.shape[1]
        if found.shape not in ((), (count,), (self.populations, count), (self.populations, 1)):
            raise InputError(
                f"Argument `{self.name}` must return one value per place, shape ({count},), or one per population and "
                f"place, shape ({self.populations}, {count}), but returns shape {found.shape}."
            )
        return numbers.broadcast_to(found, (self.populations, count))

    def __call__(self, time: Any) -> Any:
        """Values at one time, shape (population, place)."""
        return self._values(time).reshape(self.populations, -1, len(self.weights)) @ self.weights


def at_positions(name: str, function: Callable[..., Any], populations: int, position: np.ndarray) -> AtPlaces:
    """Values at positions, shape (place, axis)."""
    return AtPlaces(name, function, populations, position, [1.0])


def over_patches(name: str, function: Callable[..., Any], populations: int, space: AbstractSpace) -> AtPlaces:
    """Averages over every patch, by Gauss's rule."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    inside = np.stack([part.ravel() for part in np.meshgrid(*[x] * space.dimensions, indexing="ij")], axis=1)
    weight = np.prod(np.stack(np.meshgrid(*[0.5 * w] * space.dimensions, indexing="ij")), axis=0).ravel()
    nodes = space.centres()[:, None] + 0.5 * space.sides * inside
    return AtPlaces(name, function, populations, nodes.reshape(-1, space.dimensions), weight)
