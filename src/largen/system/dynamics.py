"""The equations behind a limit, as continuation and Lyapunov exponents take them."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from largen.checks import require
from largen.numerics.continuation.kinds import Kinds
from largen.numerics.lyapunov import TangentMap, of_flow, of_map, of_steps
from largen.system.values import Observable


class Form(enum.Enum):
    """How a right-hand side f of m unknowns x and a parameter p is read; the value stands in Datasets."""

    FLOW = "flow"
    """dx/dt = f(x, p)."""
    MAP = "map"
    """The next state is f(x, p)."""
    STEP = "steps"
    """The state one step of length dt later is f(x, p, dt): a flow known by its steps."""
    CONSTRAINED = "constrained"
    """f(x, p) = 0 at the stationary states; `Dynamics.spectra` gives their eigenvalues."""

    @property
    def discrete(self) -> bool:
        """Whether stationary states are fixed points of a map, with multipliers instead of eigenvalues."""
        return self in (Form.MAP, Form.STEP)

    @property
    def has_cycles(self) -> bool:
        """Whether periodic orbits in continuous time can be followed."""
        return self in (Form.FLOW, Form.STEP)


class Dynamics(NamedTuple):
    """The equations behind a limit in the form in which `largen.analysis` follows them, with one parameter free.

    Attributes:
        form: How the right-hand side is read.
        rhs: The right-hand side f(x, p), for `Form.STEP` f(x, p, dt), shape (m,): a JAX callable and a pytree, so that
            new values never compile again.
        value: The parameter's value in the model.
        starts: Function of the parameter's value: states from which to look for stationary ones.
        scale: Sizes of the unknowns, shape (m,).
        conserved: Rows C, shape (c, m), with C x conserved.
        dt: Length of a step (`time_unit`) of `Form.STEP`, else None.
        observe: JAX callable with the arguments of `rhs`: the observables, each of shape (component,), and under
            `_fault` the code of what is wrong with the equations there (0 if nothing is).
        observables: What they are.
        coordinates: Labels of the observables' dimension.
        spectra: For `Form.CONSTRAINED`: function (x, p, Jacobian of `rhs`) -> eigenvalues by group.
        kinds: Special points by group of the spectrum, for `Form.CONSTRAINED`.
        bounds: Lowest and highest value that the parameter may take.
        time_unit: Unit of periods.
        unit: Unit of the parameter.
        note: What else was decided, for the record.
        initial: State in which the limit itself begins, shape (m,); None where the unknowns are no state.
        faults: Messages by code of `_fault`.
    """

    form: Form
    rhs: Callable[..., Any]
    value: float
    starts: Callable[[float], list[np.ndarray]]
    scale: np.ndarray
    conserved: np.ndarray
    dt: float | None
    observe: Any
    observables: tuple[Observable, ...]
    coordinates: tuple[str, ...]
    spectra: Callable[..., dict[str, np.ndarray]] | None = None
    kinds: Mapping[str, Kinds] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    time_unit: str = ""
    unit: str = ""
    note: Mapping[str, Any] = {}
    initial: np.ndarray | None = None
    faults: Mapping[int, str] = {}

    @property
    def step(self) -> tuple[np.ndarray, ...]:
        """What `rhs` and `observe` take after (x, p): the length of the step, where there is one."""
        return () if self.dt is None else (np.asarray(self.dt),)

    def tangent(self, dt: float | None = None, *, every: int = 5, method: str = "") -> TangentMap:
        """The equations from their initial state, with tangent vectors, for Lyapunov exponents.

        Args:
            dt: Time step of a flow.
            every: Steps of a flow between two orthonormalisations.
            method: How they are solved, in words.
        """
        state = np.asarray(self.initial, np.float64)
        unit = self.time_unit or ("step" if self.form is Form.MAP else "1")
        if self.form is Form.MAP:
            require(dt is None, "dt", "be left out for a map", dt)
            found = of_map(self.rhs, state, self.conserved, unit)
        elif self.form is Form.STEP:
            require(dt is None, "dt", "be left out for a map that has its own", dt)
            found = of_steps(self.rhs, state, self.conserved, float(self.dt or 0.0), unit)._replace(
                observe=self.observe, faults=self.faults
            )
        else:
            require(dt is not None, "dt", "be given for a flow", dt)
            found = of_flow(self.rhs, state, self.conserved, float(dt or 0.0), every, unit)
        return found._replace(method=method or found.method)
