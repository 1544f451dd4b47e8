"""Largest Lyapunov exponents of a limit, of a noiseless rate network, or of any map or flow."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, integer, known_keys, one_of, real, require, shown
from largen.numerics.continuation.shooting import Repeated
from largen.numerics.lyapunov import exponents as measure
from largen.numerics.lyapunov import runge_kutta
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.system import AbstractSystem, Dynamics, Form

_STRETCHES = 5  # per block, at least


class _Problem(NamedTuple):
    """A map with its start.

    Attributes:
        step: The map (state, args) -> state.
        state: Start.
        args: What the map needs.
        dt: Time that one application takes.
        every: Steps between two orthonormalisations.
        project: See `numerics.lyapunov.exponents`.
        scale: Likewise.
        unit: Unit of time.
        method: In words.
        inner: Time step inside one application, where it is another.
        observe: Function of (state, parameter, step) that knows a fault of the equations.
        faults: Messages by code of that fault.
    """

    step: Callable[[Any, Any], Any]
    state: Any
    args: Any
    dt: float
    every: int
    unit: str
    method: str
    project: Callable[[Any, Any, Any], Any] | None = None
    scale: Any = None
    inner: float | None = None
    observe: Any = None
    faults: Mapping[int, str] = {}


def lyapunov(
    system: AbstractSystem | Callable[[Any], Any],
    *,
    duration: float,
    transient: float | None = None,
    exponents: int = 1,
    n: int | None = None,
    realisations: int = 1,
    kind: str = "flow",
    state: Any = None,
    dt: float | None = None,
    blocks: int = 20,
    seed: int = 0,
    **options: Any,
) -> xr.Dataset:
    """Measure the largest Lyapunov exponents: positive is chaos, 0 a limit cycle's phase, negative a fixed point.

    - A RateNetwork without noise: the network of n neurons itself, the draws of weights, thresholds and initial states
      being those of `simulate` with this seed.
    - A SpikingNetwork: the deterministic reduction, a map at its dt. The conserved numbers of neurons, whose exponents
      are 0 exactly, are left out. `options` as for `follow`.
    - A BalancedNetwork: the equations of n neurons, or the limit (n None), from the model's initial state.
    - A `Flow` or `Map`, from its own state (`dt` is the flow's time step).
    - A function of the state (a JAX function of one array): a vector field (`kind="flow"`) or a map (`kind="map"`).

    Flows take steps of dt by the classical Runge-Kutta method; tangent vectors go through the very same steps.

    Args:
        system: The model, or the function.
        duration: Time over which is averaged, after the transient (ms for the spiking system; steps for a map).
        transient: Time that is run first; by default a fifth of the duration.
        exponents: Number of exponents.
        n: Total number of neurons.
        realisations: Draws of a rate network.
        kind: "flow" or "map", of a function.
        state: Start of a function's orbit, shape (component,).
        dt: Time step; by default tau/10 for a rate network, 0.1 ms for the spiking system, as the stiffness wants it
            for a balanced network.
        blocks: Blocks of time for the error.
        seed: Seed of the draws and of the first directions.
        options: See above.

    Returns:
        `exponent` and `exponent_se` (realisation, mode), per unit time, the error being the s.d. of time blocks over
        the root of their number; `mean_exponent` over realisations with `mean_exponent_se` (from the realisations; the
        error over time where there is one), `exponent_of_block` (realisation, mode, block).

    Raises:
        InputError: An argument cannot be used; noise in a rate network.
        LimitError: The orbit does not stay finite, or dt is too long.
    """
    duration = real("duration", duration, above=0.0)
    transient = duration / 5.0 if transient is None else real("transient", transient, low=0.0)
    modes, blocks = integer("exponents", exponents, low=1), integer("blocks", blocks, low=2)
    seed, realisations = integer("seed", seed, low=0), integer("realisations", realisations, low=1)
    dt = None if dt is None else real("dt", dt, above=0.0)
    n = None if n is None else integer("n", n, low=1)
    found = []
    with jax.enable_x64(True):
        for r in range(realisations):
            problem = _problem(system, n, kind, state, dt, seed, r, realisations, options)
            found.append(_measured(problem, duration, transient, modes, blocks, seed))
    return _labelled(found, problem, system, n, duration, transient)


def _measured(problem: _Problem, duration: float, transient: float, modes: int, blocks: int, seed: int) -> Any:
    stretch = problem.dt * problem.every
    rounds = math.ceil(duration / (stretch * blocks) - 1e-9)
    must = f"hold {_STRETCHES} stretches of {stretch:g} in each of {blocks} blocks, {_STRETCHES * stretch * blocks:g}"
    require(rounds >= _STRETCHES, "duration", must, duration, "Take fewer `blocks`, or run for longer.")
    found = measure(
        problem.step,
        problem.state,
        problem.args,
        count=modes,
        skip=max(math.ceil(transient / stretch - 1e-9), 5),
        blocks=blocks,
        rounds=rounds,
        every=problem.every,
        project=problem.project,
        scale=problem.scale,
        seed=seed,
    )
    if not found.finite:
        raise LimitError("The orbit does not stay finite: it leaves to infinity, or `dt` is too long for it.")
    if problem.observe is not None:
        fault = int(np.max(problem.observe(found.last, jnp.zeros(()), problem.args[1]).get("_fault", 0)))
        if fault:
            raise LimitError(problem.faults[fault])
    return found


def _problem(
    system: Any,
    n: int | None,
    kind: str,
    state: Any,
    dt: float | None,
    seed: int,
    realisation: int,
    realisations: int,
    options: dict[str, Any],
) -> _Problem:
    if not (isinstance(system, AbstractSystem) or hasattr(system, "dynamics")):
        known_keys("option of a function", options, ())
        require(callable(system), "system", "be a model or a function of the state", system)
        return _of_function(system, kind, state, dt)
    name = getattr(system, "system", "")
    require(state is None, "state", "be left out for a model, which has its own start", state)
    require(name == "rate" or realisations == 1, "realisations", "be 1: nothing is random here", realisations)
    if name == "rate":
        known_keys("option", options, ())
        return _of_rate(system, n, dt, seed, realisation)
    if name == "balanced" and n is None:
        known_keys("option", options, ())
        for field in ("drive", "input"):
            require(not callable(getattr(system, field)), field, "be constant for an exponent", getattr(system, field))
        return _of_balanced_limit(system, dt)
    if callable(getattr(system, "dynamics", None)):
        return _of_dynamics(system, n, dt, options)
    raise InputError(f"analysis.lyapunov does not know the {name} system: give it a function of the state.")


# A user's function ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _function_step(function: Callable[[Any], Any], kind: str) -> Callable[[Any, Any], Any]:
    if kind == "map":
        return lambda y, dt: jnp.asarray(function(y))
    return lambda y, dt: runge_kutta(lambda y, _: jnp.asarray(function(y)), dt)(y, None)


def _of_function(function: Callable[[Any], Any], kind: str, state: Any, dt: float | None) -> _Problem:
    one_of("kind", kind, ("flow", "map"))
    try:
        start = np.asarray(state, np.float64)
    except (TypeError, ValueError):
        start = np.asarray(np.nan)
    require(start.ndim == 1 and np.all(np.isfinite(start)), "state", "be a vector of numbers", state)
    shape = jax.eval_shape(lambda y: jnp.asarray(function(y)), start).shape
    if shape != start.shape:
        raise InputError(
            f"Argument `system` must return an array of the state's shape {start.shape}, but {shown(function)} "
            f"returns {shape}."
        )
    if kind == "map":
        require(dt is None, "dt", "be left out for a map", dt)
        return _Problem(_function_step(function, kind), start, np.array(1.0), 1.0, 1, "step", "map")
    require(dt is not None, "dt", "be given for a flow", dt)
    step = float(dt or 0.0)
    return _Problem(_function_step(function, kind), start, np.array(step), step, 5, "1", "Runge-Kutta")


# The rate network ----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def _rate_step(kind: Any, dynamics: str) -> Callable[[Any, Any], Any]:
    from largen.systems.rate.activations import jax_function

    activation = jax_function(kind)

    def couple(u: Any, args: Any) -> Any:
        return args["weights"] @ activation(args["gain"] * u) + args["threshold"]

    if dynamics == "discrete":
        return lambda u, args: args["gamma"] * u + couple(u, args)
    return lambda u, args: runge_kutta(lambda u, args: couple(u, args) - u / args["tau"], args["dt"])(u, args)


def _of_rate(model: Any, n: int | None, dt: float | None, seed: int, realisation: int) -> _Problem:
    from largen.systems.rate.weights import draw

    require(n is not None, "n", "be given for a RateNetwork", n)
    count = int(n or 0)
    model.sizes(count)
    require(float(model.noise) == 0.0, "noise", "be 0 for the exponent of the network", float(model.noise))
    require_memory(3.0 * 8.0 * count**2, f"A rate network of {count} neurons")

    def rng(*names: Any) -> np.random.Generator:
        return stream(seed, "n", count, "realisation", realisation, *names)

    spread = math.sqrt(float(model.threshold_variance)) * rng("threshold").standard_normal(count)
    start = math.sqrt(float(model.initial_variance)) * rng("initial", 0).standard_normal(count)
    discrete = model.dynamics == "discrete"
    if discrete:
        require(dt is None, "dt", "be left out in discrete time", dt)
    width = 1.0 if discrete else (float(model.tau) / 10.0 if dt is None else dt)
    args = {
        "weights": draw(model.kernel, count, float(model.mean_weight), rng("weights")),
        "threshold": float(model.threshold_mean) + spread,
        "gain": np.asarray(model.gain, np.float64),
        "gamma": np.asarray(model.gamma, np.float64),
        "tau": np.asarray(model.tau, np.float64),
        "dt": np.array(width),
    }
    step = _rate_step(model.activation, model.dynamics)
    every = 1 if discrete else 5
    method = "map" if discrete else "Runge-Kutta"
    return _Problem(step, float(model.initial_mean) + start, args, width, every, "step" if discrete else "1", method)


# The balanced network ------------------------------------------------------------------------------------------


def _balanced_limit(y: Any, args: Any) -> Any:
    from largen.systems.balanced import limit_equations

    model, parts, nodes, dt = args
    return runge_kutta(lambda y, _: limit_equations.field(0.0, y, (model, parts, nodes)), dt)(y, None)


def _along_manifold(state: Any, tangent: Any, args: Any) -> Any:
    """The tangent without what leaves the manifold, a direction that the index-reduced equations add."""
    from largen.systems.balanced import manifold

    model, parts, nodes, _ = args

    def constraint(v: Any, k: Any) -> Any:
        return parts.weights @ manifold.rates(model.gain, v, k, nodes)

    _, change = jax.jvp(constraint, state, tangent)
    slope = manifold.rates(model.gain, state[0], state[1], nodes, 1)
    return tangent[0] - parts.directions @ jnp.linalg.solve(manifold.fast_matrix(parts, slope), change), tangent[1]


def _of_balanced_limit(model: Any, dt: float | None) -> _Problem:
    from largen.systems.balanced import manifold

    shape, variance = manifold.structure(model), jnp.asarray(model.initial_variance)
    start = manifold.project(model, shape, model.initial_mean, variance, 0.0)
    if int(start.code) != manifold.FOUND:
        raise LimitError("The limit does not exist from this start; solve_limit(model, times) says why.")
    step = 0.05 * float(np.min(model.tau)) if dt is None else dt
    args = (model, manifold.balance(model, shape.columns), shape.nodes, np.array(step))
    return _Problem(_balanced_limit, (start.mean, variance), args, step, 5, "1", "Runge-Kutta", _along_manifold)


def _slow_and_fast(model: Any, n: int) -> tuple[float, float]:
    """A time that is short for the balanced network's slow motion, and a step that its fast motion allows."""
    from largen.systems.balanced import manifold

    sizes = jnp.asarray(model.sizes(n).astype(np.float64))
    first = np.asarray(manifold.balance(model, tuple(range(len(model.gain))), sizes).first)
    slopes = np.array([0.25 * float(gain.bound) * float(gain.steepness) for gain in model.gain])
    fastest = math.sqrt(float(jnp.mean(sizes))) * float(np.max(np.abs(first) @ slopes))
    slow = 0.05 * float(np.min(model.tau))
    return slow, min(slow, 1.0 / max(fastest, 1e-300))


# Whatever states its equations ---------------------------------------------------------------------------------

_STRETCH = 10  # steps of the spiking reduction, or of a user's, between two orthonormalisations


def _ahead(x: Any, args: Any) -> Any:
    rhs, dt, _ = args
    return Repeated(rhs)(x, _STRETCH * dt, jnp.zeros(()), _STRETCH)


def _image(x: Any, args: Any) -> Any:
    return args[0](x, jnp.zeros(()))


def _runge_kutta(x: Any, args: Any) -> Any:
    rhs, dt, _ = args
    return runge_kutta(lambda x, _: rhs(x, jnp.zeros(())), dt)(x, None)


def _conserving(x: Any, tangent: Any, args: Any) -> Any:
    """The tangent without changes of what is conserved; they go where there is something, not into empty bins."""
    rows = args[2]
    held = (jnp.abs(x) + 1e-12)[:, None] * rows.T
    return tangent - held @ jnp.linalg.solve(rows @ held, rows @ tangent)


def _of_dynamics(system: Any, n: int | None, dt: float | None, options: dict[str, Any]) -> _Problem:
    """The equations that `analysis.follow` knows, from the state in which the limit begins."""
    spiking = getattr(system, "system", "") == "spiking"
    if spiking and dt is not None:
        options = options | {"dt": dt}
    dynamics: Dynamics = system.dynamics(None, n=n, **options)
    x, every, observe = np.asarray(dynamics.initial, np.float64), 5, None
    if dynamics.form is Form.MAP:
        require(dt is None, "dt", "be left out for a map", dt)
        step, width, stretch, every, method = _image, 1.0, 1.0, 1, "map"
    elif dynamics.form is Form.STEP:
        require(spiking or dt is None, "dt", "be left out for a map that has its own", dt)
        width = float(dynamics.dt or 0.0)
        step, stretch, every, observe = _ahead, _STRETCH * width, 1, dynamics.observe
        method = "discrete-state reduction" if spiking else "map"
    else:
        if dt is None and n is not None:
            slow, dt = _slow_and_fast(system, n)
            every = max(1, round(slow / dt))
        require(dt is not None, "dt", "be given for a flow", dt)
        width = stretch = float(dt or 0.0)
        step, method = _runge_kutta, "Runge-Kutta"
    args = (dynamics.rhs, jnp.asarray(width), jnp.asarray(dynamics.conserved))
    project = _conserving if len(dynamics.conserved) else None
    unit = dynamics.time_unit or ("step" if dynamics.form is Form.MAP else "1")
    return _Problem(
        step, x, args, stretch, every, unit, method, project, np.abs(x) + 1e-12, width, observe, dynamics.faults
    )


# Labels --------------------------------------------------------------------------------------------------------


def _labelled(
    found: list[Any], problem: _Problem, system: Any, n: int | None, duration: float, transient: float
) -> xr.Dataset:
    value = np.array([one.value for one in found]) / problem.dt
    error = np.array([one.error for one in found]) / problem.dt
    by_block = np.array([one.blocks.T for one in found]) / problem.dt
    count = len(found)
    spread = value.std(0, ddof=1) / np.sqrt(count) if count > 1 else error[0]
    unit = {"ms": "1/ms", "step": "1/step"}.get(problem.unit, "1")
    each = ("realisation", "mode")
    table = {
        "exponent": (each, value, "Lyapunov exponent"),
        "exponent_se": (each, error, "standard error over time blocks"),
        "exponent_of_block": ((*each, "block"), by_block, "Lyapunov exponent of a time block"),
        "mean_exponent": (("mode",), value.mean(0), "mean Lyapunov exponent"),
        "mean_exponent_se": (("mode",), spread, "standard error: mean Lyapunov exponent"),
    }
    attrs = {
        "kind": "lyapunov",
        "system": system.system if isinstance(system, AbstractSystem) else "function",
        "n": float("inf") if n is None else n,
        "duration": duration,
        "transient": transient,
        "dt": problem.dt if problem.inner is None else problem.inner,
        "method": problem.method,
        "status": "completed",
    }
    variables = {
        name: (dims, values, {"units": unit, "long_name": text}) for name, (dims, values, text) in table.items()
    }
    coords = {"mode": np.arange(value.shape[1]), "realisation": np.arange(count)}
    return xr.Dataset(variables, coords, attrs)
