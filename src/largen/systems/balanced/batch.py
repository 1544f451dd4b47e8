"""Limits of many balanced networks at once, by vmap in batches of one size, whatever the number of models.

Every batch is padded to the same size, so that one compiled program serves all and a model's result has the same
bytes alone and among others. A batch takes as long as its slowest model: those that the first pass does not finish
in a few steps are solved again with all steps, in small batches.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, LimitError
from largen.system import Arrays
from largen.systems.balanced import limit, manifold
from largen.systems.balanced.equations import COMPLETED, GAVE_UP, Trajectory, choose_route, trajectory
from largen.systems.balanced.manifold import Structure

SIZE, FEW_STEPS = 256, 512
SIZE_SLOW = 16

_UNFINISHED = (manifold.RESTLESS, manifold.ESCAPED, GAVE_UP)
_QUICK = ("mean", "variance", "third_cumulant", "rate")


class _Form(NamedTuple):
    """What the models of one batch share; hashable, so that it names a compiled program.

    Attributes:
        tree: Their tree structure.
        functions: Their leaves that are functions, by position.
        structure: Rank and quadrature.
        route: How they are solved.
        max_steps: Steps after which a model counts as restless.
    """

    tree: Any
    functions: tuple[tuple[int, Any], ...]
    structure: Structure
    route: str
    max_steps: int


@functools.partial(jax.jit, static_argnames="form")
def _solve(columns: list[Any], times: Any, rtol: Any, atol: Any, form: _Form) -> Trajectory:
    """Trajectories of one batch; `columns` are the models' numbers, a leading axis for the model."""

    def one(numbers: list[Any]) -> Trajectory:
        leaves = list(numbers)
        for position, function in form.functions:
            leaves.insert(position, function)
        model = jax.tree.unflatten(form.tree, leaves)
        return trajectory(
            model,
            times,
            rtol=rtol,
            atol=atol,
            structure=form.structure,
            route=form.route,
            max_steps=form.max_steps,
        )

    return jax.vmap(one)(columns)


def solve(
    models: Sequence[Any],
    times: np.ndarray,
    *,
    rtol: float,
    atol: float,
    route: str = "auto",
    names: Sequence[str] | None = None,
) -> list[Arrays | Exception]:
    """Solve the limits of many models.

    Args:
        models: BalancedNetworks.
        times: Output times, shape (time,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        route: See `equations.trajectory`.
        names: Observables wanted; None for all.

    Returns:
        For each model what `limit.solve` would return, or the exception that it would raise.
    """
    results: list[Any] = [None] * len(models)
    groups: dict[Any, list[int]] = {}
    with jax.enable_x64(True):
        for k, model in enumerate(models):
            try:
                limit.check_functions(model, times)
                form = _form(model, route)
                if form[0].route == "explicit":
                    _require_rates(model)
                groups.setdefault(form, []).append(k)
            except (InputError, LimitError) as error:
                results[k] = error
        for (form, _), members in groups.items():
            slow = []
            for batch, found in _batches(models, members, times, rtol, atol, form, SIZE):
                unfinished = np.isin(found.code, _UNFINISHED)
                slow += [k for k, more in zip(batch, unfinished, strict=True) if more]
                _deliver(results, models, batch, found, times, rtol, form, names)
            form = form._replace(max_steps=manifold.MOST_STEPS)
            for batch, found in _batches(models, slow, times, rtol, atol, form, SIZE_SLOW):
                _deliver(results, models, batch, found, times, rtol, form, names)
    return results


def _require_rates(model: Any) -> None:
    """At full rank the balanced rates follow from the drive: refuse a model whose gains cannot give them."""
    share = np.broadcast_to(model.fractions, (len(model.gain),))
    weights = model.coupling * model.sign * (share / np.mean(share))
    needed = -np.linalg.solve(weights, np.asarray(model.drive))
    bound = np.array([float(gain.bound) for gain in model.gain])
    if not np.all((needed > 0) & (needed < bound)):
        raise LimitError(
            f"There is no balanced limit: balance needs the rates {needed.round(4).tolist()}, which must lie between 0 "
            f"and {bound.tolist()}, so that means grow as sqrt(n)."
        )


def _form(model: Any, route: str) -> tuple[_Form, tuple]:
    """The model's form, and the shapes of its arrays."""
    leaves, tree = jax.tree.flatten(model)
    functions = tuple((k, leaf) for k, leaf in enumerate(leaves) if callable(leaf))
    shapes = tuple(np.shape(leaf) for leaf in leaves if not callable(leaf))
    structure = manifold.structure(model)
    return _Form(tree, functions, structure, choose_route(model, structure, route), FEW_STEPS), shapes


def _batches(
    models: Sequence[Any], members: list[int], times: np.ndarray, rtol: float, atol: float, form: _Form, size: int
) -> Iterator[tuple[list[int], Trajectory]]:
    """Solve the members in batches padded to one size; their numbers and trajectories, batch by batch."""
    for first in range(0, len(members), size):
        batch = members[first : first + size]
        rows = [[leaf for leaf in jax.tree.leaves(models[k]) if not callable(leaf)] for k in batch]
        rows += [rows[-1]] * (size - len(rows))
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        found = _solve(columns, jnp.asarray(times), np.array(rtol), np.array(atol), form)
        cut: list[Any] = [np.asarray(x)[: len(batch)] for x in found]
        yield batch, Trajectory(*cut)


def _deliver(
    results: list[Any],
    models: Sequence[Any],
    batch: list[int],
    found: Trajectory,
    times: np.ndarray,
    rtol: float,
    form: _Form,
    names: Sequence[str] | None,
) -> None:
    """Check every lane; those without trouble whose eigenvalues are not asked for take a short way."""
    quick = names is not None and set(names) <= set(_QUICK)
    calm = (found.code == COMPLETED) & (np.max(found.imbalance, axis=1) < limit.worst_imbalance(rtol))
    for values in (found.mean, found.variance, found.rate):
        calm &= np.isfinite(values).all(axis=(1, 2))
    for k, model in enumerate(batch):
        if quick and calm[k]:
            mean, variance, rate = (np.asarray(part[k]).T for part in (found.mean, found.variance, found.rate))
            values = {"mean": mean, "variance": variance, "third_cumulant": np.zeros_like(mean), "rate": rate}
            results[model] = Arrays(values)
            continue
        try:
            lane = jax.tree.map(lambda x, k=k: x[k], found)
            results[model] = limit.finished(models[model], lane, times, form.structure, form.route, rtol)
        except LimitError as error:
            results[model] = error
