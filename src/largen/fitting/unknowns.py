"""The free parameters of a fit: their names, places and bounds, and the transform that respects the bounds."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from largen.checks import InputError, known_keys, require, shown
from largen.checks import names as words
from largen.parameters import Place, indexed_name, parameters
from largen.system import AbstractSmoothLimit, AbstractSystem


class Unknowns(NamedTuple):
    """Free parameters, one number each.

    Attributes:
        names: Names as in `model.replace`.
        places: Where they stand, (steps, index) each; hashable.
        low: Lower bounds, -inf where there is none.
        high: Upper bounds, inf where there is none.
        value: Values in the model.
        units: Units.
        asked: The name that asked for each: its own, or that of its whole array.
    """

    names: tuple[str, ...]
    places: tuple[tuple[tuple, tuple], ...]
    low: np.ndarray
    high: np.ndarray
    value: np.ndarray
    units: tuple[str, ...]
    asked: tuple[str, ...] = ()

    def outside(self, inner: np.ndarray) -> np.ndarray:
        """Parameters within their bounds from unbounded variables, shape (..., p)."""
        return self._map(inner)[0]

    def slope(self, inner: np.ndarray) -> np.ndarray:
        """Derivative of `outside`, shape (..., p)."""
        return self._map(inner)[1]

    def inside(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `outside`."""
        below, above = np.isfinite(self.low), np.isfinite(self.high)
        with np.errstate(all="ignore"):
            share = (value - self.low) / (self.high - self.low)
            logit = np.log(share) - np.log1p(-share)
            ends = (np.log(value - self.low), -np.log(self.high - value))
        return np.select([below & above, below, above], [logit, *ends], value)

    def _map(self, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below, above = np.isfinite(self.low), np.isfinite(self.high)
        with np.errstate(all="ignore"):
            part = 1.0 / (1.0 + np.exp(-inner))
            width = self.high - self.low
            up, down = np.exp(inner), np.exp(-inner)
            value = np.select(
                [below & above, below, above], [self.low + width * part, self.low + up, self.high - down], inner
            )
            slope = np.select([below & above, below, above], [width * part * (1.0 - part), up, down], 1.0)
        return value, np.broadcast_to(slope, value.shape)

    def starts(self, count: int, spread: float, rng: np.random.Generator) -> np.ndarray:
        """The model's own values and a scrambled Sobol sequence around them, in unbounded variables, shape (start, p).

        The sequence goes through the normal quantiles, so that `spread` is the standard deviation of each variable.
        Source: Owen, J. Complexity 14 (1998) 466, as in `scipy.stats.qmc.Sobol`.
        """
        from scipy.stats import qmc

        own = self.inside(self.value)
        bounded = np.isfinite(self.low) | np.isfinite(self.high)
        width = spread * np.where(bounded | (self.value == 0), 1.0, np.abs(self.value))
        sequence = qmc.Sobol(len(own), seed=rng)  # pyright: ignore[reportCallIssue]
        points = sequence.random_base2(max(count - 2, 0).bit_length())[: count - 1]
        return np.vstack([own, own + width * ndtri(np.clip(points, 1e-9, 1 - 1e-9))])

    def put(self, model: AbstractSystem, value: np.ndarray) -> AbstractSystem:
        """The model with these values, checked as any model is."""
        return model.replace(**dict(zip(self.names, np.asarray(value, float).tolist(), strict=True)))


def unknowns(
    model: AbstractSystem,
    limit: AbstractSmoothLimit,
    free: str | Iterable[str],
    bounds: Mapping[str, tuple[float, float]] | None = None,
    *,
    inside: bool = True,
) -> tuple[AbstractSystem, Unknowns]:
    """Find the free parameters in a model.

    Args:
        model: The model.
        limit: Its limit; says which fields are fixed.
        free: Names such as `tau[e]`; a name without index stands for all entries of its array.
        bounds: Bounds (low, high) by name, within those of the parameter table.
        inside: Refuse values on a bound, from which no fit can start.

    Returns:
        The model, with one number that stands for all entries written out where one of them is free; and the unknowns.

    Raises:
        InputError: An unknown name, a parameter that is no real number or that the limit holds fixed, a value outside
            its bounds.
    """
    asked = words("free", free, like="free='tau[e]'")
    require(len(asked) > 0, "free", "name at least one parameter", asked, f"Such as {_some(model)}.")
    model, found = _expand(model, limit, asked)
    names = [name for name, *_ in found]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, "free", "name each parameter once", twice)
    given = _bounds(bounds or {}, asked, found)
    low, high = (np.array([given[name][k] for name in names]) for k in (0, 1))
    value = np.array([float(place.value[index] if index else place.value) for _, place, index, _ in found])
    for name, v, a, b in zip(names, value, low, high, strict=True):
        require(a <= v <= b, name, f"lie within its bounds {a:g} and {b:g}", v, "Change the model or `bounds`.")
        if inside and v in (a, b):
            raise InputError(
                f"Parameter `{name}` cannot be free from its value {v:g}, which is its bound. Start inside: "
                f"model.replace(**{{{name!r}: ...}})."
            )
    places = tuple((place.steps, index) for _, place, index, _ in found)
    units = tuple(place.info.unit or "1" for _, place, *_ in found)
    return model, Unknowns(tuple(names), places, low, high, value, units, tuple(whole for *_, whole in found))


