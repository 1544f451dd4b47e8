"""What a person types about a model or a recording, as the library takes it: `name=value` pairs and ids of neurons."""

from collections.abc import Callable, Sequence
from typing import Any

from largen.checks import InputError, shown
from largen.io.plain_files import parse_value


def typed_pairs(
    what: str, given: Sequence[str], like: str = "name=value", read: Callable[[str], Any] = parse_value
) -> dict[str, Any]:
    """Read pairs `name=value`.

    Args:
        what: What messages call them, such as "Option --set".
        given: The pairs.
        like: One such pair, for messages.
        read: What takes a value.

    Raises:
        InputError: One is no pair, or a name is there twice.
    """
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{what} must look like {like}, but is {shown(text)}.")
        if key.strip() in found:
            raise InputError(f"{what} {key.strip()[:80]} must be given once, but is given twice.")
        try:
            found[key.strip()] = read(value)
        except InputError as error:
            raise InputError(f"{what} {shown(text)}: {error}") from error
    return found


def typed_populations(what: str, given: Sequence[str]) -> Any:
    """The name of a column, or ids by label.

    Args:
        what: What messages call them.
        given: One word, or pairs such as `e=1-300`.
    """
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    return typed_pairs(what, given, like="e=1-300", read=_ids)


def _ids(text: str) -> Any:
    """Ids such as 1-300 (both ends included) or 3,5,8."""
    low, dash, high = text.strip().partition("-")
    try:
        return range(int(low), int(high) + 1) if dash and low else [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"must be ids such as 1-300 or 3,5,8, but is {text!r}.") from error
