"""Tables of the pages, made from largen's own: the parameters and observables of a system."""

from typing import Any

import numpy as np
from IPython.display import Markdown

from largen.parameters import AbstractComponent, ParameterInfo, parameters


def parameter_table(*classes: type) -> Markdown:
    """One row a parameter: symbol, code name, unit, default, what it must be, what it is."""
    rows = ["| symbol | code name | unit | default | must be | |", "|---|---|---|---|---|---|"]
    for cls in classes:
        if len(classes) > 1:
            rows.append(f"| **`{cls.__name__}`** | | | | | {_first_sentence(cls)} |")
        for info in parameters(cls).values():
            symbol = f"${info.symbol}$" if info.symbol else ""
            cells = [symbol, f"`{info.name}`", info.unit, f"`{shown(info.default)}`", _bounds(info), info.doc]
            rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return Markdown("\n".join(rows))


def observable_table(cls: Any) -> Markdown:
    """One row an observable: code name, dimensions, unit, what it is, and whether it must be asked for."""
    rows = ["| code name | dimensions | unit | | when |", "|---|---|---|---|---|"]
    for one in cls.observables:
        when = "on request" if one.on_request else "always"
        rows.append(f"| `{one.name}` | {', '.join(one.dims)} | {one.unit} | {one.long_name} | {when} |")
    return Markdown("\n".join(rows))


def _first_sentence(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split()).split(". ")[0].rstrip(".").replace("|", r"\|") + "."


def shown(value: Any) -> str:
    """A default as one would type it."""
    if isinstance(value, AbstractComponent):
        inside = ", ".join(f"{name}={shown(getattr(value, name))}" for name in parameters(value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple) and any(isinstance(entry, AbstractComponent) for entry in value):
        return f"({', '.join(map(shown, value))})"
    if callable(value):
        return value.__name__
    return repr(value) if isinstance(value, str) else str(np.asarray(value).tolist())


def _bounds(info: ParameterInfo) -> str:
    if info.kind == "choice":
        return " or ".join(f"`{word}`" for word in info.choices)
    if info.kind == "component":
        return " or ".join(f"`{cls.__name__}`" for cls in info.components if cls is not str)
    words = [f"≥ {info.low:g}" if info.low is not None else "", f"> {info.above:g}" if info.above is not None else ""]
    words.append(f"≤ {info.high:g}" if info.high is not None else "")
    words.append("or a function of time" if info.function else "")
    return " ".join(filter(None, words))
