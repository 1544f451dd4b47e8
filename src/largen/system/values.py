"""What systems give, as plain arrays: observables, runs, theories, phase portraits."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Observable(NamedTuple):
    """One labelled quantity of a network or a limit.

    Attributes:
        name: Name of the variable in a Dataset.
        dims: Dimensions without `realisation`; the dim `spike` marks a ragged variable.
        unit: Unit, empty where dimensionless.
        long_name: What a reader of a plot sees.
        on_request: Only present when asked for through `record`.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    on_request: bool = False


COMPLETED = "completed"
"""The status of a result in which nothing went wrong; any other status is a message."""


class Arrays(NamedTuple):
    """What a system's network or limit returns: plain arrays, labelled later by `results.label`.

    Attributes:
        values: Arrays by observable name, each with the observable's dims.
        coords: Coordinate arrays by dimension name (beyond `time` and the populations).
        attrs: Options as they were resolved, and what else is worth recording.
        status: A message; "completed" when nothing went wrong.
        stopped_at: Time at which a limit was lost, or None.
    """

    values: Mapping[str, np.ndarray]
    coords: Mapping[str, Any] = {}
    attrs: Mapping[str, Any] = {}
    status: str = COMPLETED
    stopped_at: float | None = None


class Plan(NamedTuple):
    """What one realisation of a network will take, known before it starts.

    Attributes:
        method: The method that will run.
        bytes: Estimated memory of one realisation while it runs, its result included.
        seconds: Estimated CPU time of one realisation, or None when unknown.
        kept: Estimated memory of its result, or None for that of the standard observables.
    """

    method: str
    bytes: float
    seconds: float | None = None
    kept: float | None = None


class Table(NamedTuple):
    """What a theory of a system found, as plain arrays, labelled later as a Dataset.

    Attributes:
        variables: (dims, values, unit, long name) by name.
        coords: (values, unit, long name) by dimension.
        attrs: What else is worth recording.
    """

    variables: Mapping[str, tuple[tuple[str, ...], Any, str, str]]
    coords: Mapping[str, tuple[Any, str, str]] = {}
    attrs: Mapping[str, Any] = {}


class Portrait(NamedTuple):
    """A phase portrait, of which `analysis.phase_portrait` finds nullclines and arrows and which it labels.

    Attributes:
        axes: Labels of the two axes.
        window: Lowest and highest value shown, shape (axis, edge).
        unit: Unit of both axes.
        quantity: What an axis shows, with {} for its label.
        time_unit: Unit of the orbits' times.
        orbits: By source ("network", "limit", "finite"): points, shape (axis, time) or (realisation, axis, time), and
            times, shape (time,).
        field: JAX function of a point, shape (2,), to its velocity, shape (2,); a pytree, so that new values never
            compile again. None: no nullclines.
        states: Stationary states, shape (state, axis), and whether each is stable, shape (state,). None: where the
            field vanishes.
        more: (dims, values, unit, long name) of further variables by name.
        missing: What does not exist, as phrases.
        attrs: What else is worth recording.
    """

    axes: tuple[str, str]
    window: np.ndarray
    unit: str = "1"
    quantity: str = "{}"
    time_unit: str = "1"
    orbits: Mapping[str, tuple[np.ndarray, np.ndarray]] = {}
    field: Callable[[Any], Any] | None = None
    states: tuple[np.ndarray, np.ndarray] | None = None
    more: Mapping[str, tuple[tuple[str, ...], Any, str, str]] = {}
    missing: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = {}


class FitData(NamedTuple):
    """What a fit aims at, found in one Dataset.

    Attributes:
        values: By name, each in its own shape.
        samples: The same for each realisation, along a new first axis (jackknife pseudo-values of what is no mean);
            None for a deterministic limit.
    """

    values: dict[str, np.ndarray]
    samples: dict[str, np.ndarray] | None
