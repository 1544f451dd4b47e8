"""The limit of populations as one differentiable function of the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer, real
from largen.parameters import entries
from largen.system import AbstractSmoothLimit
from largen.systems.rate.kernels import SeparableKernel, TableKernel
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.populations import limit_jax
from largen.systems.rate.populations.frame_jax import Form, Outside, blocks_of, shapes_of
from largen.systems.rate.populations.numbers import input_at, signals_at, spread
from largen.systems.rate.recursion import continuous_grid

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

TAIL = 1e-5
"""Largest part of a covariance that the series may leave out, relative to the largest one."""
_APART = 0.03  # largest difference of the two grids, relative: what their extrapolation leaves is of its square
_MOST_POINTS = 400  # of the finer grid, where no step is given
_LEFT_OUT = 1e-12
_MOST_LAGS = 400
_SYMMETRIC = "a covariance matrix must stay symmetric"


class SmoothLimit(AbstractSmoothLimit):
    """See `prepare`.

    Attributes:
        grids: What reaches the neurons from outside, on one grid or two of equally many points (the first dim).
        outputs: Indices of the output times on each, shape (grid, time).
        form: The form of the computation.
        lags: Largest lag on the ring of the covariances.
        held: See `fixed`.
        structured: Whether there is a low-rank part.
    """

    grids: Outside
    outputs: np.ndarray
    form: Form = eqx.field(static=True)
    lags: int = eqx.field(static=True)
    held: tuple[tuple[str, str], ...] = eqx.field(static=True)
    structured: bool = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """All observables that are not only recorded."""
        found = ("mean", "rate", "covariance", "frozen_covariance")
        return (*found[:2], "latent", *found[2:]) if self.structured else found

    @property
    def fixed(self) -> Mapping[str, str]:
        """What decides the form of the equations, and what the derivative does not exist for."""
        return dict(self.held)

    def __call__(self, model: "RatePopulations") -> tuple[dict[str, jax.Array], jax.Array]:
        """The observables at the output times, and whether series, lags and time step do."""

        def on_grid(grid: Any) -> tuple[dict[str, jax.Array], jax.Array]:
            outside, output = grid
            law = limit_jax.solve(model, self.form, outside)
            part = self._read(model, law, output)
            largest = jnp.max(jnp.abs(part["covariance"]))
            return part, jnp.isfinite(largest) & (law.tail <= TAIL * largest) & (law.change <= 1e-9)

        found, goods = jax.lax.map(on_grid, (self.grids, self.outputs))
        parts = [{name: value[k] for name, value in found.items()} for k in range(len(self.outputs))]
        variance = jnp.diagonal(parts[-1]["covariance"][:, 0], axis1=1, axis2=2)
        good = jnp.all(goods) & jnp.all(variance[:, 1:] > 0.0) & self._enough_lags(model)
        if len(parts) == 1:
            return parts[0], good
        coarse, fine = parts
        for name in ("mean", "covariance"):
            size = jnp.max(jnp.abs(fine["mean"])) + jnp.sqrt(jnp.max(jnp.abs(fine["covariance"])))
            allowed = _APART * (size if name == "mean" else size**2)
            good &= jnp.max(jnp.abs(fine[name] - coarse[name])) <= allowed
        return {name: (4.0 * fine[name] - coarse[name]) / 3.0 for name in fine}, good

    def _read(self, model: Any, law: limit_jax.Solution, output: Any) -> dict[str, jax.Array]:
        at = (..., output[:, None], output)
        fields, own = law.fields[at], law.own[at]
        form = self.form._replace(lags=max(self.form.lags, self.lags + 1))
        shapes = shapes_of(model, form)[:, : self.lags + 1]
        target = np.array([block[0] for block in form.blocks])
        count = len(law.mean)
        parts = [jnp.einsum("fk,lfst->lkst", shapes * (target == a)[:, None], fields) for a in range(count)]
        both = jnp.stack(parts, axis=1).at[:, :, 0].add(own)
        values = {"mean": law.mean[:, output], "rate": law.rate[:, output]}
        values |= {"covariance": both[0], "frozen_covariance": both[1]}
        return values | {"latent": law.latent[:, output]} if self.structured else values

    def _enough_lags(self, model: Any) -> Any:
        """Whether the lags that are summed are still enough."""
        if model.kernels is None:
            return True
        return _largest(model) ** self.form.lags <= 1e-9


def _separable(model: "RatePopulations") -> list[SeparableKernel]:
    found = [] if model.kernels is None else [kernel for _, kernel in entries(model.kernels)]
    return [kernel for kernel in found if isinstance(kernel, SeparableKernel)]


def _largest(model: "RatePopulations") -> Any:
    """Largest product of a post with a pre correlation."""
    kernels = _separable(model)
    if not kernels:
        return 0.0
    post, pre = (
        jnp.stack([jnp.abs(jnp.asarray(getattr(k, name), float)) for k in kernels]) for name in ("post", "pre")
    )
    return jnp.max(post) * jnp.max(pre)


def _lags(model: "RatePopulations") -> int:
    """Presynaptic lags to be summed, with room for correlations that grow."""
    kernels = _separable(model)
    tables = [] if model.kernels is None else [k for _, k in entries(model.kernels) if isinstance(k, TableKernel)]
    reach = max([max(kernel.reach) for kernel in tables], default=0)
    if kernels:
        post, pre = (max(abs(float(getattr(kernel, name))) for kernel in kernels) for name in ("post", "pre"))
        post, pre = (x + 0.2 * (1.0 - x) for x in (post, pre))
        reach = max(reach, int(np.ceil(np.log(_LEFT_OUT) / np.log(post * pre))))
    if reach > _MOST_LAGS:
        raise InputError(
            f"Argument `kernels` must have correlations that end within {_MOST_LAGS} lags for derivatives, but {reach} "
            "lags would be summed. Take smaller `post` or `pre`."
        )
    return reach + 1


def _held(model: "RatePopulations") -> dict[str, str]:
    """Fields that cannot vary, with the reason."""
    held = {"tau": "time is discrete"} if model.dynamics == "discrete" else {"gamma": "time is continuous"}
    held["fractions"] = "the shares of the populations add up to 1"
    held["patterns.signals"] = "signals are functions of time"
    held["kernels.values"] = "the entries of a table decide the form of the limit's equations"
    held["low_rank.covariance"] = held["patterns.covariance"] = _SYMMETRIC
    if np.any(np.asarray(model.initial_variance) == 0.0):
        held["initial_variance"] = "the limit is not differentiated at an initial variance of exactly 0"
    return held


def prepare(
    model: "RatePopulations",
    times: np.ndarray,
    *,
    n: int | None = None,
    lags: int = 2,
    terms: int = 192,
    step: float | None = None,
) -> SmoothLimit:
    """Fix what does not vary (lags, terms, time steps, inputs in time) from one model.

    Args:
        model: A RatePopulations.
        times: Output times, shape (time,).
        n: Must be None: the law of n neurons is known by sampling only.
        lags: Largest lag on the ring of the covariances.
        terms: Terms of the Mehler series; more where an activation is steep and correlations are strong.
        step: Largest time step of the coarser of two grids in continuous time; if None a quarter of the shortest tau,
            or more where that would take too many steps.

    Raises:
        InputError: A finite n, or relu, whose series converges too slowly.
    """
    if n is not None:
        raise InputError(
            "Argument `through` must be 'limit' or 'network' for the rate_populations system, but is 'finite': the law "
            "of n neurons is known by sampling only, which has no derivative."
        )
    kinds = model.activation if isinstance(model.activation, tuple) else (model.activation,)
    if "relu" in kinds:
        raise InputError(
            "Argument `activation` must not be 'relu' for derivatives: its series converges too slowly. Take a smooth "
            "one, such as lambda x: jax.nn.softplus(20 * x) / 20."
        )
    form = Form(blocks_of(model.kernels, len(model.fractions)), _lags(model), integer("terms", terms, low=3), 961)
    times = np.asarray(times, float)
    points, outputs = _grids(model, times, step)
    inside = [np.minimum(grid, times[-1]) for grid in points]
    given = np.array([input_at(model, grid) for grid in inside]) if callable(model.input) else None
    grids = Outside(points, given, np.array([signals_at(model, grid) for grid in inside]))
    held = _held(model)
    if callable(model.input):
        held["input"] = "it is a function of time"
    structured = model.low_rank is not None
    return SmoothLimit(grids, outputs, form, integer("lags", lags, low=0), tuple(held.items()), structured)


def _grids(model: "RatePopulations", times: np.ndarray, step: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Times of the grids, shape (grid, point), and where the output times are on each, shape (grid, time).

    The coarser of two grids goes on beyond the last time, so that both have as many points: one program serves both.
    """
    if model.dynamics == "discrete":
        discrete_times(times)
        return times[None], np.arange(len(times))[None]
    if step is None:
        width = max(float(spread(model.tau, len(model.fractions)).min()) / 4.0, 2.0 * np.ptp(times) / _MOST_POINTS)
    else:
        width = real("step", step, above=0.0)
    coarse, fine = (continuous_grid(times, 1.0, 0.0, width, refine) for refine in (1, 2))
    points = [np.interp(np.arange(grid.points), grid.output, times) for grid in (coarse, fine)]
    more = len(points[1]) - len(points[0])
    points[0] = np.append(points[0], times[-1] + np.arange(1.0, more + 1.0) * (points[0][-1] - points[0][-2]))
    return np.array(points), np.array([coarse.output, fine.output])
