"""The numbers of a model that a slider may move, read from the model's parameter table."""

from typing import Any, NamedTuple

import numpy as np

from largen.system import AbstractSystem, indexed_name, parameters


class Number(NamedTuple):
    """One number of a model.

    Attributes:
        name: Its name, such as `probability[e,i]` or `gain[e].slope`.
        group: The field it belongs to.
        unit: Its unit.
        doc: What it is.
        value: Its value.
        low: Lower end of the slider.
        high: Upper end of the slider.
        step: Step of the slider.
    """

    name: str
    group: str
    unit: str
    doc: str
    value: float
    low: float
    high: float
    step: float


def numbers(model: AbstractSystem) -> list[Number]:
    """List every finite real number of a model, in the order of its parameter table."""
    return list(_numbers(model, model.populations, ""))


def _numbers(component: Any, labels: tuple[str, ...], prefix: str) -> Any:
    for info in parameters(component).values():
        value = getattr(component, info.name)
        if info.kind == "component":
            entries = enumerate(value) if isinstance(value, tuple) else [(None, value)]
            for index, entry in entries:
                if hasattr(entry, "__dataclass_fields__"):
                    place = info.name if index is None else indexed_name(info, (index,), labels)
                    yield from _numbers(entry, labels, f"{prefix}{place}.")
        elif info.kind == "real" and isinstance(value, np.ndarray):
            group = prefix.split("[")[0].rstrip(".") or info.name
            for index in np.ndindex(value.shape):
                number = float(value[index])
                if np.isfinite(number):
                    name = prefix + indexed_name(info, index, labels)
                    yield Number(name, group, info.unit, info.doc, number, *_range(number, info))


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
