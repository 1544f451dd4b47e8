"""Prior laws of parameters for `posterior`: `Normal`, `LogNormal`, `Uniform`, each in the parameter's unit."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from largen.checks import InputError, require, shown
from largen.parameters import ParameterInfo
from largen.parameters.units import in_own_unit

__all__ = ["LogNormal", "Normal", "Uniform"]


@dataclasses.dataclass(frozen=True)
class Normal:
    """A normal law, cut off at the parameter's own bounds.

    Attributes:
        mean: Its mean, a number in the parameter's unit or a text such as "8 Hz".
        sd: Its standard deviation, likewise.
    """

    mean: Any
    sd: Any
    code: ClassVar[int] = 0


@dataclasses.dataclass(frozen=True)
class LogNormal:
    """A law whose logarithm is normal: for positive parameters known up to a factor.

    Attributes:
        median: Its median, a number in the parameter's unit or a text such as "8 Hz".
        sd: Standard deviation of the logarithm: 0.1 is about 10 %.
    """

    median: Any
    sd: float
    code: ClassVar[int] = 1


@dataclasses.dataclass(frozen=True)
class Uniform:
    """All values between two alike; the pair `(low, high)` says the same.

    Attributes:
        low: Lower end, a number in the parameter's unit or a text such as "8 Hz".
        high: Upper end, likewise.
    """

    low: Any
    high: Any
    code: ClassVar[int] = 2


class Laws(NamedTuple):
    """Priors as numbers, shape (p,) each.

    Attributes:
        code: Which law: 0 normal, 1 log-normal, 2 uniform.
        first: Mean, logarithm of the median, or lower end.
        second: Standard deviation (of the logarithm), or upper end.
    """

    code: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def residuals(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances from the priors' centres in standard deviations, shape (S, p), and their derivatives."""
        log = self.code == 1
        with np.errstate(invalid="ignore", divide="ignore"):
            at = np.where(log, np.log(value), value)
            slope = np.where(log, 1.0 / value, 1.0)
        spread = np.where(self.code == 2, np.inf, self.second)
        return (at - self.first) / spread, slope / spread


def laws(over: Mapping[str, Any], infos: Mapping[str, ParameterInfo]) -> tuple[Laws, dict[str, tuple[float, float]]]:
    """Check priors; they as numbers, and the ends of the uniform ones.

    Args:
        over: Priors by parameter.
        infos: The parameters.

    Raises:
        InputError: No prior, a wrong unit, a spread that is not positive, a log-normal law of a negative median.
    """
    rows, ends = [], {}
    for name, given in over.items():
        law = given
        if isinstance(given, tuple) and len(given) == 2:
            law = Uniform(*given)
        if not isinstance(law, Normal | LogNormal | Uniform):
            raise InputError(
                f"The prior of `{name}` must be ln.priors.Normal(mean, sd), LogNormal(median, sd), Uniform(low, high) "
                f"or a pair (low, high), but is {shown(given)}."
            )
        words = [field.name for field in dataclasses.fields(law)]
        first, second = (_number(name, word, getattr(law, word), infos[name], law) for word in words)
        if isinstance(law, Uniform):
            require(first < second, f"over[{name!r}]", "have low < high", given)
            ends[name] = (first, second)
        else:
            require(second > 0, f"over[{name!r}]", "have a positive sd", given)
        if isinstance(law, LogNormal):
            require(first > 0, f"over[{name!r}]", "have a positive median", given)
            first = float(np.log(first))
        rows.append((law.code, first, second))
    code, first, second = (np.array(column, float) for column in zip(*rows, strict=True))
    return Laws(code.astype(int), first, second), ends


def _number(name: str, word: str, value: Any, info: ParameterInfo, law: Any) -> float:
    if isinstance(value, str) and not (word == "sd" and isinstance(law, LogNormal)):
        value = in_own_unit(info, value, {})
    good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not good or not np.isfinite(value):
        unit = f" in {info.unit}" if info.unit and info.unit != "1" else ""
        raise InputError(
            f"The prior of `{name}` must have a finite number{unit} as its `{word}`, but has {shown(value)}."
        )
    return float(value)


def said(law: Any) -> str:
    """A prior in words, as it was given."""
    return str(law) if not isinstance(law, tuple) else f"Uniform(low={law[0]}, high={law[1]})"
