"""One draw of a noiseless rate network with tangent vectors, for Lyapunov exponents."""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import require
from largen.numerics.lyapunov import TangentMap, runge_kutta
from largen.runtime.memory import require_memory
from largen.systems.rate.activations import jax_function
from largen.systems.rate.weights import draw

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork


def of_network(
    model: "RateNetwork", n: int | None, dt: float | None, rng: Callable[..., np.random.Generator] | None
) -> TangentMap:
    """The network of n neurons, its weights, thresholds and initial states drawn as by `simulate`.

    Args:
        model: A RateNetwork without noise.
        n: Neurons.
        dt: Time step in continuous time; None is tau/10.
        rng: Named streams of this realisation.
    """
    require(n is not None and rng is not None, "n", "be given for a RateNetwork", n)
    assert n is not None
    assert rng is not None
    model.sizes(n)
    require(float(model.noise) == 0.0, "noise", "be 0 for the exponent of the network", float(model.noise))
    require_memory(3.0 * 8.0 * n**2, f"A rate network of {n} neurons")
    spread = math.sqrt(float(model.threshold_variance)) * rng("threshold").standard_normal(n)
    start = math.sqrt(float(model.initial_variance)) * rng("initial", 0).standard_normal(n)
    discrete = model.dynamics == "discrete"
    if discrete:
        require(dt is None, "dt", "be left out in discrete time", dt)
    width = 1.0 if discrete else (float(model.tau) / 10.0 if dt is None else dt)
    args = {
        "weights": draw(model.kernel, n, float(model.mean_weight), rng("weights")),
        "threshold": float(model.threshold_mean) + spread,
        "gain": np.asarray(model.gain, np.float64),
        "gamma": np.asarray(model.gamma, np.float64),
        "tau": np.asarray(model.tau, np.float64),
        "dt": np.array(width),
    }
    step = _step(model.activation, model.dynamics)
    state = float(model.initial_mean) + start
    if discrete:
        return TangentMap(step, state, args, width, 1, "step", "map", random=True)
    return TangentMap(step, state, args, width, 5, "1", "Runge-Kutta", random=True)


@functools.lru_cache(maxsize=32)
def _step(kind: str | Callable, dynamics: str) -> Callable[[Any, Any], Any]:
    activation = jax_function(kind)

    def couple(u: Any, args: Any) -> Any:
        return args["weights"] @ activation(args["gain"] * u) + args["threshold"]

    if dynamics == "discrete":
        return lambda u, args: args["gamma"] * u + couple(u, args)
    return lambda u, args: runge_kutta(lambda u, args: couple(u, args) - u / args["tau"], args["dt"])(u, args)
