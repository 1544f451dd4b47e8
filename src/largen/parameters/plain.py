"""Models as plain numbers, words, lists and dicts, and back, exactly: what files and attributes hold."""

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from largen.checks import InputError, known_keys, nearest, require, sentence, shown
from largen.parameters import AbstractComponent, ParameterInfo, parameters, unsaid
from largen.parameters.units import in_own_unit


def to_plain(component: AbstractComponent, *, strict: bool = True) -> dict[str, Any]:
    """Return a component as plain numbers, words, lists and dicts; `from_plain` is its inverse, exactly.

    Args:
        component: A model or a part of one.
        strict: Refuse a function that cannot be imported by name; otherwise write its name with a remark.
    """
    table = parameters(component)
    values = {name: getattr(component, name) for name in table}
    return {name: _plain(values[name], name, strict) for name, info in table.items() if not unsaid(info, values[name])}


def _plain(value: Any, name: str, strict: bool) -> Any:
    if isinstance(value, AbstractComponent):
        return {"kind": type(value).__name__} | to_plain(value, strict=strict)
    if isinstance(value, tuple):
        return [_plain(entry, name, strict) for entry in value]
    if callable(value):
        return _function_name(value, name, strict)
    return np.asarray(value).tolist()


def _function_name(function: Callable, name: str, strict: bool) -> str:
    where, what = (
        getattr(function, "__module__", "?"),
        getattr(function, "__qualname__", type(function).__name__),
    )
    try:
        found = getattr(importlib.import_module(where), what, None)
    except ImportError:
        found = None
    if found is function and where != "__main__":
        return f"{where}:{what}"
    if strict:
        raise InputError(
            f"Argument `{name}` must be an importable function to be written as `module:name`, but is "
            f"{where}:{what}. Define it at the top level of a module, or use TimeSeries."
        )
    return f"{where}:{what} (not importable)"


def from_plain(cls: type, plain: Mapping[str, Any], *, functions: bool = False) -> Any:
    """Build a component from `to_plain`'s form; an unknown key is an error that names the nearest valid one.

    Args:
        cls: The component's class.
        plain: Values by field name.
        functions: Whether `module:name` may be imported. Importing runs code: say True only for a file you trust.
    """
    table = parameters(cls)
    known_keys("parameter", plain, table)
    said: dict[str, dict[str, set[str]]] = {}
    numbers = {name: in_own_unit(table[name], value, said.setdefault(name, {})) for name, value in plain.items()}
    made = cls(**{name: _unplain(table[name], value, functions) for name, value in numbers.items()})
    if any(kinds.keys() - {""} for kinds in said.values()):
        made._check_quantities(said)
    return made


def _unplain(info: ParameterInfo, value: Any, functions: bool) -> Any:
    if isinstance(value, Mapping):
        kinds = {cls.__name__: cls for cls in info.components}
        require(kinds, info.name, "be numbers" if info.kind != "choice" else "be a word", value)
        value = _with_kind(value, info.components)
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            hint = nearest(str(kind), kinds)
            listed = ", ".join(kinds) or "none"
            raise InputError(f"Parameter `{info.name}` must have a `kind` among {listed}, but is {shown(value)}.{hint}")
        return from_plain(kinds[kind], {k: v for k, v in value.items() if k != "kind"}, functions=functions)
    if info.kind == "component" and isinstance(value, list | tuple):
        return tuple(_unplain(info, entry, functions) for entry in value)
    if isinstance(value, str) and info.kind != "choice" and ":" in value:
        return _import_function(info, value, functions)
    return value


def _with_kind(value: Mapping[str, Any], components: tuple[type, ...]) -> Mapping[str, Any]:
    """A component written short, as `{gaussian: {width: 0.1}}`, with its `kind`; others as they are."""
    shorts = {cls.__dict__["short"]: cls.__name__ for cls in components if "short" in cls.__dict__}
    if len(value) == 1 and next(iter(value)) in shorts:
        (word, inner), *_ = value.items()
        require(isinstance(inner, Mapping), word, "hold a mapping", inner, f"Such as {{{word}: {{...}}}}.")
        return {"kind": shorts[word], **inner}
    return value


def _import_function(info: ParameterInfo, text: str, functions: bool) -> Callable:
    if not (info.function and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text)):
        raise InputError(f"Parameter `{info.name}` must not be the text {text!r}.")
    if not functions:
        raise InputError(
            f"Parameter `{info.name}` names the function {text!r}; importing it runs code. "
            "If you trust this file, read it with functions=True (command line: --functions)."
        )
    where, what = text.split(":")
    try:
        found = getattr(importlib.import_module(where), what)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"Parameter `{info.name}` names the function {text!r}, which cannot be imported: {sentence(error)}."
        ) from error
    require(callable(found), info.name, "name a function", text)
    return found


def finite_or_word(value: Any) -> Any:
    """Numbers as JSON can hold them: infinity and nan become words."""
    if isinstance(value, str):
        return value
    number = float(value)
    if not np.isfinite(number):
        return str(number)
    return int(number) if isinstance(value, int | np.integer) else number


def json_safe(value: Any) -> Any:
    """Plain values with infinity and nan as words, as JSON can hold them."""
    if isinstance(value, dict):
        return {key: json_safe(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [json_safe(entry) for entry in value]
    return finite_or_word(value) if isinstance(value, float) else value
