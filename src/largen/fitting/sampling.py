"""NUTS on the posterior of a limit's parameters, with the limit's own forward derivatives (BlackJAX).

Source: Hoffman & Gelman, J. Mach. Learn. Res. 15 (2014) 1593; Betancourt, arXiv 1701.02434.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.fitting.evaluation import data_at

TARGET = 0.9
"""Acceptance rate that the step size aims at."""
CHUNK = 25
"""Draws between two looks at Ctrl-C and the progress."""
DEEPEST = 7
"""Doublings of a trajectory at most."""
FIRST_SIZE = 0.8
"""Step size to begin with, in units of the posterior's scale: about right for a normal law of few dimensions."""


class Density(NamedTuple):
    """A posterior as arrays and the limit; new numbers compile nothing.

    Attributes:
        limit: The differentiable limit.
        model: The model.
        places: Where the parameters stand.
        index: Which entries of each observable are data.
        target: Data, shape (datum,).
        weight: One over their errors, shape (datum,).
        matrix: Turns weighted residuals into independent numbers of variance 1, shape (number, datum).
        dof: Degrees of freedom of the errors; infinite for known ones.
        low: Lower bounds of the parameters, shape (p,); -inf where there is none.
        high: Upper bounds, likewise.
        code: Priors, as `priors.Laws`.
        first: Likewise.
        second: Likewise.
        centre: Unbounded parameters at the mode, shape (p,).
        root: Unit variables are turned into unbounded parameters by it, shape (p, p).
    """

    limit: Any
    model: Any
    places: Any
    index: Any
    target: Any
    weight: Any
    matrix: Any
    dof: Any
    low: Any
    high: Any
    code: Any
    first: Any
    second: Any
    centre: Any
    root: Any


class Draws(NamedTuple):
    """Draws of all chains.

    Attributes:
        value: Parameters, shape (chain, draw, p).
        log_density: Logarithm of the posterior in unbounded variables, up to a constant, shape (chain, draw).
        diverging: Trajectories that were lost, shape (chain, draw).
        depth: Doublings of the trajectories, shape (chain, draw).
        acceptance: Their acceptance rates, shape (chain, draw).
        energy: Their energies, shape (chain, draw).
        step_size: Of each chain, shape (chain,).
    """

    value: np.ndarray
    log_density: np.ndarray
    diverging: np.ndarray
    depth: np.ndarray
    acceptance: np.ndarray
    energy: np.ndarray
    step_size: np.ndarray


def bounded(density: Density, inner: Any) -> tuple[Any, Any]:
    """Parameters from unbounded variables, and the logarithm of the derivatives, shape (p,) each."""
    below, above = jnp.isfinite(density.low), jnp.isfinite(density.high)
    low, high = jnp.where(below, density.low, 0.0), jnp.where(above, density.high, 0.0)
    both = below & above
    width = jnp.where(both, high - low, 1.0)
    away = jnp.where(below | above, jnp.clip(inner, -700.0, 700.0), 0.0)
    single = jnp.where(both, 0.0, away)
    value = jnp.select(
        [both, below, above],
        [low + width * jax.nn.sigmoid(away), low + jnp.exp(single), high - jnp.exp(-single)],
        inner,
    )
    slope = jnp.select(
        [both, below, above],
        [jnp.log(width) + jax.nn.log_sigmoid(away) + jax.nn.log_sigmoid(-away), single, -single],
        0.0,
    )
    return value, slope


def _log_prior(density: Density, value: Any) -> Any:
    positive = jnp.where(density.code == 1, value, 1.0)
    log = jnp.log(jnp.maximum(positive, 1e-300))
    spread = jnp.where(density.code == 2, 1.0, density.second)
    normal = -0.5 * ((value - density.first) / spread) ** 2
    log_normal = -0.5 * ((log - density.first) / spread) ** 2 - log
    return jnp.sum(jnp.select([density.code == 0, density.code == 1], [normal, log_normal], 0.0))


def log_density(density: Density, unit: Any) -> Any:
    """Logarithm of the posterior, up to a constant, at unit variables, shape (p,); -inf where there is no limit.

    Errors from R realisations make a Student's t with R - 1 degrees of freedom of every combination of parameters.
    """

    def rest(unit: Any) -> Any:
        value, slope = bounded(density, density.centre + density.root @ unit)
        return _log_prior(density, value) + jnp.sum(slope)

    def numbers(unit: Any) -> Any:
        value, _ = bounded(density, density.centre + density.root @ unit)
        data = data_at(density.limit, density.model, density.places, density.index, value)
        found = density.matrix @ (density.weight * (data - density.target))
        return found, found

    def of_square(square: Any) -> Any:
        known = jnp.isinf(density.dof)
        dof = jnp.where(known, 1.0, density.dof)
        student = -0.5 * (dof + len(density.matrix)) * jnp.log1p(square / dof)
        return jnp.where(known, -0.5 * square, student)

    @jax.custom_vjp
    def total(unit: Any) -> Any:
        return forward(unit)[0]

    def forward(unit: Any) -> tuple[Any, Any]:
        slope, found = jax.jacfwd(numbers, has_aux=True)(unit)
        square = found @ found
        value, factor = jax.value_and_grad(of_square)(square)
        own, own_slope = jax.value_and_grad(rest)(unit)
        gradient = factor * 2.0 * (found @ slope) + own_slope
        good = jnp.isfinite(value + own) & jnp.all(jnp.isfinite(gradient))
        return jnp.where(good, value + own, -jnp.inf), jnp.where(good, gradient, 0.0)

    total.defvjp(forward, lambda gradient, change: (change * gradient,))
    return total(unit)


