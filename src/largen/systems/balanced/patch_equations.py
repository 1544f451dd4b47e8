"""Moments at finite n of a balanced network on a ring or sheet, patch by patch (eqs. B4 to B7 of docs/balanced.md).

With n neurons of a kind, A = alpha q kt and E = F + (kappa/6) F''' in every patch (q_b is N_b/n, kt has mean 1):

    dv/dt     = -v/tau + m + sqrt(n) [sum_b s_b (1/M) sum_y A_ab(x - y) E_b(y) + h]
    dK/dt     = -2K/tau + sum_b (1/M) sum_y q alpha^2 kt^2 E_b(y) + sigma^2
    dkappa/dt = -3 kappa/tau + n^(-1/2) sum_b s_b (1/M) sum_y q alpha^3 kt^3 E_b(y)

The number of patches M cancels. Stepped in NumPy with the Jacobian in closed form: only the gains' means come from JAX.
"""

import functools
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from largen.checks import InputError, LimitError
from largen.parameters import TimeSeries
from largen.system import Arrays
from largen.system.values import COMPLETED
from largen.systems.balanced import manifold, patches

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

ORDERS = 6
"""F and its derivatives in v up to the fifth: E needs three, its derivatives in v and K two more."""


@functools.partial(jax.jit, static_argnames="nodes")
def _rates(gain: tuple[Any, ...], v: Any, k: Any, nodes: int) -> jax.Array:
    """F(v, K) of every patch and its derivatives in v, shape (order, population, patch)."""

    def one(v: Any, k: Any) -> Any:
        return jnp.stack([manifold.rates(gain, v, k, nodes, order) for order in range(ORDERS)])

    return jax.vmap(one, in_axes=1, out_axes=2)(v, k)


class Rates(NamedTuple):
    """E and its derivatives, each of shape (population x patch,)."""

    value: np.ndarray
    in_mean: np.ndarray
    in_variance: np.ndarray
    in_third: np.ndarray


class Equations(NamedTuple):
    """The moment equations of P populations on M patches; states have shape (3, P M): v, K, kappa.

    Attributes:
        model: The model.
        patches: M.
        root: sqrt(n), n = N/P.
        couplings: Of means, variances and third cumulants, the signs of sources and 1/M in them, shape (3, P M, P M).
        nodes: Quadrature nodes for gains without a closed form.
        skewness: 1, or 0 to leave the third cumulants out.
    """

    model: "BalancedNetwork"
    patches: int
    root: float
    couplings: np.ndarray
    nodes: int
    skewness: float

    @property
    def decay(self) -> np.ndarray:
        """-1/tau, -2/tau, -3/tau, shape (3, P M)."""
        tau = self.each(self.model.tau)
        return -np.arange(1.0, 4.0)[:, None] / tau

    def each(self, value: Any) -> np.ndarray:
        """A value per population, or one for all, for every patch, shape (P M,)."""
        value = np.asarray(value, float)
        if value.ndim == 2 or value.size == len(self.model.gain) * self.patches > len(self.model.gain):
            return value.reshape(-1)
        return np.repeat(np.broadcast_to(value, (len(self.model.gain),)), self.patches)

    def rates(self, state: np.ndarray) -> Rates:
        """E and its derivatives at a state."""
        v, k, kappa = state.reshape(3, len(self.model.gain), self.patches)
        with jax.enable_x64(True):
            f = np.asarray(_rates(self.model.gain, jnp.asarray(v), jnp.asarray(np.maximum(k, 0.0)), self.nodes))
        sixth = kappa / 6.0
        parts = (f[0] + sixth * f[3], f[1] + sixth * f[4], 0.5 * (f[2] + sixth * f[5]), f[3] / 6.0)
        return Rates(*(part.reshape(-1) for part in parts))

    @property
    def factors(self) -> np.ndarray:
        """What multiplies the sums over sources in the three equations, shape (3,)."""
        return np.array([self.root, 1.0, self.skewness / self.root])

    def external(self, time: float) -> np.ndarray:
        """What does not depend on the state, shape (3, P M)."""
        out = np.zeros((3, len(self.model.gain) * self.patches))
        with jax.enable_x64(True):
            drive, weak = (np.asarray(manifold.at(value, time)) for value in (self.model.drive, self.model.input))
        out[0] = self.root * self.each(drive) + self.each(weak)
        out[1] = self.each(self.model.noise) ** 2
        return out

    def rhs(self, time: float, y: np.ndarray) -> np.ndarray:
        """Right-hand side, shape (3 P M,)."""
        state = y.reshape(3, -1)
        arriving = self.couplings @ self.rates(state).value
        return (self.decay * state + self.factors[:, None] * arriving + self.external(time)).reshape(-1)

    def jacobian(self, _: float, y: np.ndarray) -> np.ndarray:
        """Its derivative, shape (3 P M, 3 P M)."""
        count = len(y) // 3
        found = self.rates(y.reshape(3, -1))
        slopes = np.stack([found.in_mean, found.in_variance, found.in_third])
        full = np.einsum("i,iab,jb->iajb", self.factors, self.couplings, slopes).reshape(3 * count, 3 * count)
        full[np.arange(3 * count), np.arange(3 * count)] += self.decay.reshape(-1)
        return full


