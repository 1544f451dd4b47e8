"""Which points a sweep visits: Grid, Random and Sobol over any parameters of a model, by name and index."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, integer, known_keys, mapping, real, require, seed_number, shown
from largen.checks import array as numbers
from largen.numerics.streams import stream
from largen.system import AbstractSystem

MOST_POINTS = 1_000_000


class Table(NamedTuple):
    """The points of a sweep.

    Attributes:
        names: Names of the parameters, such as `tau[e]` or `gain[i].slope`.
        columns: Values of each parameter at every point, arrays of shape (point,).
        dims: Dimensions of the result: a grid's parameters, or `point`.
        shape: Their sizes, the last varying fastest.
        axes: Values along each dimension, by name.
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    axes: dict[str, np.ndarray]

    def __len__(self) -> int:
        return math.prod(self.shape)

    def values(self, index: int) -> tuple[Any, ...]:
        """Return the values at one point, as plain numbers and words."""
        return tuple(column[index].item() for column in self.columns)


class AbstractPoints(abc.ABC):
    """A rule that gives the points of a sweep."""

    @abc.abstractmethod
    def table(self, model: AbstractSystem) -> Table:
        """Return the points for a model, after checking that it has these parameters."""


class Grid(AbstractPoints):
    """Every combination of the values given for each parameter; the last parameter varies fastest.

    `Grid({"probability[e,i]": np.linspace(0.5, 1.0, 11), "connectivity": ["annealed", "quenched"]})`
    """

    def __init__(self, values: Mapping[str, Any] | None = None, **more: Any):
        self.axes = {name: _axis(name, given) for name, given in {**_by_name(values), **more}.items()}
        require(self.axes, "over", "name at least one parameter", self.axes)
        _limited(math.prod(len(axis) for axis in self.axes.values()))

    def table(self, model: AbstractSystem) -> Table:
        """Return the points of the grid, the last parameter fastest."""
        _known(model, self.axes)
        mesh = np.meshgrid(*self.axes.values(), indexing="ij")
        shape = tuple(len(axis) for axis in self.axes.values())
        names = tuple(self.axes)
        return Table(names, tuple(column.ravel() for column in mesh), names, shape, self.axes)


class AbstractSample(AbstractPoints):
    """Points in a box: for each parameter (low, high), or (low, high, "log") for a logarithmic scale.

    Args:
        ranges: Bounds by parameter name; an integer parameter takes the integers from low to high, both included.
        count: Number of points. The first points do not change when there are more.
        seed: Seed of the draw.
    """

    def __init__(self, ranges: Mapping[str, Sequence[Any]], count: int, seed: int = 0):
        self.ranges = {name: _range(name, given) for name, given in _by_name(ranges).items()}
        require(self.ranges, "over", "name at least one parameter", self.ranges)
        self.count, self.seed = integer("count", count, low=1), seed_number("seed", seed)
        _limited(self.count)

    @abc.abstractmethod
    def unit(self) -> np.ndarray:
        """Points in the unit cube, shape (point, parameter)."""

    def table(self, model: AbstractSystem) -> Table:
        """Return the points of the sample."""
        _known(model, self.ranges)
        columns = []
        for (name, (low, high, log)), unit in zip(self.ranges.items(), self.unit().T, strict=True):
            if model.locate(name).info.kind == "integer":
                columns.append(np.floor(low + unit * (high + 1 - low)).astype(np.int64))
            elif log:
                columns.append(np.exp(np.log(low) + unit * (np.log(high) - np.log(low))))
            else:
                columns.append(low + unit * (high - low))
        return Table(tuple(self.ranges), tuple(columns), ("point",), (self.count,), {"point": np.arange(self.count)})


class Random(AbstractSample):
    """Independent uniform points in a box: `Random({"tau[e]": (1, 10, "log")}, count=64, seed=1)`."""

    def unit(self) -> np.ndarray:
        """Points in the unit cube, one named stream for each parameter."""
        return np.stack([stream(self.seed, "sweep", name).random(self.count) for name in self.ranges], axis=1)


class Sobol(AbstractSample):
    """Scrambled Sobol points in a box, which fill it evenly: `Sobol({"drive[e]": (0.1, 0.9)}, count=64)`.

    A power of 2 keeps the balance of the sequence.
    """

    def unit(self) -> np.ndarray:
        """Points in the unit cube, from `scipy.stats.qmc.Sobol`."""
        from scipy.stats import qmc

        most = qmc.Sobol.MAXDIM
        require(len(self.ranges) <= most, "over", f"name at most {most} parameters", len(self.ranges))
        sampler = qmc.Sobol(len(self.ranges), rng=stream(self.seed, "sweep", "sobol"))
        return sampler.random_base2(max(math.ceil(math.log2(self.count)), 0))[: self.count]


KINDS = {"grid": Grid, "random": Random, "sobol": Sobol}


