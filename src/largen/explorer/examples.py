"""The examples that ship, by system, with what to look for in each."""

import functools
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from largen.checks import InputError
from largen.io.model_files import examples, parse_model, read_model
from largen.system import AbstractSystem
from largen.system.colours import EXCITATORY, colours


class Example(NamedTuple):
    """A model that ships.

    Attributes:
        name: Its name.
        system: Its system.
        words: One line on what to look for.
    """

    name: str
    system: str
    words: str


@functools.cache
def gallery() -> Mapping[str, Example]:
    """Every example that ships, by name."""
    found = {}
    for name, words in examples().items():
        found[name] = Example(name, read_model(name).system, words)
    return found


@functools.cache
def example_model(system: str, name: str) -> AbstractSystem:
    """The model of an example of a system.

    Raises:
        InputError: There is no such example.
    """
    known = [one.name for one in gallery().values() if one.system == system]
    if name not in known:
        raise InputError(f"There is no example {name[:80]!r} of this system; there are {', '.join(known)}.")
    return read_model(name)


def model_of(text: str) -> AbstractSystem:
    """The model in the text of a file; called in a worker, for a long text takes long."""
    return parse_model(text, "The file")[0]


@functools.cache
def thumbnails() -> Mapping[str, Mapping[str, Any]]:
    """What the thumbnails of the examples are drawn from (`benchmarks/explorer_pictures.py thumbnails` makes them)."""
    return json.loads((Path(__file__).parent / "thumbnails.json").read_text(encoding="utf-8"))


def thumbnail_svg(drawn: Mapping[str, Any]) -> str:
    """A small picture: a line a population, or a map of cells whose digits say how dark they are."""
    if not drawn:
        return ""
    if "map" in drawn:
        rows = drawn["map"]
        wide, high = 240 / len(rows[0]), 96 / len(rows)
        marks = "".join(
            f'<rect x="{k * wide:.1f}" y="{j * high:.1f}" width="{wide + 0.3:.1f}" height="{high + 0.3:.1f}" '
            f'opacity="{int(digit) / 9:.2f}"/>'
            for j, row in enumerate(rows) for k, digit in enumerate(row) if digit != "0"
        )  # fmt: skip
        marks = f'<g fill="{EXCITATORY[0]}">{marks}</g>'
    else:
        tints = colours(list(drawn)) if list(drawn) != [""] else {"": EXCITATORY[0]}
        marks = "".join(f'<path d="{html.escape(path)}" stroke="{tints[label]}"/>' for label, path in drawn.items())
    return f'<svg viewBox="0 0 240 96" aria-hidden="true">{marks}</svg>'


def gallery_html(here: str) -> str:
    """A list of links to all examples.

    Args:
        here: Name of the example that is shown, if it is one.
    """
    items = []
    for one in gallery().values():
        current = ' aria-current="true"' if one.name == here else ""
        words, drawn = html.escape(one.words), thumbnail_svg(thumbnails().get(one.name, {}))
        link = f'<a href="{one.system}?example={one.name}"{current}>{html.escape(one.name)}</a>'
        items.append(f"<li>{drawn}<p>{link} {words}</p></li>")
    return f'<ul class="gallery">{"".join(items)}</ul>'