def equations(model: "BalancedNetwork", n: int, *, skewness: bool = True, homogeneous: bool = False) -> Equations:
    """The equations of N = n neurons in all: of every patch, or of the state that all patches share.

    Raises:
        InputError: The synapses are shared.
    """
    if model.synapses != "independent":
        raise InputError("Argument `n` must be None for a network with shared synapses: no equations are known.")
    count, m = len(model.gain), model.space.count
    with jax.enable_x64(True):
        share, nodes = (
            np.asarray(manifold.shares(model)),
            manifold.structure(model.replace(space=None, kernel=None)).nodes,
        )
    by_offset = couplings_by_offset(model, share)
    if homogeneous:
        return Equations(model, 1, root_of(model, n), by_offset.mean(-1), nodes, float(skewness))
    blocks = patches.by_offset(model.space, by_offset) / m  # power, target, source, patch, patch
    matrices = np.moveaxis(blocks, 3, 2).reshape(3, count * m, count * m)
    return Equations(model, m, root_of(model, n), matrices, nodes, float(skewness))


def root_of(model: "BalancedNetwork", n: int) -> float:
    """Root of the mean size of a population."""
    return float(np.sqrt(n / len(model.gain)))


def couplings_by_offset(model: "BalancedNetwork", share: np.ndarray) -> np.ndarray:
    """Give s q alpha kt, q alpha^2 kt^2 and s q alpha^3 kt^3 by offset, shape (3, population, source, patch)."""
    one = np.asarray(model.coupling)[:, :, None] * patches.profiles(model)
    weight, sign = share[:, None], np.asarray(model.sign)[:, None]
    return np.stack([sign * weight * one, weight * one**2, sign * weight * one**3])


def solve(
    model: "BalancedNetwork",
    times: np.ndarray,
    *,
    n: int,
    rtol: float,
    atol: float,
    skewness: bool = True,
    perturbation: Any = None,
) -> Arrays:
    """Solve the equations at n neurons in all; see `finite_size.solve` for the arguments.

    Raises:
        InputError: The synapses are shared.
        LimitError: The equations gave values that are not finite.
    """
    system = equations(model, n, skewness=skewness)
    patches.warn(model)
    start = patches.start_of(model, perturbation)
    state = np.concatenate([start, system.each(model.initial_variance), np.zeros_like(start)])
    path = np.zeros((len(times), len(state)))
    path[0], reached = state, 0
    edges = _pieces(model, times)
    for low, high in itertools.pairwise(edges):
        inside = np.flatnonzero((times > low) & (times <= high))
        wanted = np.unique(np.append(times[inside], high))
        found = scipy.integrate.solve_ivp(
            system.rhs, (low, high), state, "Radau", wanted, rtol=rtol, atol=atol, jac=system.jacobian
        )
        got = found.y.T
        keep = np.searchsorted(wanted, times[inside])
        keep = keep[keep < len(got)]
        path[inside[: len(keep)]] = got[keep]
        reached = int(inside[len(keep) - 1]) if len(keep) else reached
        if not found.success:
            break
        state = got[-1]
    stopped = None if reached == len(times) - 1 else float(times[reached])
    path = path[: reached + 1]
    if not np.all(np.isfinite(path)):
        raise LimitError("The finite-size equations gave values that are not finite. Take smaller rtol and atol.")
    rate = np.stack([system.rates(y.reshape(3, -1)).value for y in path], axis=-1)
    v, k, kappa = np.moveaxis(path.reshape(len(path), 3, -1), 0, -1)
    status = COMPLETED if stopped is None else f"the solver made no progress beyond time {stopped:.10g}"
    values = {"mean": v, "variance": k, "third_cumulant": kappa, "rate": rate}
    return Arrays(values, {}, {"skewness": skewness, "route": "finite size"}, status, stopped)


def _pieces(model: "BalancedNetwork", times: np.ndarray) -> list[float]:
    """The start, the kinks of drives and inputs, and the end."""
    kinks = [np.asarray(value.times, float) for value in (model.drive, model.input) if isinstance(value, TimeSeries)]
    inside = [float(t) for t in np.unique(np.concatenate([np.zeros(0), *kinks])) if times[0] < t < times[-1]]
    return [float(times[0]), *inside, float(times[-1])]