def _expand(
    model: AbstractSystem, limit: AbstractSmoothLimit, asked: tuple[str, ...]
) -> tuple[AbstractSystem, list[tuple[str, Place, tuple, str]]]:
    """Every entry that was asked for: its name, place, index and the name that asked."""
    for name in asked:
        place = model.locate(name)
        if place.index and np.ndim(place.value) == 0 and not callable(place.value):
            model = model.replace(**{name: model.value(name)})
    found = []
    for name in asked:
        place = model.locate(name)
        path = [step for step in place.steps if isinstance(step, str)]
        held = [limit.fixed[part] for part in (path[0], ".".join(path)) if part in limit.fixed]
        if held:
            raise InputError(f"Parameter `{name}` cannot be free, because {held[0]}.")
        value = place.value
        if place.info.kind != "real" or callable(value) or not isinstance(value, np.ndarray):
            what = "a function" if callable(value) else f"of kind {place.info.kind!r}"
            raise InputError(f"Parameter `{name}` must be a real number to be free, but is {what}: {shown(value)}.")
        whole = () if place.index or value.ndim == 0 else tuple(np.ndindex(value.shape))
        labels = model.populations
        stem = name.removesuffix(place.info.name)
        if not whole:
            found.append((name.replace(" ", ""), place, place.index, name))
        for index in whole:
            found.append((stem + indexed_name(place.info, index, labels), place, index, name))
    for name, place, index, _ in found:
        number = place.value[index] if index else place.value
        require(np.isfinite(number), name, "be finite to be free", float(number))
    return model, found


def _bounds(
    given: Mapping[str, tuple[float, float]], asked: tuple[str, ...], found: list[tuple[str, Place, tuple, str]]
) -> dict[str, tuple[float, float]]:
    known_keys("parameter in `bounds`", given, {*asked, *(name for name, *_ in found)})
    bounds = {}
    for name, place, _, whole in found:
        info = place.info
        low = info.low if info.low is not None else info.above if info.above is not None else -np.inf
        high = info.high if info.high is not None else np.inf
        pair = given.get(name, given.get(whole, (low, high)))
        try:
            a, b = (float(x) for x in pair)
        except (TypeError, ValueError):
            a = b = np.nan
        require(a < b, "bounds", f"be (low, high) with low < high for `{name}`", pair)
        require(low <= a and b <= high, "bounds", f"lie within {low:g} and {high:g} for `{name}`", pair)
        bounds[name] = (a, b)
    return bounds


def _some(model: AbstractSystem) -> str:
    return ", ".join(f"`{info.name}`" for info in parameters(model).values() if info.kind == "real")


def place_in(model: Any, places: tuple[tuple[tuple, tuple], ...], values: Any) -> Any:
    """The model with traced values put where they belong; no checks."""
    arrays: dict[tuple, Any] = {}
    for k, (steps, index) in enumerate(places):
        if index:
            whole = arrays.get(steps, _of(model, steps))
            arrays[steps] = jnp.asarray(whole).at[index].set(values[k])
        else:
            arrays[steps] = values[k]
    return eqx.tree_at(lambda m: [_of(m, steps) for steps in arrays], model, list(arrays.values()))


def _of(model: Any, steps: tuple) -> Any:
    for step in steps:
        model = model[step] if isinstance(step, int) else getattr(model, step)
    return model
