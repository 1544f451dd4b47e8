"""The balanced network's equations for continuation: the limit as a constrained system, or the moments at finite n.

The index-reduced limit does not contain the drive; stationary states solve -v/tau + m + R lambda = 0, dK/dt = 0,
Q^T F + htilde = 0 in (v, K, lambda) instead. Their stability is that of the fast flow onto the balanced manifold and
that of the slow flow on it (eqs. B10 and B12 of docs/balanced.md; at finite n B4 to B7).
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError
from largen.numerics.continuation.kinds import FAST, FLOW
from largen.system import Dynamics, Form, Observable
from largen.systems.balanced import finite_size, limit_equations, manifold, stationary
from largen.systems.balanced.manifold import Structure, rates

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

OBSERVABLES = (
    Observable("mean", ("population",), "1", "mean state"),
    Observable("variance", ("population",), "1", "variance of the state"),
    Observable("rate", ("population",), "1", "mean intensity"),
)
KINDS = {"": FLOW, "fast": FAST}


class _RightHandSide(eqx.Module):
    """What the right-hand sides share: the model with its free parameter."""

    model: "BalancedNetwork"
    name: str = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)

    def at(self, p: Any) -> Any:
        """The model at a value of the parameter."""
        return self.model.varied(self.name, p, self.labels) if self.name else self.model


class Constrained(_RightHandSide):
    """The stationary equations of the limit in (v, K, lambda)."""

    structure: Structure = eqx.field(static=True)

    def __call__(self, x: Any, p: Any) -> Any:
        """0 at a stationary state."""
        model = self.at(p)
        return stationary.residual(x, (model, manifold.balance(model, self.structure.columns), self.structure.nodes))

    def observe(self, x: Any, p: Any) -> dict[str, Any]:
        """Means, variances and rates."""
        count = len(self.labels)
        v, k = x[:count], x[count : 2 * count]
        return {"mean": v, "variance": k, "rate": rates(self.at(p).gain, v, k, self.structure.nodes)}


class Moments(_RightHandSide):
    """The flow of (v, K, kappa) at finite n."""

    sizes: Any
    skewness: Any
    nodes: int = eqx.field(static=True)

    def __call__(self, x: Any, p: Any) -> Any:
        """The right-hand side."""
        model, count = self.at(p), len(self.labels)
        parts = manifold.balance(model, tuple(range(count)), self.sizes)
        args = (model, parts, jnp.mean(self.sizes), self.skewness, self.nodes)
        return jnp.concatenate(finite_size.rhs(0.0, tuple(x.reshape(3, count)), args))

    def observe(self, x: Any, p: Any) -> dict[str, Any]:
        """Means, variances and rates."""
        v, k, kappa = x.reshape(3, len(self.labels))
        return {"mean": v, "variance": k, "rate": finite_size.corrected_rate(self.at(p), v, k, kappa, self.nodes)}


@eqx.filter_jit
def _linear(rhs: Constrained, y: jax.Array, p: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Q^T D R, the Jacobian of the limit's field, and that of its constraint, at (v, K)."""
    model, count, nodes = rhs.at(p), len(rhs.labels), rhs.structure.nodes
    parts = manifold.balance(model, rhs.structure.columns)

    def flow(y: Any) -> Any:
        return jnp.concatenate(limit_equations.rhs(0.0, (y[:count], y[count:]), (model, parts, nodes)))

    def constraint(y: Any) -> Any:
        return parts.conditions @ rates(model.gain, y[:count], y[count:], nodes)

    slope = rates(model.gain, y[:count], y[count:], nodes, 1)
    return manifold.fast_matrix(parts, slope), jax.jacfwd(flow)(y), jax.jacfwd(constraint)(y)


class _Spectra:
    """Slow and fast eigenvalues at a stationary state of the limit."""

    def __init__(self, rhs: Constrained):
        self.rhs = rhs

    def __call__(self, x: np.ndarray, p: float, jacobian: Any = None) -> dict[str, np.ndarray]:
        y = jnp.asarray(x[: 2 * len(self.rhs.labels)])
        fast, flow, constraint = (np.asarray(part) for part in _linear(self.rhs, y, jnp.asarray(p)))
        return {"": stationary._on_tangent(flow, constraint), "fast": np.linalg.eigvals(fast)}


