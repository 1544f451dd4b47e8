"""What a model's numbers do to double precision: overflow is an error with the parameter that is to blame."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from largen.checks import InputError, sentence
from largen.parameters import AbstractComponent, entries, indexed_name, parameters

EXTREME = 1e12
"""Factor from 1 beyond which a parameter is called extreme."""


@contextlib.contextmanager
def finite_arithmetic(model: AbstractComponent) -> Iterator[None]:
    """Turn overflow and invalid operations of the work inside into an error that names the most extreme parameter.

    Raises:
        InputError: Instead of OverflowError, FloatingPointError, ZeroDivisionError and NumPy's warnings, where a
            parameter is extreme; else FloatingPointError.
    """
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            yield
    except (FloatingPointError, OverflowError, ZeroDivisionError) as error:
        name, value = max(_numbers(model, ""), key=lambda pair: _size(pair[1]), default=("", 1.0))
        if _size(value) < np.log(EXTREME):
            raise FloatingPointError(
                f"{sentence(error)}. No parameter is extreme: this is a fault of largen or of a function you gave. "
                "Please report it with the model."
            ) from error
        raise InputError(
            f"This model's numbers leave double precision; the most extreme is `{name}` = {value:g}: choose one "
            f"nearer to 1. ({sentence(error)}.)"
        ) from error


def _size(value: float) -> float:
    """How many e-foldings a number is from 1 in size; 0 and infinity are allowed where they are."""
    return abs(float(np.log(abs(value)))) if value != 0 and np.isfinite(value) else 0.0


def _numbers(component: Any, stem: str) -> Iterator[tuple[str, float]]:
    """Name and value of every number of a component, those of its parts included."""
    labels = component._labels()
    for info in parameters(component).values():
        value = getattr(component, info.name)
        if isinstance(value, np.ndarray):
            for index in np.ndindex(value.shape):
                yield f"{stem}{indexed_name(info, index, labels)}", float(value[index])
        for index, part in entries(value):
            if isinstance(part, AbstractComponent):
                yield from _numbers(part, f"{stem}{indexed_name(info, index, labels)}.")
