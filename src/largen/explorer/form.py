"""What of a model a reader may change, read from its parameter table, and the rows of the form made of it."""

import html
import re
import unicodedata
from typing import Any, NamedTuple

import numpy as np

from largen.explorer.settings import opening_of
from largen.explorer.waves import can_be_perturbed
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


def choices(model: AbstractSystem, *, idle: bool = False) -> list[Choice]:
    """List the model's own choices that it uses; with `idle` also the others."""
    unused = () if idle else model.idle
    table = [info for name, info in parameters(model).items() if info.kind == "choice" and name not in unused]
    values = [(info, getattr(model, info.name)) for info in table]
    return [Choice(info.name, info.doc, value, info.choices) for info, value in values if not unsaid(info, value)]


def numbers(model: AbstractSystem, *, idle: bool = False) -> list[Number]:
    """List every finite real number of a model that it uses, in the order of its parameter table; with `idle` all."""
    unused = () if idle else model.idle
    return [number for number in _numbers(model, model.populations, "") if number.group not in unused]


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

    text = re.sub(r"\\bar\s*(\\[A-Za-z]+|\w)", r"\1&#772;", html.escape(latex))
    text = re.sub(r"\\([A-Za-z]+)\s*", greek, text)
    text = re.sub(r"_(?:\{([^{}]*)\}|(\w))", lambda m: f"<sub>{m[1] or m[2]}</sub>", text)
    text = re.sub(r"\^(?:\{([^{}]*)\}|(\w))", lambda m: f"<sup>{m[1] or m[2]}</sup>", text)
    return f"<i>{text.replace('{', '').replace('}', '')}</i>"


# The form's rows -----------------------------------------------------------------------------------------------------


def groups_of(model: AbstractSystem) -> list[dict[str, Any]]:
    """The form of a model, as plain values: one group a field, one row a number or choice."""
    groups: dict[str, dict[str, Any]] = {}
    for number in numbers(model):
        group = groups.setdefault(number.group, {"name": number.group, "title": _title(number), "rows": []})
        group["rows"].append(_row(number))
    for choice in choices(model):
        row = {"name": choice.name, "kind": "choice", "label": html.escape(choice.doc), "options": list(choice.words)}
        groups[choice.name] = {"name": choice.name, "title": html.escape(choice.name), "rows": [row]}
    return list(groups.values())


def _title(number: Number) -> str:
    mark = f" {symbol(number.symbol)}" if number.symbol else ""
    return f"{html.escape(number.group.replace('_', ' '))}{mark}"


def _row(number: Number) -> dict[str, Any]:
    words = f"{number.name} ({number.unit})" if number.unit else number.name
    known = [html.escape(number.doc)]
    if number.symbol:
        known.append(f"Symbol {symbol(number.symbol)}.")
    known.append(f"Unit {html.escape(number.unit)}." if number.unit else "No unit.")
    known.append(f"In files and in Python <code>{html.escape(number.name)}</code>.")
    return {
        "name": number.name, "kind": "number", "label": html.escape(words), "words": words, "unit": number.unit,
        "low": min(number.low, number.value), "high": max(number.high, number.value), "step": number.step,
        "help": " ".join(known),
    }  # fmt: skip


RUN_HELP = {
    "duration": "Time from 0 over which the limit is solved and the networks run.",
    "n": "Neurons of a network, in all populations together. The limit is that of infinitely many, unless the system "
    "has equations of its own size.",
    "networks": "Independent networks that are run; their scatter gives the error bars.",
    "seed": "Start of the random numbers: the same seed gives the same networks.",
    "perturbation": "Amplitude of a wave over the patches with which the limit starts; 0 starts none. A state in which "
    "all patches are alike stays so in the limit even where it is unstable, unless something starts a wave.",
    "perturbation_mode": "Waves around each axis: an integer, or one for each axis of a sheet, such as 1, 0.",
}


def run_groups(model: AbstractSystem) -> list[dict[str, Any]]:
    """The form of what is asked for beside the model."""
    unit = model.time_unit
    labels = {"duration": f"Duration ({unit})" if unit else "Duration", "n": "Neurons n",
              "networks": "Networks", "seed": "Seed"}  # fmt: skip
    if can_be_perturbed(model):
        labels |= {"perturbation": "Perturbation", "perturbation_mode": "Its mode"}
    rows = [
        {"name": name, "kind": "number", "label": label, "words": label, "unit": unit if name == "duration" else "",
         "low": None, "high": None, "step": 1.0, "help": RUN_HELP[name]}
        for name, label in labels.items()
    ]  # fmt: skip
    least = max(10, 4 * len(model.populations))
    rows[1] |= {"low": least, "high": opening_of(model).most, "log": True, "words": "Neurons n, in all"}
    rows = [rows[1], rows[0], *rows[2:]]
    return [{"name": "", "title": "", "rows": rows}]


def values_of(model: AbstractSystem) -> dict[str, Any]:
    """The values of a model's numbers and choices by name."""
    rows = {number.name: number.value for number in numbers(model)}
    return rows | {choice.name: choice.value for choice in choices(model)}