def build(model: "BalancedNetwork", parameter: str | None, *, n: int | None, skewness: bool = True) -> Dynamics:
    """The equations with one parameter free.

    Args:
        model: A BalancedNetwork with constant drive and input.
        parameter: Name of the parameter, such as `drive[e]`, or `drive*` for a factor of the whole drive.
        n: Total number of neurons; None is the limit.
        skewness: Whether the third cumulants enter at finite n.

    Raises:
        InputError: The drive depends on time, the parameter is not one number, or it changes the coupling's rank.
    """
    stationary._require_constant(model)
    value, bounds, unit = model.free(parameter) if parameter else (0.0, (-np.inf, np.inf), "")
    labels, count = model.populations, len(model.gain)
    name = parameter or ""
    if n is not None:
        if model.synapses != "independent":
            raise InputError("Argument `n` must be None for a network with shared synapses: no equations are known.")
        nodes = manifold.structure(model).nodes
        moments = Moments(model, name, labels, model.sizes(n).astype(float), np.array(float(skewness)), nodes)
        made = _dynamics(Form.FLOW, moments, value, bounds, unit, 3 * count, _finite_starts(model, name, n), {"n": n})
        start = (model.initial_mean, model.initial_variance, 0.0)
        return made._replace(initial=np.concatenate([np.broadcast_to(part, (count,)) for part in start]))
    structure = manifold.structure(model)
    rank = len(structure.columns)
    if name and rank < count:
        _require_rank(model, name, value, structure)
    rhs = Constrained(model, name, labels, structure)
    starts = _limit_starts(model, name, rank)
    made = _dynamics(Form.CONSTRAINED, rhs, value, bounds, unit, 2 * count + rank, starts, {"rank": rank})
    return made._replace(spectra=_Spectra(rhs), kinds=KINDS)


def _dynamics(
    form: Form, rhs: Any, value: float, bounds: tuple[float, float], unit: str, size: int, starts: Any, note: Any
) -> Dynamics:
    return Dynamics(
        form, rhs, value, starts, np.full(size, np.sqrt(size)), np.zeros((0, size)), None, rhs.observe, OBSERVABLES,
        rhs.labels, bounds=bounds, unit=unit, note=note,
    )  # fmt: skip


def _require_rank(model: "BalancedNetwork", name: str, value: float, structure: Structure) -> None:
    """A change of the parameter must keep the coupling's rank and the drive in its range."""
    step = 0.01 * max(abs(value), 0.1)
    near = model.varied(name, np.array(value + step), model.populations)
    parts = manifold.balance(near, manifold.structure(near).columns)
    if manifold.structure(near).columns != structure.columns or bool(
        manifold.out_of_range(parts, jnp.asarray(near.drive))
    ):
        raise InputError(
            f"Argument `parameter` must keep the drive in the range of the coupling, but is {name!r}: this network's "
            f"coupling has rank {len(structure.columns)}, and a change of `{name}` alone has no balanced limit. "
            "Follow `drive*` (a factor of the whole drive), a parameter of a gain, or the equations at finite n."
        )


def _limit_starts(model: "BalancedNetwork", name: str, rank: int) -> Any:
    def starts(p: float) -> list[np.ndarray]:
        there = model.varied(name, np.array(p), model.populations) if name else model
        found = stationary.fixed_points(there)
        directions = np.asarray(manifold.balance(there, manifold.structure(there).columns).basis)
        tau = np.broadcast_to(there.tau, (len(there.gain),))
        force = [np.linalg.lstsq(directions, v / tau - there.input, rcond=None)[0] for v in found.mean]
        rows = zip(found.mean, found.variance, force, strict=True)
        return [np.concatenate([v, k, lam[:rank]]) for v, k, lam in rows]

    return starts


def _finite_starts(model: "BalancedNetwork", name: str, n: int) -> Any:
    def starts(p: float) -> list[np.ndarray]:
        there = model.varied(name, np.array(p), model.populations) if name else model
        found = stationary.finite_fixed_points(there, n)
        rows = zip(found.mean, found.variance, found.third_cumulant, strict=True)
        return [np.concatenate(parts) for parts in rows]

    return starts
