"""Units in files: "15 mV", "87.8 pA", "250 pF", "1.5 ms", "8 Hz" as the numbers that a model keeps.

Models keep plain numbers in mV, pA, pF, ms and 1/ms. A file may say units where a number stands; each is checked
against what the field is, and converted.
"""

import re
from typing import Any

from largen.checks import InputError, require
from largen.parameters.table import ParameterInfo

UNITS: dict[str, dict[str, float]] = {
    "time": {"ms": 1.0, "s": 1e3, "us": 1e-3},
    "rate": {"1/ms": 1.0, "kHz": 1.0, "Hz": 1e-3, "1/s": 1e-3},
    "potential": {"mV": 1.0, "V": 1e3, "uV": 1e-3},
    "current": {"pA": 1.0, "nA": 1e3, "uA": 1e6},
    "capacitance": {"pF": 1.0, "nF": 1e3, "uF": 1e6},
    "drift": {"mV/ms": 1.0, "V/s": 1.0},
    "noise": {"mV/sqrt(ms)": 1.0},
}
"""By quantity, the units that a file may say, and how many of the model's own units each is; that one comes first."""

_BY_UNIT = {"ms": "time", "1/ms": "rate"}
_NUMBER = re.compile(
    r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf)\s*((?:1/)?[A-Za-zµ]+(?:/[a-z]+(?:\(ms\))?)?)\s*"
)


def quantities_of(info: ParameterInfo) -> tuple[str, ...]:
    """What the numbers of a field are: as declared, else as the field's unit says."""
    return info.quantities or ((_BY_UNIT[info.unit],) if info.unit in _BY_UNIT else ())


def in_own_unit(info: ParameterInfo, value: Any, said: dict[str, set[str]]) -> Any:
    """A value as a file gives it, with numbers in place of texts such as "15 mV"; other values as they are.

    Args:
        info: The field.
        value: What the file says, lists within lists included.
        said: Gains, by quantity, the units found; under "" there is a number other than 0 without a unit.

    Raises:
        InputError: A unit that does not belong to the field.
    """
    if info.kind not in ("real", "integer"):
        return value
    if isinstance(value, list | tuple):
        return [in_own_unit(info, part, said) for part in value]
    if isinstance(value, str) and ":" not in value:  # that would be a function
        return _number(info, value, said)
    if isinstance(value, int | float) and not isinstance(value, bool) and value != 0:
        said.setdefault("", set()).add("")
    return value


def _number(info: ParameterInfo, text: str, said: dict[str, set[str]]) -> Any:
    found = _NUMBER.fullmatch(text)
    if found is None:  # no number with a unit: the field itself will say what it must be
        return text
    known = quantities_of(info)
    require(known, info.name, "be a pure number, without a unit", text)
    number, unit = float(found[1]), found[2].replace("µ", "u")
    for quantity in known:
        if unit in UNITS[quantity]:
            said.setdefault(quantity, set()).add(unit)
            return _times(number, UNITS[quantity][unit])
    listed = ", ".join(word for quantity in known for word in UNITS[quantity])
    raise InputError(f"Argument `{info.name}` must be in one of {listed}, but is {text!r}.")


def _times(number: float, factor: float) -> float:
    """A number in the model's unit; where that is larger, by a division, which leaves 8 Hz the number 0.008."""
    return number / (1.0 / factor) if factor < 1.0 else number * factor
