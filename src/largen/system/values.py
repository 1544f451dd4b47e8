"""What systems give, as plain arrays: observables, runs, theories, phase portraits."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Yardstick(NamedTuple):
    """How large a difference in an observable matters.

    Attributes:
        tolerance: Share of the scale that is tolerated.
        scale: Natural size of a difference, from a Dataset of the theory to an array with the observable's dims but
            times; None for the size of the theory's own time mean.
        words: What the scale is, for people, such as "a neuron's s.d."; empty for its own size.
        needs: The observables from which the scale is computed.
    """

    tolerance: float = 0.05
    scale: Callable[[Any], Any] | None = None
    words: str = ""
    needs: tuple[str, ...] = ()


class Observable(NamedTuple):
    """One labelled quantity of a network or a limit.

    Attributes:
        name: Name of the variable in a Dataset.
        dims: Dimensions without `realisation`; the dim `spike` marks a ragged variable.
        unit: Unit, empty where dimensionless.
        long_name: What a reader of a plot sees.
        on_request: Only present when asked for through `record`.
        yardstick: How large a difference matters in a comparison.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    on_request: bool = False
    yardstick: Yardstick = Yardstick()


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
        absent: Why others, which the system knows, are not to be fitted, by name, such as "no rhythm is seen".
        choice: Standard errors that realisations do not show, because a sample of the neurons was recorded, by name.
    """

    values: dict[str, np.ndarray]
    samples: dict[str, np.ndarray] | None
    absent: Mapping[str, str] = {}
    choice: Mapping[str, np.ndarray] = {}


class Feature(NamedTuple):
    """A statistic of each realisation that a comparison tests beside the time means, such as the synchrony.

    Attributes:
        labels: Of its entries, such as populations; one empty label for a single number.
        estimate: The statistic of the run, shape (entry,); NaN where the run lacks it.
        values: Of every realisation, shape (run, entry), or jackknife pseudo-values of what is no mean over them; their
            scatter is the error of the estimate. One row: the error is not known.
        scale: Natural size of a difference where this is the theory, shape (entry,).
        tolerance: Share of the scale that is tolerated.
        unit: Unit.
        words: What the scale is, for people; empty for the statistic's own size.
        lacks: What a run without this statistic lacks, such as "events"; empty where every run has it.
        rare: Whether nothing is said of it where neither side has it.
        pooled: Whether two samples of it are compared with one variance for both.
        of_any_sample: Whether a sample of the neurons tells it too, and not only as many neurons as on the other side.
    """

    labels: tuple[str, ...]
    estimate: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    tolerance: float
    unit: str
    words: str = ""
    lacks: str = ""
    rare: bool = False
    pooled: bool = False
    of_any_sample: bool = False
