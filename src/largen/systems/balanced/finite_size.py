"""The balanced network at finite n: means, variances and third cumulants (eqs. B4 to B7 of docs/balanced.md).

Derived there (not in MacLaurin & Vilanova 2024) and checked against simulation: the skewness enters at the same order
n^(-1/2) as the imbalance of the means.
"""

from typing import TYPE_CHECKING, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, LimitError
from largen.numerics import ode
from largen.system import Arrays
from largen.system.values import COMPLETED
from largen.systems.balanced import limit_equations, manifold
from largen.systems.balanced.manifold import at, rates

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


def rhs(time: Any, state: Any, args: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Right-hand side of the moment equations at finite n, (dv/dt, dK/dt, dkappa/dt).

    With G = F + (kappa/6) d3F/dv3 (eqs. B4 to B7):

        dv/dt     = -v/tau + m + sqrt(n) (A G + h)
        dK/dt     = -2K/tau + sum q alpha^2 G + sigma^2
        dkappa/dt = -3 kappa/tau + n^(-1/2) sum s q alpha^3 G

    Args:
        time: Time.
        state: (v, K, kappa), each of shape (P,).
        args: (model, Balance, n, skewness, nodes), with n the mean size of a population and skewness 1 or 0.
    """
    v, k, kappa = state
    model, parts, n, skewness, nodes = args
    rate = corrected_rate(model, v, k, kappa, nodes)
    mean = -v / model.tau + at(model.input, time) + jnp.sqrt(n) * (parts.coupling @ rate + at(model.drive, time))
    third = -3.0 * kappa / model.tau + skewness * (parts.third_coupling @ rate) / jnp.sqrt(n)
    return mean, limit_equations.variance_change(model, parts, k, rate), third


def corrected_rate(model: "BalancedNetwork", v: Any, k: Any, kappa: Any, nodes: int) -> jax.Array:
    """Mean intensity of nearly Gaussian populations (eq. B7): G = F + (kappa/6) d3F/dv3, shape (P,)."""
    return rates(model.gain, v, k, nodes) + kappa / 6.0 * rates(model.gain, v, k, nodes, 3)


def trajectory(
    model: "BalancedNetwork",
    times: Any,
    sizes: Any,
    *,
    rtol: Any = 1e-8,
    atol: Any = 1e-10,
    skewness: Any = 1.0,
    nodes: int,
    derivative: Literal["reverse", "forward"] = "reverse",
) -> tuple[ode.Path, jax.Array]:
    """Solve the finite-size equations as a pure JAX function.

    Args:
        model: A BalancedNetwork; its numbers may be traced.
        times: Output times, shape (time,).
        sizes: Sizes of the populations, shape (P,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        skewness: 1, or 0 to leave the third cumulants out.
        nodes: Quadrature nodes, from `manifold.structure(model).nodes`.
        derivative: "reverse" for jax.grad, "forward" for jax.jvp and jax.jacfwd.

    Returns:
        The path of (v, K, kappa), and the mean intensities, shape (time, P).
    """
    limit_equations.require_double()
    parts = manifold.balance(model, tuple(range(len(model.gain))), sizes)
    start = jnp.asarray(model.initial_mean)
    args = (model, parts, jnp.mean(jnp.asarray(sizes, dtype=float)), jnp.asarray(skewness, dtype=float), nodes)
    path = ode.integrate(
        rhs,
        (start, jnp.asarray(model.initial_variance), jnp.zeros_like(start)),
        times,
        args,
        rtol=rtol,
        atol=atol,
        solver="kvaerno5",
        breaks=limit_equations.breaks(model),
        derivative=derivative,
    )
    return path, jax.vmap(lambda v, k, c: corrected_rate(model, v, k, c, nodes))(*path.values)


_trajectory = eqx.filter_jit(trajectory)


def solve(
    model: "BalancedNetwork", times: np.ndarray, *, n: int, rtol: float, atol: float, skewness: bool = True
) -> Arrays:
    """Solve the finite-size equations at n neurons in all.

    Args:
        model: A BalancedNetwork with independent synapses.
        times: Output times, shape (time,), increasing.
        n: Total number of neurons.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        skewness: Whether the third cumulants enter.

    Raises:
        InputError: The synapses are shared.
        LimitError: The means grow without bound.
    """
    if model.synapses != "independent":
        raise InputError(
            "Argument `n` must be None for a network with shared synapses: its finite-size equations are not known "
            "(its fluctuations are of order n^(-1/4)). Solve the limit, or use independent synapses."
        )
    sizes = model.sizes(n)
    with jax.enable_x64(True):
        manifold.check_functions(model, times)
        path, rate = _trajectory(
            model,
            times,
            sizes.astype(np.float64),
            rtol=np.array(rtol),
            atol=np.array(atol),
            skewness=np.array(float(skewness)),
            nodes=manifold.structure(model).nodes,
        )
        path, rate = jax.tree.map(np.asarray, (path, rate))
    stopped = None if int(path.code) == ode.Outcome.COMPLETED else float(path.stopped_at)
    kept = times <= (np.inf if stopped is None else stopped)
    kept[0] = True
    v, k, kappa = (values[kept].T for values in path.values)
    values = {"mean": v, "variance": k, "third_cumulant": kappa, "rate": rate[kept].T}
    for name, array in values.items():
        if not np.all(np.isfinite(array)):
            raise LimitError(
                f"The finite-size equations gave a {name} that is not finite. Take smaller rtol and atol.",
                t=stopped,
            )
    status = COMPLETED if stopped is None else f"the solver made no progress beyond time {stopped:.10g}"
    return Arrays(values, {}, {"skewness": skewness, "route": "finite size"}, status, stopped)
