"""One draw of a noiseless network of populations with tangent vectors, for `analysis.lyapunov`."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, require
from largen.numerics.lyapunov import TangentMap, runge_kutta
from largen.runtime.memory import require_memory
from largen.systems.rate.activations import jax_function
from largen.systems.rate.populations.network import Network
from largen.systems.rate.populations.numbers import spread

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations


def of_network(
    model: "RatePopulations", n: int | None, dt: float | None, rng: Callable[..., np.random.Generator] | None
) -> TangentMap:
    """The network of n neurons, its weights, loadings and initial states drawn as by `simulate`.

    Args:
        model: A RatePopulations without noise, with constant input.
        n: Neurons.
        dt: Time step in continuous time; None is min(tau)/10.
        rng: Named streams of this realisation.
    """
    require(n is not None and rng is not None, "n", "be given for a RatePopulations", n)
    assert n is not None
    assert rng is not None
    require(not np.any(np.asarray(model.noise)), "noise", "be 0 for the exponent of the network", model.noise)
    require_memory(3.0 * 8.0 * n**2, f"A network of {n} rate neurons")
    network = Network(model, n, rng, np.float64)
    if not network.steady:
        raise InputError("Arguments `input` and `patterns` must be constant in time for the exponent of the network.")
    discrete, count = model.dynamics == "discrete", len(network.sizes)
    if discrete:
        require(dt is None, "dt", "be left out in discrete time", dt)
    width = 1.0 if discrete else (float(np.min(model.tau)) / 10.0 if dt is None else dt)
    mean, variance = (spread(value, count)[network.of] for value in (model.initial_mean, model.initial_variance))
    args = {
        "weights": network.weights,
        "left": network.left,
        "right": network.right / n,
        "drive": network.drive(np.zeros(1))[0, :, 0],
        "gain": spread(model.gain, count)[network.of],
        "decay": network.decay[:, 0],
        "dt": np.array(width),
    }
    kinds = tuple(response.kind for response in network.responses)
    step = _step(kinds, tuple(network.ends.tolist()), model.dynamics)
    state = mean + np.sqrt(variance) * rng("initial", 0).standard_normal(n)
    if discrete:
        return TangentMap(step, state, args, width, 1, "step", "map", random=True)
    return TangentMap(step, state, args, width, 5, "1", "Runge-Kutta", random=True)


@functools.lru_cache(maxsize=32)
def _step(kinds: tuple[Any, ...], ends: tuple[int, ...], dynamics: str) -> Callable[[Any, Any], Any]:
    import jax.numpy as jnp

    functions = [jax_function(kind) for kind in kinds]

    def couple(x: Any, args: Any) -> Any:
        scaled = args["gain"] * x
        parts = [f(scaled[ends[a] : ends[a + 1]]) for a, f in enumerate(functions)]
        rates = jnp.concatenate(parts)
        return args["weights"] @ rates + args["left"] @ (args["right"].T @ rates) + args["drive"]

    if dynamics == "discrete":
        return lambda x, args: args["decay"] * x + couple(x, args)
    return lambda x, args: runge_kutta(lambda x, args: couple(x, args) - args["decay"] * x, args["dt"])(x, args)
