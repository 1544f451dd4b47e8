"""The examples that ship, by system, with what to look for in each."""

import functools
import html
from collections.abc import Mapping
from typing import NamedTuple

from largen.checks import InputError
from largen.io.model_files import examples, parse_model, read_model
from largen.system import AbstractSystem


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


def gallery_html(here: str) -> str:
    """A list of links to all examples.

    Args:
        here: Name of the example that is shown, if it is one.
    """
    items = []
    for one in gallery().values():
        current = ' aria-current="true"' if one.name == here else ""
        words = html.escape(one.words)
        items.append(f'<li><a href="{one.system}?example={one.name}"{current}>{html.escape(one.name)}</a> {words}</li>')
    return f'<ul class="gallery">{"".join(items)}</ul>'
