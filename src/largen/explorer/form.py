"""The numbers and choices of a model that a reader may change, read from the model's parameter table."""

import html
import re
import unicodedata
from typing import Any, NamedTuple

import numpy as np

from largen.parameters import entries, indexed_name, parameters, unsaid
from largen.system import AbstractSystem


class Number(NamedTuple):
    """One number of a model.

    Attributes:
        name: Its name, such as `probability[e,i]` or `gain[e].slope`.
        group: The field it belongs to.
        unit: Its unit.
        symbol: Its field's symbol, as LaTeX.
        doc: What it is.
        value: Its value.
        low: Lower end of the slider.
        high: Upper end of the slider.
        step: Step of the slider.
    """

    name: str
    group: str
    unit: str
    symbol: str
    doc: str
    value: float
    low: float
    high: float
    step: float


class Choice(NamedTuple):
    """A word of a model, one of a few.

    Attributes:
        name: Its name.
        doc: What it is.
        value: Its value.
        words: The words it may take.
    """

    name: str
    doc: str
    value: str
    words: tuple[str, ...]


def choices(model: AbstractSystem) -> list[Choice]:
    """List the model's own choices."""
    table = [info for info in parameters(model).values() if info.kind == "choice"]
    values = [(info, getattr(model, info.name)) for info in table]
    return [Choice(info.name, info.doc, value, info.choices) for info, value in values if not unsaid(info, value)]


def numbers(model: AbstractSystem) -> list[Number]:
    """List every finite real number of a model, in the order of its parameter table."""
    return list(_numbers(model, model.populations, ""))


def _numbers(component: Any, labels: tuple[str, ...], prefix: str) -> Any:
    for info in parameters(component).values():
        value = getattr(component, info.name)
        if unsaid(info, value):
            continue
        if info.kind == "component":
            for index, entry in entries(value):
                if hasattr(entry, "__dataclass_fields__"):
                    yield from _numbers(entry, labels, f"{prefix}{indexed_name(info, index, labels)}.")
        elif info.kind == "real" and isinstance(value, np.ndarray):
            group = prefix.split("[")[0].rstrip(".") or info.name
            for index in np.ndindex(value.shape):
                number = float(value[index])
                if np.isfinite(number):
                    name = prefix + indexed_name(info, index, labels)
                    yield Number(name, group, info.unit, info.symbol, info.doc, number, *_range(number, info))


def _range(value: float, info: Any) -> tuple[float, float, float]:
    """Ends and step of a slider: the table's bounds where it has them, else about as far again as the value."""
    span = 10.0 ** np.ceil(np.log10(max(abs(value), 0.5))) if value else 1.0
    span = next(part * span for part in (0.2, 0.5, 1.0) if part * span >= 0.99 * abs(value))
    high = info.high if info.high is not None else value + span
    low = info.low if info.low is not None else value - span
    if info.low is None and info.above is not None:
        low = info.above + (value - info.above) / 50
    step = 10.0 ** np.floor(np.log10(high - low) - 2) / 2
    return float(low), float(high), float(step)


def symbol(latex: str) -> str:
    r"""A symbol of the table as HTML: `\tau_{ab}` becomes a Greek letter with a subscript."""

    def greek(match: re.Match[str]) -> str:
        size = "CAPITAL" if match[1][0].isupper() else "SMALL"
        try:
            return unicodedata.lookup(f"GREEK {size} LETTER {match[1].replace('lambda', 'lamda').upper()}")
        except KeyError:
            return match[1]

    text = re.sub(r"\\bar\s*(\\[A-Za-z]+|\w)", "\\\\1&#772;", html.escape(latex))
    text = re.sub(r"\\([A-Za-z]+)\s*", greek, text)
    text = re.sub(r"_(?:\{([^{}]*)\}|(\w))", lambda m: f"<sub>{m[1] or m[2]}</sub>", text)
    text = re.sub(r"\^(?:\{([^{}]*)\}|(\w))", lambda m: f"<sup>{m[1] or m[2]}</sup>", text)
    return f"<i>{text.replace('{', '').replace('}', '')}</i>"
