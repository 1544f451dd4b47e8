"""Text as plain data and back: YAML and JSON that hold numbers, words, lists and mappings, and never run code."""

import json
import os
import re
from pathlib import Path
from typing import Any

from largen.checks import InputError, path_of, require, sentence, shown
from largen.io.atomic import write_atomically

LARGEST_FILE = 1_000_000
"""Bytes of a file that is read; a model of 256 x 256 populations fits."""
DEEPEST = 32
"""Lists and mappings inside each other, at most."""
LONGEST_NUMBER = 4000
"""Characters of a number, at most: more than any double or seed has."""

_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
"""What a word without quotes is: the core schema of YAML 1.2 (section 10.3.2)."""


def read_text(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8.

    Raises:
        InputError: No such file, too large, or not text.
    """
    file = path_of("path", path)
    require(file.is_file(), "path", "name an existing file", str(path))
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"File `{path}` must have at most {LARGEST_FILE} bytes, but has {size}.")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"File `{path}` cannot be read as text: {sentence(error)}.") from error


def parse_plain(text: str) -> Any:
    """Parse YAML 1.2 or JSON safely: numbers, words, lists and mappings with words as keys.

    Raises:
        InputError: The text is something else, has tags, aliases, repeated keys, or a number too large for a double.
    """
    try:
        if text.lstrip()[:1] in ("{", "["):
            return _parse_json(text)
        return _parse_yaml(text)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"Lists and mappings may lie inside each other at most {DEEPEST} deep.") from error
    except Exception as error:  # of the parser, each of its own kind
        raise InputError(f"not a YAML file of plain values: {sentence(error)}.") from error


def parse_value(text: str) -> Any:
    """Parse one value as a person types it: as in a file, with the words inf and -inf for infinity."""
    if text.strip() in ("inf", "+inf", "-inf"):
        return float(text)
    return parse_plain(text)


def _parse_json(text: str) -> Any:
    """Parse JSON; what is not JSON may be YAML in its flow style."""
    try:
        value = json.loads(text, object_pairs_hook=_unrepeated, parse_int=_integer, parse_float=_real)
    except json.JSONDecodeError:
        return _parse_yaml(text)
    _check_depth(value, 0)
    return value


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise InputError(f"Lists and mappings may lie inside each other at most {DEEPEST} deep.")
    if isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, list | dict):
                _check_depth(part, depth + 1)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        _add(found, key, value)
    return found


def _add(found: dict[str, Any], key: Any, value: Any) -> None:
    if isinstance(key, list | dict):
        raise InputError(f"Key {shown(key)} must be a word, but is a {type(key).__name__}.")
    if key in found:
        raise InputError(f"Key {shown(key)} must appear once, but appears twice.")
    found[key] = value


def _integer(text: str) -> int:
    require(len(text) <= LONGEST_NUMBER, "number", f"have at most {LONGEST_NUMBER} characters", text)
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text, base)


def _real(text: str) -> float:
    require(len(text) <= LONGEST_NUMBER, "number", f"have at most {LONGEST_NUMBER} characters", text)
    word = text.lower()
    if word.endswith((".inf", ".nan")):
        return float(word.replace(".", "", 1))
    number = float(text)
    require(abs(number) < float("inf"), "number", "be at most 1.8e308", text, "Infinity is written .inf.")
    return number


def _parse_yaml(text: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # parses only: what a word means is decided here
    try:
        require(loader.check_event(yaml.StreamStartEvent), "file", "be YAML", text)
        loader.get_event()
        if loader.check_event(yaml.StreamEndEvent):
            return None
        loader.get_event()
        value = _value(loader, yaml, 0)
        loader.get_event()
        if not loader.check_event(yaml.StreamEndEvent):
            raise InputError("The file must hold one YAML document, but holds several.")
        return value
    finally:
        loader.dispose()


def _value(loader: Any, yaml: Any, depth: int, key: bool = False) -> Any:
    """The next value of a stream of YAML events; a key is the word as it stands."""
    if depth > DEEPEST:
        raise InputError(f"Lists and mappings may lie inside each other at most {DEEPEST} deep.")
    event = loader.get_event()
    if isinstance(event, yaml.AliasEvent):
        raise InputError("YAML aliases (*name) are not allowed: write the value out.")
    if event.tag is not None:
        raise InputError(f"YAML tags ({shown(event.tag)}) are not allowed: write the value alone.")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] and not key else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not loader.check_event(yaml.SequenceEndEvent):
            items.append(_value(loader, yaml, depth + 1))
        loader.get_event()
        return items
    found: dict[str, Any] = {}
    while not loader.check_event(yaml.MappingEndEvent):
        key = _value(loader, yaml, depth + 1, key=True)
        _add(found, key, _value(loader, yaml, depth + 1))
    loader.get_event()
    return found


def _scalar(text: str) -> Any:
    """What a word without quotes means."""
    kind = next((kind for kind, pattern in _SCALARS.items() if re.fullmatch(pattern, text)), "word")
    if kind == "word":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    return _integer(text) if kind == "int" else _real(text)


def write_json(plain: Any, path: Path) -> Path:
    """Write plain data as JSON, whole or not at all."""
    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    return write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))
