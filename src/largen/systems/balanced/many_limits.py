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
from largen.numerics.gaussian import node_count
from largen.system import Arrays
from largen.systems.balanced import limit, manifold
from largen.systems.balanced.gains import Probit
from largen.systems.balanced.limit_equations import COMPLETED, GAVE_UP, Trajectory, choose_route, trajectory
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
        route: See `limit_equations.trajectory`.
        names: Observables wanted; None for all.

    Returns:
        For each model what `limit.solve` would return, or the exception that it would raise.
    """
    results: list[Any] = [None] * len(models)
    groups: dict[Any, list[int]] = {}
    with jax.enable_x64(True):
        leaves = [jax.tree.flatten(model) for model in models]
        for k, (model, structure) in enumerate(zip(models, _structures(models, results), strict=True)):
            if results[k] is not None:
                continue
            try:
                manifold.check_functions(model, times)
                groups.setdefault(_form(model, structure, route, *leaves[k]), []).append(k)
            except InputError as error:
                results[k] = error
        numbers = [[leaf for leaf in found if not callable(leaf)] for found, _ in leaves]
        for (form, _), members in groups.items():
            slow = []
            for batch, found in _batches(numbers, members, times, rtol, atol, form, SIZE):
                unfinished = np.isin(found.code, _UNFINISHED)
                slow += [k for k, more in zip(batch, unfinished, strict=True) if more]
                _deliver(results, models, batch, found, times, rtol, form, names)
            form = form._replace(max_steps=manifold.MOST_STEPS)
            for batch, found in _batches(numbers, slow, times, rtol, atol, form, SIZE_SLOW):
                _deliver(results, models, batch, found, times, rtol, form, names)
    return results


def _structures(models: Sequence[Any], results: list[Any]) -> list[Structure]:
    """The structure of each model, together where possible; a model that no rates can balance gets its exception."""
    quick = [k for k, model in enumerate(models) if _closed_form(model)]
    aside = set(quick)
    found = [None if k in aside else manifold.structure(model) for k, model in enumerate(models)]
    by_size: dict[int, list[int]] = {}
    for k in quick:
        by_size.setdefault(len(models[k].gain), []).append(k)
    for count, members in by_size.items():
        signed = np.stack([models[k].coupling * models[k].sign for k in members])
        share = np.stack([np.broadcast_to(models[k].fractions, count) for k in members])
        weights = signed * (share / share.mean(1, keepdims=True))[:, None, :]
        singular = np.linalg.svd(weights, compute_uv=False)
        full = singular[:, -1] > manifold.RANK_TOLERANCE * singular[:, 0]
        drive = np.stack([models[k].drive for k in members])
        bound = np.array([[float(gain.maximum) for gain in models[k].gain] for k in members])
        weights[~full] = np.eye(count)
        needed = -np.linalg.solve(weights, drive[..., None])[..., 0]
        impossible = full & ~np.all((needed > 0) & (needed < bound), axis=1)
        for row, k in enumerate(members):
            found[k] = _FULL._replace(columns=tuple(range(count))) if full[row] else manifold.structure(models[k])
            if impossible[row]:
                results[k] = LimitError(
                    f"There is no balanced limit: balance needs the rates {needed[row].round(4).tolist()}, which must "
                    f"lie between 0 and {bound[row].tolist()}, so that means grow as sqrt(n)."
                )
    return [structure or _FULL for structure in found]


_FULL = Structure((), node_count(0.0))
"""Full rank with gains whose means are in closed form; the columns are all of them."""


def _closed_form(model: Any) -> bool:
    return not callable(model.drive) and all(isinstance(gain, Probit) for gain in model.gain)


def _form(model: Any, structure: Structure, route: str, leaves: list[Any], tree: Any) -> tuple[_Form, tuple]:
    """The model's form, and the shapes of its arrays."""
    functions = tuple((k, leaf) for k, leaf in enumerate(leaves) if callable(leaf))
    shapes = tuple(leaf.shape for leaf in leaves if not callable(leaf))
    return _Form(tree, functions, structure, choose_route(model, structure, route), FEW_STEPS), shapes


def _batches(
    numbers: list[list[Any]], members: list[int], times: np.ndarray, rtol: float, atol: float, form: _Form, size: int
) -> Iterator[tuple[list[int], Trajectory]]:
    """Solve the members in batches padded to one size; their numbers and trajectories, batch by batch."""
    for first in range(0, len(members), size):
        batch = members[first : first + size]
        rows = [numbers[k] for k in batch]
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
