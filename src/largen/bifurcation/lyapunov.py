"""Largest Lyapunov exponents of a limit, of a noiseless rate network, or of any map or flow."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, integer, known_keys, one_of, real, require, seed_number, shown
from largen.numerics.lyapunov import TangentMap, runge_kutta
from largen.numerics.lyapunov import exponents as measure
from largen.numerics.streams import stream
from largen.system import AbstractSystem, check_options
from largen.system.values import COMPLETED

_STRETCHES = 5  # per block, at least


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

    - A RateNetwork or RatePopulations without noise: the network of n neurons itself, the draws of weights, thresholds
      and initial states being those of `simulate` with this seed.
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

        An exponent is minus infinity, with error 0, where the derivative along the orbit loses a direction altogether
        (a superstable orbit, a map that is not invertible); `attrs["status"]` says so.

    Raises:
        InputError: An argument cannot be used; noise in a rate network.
        LimitError: The orbit does not stay finite, or dt is too long.
    """
    duration = real("duration", duration, above=0.0)
    transient = duration / 5.0 if transient is None else real("transient", transient, low=0.0)
    modes, blocks = integer("exponents", exponents, low=1), integer("blocks", blocks, low=2)
    seed, realisations = seed_number("seed", seed), integer("realisations", realisations, low=1)
    dt = None if dt is None else real("dt", dt, above=0.0)
    n = None if n is None else integer("n", n, low=1)
    found = []
    with jax.enable_x64(True):
        for r in range(realisations):
            rng = None if n is None else functools.partial(stream, seed, "n", n, "realisation", r)
            problem = _tangent_map(system, n, kind, state, dt, rng, options)
            random = problem.random or realisations == 1
            require(random, "realisations", "be 1: nothing is random here", realisations)
            found.append(_measured(problem, duration, transient, modes, blocks, seed))
    return _labelled(found, problem, system, n, duration, transient)


def _measured(problem: TangentMap, duration: float, transient: float, modes: int, blocks: int, seed: int) -> Any:
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


def _tangent_map(
    system: Any,
    n: int | None,
    kind: str,
    state: Any,
    dt: float | None,
    rng: Callable[..., np.random.Generator] | None,
    options: dict[str, Any],
) -> TangentMap:
    if isinstance(system, AbstractSystem) or hasattr(system, "dynamics"):
        require(state is None, "state", "be left out for a model, which has its own start", state)
        if isinstance(system, AbstractSystem):
            check_options(system, "tangent_dynamics", options)
            return system.tangent_dynamics(n=n, dt=dt, rng=rng, **options)
        return system.dynamics(None, n=n, **options).tangent(dt)
    known_keys("option of a function", options, ())
    require(callable(system), "system", "be a model or a function of the state", system)
    return _of_function(system, kind, state, dt)


# A user's function ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _function_step(function: Callable[[Any], Any], kind: str) -> Callable[[Any, Any], Any]:
    if kind == "map":
        return lambda y, dt: jnp.asarray(function(y))
    return lambda y, dt: runge_kutta(lambda y, _: jnp.asarray(function(y)), dt)(y, None)


def _of_function(function: Callable[[Any], Any], kind: str, state: Any, dt: float | None) -> TangentMap:
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
        return TangentMap(_function_step(function, kind), start, np.array(1.0), 1.0, 1, "step", "map")
    require(dt is not None, "dt", "be given for a flow", dt)
    step = float(dt or 0.0)
    return TangentMap(_function_step(function, kind), start, np.array(step), step, 5, "1", "Runge-Kutta")


# Labels --------------------------------------------------------------------------------------------------------


def _labelled(
    found: list[Any], problem: TangentMap, system: Any, n: int | None, duration: float, transient: float
) -> xr.Dataset:
    value = np.array([one.value for one in found]) / problem.dt
    error = np.array([one.error for one in found]) / problem.dt
    by_block = np.array([one.blocks.T for one in found]) / problem.dt
    count = len(found)
    vanishing = np.asarray(np.isneginf(value).any(0))
    value[:, vanishing] = -np.inf
    spread = np.where(vanishing, 0.0, value).std(0, ddof=1) / np.sqrt(count) if count > 1 else error[0]
    spread = np.where(vanishing, 0.0, spread)
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
        "status": _status(vanishing),
    }
    variables = {
        name: (dims, values, {"units": unit, "long_name": text}) for name, (dims, values, text) in table.items()
    }
    coords = {"mode": np.arange(value.shape[1]), "realisation": np.arange(count)}
    return xr.Dataset(variables, coords, attrs)


def _status(vanishing: np.ndarray) -> str:
    """What is said about exponents of minus infinity."""
    which = [str(k) for k in np.flatnonzero(vanishing)]
    if not which:
        return COMPLETED
    return (
        f"mode{'s' if len(which) > 1 else ''} {', '.join(which)}: minus infinity, for the derivative along the orbit "
        "vanishes (to rounding) in a direction: the orbit is superstable, or the map is not invertible"
    )
