"""Limits of many balanced networks at once, by vmap in batches of one size, whatever the number of models.

Every batch is padded to the same size, so that one compiled program serves all, and the result of a model has the same
bytes alone and among others. A batch takes as long as its slowest model: models that the first pass does not finish
in a few steps are solved again with all steps, in small batches.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, LimitError
from largen.numerics.gaussian import node_count
from largen.system import Arrays
from largen.systems.balanced import limit, manifold
from largen.systems.balanced.gains import Probit
from largen.systems.balanced.limit_equations import Outcome, Trajectory, choose_route, trajectory
from largen.systems.balanced.manifold import Structure

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

SIZE, FEW_STEPS = 256, 512
"""Models in a batch of the first pass, and the steps that it takes at most."""
SIZE_SLOW = 16
"""Models in a batch of the second pass."""

_UNFINISHED = (manifold.Outcome.NOT_CONVERGED, manifold.Outcome.ESCAPED, Outcome.MAX_STEPS_REACHED)
_WITHOUT_EIGENVALUES = ("mean", "variance", "third_cumulant", "rate")


class _Task(NamedTuple):
    """What was asked for.

    Attributes:
        models: The models.
        times: Output times, shape (time,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        names: Observables wanted; None for all.
    """

    models: Sequence["BalancedNetwork"]
    times: np.ndarray
    rtol: float
    atol: float
    names: Sequence[str] | None


class _Form(NamedTuple):
    """What the models of one batch share; hashable, so that it names a compiled program.

    Attributes:
        tree: Their tree structure.
        functions: Their leaves that are functions, by position.
        structure: Rank and quadrature.
        route: How they are solved.
        max_steps: Steps after which a model counts as not converged.
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
    models: Sequence["BalancedNetwork"],
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
    task = _Task(models, times, rtol, atol, names)
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
            for batch, found in _batches(task, numbers, members, form, SIZE):
                unfinished = np.isin(found.code, _UNFINISHED)
                slow += [k for k, more in zip(batch, unfinished, strict=True) if more]
                _deliver(task, results, batch, found, form)
            form = form._replace(max_steps=manifold.MOST_STEPS)
            for batch, found in _batches(task, numbers, slow, form, SIZE_SLOW):
                _deliver(task, results, batch, found, form)
    return results


def _structures(models: Sequence["BalancedNetwork"], results: list[Any]) -> list[Structure]:
    """The structure of each model, together where possible; a model that no rates can balance gets its exception."""
    closed = [k for k, model in enumerate(models) if _closed_form(model)]
    together = set(closed)
    found = [None if k in together else manifold.structure(model) for k, model in enumerate(models)]
    by_size: dict[int, list[int]] = {}
    for k in closed:
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
                    f"lie between 0 and {bound[row].tolist()}, so that means grow as sqrt(n). Change the drive or the "
                    "coupling."
                )
    return [structure or _FULL for structure in found]


_FULL = Structure((), node_count(0.0))
"""Full rank with gains whose means are in closed form; the columns are all of them."""


def _closed_form(model: "BalancedNetwork") -> bool:
    return not callable(model.drive) and all(isinstance(gain, Probit) for gain in model.gain)


def _form(
    model: "BalancedNetwork", structure: Structure, route: str, leaves: list[Any], tree: Any
) -> tuple[_Form, tuple]:
    """The model's form, and the shapes of its arrays."""
    functions = tuple((k, leaf) for k, leaf in enumerate(leaves) if callable(leaf))
    shapes = tuple(leaf.shape for leaf in leaves if not callable(leaf))
    return _Form(tree, functions, structure, choose_route(model, structure, route), FEW_STEPS), shapes


def _batches(
    task: _Task, numbers: list[list[Any]], members: list[int], form: _Form, size: int
) -> Iterator[tuple[list[int], Trajectory]]:
    """Solve the members in batches padded to one size; their positions and trajectories, batch by batch."""
    for first in range(0, len(members), size):
        batch = members[first : first + size]
        rows = [numbers[k] for k in batch]
        rows += [rows[-1]] * (size - len(rows))
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        found = _solve(columns, jnp.asarray(task.times), np.array(task.rtol), np.array(task.atol), form)
        cut: list[Any] = [np.asarray(x)[: len(batch)] for x in found]
        yield batch, Trajectory(*cut)


def _deliver(task: _Task, results: list[Any], batch: list[int], found: Trajectory, form: _Form) -> None:
    """Check every trajectory of a batch; one that completed, and whose eigenvalues are not wanted, is only labelled."""
    plain = task.names is not None and set(task.names) <= set(_WITHOUT_EIGENVALUES)
    good = (found.code == Outcome.COMPLETED) & (np.max(found.imbalance, axis=1) < limit.worst_imbalance(task.rtol))
    for values in (found.mean, found.variance, found.rate):
        good &= np.isfinite(values).all(axis=(1, 2))
    for row, k in enumerate(batch):
        if plain and good[row]:
            mean, variance, rate = (np.asarray(part[row]).T for part in (found.mean, found.variance, found.rate))
            values = {"mean": mean, "variance": variance, "third_cumulant": np.zeros_like(mean), "rate": rate}
            results[k] = Arrays(values)
            continue
        try:
            one = jax.tree.map(lambda x, row=row: x[row], found)
            results[k] = limit.finished(task.models[k], one, task.times, form.structure, form.route, task.rtol)
        except LimitError as error:
            results[k] = error
