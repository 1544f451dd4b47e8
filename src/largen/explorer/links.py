"""A state as the query of an address, and back; every value of a link is checked like one of a file."""

from collections.abc import Callable, Mapping
from typing import Any

from largen.checks import InputError
from largen.explorer.form import choices, numbers
from largen.explorer.settings import run_of
from largen.explorer.state import BOXES, State, check_run, first_state, parsed
from largen.parameters.plain import to_plain
from largen.system import AbstractSystem

OTHERS = ("theme", "story", "step")
"""Keys of a link that are not the model's."""
THEMES = {"default": "default", "light": "default", "dark": "dark"}
"""Words of a link for the two themes."""


def read_link(query: Mapping[str, str], own: AbstractSystem, example: Callable[[str], AbstractSystem]) -> State:
    """The state that a link asks for.

    Args:
        query: The link's keys and values.
        own: The page's own model.
        example: Reads an example of this system by its name.

    Raises:
        InputError: No such parameter, or a value that it cannot have.
    """
    if (theme := query.get("theme", "default").strip("'\"")) not in THEMES:
        raise InputError(f"The link asks for the theme {theme[:80]!r}; there are {', '.join(THEMES)}.")
    name = query.get("example", "")
    origin = example(name) if name else own
    state, run = first_state(origin, name), run_of(origin)._asdict()
    names = _names(origin)
    changes = {}
    for key, text in query.items():
        if key in (*OTHERS, "example"):
            continue
        if key not in names and key not in BOXES:
            raise InputError(f"The link names {key[:80]!r}, which is no parameter of this page.")
        value = parsed(state, key, text, "The link's")
        if key in BOXES:
            run[key] = value
        else:
            state.moved(key, value)  # a message about this value alone
            changes[key] = value
    run = check_run(origin, **run)
    try:
        model = origin.replace(**changes)
    except InputError:  # shares that make room for each other, one by one
        model = origin
        for key, value in changes.items():
            model = State(name, model, run).moved(key, value).model
    return State(name, model, run)


def write_link(state: State, own: AbstractSystem, example: Callable[[str], AbstractSystem]) -> dict[str, str] | None:
    """What a link to a state says; None where no link can carry its model."""
    origin = example(state.origin) if state.origin else own
    values: dict[str, Any] = {"example": state.origin} if state.origin else {}
    if state.model is not origin:
        found = _differences(origin, state.model)
        if found is None:
            return None
        values |= found
    begin = run_of(origin)._asdict()
    values |= {name: value for name, value in state.run._asdict().items() if value != begin[name]}
    return {
        name: value if isinstance(value, str) else repr(float(value)).removesuffix(".0")
        for name, value in values.items()
    }


def _names(origin: AbstractSystem) -> list[str]:
    """What a link may set: also fields that only other choices than those of the origin use."""
    return [row.name for row in (*choices(origin, idle=True), *numbers(origin, idle=True))]


def _differences(origin: AbstractSystem, model: AbstractSystem) -> dict[str, Any] | None:
    """The parameters in which two models differ, where that is all in which they do."""
    try:
        values = {name: model.value(name) for name in _names(origin)}
        found = {
            name: value if isinstance(value, str) else float(value)
            for name, value in values.items()
            if value != origin.value(name)
        }
        alike = to_plain(origin.replace(**found)) == to_plain(model)
    except (InputError, TypeError, ValueError, AttributeError):
        return None
    return found if alike else None
