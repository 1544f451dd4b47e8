"""The statistics of any reduction as a function of the model with derivatives from central differences.

The numba reductions take a tenth of a second or so, and compile nothing for a new form. With bins, cells, orders and
channels held fixed, they are smooth in the model's real numbers up to rounding, so that central differences along the
direction that is asked for give derivatives good to about 1e-8: what Gauss-Newton steps, standard errors and NUTS need.
For the networks of Chang et al. the JAX engine (`smooth`) has exact derivatives, which these are tested against.
"""

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, flag, one_of, real
from largen.parameters import parameters
from largen.system import AbstractSmoothLimit
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.smooth import Window, statistics
from largen.systems.spiking.time_step import check_step

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

STEP = 1e-5
"""Largest relative change of a number in a central difference."""
NARROW = 1e-6
"""The same of "joint" and "white", which have many small kinks: slopes are limited, edges come into reach."""
CHANGED = 1e-3
"""Relative change of a number by which it is found whether it decides the form of the computation."""
EDGES = "it is an edge of the voltage bins"
STEPS = "it counts whole steps"
_SIDES = ThreadPoolExecutor(2)
"""Where both sides of a difference are computed."""


class Fixed(NamedTuple):
    """A reduction whose form is fixed.

    Attributes:
        counts: Spikes per neuron in each step, shape (step, population), of a model scaled to its number of neurons;
            not finite where the form does not hold it.
        same: Whether a scaled model has this form.
        lacks: Real fields that it does not have.
        step: Largest relative change of a number in a central difference.
    """

    counts: Callable[["SpikingNetwork"], np.ndarray]
    same: Callable[["SpikingNetwork"], bool]
    lacks: tuple[str, ...] = ()
    step: float = STEP


class Reduction:
    """A reduction of fixed form as a function of a model's real fields, on arrays of NumPy.

    Args:
        model: The model, whose other fields stay.
        n: Total number of neurons.
        fixed: The reduction.
        shape: (step, population).
    """

    def __init__(self, model: "SpikingNetwork", n: int, fixed: Fixed, shape: tuple[int, int]):
        self.model, self.n, self.fixed, self.shape = model, n, fixed, shape
        given = {name: getattr(model, name) for name, info in parameters(model).items() if info.kind == "real"}
        self.names = tuple(name for name, value in given.items() if isinstance(value, np.ndarray))

    def counts(self, numbers: Mapping[str, Any]) -> np.ndarray:
        """Spikes per neuron in each step, shape (step, population); NaN where there are none."""
        try:
            moved = self.model.replace(**{name: np.asarray(value) for name, value in numbers.items()})
            return self.fixed.counts(moved.scaled(self.n))
        except InputError:
            return np.full(self.shape, np.nan)

    def change(self, numbers: Mapping[str, Any], direction: Mapping[str, Any]) -> np.ndarray:
        """Derivative of `counts` along a direction, shape (step, population)."""
        numbers = {name: np.asarray(value) for name, value in numbers.items()}
        moves = {name: np.asarray(value) for name, value in direction.items() if np.any(np.asarray(value) != 0.0)}
        if not moves:
            return np.zeros(self.shape)
        largest = max(_relative(numbers[name], move) for name, move in moves.items())
        if not 0.0 < largest < np.inf:  # numbers that a step of the search has thrown to infinity
            return np.full(self.shape, np.nan)
        step = self.fixed.step / largest

        def at(steps: float) -> np.ndarray:
            return self.counts(numbers | {name: numbers[name] + steps * step * move for name, move in moves.items()})

        up, down = _SIDES.map(at, (1.0, -1.0))  # side by side where the kernel lets go of the interpreter
        if np.isfinite(up).all() == np.isfinite(down).all():
            return (up - down) / (2.0 * step)
        side, near = (-1.0, down) if np.isfinite(down).all() else (1.0, up)  # at a bound: of second order all the same
        return side * (4.0 * near - 3.0 * at(0.0) - at(2.0 * side)) / (2.0 * step)

    def held(self) -> dict[str, str]:
        """Real fields that must keep their values, with the reason."""
        found = {"threshold": EDGES, "reset": EDGES, "delay": STEPS, "delay_spread": STEPS}
        if self.model.refractory == "fixed":
            found["refractory_time"] = STEPS
        found |= dict.fromkeys(self.fixed.lacks, "this limit does not have it")
        if callable(self.model.external_rate):
            found["external_rate"] = "it is a function of time"
        for name in self.names:
            value = getattr(self.model, name)
            for index in np.ndindex(value.shape):
                moved = np.array(value, float)
                moved[index] *= 1.0 + CHANGED
                if name not in found and np.all(np.isfinite(moved)) and not self._same(name, moved):
                    found[name] = "synapses of one kind and decay time share their families"
        return found

    def _same(self, name: str, value: np.ndarray) -> bool:
        try:
            return self.fixed.same(self.model.replace(**{name: value}).scaled(self.n))
        except InputError:
            return True  # outside the bounds, where a fit does not go


def _relative(value: np.ndarray, move: np.ndarray) -> float:
    """Largest relative change; of numbers that are 0, compared with the largest of the field, or 1."""
    size = np.abs(value)
    size = np.where(size > 0.0, size, np.max(size, initial=0.0) or 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.abs(move) / size))


