"""The onset: the value of a parameter at which a static state of the noiseless limit becomes unstable."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import optimize

from largen.checks import InputError, LimitError, integer, real, require
from largen.systems.rate.populations import static_states, stationary
from largen.systems.rate.populations.static_states import StaticState
from largen.systems.rate.populations.sweep import prepare

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations


class Onset(NamedTuple):
    """The onset.

    Attributes:
        value: The parameter there.
        state: The static state there.
        by: What becomes unstable: "bulk" or "outlier".
    """

    value: float
    state: StaticState
    by: str


def find(model: "RatePopulations", parameter: str, low: Any, high: Any, *, steps: Any = 24) -> Onset:
    """Follow the static state from the end of the interval where it is stable to where it is not.

    Args:
        model: A RatePopulations without noise, with independent weights.
        parameter: A number of the model, such as `weight_variance[e,e]`, or `mean_weight*`, a factor of a whole field.
        low: One end of the interval.
        high: The other end.
        steps: Steps in which the interval is searched first.

    Raises:
        InputError: The name means several numbers, or noise.
        LimitError: The state is stable, or unstable, at both ends, or is lost on the way.
    """
    low, high, steps = real("low", low), real("high", high), integer("steps", steps, low=1)
    require(low < high, "high", f"be above low = {low:g}", high)
    if np.any(np.asarray(model.noise)):
        raise InputError("Argument `noise` must be 0: with noise there is no static state that could become unstable.")
    grid = np.linspace(low, high, steps + 1)
    first = _state(model, parameter, low)
    if first is None or not first.stable:
        grid = grid[::-1]
        first = _state(model, parameter, high)
        if first is None or not first.stable:
            raise LimitError(
                f"No static state is stable at `{parameter}` = {low:g} or {high:g}. Take a wider interval."
            )
    before, state = float(grid[0]), first
    for value in grid[1:].tolist():
        following = _followed(model, parameter, value, state)
        if not following.stable:
            return _between(model, parameter, before, value, state)
        before, state = value, following
    raise LimitError(
        f"The static state stays stable from `{parameter}` = {low:g} to {high:g}: there is no onset between them."
    )


def _between(model: "RatePopulations", parameter: str, stable: float, unstable: float, state: StaticState) -> Onset:
    def growth(value: float) -> float:
        return _followed(model, parameter, value, state).exponent

    value = float(optimize.brentq(growth, stable, unstable, xtol=1e-13, rtol=1e-13))  # type: ignore[arg-type]
    found = _followed(model, parameter, value, state)
    edge = abs(np.log(found.bulk_edge)) if found.discrete else abs(found.bulk_edge)
    return Onset(value, found, "bulk" if edge <= 1e-6 else "outlier")


def varied(model: "RatePopulations", parameter: str, value: float) -> "RatePopulations":
    """The model with the parameter at a value; a trailing * makes it a factor of the whole field."""
    if parameter.endswith("*"):
        name = parameter[:-1].strip()
        field = model.value(name)
        if field is None or callable(field) or not isinstance(field, np.ndarray):
            raise InputError(f"Argument `parameter` must name a field of constant numbers, but is {parameter!r}.")
        return model.replace(**{name: value * field})
    if np.size(model.value(parameter)) != 1:
        raise InputError(
            f"Argument `parameter` must name one number, but `{parameter}` has several. Name one entry, or give "
            f"`{parameter}*`, a factor of them all."
        )
    return model.replace(**{parameter: np.reshape(value, np.shape(model.value(parameter)))})


def _state(model: "RatePopulations", parameter: str, value: float) -> StaticState | None:
    """The static state that the model's own initial law leads to; None if it leads to none."""
    changed = varied(model, parameter, value)
    found = stationary.solve(changed, rtol=1e-6, atol=1e-8)
    return found.state if found.static else None


def _followed(model: "RatePopulations", parameter: str, value: float, near: StaticState) -> StaticState:
    """The static state near one at another value."""
    static = static_states.Static(prepare(varied(model, parameter, value)))
    found = static_states.refined(static, near)
    if found is None:
        raise LimitError(f"The static state is lost near `{parameter}` = {value:.6g}. Take more `steps`.")
    return found