def from_plain(plain: Any) -> AbstractPoints:
    """Build points from the `over` block of a file.

    A grid is {kind: grid, values: {NAME: [..] or {start, stop, count}}}, a sample {kind: sobol, ranges: {NAME: [low,
    high]}, count, seed}.
    """
    require(isinstance(plain, Mapping), "over", "be a mapping with the key kind", plain)
    kind = plain.get("kind", "grid")
    require(isinstance(kind, str) and kind in KINDS, "over.kind", f"be one of {', '.join(KINDS)}", kind)
    valid = ("kind", "values") if kind == "grid" else ("kind", "ranges", "count", "seed")
    known_keys("key of `over`", map(str, plain), valid)
    given = plain.get(valid[1])
    require(isinstance(given, Mapping) and given, f"over.{valid[1]}", "map names to values", given)
    assert isinstance(given, Mapping)
    if kind == "grid":
        counts = [_count_of(str(name), values) for name, values in given.items()]
        _limited(math.prod(counts))
        return Grid({str(name): _written_out(values) for name, values in given.items()})
    require("count" in plain, "over.count", "be given for a sample", None)
    return KINDS[kind]({str(k): v for k, v in given.items()}, count=plain["count"], seed=plain.get("seed", 0))


def _count_of(name: str, values: Any) -> int:
    if isinstance(values, Mapping):
        known_keys(f"key of `{name}`", map(str, values), ("start", "stop", "count"))
        for key in ("start", "stop", "count"):
            require(key in values, f"{name}.{key}", "be given", None)
        return integer(f"{name}.count", values["count"], low=1)
    require(isinstance(values, list), name, "be a list, or {start, stop, count}", values)
    return len(values)


def _written_out(values: Any) -> Any:
    if isinstance(values, Mapping):
        try:
            return np.linspace(float(values["start"]), float(values["stop"]), int(values["count"]))
        except (TypeError, ValueError) as error:
            raise InputError(f"A range must have numbers as start and stop, but is {shown(dict(values))}.") from error
    return values


def _by_name(values: Any) -> dict[str, Any]:
    """What is given by parameter names, checked."""
    found = mapping("over", values)
    for name in found:
        require(isinstance(name, str), "over", "have names of parameters as keys", name)
    return found


def _limited(count: int) -> None:
    if count > MOST_POINTS:
        raise InputError(f"A sweep must have at most {MOST_POINTS} points, but this one has {count}. Take fewer.")


def _axis(name: str, given: Any) -> np.ndarray:
    """Values of one parameter as floats, integers, booleans or words, shape (value,)."""
    row = hasattr(given, "__len__") and not isinstance(given, str | bytes | Mapping) and getattr(given, "ndim", 1) == 1
    if not row or len(given) == 0:
        raise InputError(f"Parameter `{name}` must have a list of values, but has {shown(given)}.")
    if len(given) > MOST_POINTS:
        _limited(len(given))
    array = np.array([str(word) for word in given]) if _words(given) else numbers(name, given, booleans=True)
    if array.ndim != 1 or array.dtype.kind not in "fiubU":
        raise InputError(
            f"Parameter `{name}` must have one number or word for a value, but has {shown(given)}. "
            f"Sweep single entries, such as `{name}[e]`."
        )
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    elif array.dtype.kind == "f":
        array = array.astype(np.float64)
        require(np.all(np.isfinite(array)), name, "have finite values", given)
    if len(np.unique(array)) < len(array):
        raise InputError(f"Parameter `{name}` must have each value once, but has {shown(given)}.")
    return array


def _words(given: Any) -> bool:
    return isinstance(given, list | tuple | np.ndarray) and all(isinstance(value, str) for value in given)


def _range(name: str, given: Any) -> tuple[float, float, bool]:
    pair = isinstance(given, list | tuple | np.ndarray) and getattr(given, "ndim", 1) == 1 and len(given) in (2, 3)
    if not pair:
        must = 'have (low, high) or (low, high, "log")'
        raise InputError(f"Parameter `{name}` must {must}, but has {shown(given)}.")
    low, high = real(name, given[0]), real(name, given[1])
    rest = list(given[2:])
    good = low < high and (not rest or (isinstance(rest[0], str) and rest[0] == "log"))
    require(good, name, 'have low < high, and at most the word "log" after them', given)
    require(not rest or low > 0, name, "have a positive low on a logarithmic scale", low)
    return low, high, bool(rest)


def _known(model: AbstractSystem, names: Mapping[str, Any]) -> None:
    """Refuse a name that the model does not have, or two names of the same entry."""
    seen: dict[tuple, str] = {}
    for name in names:
        place = model.locate(name)
        for (steps, index), other in seen.items():
            if steps == place.steps and (index == place.index or not index or not place.index):
                raise InputError(f"Parameters `{other}` and `{name}` overlap: a sweep must name every entry once.")
        seen[place.steps, place.index] = name