def _on_host(function: Callable[..., np.ndarray], shape: tuple[int, ...], *given: dict[str, Any]) -> Any:
    """Call a function of NumPy's arrays from a JAX program, in double precision.

    Numbers travel as their bits: a callback runs in any thread, and where double precision is not enabled in that one,
    JAX would round them to single.
    """

    def called(*bits: dict[str, Any]) -> np.ndarray:
        found = function(*({name: _number(value) for name, value in part.items()} for part in bits))
        return np.ascontiguousarray(found, np.float64).view(np.uint32).reshape(*shape, 2)

    def bits_of(value: Any) -> Any:
        return jax.lax.bitcast_convert_type(value, jnp.uint32)

    given = tuple({name: bits_of(value) for name, value in part.items()} for part in given)
    out = jax.ShapeDtypeStruct((*shape, 2), jnp.uint32)
    found = jax.pure_callback(called, out, *given, vmap_method="sequential")
    return jax.lax.bitcast_convert_type(found, jnp.float64)


def _number(bits: Any) -> np.ndarray:
    bits = np.ascontiguousarray(bits, np.uint32)
    return bits.view(np.float64).reshape(bits.shape[:-1])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _counts(reduction: Reduction, numbers: dict[str, Any]) -> Any:
    return _on_host(reduction.counts, reduction.shape, numbers)


@_counts.defjvp
def _counts_jvp(reduction: Reduction, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    return _counts(reduction, *primals), _on_host(reduction.change, reduction.shape, *primals, *tangents)


class DifferenceLimit(AbstractSmoothLimit):
    """See `prepare`.

    Attributes:
        reduction: The reduction.
        window: What counts.
        size: Neurons per population.
        gamma: Frequency (Hz) around which the spectral peak is sought.
        held: Fields that must keep their values, with the reason.
    """

    reduction: Reduction = eqx.field(static=True)
    window: Window = eqx.field(static=True)
    size: tuple[int, ...] = eqx.field(static=True)
    gamma: Any
    held: tuple[tuple[str, str], ...] = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Rates and synchrony; the gamma frequency where a frequency to look at was given."""
        return ("rate", "synchrony") + (("gamma_frequency",) if self.window.frequencies else ())

    @property
    def fixed(self) -> Mapping[str, str]:
        """Edges of bins, what counts steps, and what decides which synapses share their families."""
        return dict(self.held)

    def __call__(self, model: "SpikingNetwork") -> tuple[dict[str, jax.Array], jax.Array]:
        """`rate` (Hz) and `synchrony`, shape (population,), `gamma_frequency` (Hz), and whether the run is sound."""
        numbers = {name: jnp.asarray(getattr(model, name), jnp.float64) for name in self.reduction.names}
        counts = _counts(self.reduction, numbers)
        good = jnp.all(jnp.isfinite(counts))
        gamma = self.gamma if self.window.frequencies else None
        late = jnp.where(good, counts, 0.0)[self.window.first :]
        values = statistics(late, self.window.dt, np.array(self.size), gamma=gamma, frequencies=self.window.frequencies)
        return values, good


def prepare(
    model: "SpikingNetwork", times: np.ndarray, discretisation: Discretisation, window: Window, *, n: int,
    gamma: float | None, orders: Any,
) -> DifferenceLimit:  # fmt: skip
    """Fix the form of the computation from one model.

    Args:
        model: The network.
        times: First and last count: the reduction runs from rest at times[0] to times[-1] (ms).
        discretisation: Closure "quadrature"; "joint" or "white" of delta synapses and of networks of Chang et al.; bins
            and step.
        window: What counts.
        n: Total number of neurons.
        gamma: Frequency (Hz) around which the gamma peak is sought, or None for no gamma frequency.
        orders: Of "quadrature": those of excitation and inhibition, or "auto".
    """
    scaled = model.scaled(n)
    every = float(times[0]) + np.arange(window.steps + 1) * window.dt
    lacks, step = (), STEP
    if discretisation.closure == "quadrature":
        from largen.systems.spiking.reduction.quadrature.fixed import fix

        counts, same = fix(scaled, every, discretisation, orders)
    elif model.is_basic:
        from largen.systems.spiking.reduction.fixed import fix

        counts, same = fix(scaled, every, _checked(model, discretisation))
        lacks, step = tuple(name for name, info in parameters(model).items() if info.quiet), NARROW
    else:
        from largen.systems.spiking.reduction.direct.fixed import fix

        counts, same = fix(scaled, every, discretisation)
    shape = (window.steps, len(np.asarray(model.size)))
    reduction = Reduction(model, n, Fixed(counts, same, lacks, step), shape)
    size = tuple(np.asarray(scaled.size).tolist())
    held = tuple(reduction.held().items())
    return DifferenceLimit(reduction, window, size, np.array(0.0 if gamma is None else gamma), held)


def _checked(model: "SpikingNetwork", discretisation: Discretisation) -> Discretisation:
    """The discretisation with numbers in place of what was given."""
    width = discretisation.bin_width
    return discretisation._replace(
        closure=one_of("closure", discretisation.closure, ("joint", "white")),
        bin_width=None if width is None else real("bin_width", width, above=0.0),
        linear_in_bin=flag("linear_in_bin", discretisation.linear_in_bin) and discretisation.closure == "joint",
        dt=check_step(model, discretisation.dt),
    )
