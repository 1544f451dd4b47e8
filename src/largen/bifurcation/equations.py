"""A user's own vector field or map, followed by the same functions as the models of largen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import equinox as eqx
import numpy as np

from largen.checks import InputError, known_keys, real, require
from largen.system import Dynamics, Form, Observable


class Followable(Protocol):
    """What can be followed: a system whose limit is a flow or a map, a `Flow`, a `Map`, or what has this method."""

    def dynamics(self, parameter: str | None, *, n: int | None, **options: Any) -> Dynamics:
        """The equations with one parameter free; see `AbstractFlowSystem.dynamics`."""
        ...


def require_followable(system: Any) -> None:
    """Refuse what has no equations to follow."""
    known = callable(getattr(system, "dynamics", None))
    require(known, "system", "have equations to follow (a system whose `dynamics` gives them, a Flow or a Map)", system)


class _RightHandSide(eqx.Module):
    """A function of state and parameters, with one parameter free."""

    function: Callable[..., Any] = eqx.field(static=True)
    values: dict[str, Any]
    name: str = eqx.field(static=True)

    def __call__(self, x: Any, p: Any, *step: Any) -> Any:
        """The field, or the next state."""
        return self.function(x, self.values | {self.name: p}, *step)


class _State(eqx.Module):
    """The state as its own observable."""

    def __call__(self, x: Any, p: Any, *step: Any) -> dict[str, Any]:
        """The components of the state."""
        return {"state": x}


class _Equations:
    """What `Flow` and `Map` share."""

    form: Form
    dt: float | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        state: Any,
        parameters: Mapping[str, float],
        *,
        components: Sequence[str] = (),
        conserved: Any = None,
        scale: Any = None,
        time_unit: str = "",
    ):
        """State the equations.

        Args:
            function: JAX function of (state, parameters), parameters being a dict; see the class.
            state: A state from which to start, shape (m,).
            parameters: The parameters' values by name.
            components: Names of the state's components.
            conserved: Rows C, shape (c, m), such that C x does not change.
            scale: Sizes of the components, shape (m,) or one number; by default max(1, |state|).
            time_unit: Unit of time.
        """
        require(callable(function), "function", "be a JAX function of (state, parameters)", function)
        self.function = function
        self.state = np.atleast_1d(np.array(state, dtype=float))
        require(np.all(np.isfinite(self.state)) and self.state.ndim == 1, "state", "be a vector of numbers", state)
        size = len(self.state)
        self.parameters = {name: real(name, value) for name, value in parameters.items()}
        self.components = tuple(components) or tuple(str(k) for k in range(size))
        require(len(self.components) == size, "components", f"have {size} names, one per component", components)
        self.conserved = np.zeros((0, size)) if conserved is None else np.atleast_2d(np.array(conserved, dtype=float))
        require(self.conserved.shape[1] == size, "conserved", f"have rows of length {size}", self.conserved.shape)
        given = np.maximum(np.abs(self.state), 1.0) if scale is None else np.array(scale, dtype=float)
        require(np.all(given > 0), "scale", "be positive", scale)
        self.scale = np.broadcast_to(given, (size,)) * np.sqrt(size)
        self.time_unit = time_unit

    def dynamics(self, parameter: str | None, *, n: int | None = None, **options: Any) -> Dynamics:
        """The equations with one parameter free; see `system.Dynamics`."""
        known_keys("option", options, ())
        if n is not None:
            raise InputError("Argument `n` must be None for your own equations: they have no number of neurons.")
        if parameter is not None:
            known_keys("parameter", [parameter], self.parameters)
        rhs = _RightHandSide(self.function, {k: np.array(v) for k, v in self.parameters.items()}, parameter or "")
        value = self.parameters[parameter] if parameter else 0.0
        observable = Observable("state", ("component",), "1", "state")
        return Dynamics(
            self.form, rhs, value, lambda p: [self.state], self.scale, self.conserved, self.dt, _State(),
            (observable,), self.components, time_unit=self.time_unit, initial=self.state,
        )  # fmt: skip


class Flow(_Equations):
    """dx/dt = function(x, parameters).

    For example `Flow(lambda x, q: q["mu"] * x - x**3, [0.0], {"mu": -1.0})`.
    """

    form = Form.FLOW


class Map(_Equations):
    """The next state is function(x, parameters); or, with dt, function(x, parameters, dt): one step of that length.

    A map with dt stands for a flow: its pairs of multipliers on the unit circle are Hopf points, and its cycles have
    periods that are no multiples of dt.
    """

    form = Form.MAP

    def __init__(self, function: Callable[..., Any], state: Any, parameters: Mapping[str, float], **more: Any):
        """State the map; `dt` is its step if it stands for a flow, the rest as for `Flow`."""
        dt = more.pop("dt", None)
        super().__init__(function, state, parameters, **more)
        if dt is not None:
            self.form, self.dt = Form.STEP, real("dt", dt, above=0.0)