@eqx.filter_jit
def _advance(density: Density, state: Any, tuning: Any, key: Any, first: Any, fixed: Any, tune: Any) -> Any:
    """`CHUNK` draws of one chain; the step size is adapted if `tune`."""
    from blackjax.adaptation.step_size import dual_averaging_adaptation
    from blackjax.mcmc import nuts

    kernel: Any = nuts.build_kernel()
    _, update, _ = dual_averaging_adaptation(TARGET)
    ones = jnp.ones_like(density.centre)

    def step(carry: Any, number: Any) -> Any:
        state, tuning = carry
        size = jnp.where(tune, jnp.exp(tuning.log_step_size), fixed)
        state, info = kernel(
            jax.random.fold_in(key, number), state, lambda unit: log_density(density, unit), size, ones, DEEPEST
        )
        rate = jnp.where(jnp.isfinite(info.acceptance_rate), info.acceptance_rate, 0.0)
        new = update(tuning, rate)
        tuning = jax.tree.map(lambda a, b: jnp.where(tune, a, b), new, tuning)
        seen = (state.position, state.logdensity, info.is_divergent, info.num_trajectory_expansions, rate, info.energy)
        return (state, tuning), seen

    (state, tuning), seen = jax.lax.scan(step, (state, tuning), first + jnp.arange(CHUNK))
    return state, tuning, seen


@eqx.filter_jit
def downhill(density: Density, unit: Any) -> tuple[Any, Any]:
    """Less the logarithm of the posterior, and its gradient, at unit variables."""
    return jax.value_and_grad(lambda x: -log_density(density, x))(unit)


def sample(
    density: Density, *, chains: int, warmup: int, draws: int, seed: int, tick: Callable[[float], None]
) -> Draws:
    """Sample the posterior; chains run side by side and do not know of each other, but for the scale of the warm-up.

    The warm-up starts from the normal law of the fit, tunes the step size for half its length, takes the covariance of
    the second half of these draws over all chains as the new scale, and tunes the step size again.
    """
    from blackjax.adaptation.step_size import dual_averaging_adaptation
    from blackjax.mcmc.hmc import HMCState

    begin_tuning, _, end_tuning = dual_averaging_adaptation(TARGET)
    half, total = _rounds(warmup // 2), 2 * _rounds(warmup // 2) + _rounds(draws)
    done = np.zeros(chains)

    compiled = threading.Event()

    def run(chain: int, density: Density, unit: Any, part: int, rounds: int, size: Any, tune: bool) -> Any:
        with jax.enable_x64(True):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), chain), part)
            value, gradient = downhill(density, jnp.asarray(unit))
            state, tuning = HMCState(jnp.asarray(unit), -value, -gradient), begin_tuning(jnp.asarray(size))
            tuning = tuning._replace(mu=jnp.log(jnp.asarray(size)))  # not ten times it: the scale is known already
            seen = []
            for k in range(rounds):
                if chain > 0:
                    compiled.wait()  # one compilation for all
                state, tuning, more = _advance(
                    density, state, tuning, key, jnp.asarray(k * CHUNK), jnp.asarray(size), jnp.asarray(tune)
                )
                seen.append([np.asarray(part) for part in more])
                compiled.set()
                done[chain] += 1
                if stop:
                    return None
                if chain == 0:
                    tick(float(done.sum() / (chains * total)))
            size = float(end_tuning(tuning)) if tune else float(size)
            return [np.concatenate(parts) for parts in zip(*seen, strict=True)], size

    stop: list[bool] = []
    count = len(density.centre)
    rng = np.random.default_rng(seed)
    units = rng.standard_normal((chains, count)) * 0.5
    sizes = np.full(chains, FIRST_SIZE)
    with ThreadPoolExecutor(min(chains, os.cpu_count() or 1)) as pool:
        try:
            first = list(pool.map(lambda c: run(c, density, units[c], 0, half, sizes[c], True), range(chains)))
            later = np.concatenate([seen[0][len(seen[0]) // 2 :] for seen, _ in first])
            ends = np.array([seen[0][-1] for seen, _ in first])
            density, ends = rescaled(density, later, ends)
            sizes = np.array([size for _, size in first])
            second = list(pool.map(lambda c: run(c, density, ends[c], 1, half, sizes[c], True), range(chains)))
            ends = np.array([seen[0][-1] for seen, _ in second])
            sizes = np.array([size for _, size in second])
            rounds = _rounds(draws)
            last = list(pool.map(lambda c: run(c, density, ends[c], 2, rounds, sizes[c], False), range(chains)))
        except BaseException:
            stop.append(True)
            compiled.set()
            raise
    columns = [np.stack(parts)[:, :draws] for parts in zip(*(seen for seen, _ in last), strict=True)]
    inner = np.asarray(density.centre) + columns[0] @ np.asarray(density.root).T
    with jax.enable_x64(True):
        value = np.asarray(jax.vmap(jax.vmap(lambda x: bounded(density, x)[0]))(jnp.asarray(inner)))
    log, lost, depth, rate, energy = columns[1:]
    return Draws(value, log, lost, depth, rate, energy, sizes)


def _rounds(draws: int) -> int:
    return max(1, -(-draws // CHUNK))


def rescaled(density: Density, units: np.ndarray, ends: np.ndarray) -> tuple[Density, np.ndarray]:
    """The posterior in units of the draws' covariance, and the chains' ends in these."""
    count = units.shape[1]
    weight = len(units) / (len(units) + 10.0 * count)
    spread = weight * np.atleast_2d(np.cov(units, rowvar=False)) + (1.0 - weight) * np.eye(count)
    root = np.linalg.cholesky(spread)
    return density._replace(root=np.asarray(density.root) @ root), np.linalg.solve(root, ends.T).T
