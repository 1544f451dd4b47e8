"""What a worker does: one task in, the bytes of its file out; an error at a point is that point's status."""

import functools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, LimitError
from largen.datasets import code_version, label
from largen.parameters.plain import from_plain
from largen.simulation import simulate
from largen.sweeps.family import Family
from largen.sweeps.observables import Source, Wanted, coords_of, of_dataset, over_realisations, reduced
from largen.sweeps.store import Block, Status, Variable, encode
from largen.sweeps.tasks import Settings, class_at, seed_of
from largen.system import AbstractSystem, Arrays, options_of
from largen.system.values import COMPLETED

LONGEST_MESSAGE = 600


class Context(NamedTuple):
    """The settings with what is built from them once."""

    settings: Settings
    family: Family
    times: np.ndarray


@functools.lru_cache(maxsize=2)
def context(text: str) -> Context:
    """Build a worker's context from the text of `payload`."""
    plain: dict[str, Any] = json.loads(text)
    plain["observables"] = tuple(Wanted(*entry) for entry in plain["observables"])
    plain["names"], plain["run"] = tuple(plain["names"]), tuple(plain["run"])
    settings = Settings(**plain)
    if settings.code != code_version(settings.system):
        raise InputError(
            f"A worker runs other code ({code_version(settings.system)}) than this sweep ({settings.code}): "
            "install the same versions everywhere, and leave them alone while it runs."
        )
    model = from_plain(class_at(settings.system), settings.parameters, functions=True)
    times = np.frombuffer(bytes.fromhex(settings.times))
    return Context(settings, Family(model, settings.names), times)


def run_task(text: str, key: str, kind: str, values: Sequence[Sequence[Any]]) -> bytes:
    """Do one task and return its file's bytes; an error at a point is that point's status.

    Args:
        text: Settings, from `payload`.
        key: The task's key.
        kind: The task's kind.
        values: Values of the changing parameters at each of its points.
    """
    here = context(text)
    block = _limits(here, values) if kind == "limit" else _network(here, values[0])
    return encode(key, block)


class _Row(NamedTuple):
    """What was found at one point."""

    status: Status
    message: str
    variables: Mapping[str, Variable]
    coords: Mapping[str, Variable]


def _failed(error: Exception) -> _Row:
    if isinstance(error, MemoryError):
        text = "out of memory: take fewer neurons, fewer output times, or fewer workers."
    elif isinstance(error, InputError | LimitError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return _Row(Status.FAILED, " ".join(text.split())[:LONGEST_MESSAGE], {}, {})


def _gathered(rows: Sequence[_Row]) -> Block:
    """Rows as one block; entries that a point does not have are NaN."""
    variables: dict[str, Variable] = {}
    coords: dict[str, Variable] = {}
    for row in rows:
        for name, coord in row.coords.items():
            if name not in coords or len(coord.data) > len(coords[name].data):
                coords[name] = coord
    for name in sorted({name for row in rows for name in row.variables}):
        some = [row.variables[name] for row in rows if name in row.variables]
        shape = tuple(np.max([part.data.shape for part in some], axis=0, initial=0).astype(int))
        words = some[0].data.dtype.kind == "U"
        data = np.full((len(rows), *shape), "" if words else np.nan, some[0].data.dtype if words else np.float64)
        if words:
            data = data.astype(object)
        for k, row in enumerate(rows):
            if name in row.variables:
                part = row.variables[name].data
                data[(k, *map(slice, part.shape))] = part
        variables[name] = Variable(some[0].dims, data.astype(np.str_) if words else data, some[0].attrs)
    return Block(tuple(row.status for row in rows), tuple(row.message for row in rows), variables, coords)


# Limits ---------------------------------------------------------------------------------------------------------------


def _limits(here: Context, values: Sequence[Sequence[Any]]) -> Block:
    rows: list[Any] = [None] * len(values)
    models: dict[int, AbstractSystem] = {}
    for k, point in enumerate(values):
        try:
            models[k] = here.family.at(point)
        except Exception as error:
            rows[k] = _failed(error)
    for k, found in zip(models, _solve(here, list(models.values()), [values[k] for k in models]), strict=True):
        try:
            rows[k] = _limit_row(here, models[k], found)
        except Exception as error:
            rows[k] = _failed(error)
    return _gathered(rows)


def _solve(here: Context, models: Sequence[AbstractSystem], values: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """The limits of many models, together where the system can, else one after another: Arrays or exceptions."""
    settings = here.settings
    options = {key: v for key, v in settings.options.items() if key in options_of(here.family.base, "limit")}
    tolerances = {"rtol": settings.rtol, "atol": settings.atol}
    together = getattr(here.family.base, "limits", None)
    if together is not None:
        names = [wanted.source for wanted in settings.observables] if _plainly(settings) else None
        yield from together(models, here.times, names=names, **tolerances, **options)
        return
    for model, point in zip(models, values, strict=True):
        own = {"seed": seed_of(settings, here.family.text(point))} if options.get("finite_size") else {}
        try:
            yield _heard(lambda m=model, o=own: m.limit(here.times, n=None, **tolerances, **(o | options)))
        except Exception as error:
            yield error


def _plainly(settings: Settings) -> bool:
    return all(wanted.kind == Source.OBSERVABLE for wanted in settings.observables)


class _Heard(NamedTuple):
    """A result and the first warning on the way to it."""

    value: Any
    warning: str


def _heard(function: Any) -> _Heard:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = function()
    return _Heard(value, " ".join(str(caught[0].message).split()) if caught else "")


def _limit_row(here: Context, model: AbstractSystem, found: Any) -> _Row:
    warning = ""
    if isinstance(found, _Heard):
        found, warning = found
    if isinstance(found, Exception):
        return _failed(found)
    settings = here.settings
    if _plainly(settings):
        variables = _reduced_limit(here, model, found)
        coords = _limit_coords(here, model, found, variables)
        remark = ""
    else:
        dataset = label(
            model,
            here.times,
            [found],
            kind="limit",
            n=float("inf") if model.reference_size is None else model.reference_size,
            seed=None,
            method="limit equations",
            realisations=False,
            attrs={},
        )
        variables, remark = of_dataset(dataset, model, settings.observables, settings.start)
        coords = coords_of(dataset, variables)
    variables = {f"limit_{name}": variable for name, variable in variables.items()}
    if found.stopped_at is not None:
        return _Row(Status.STOPPED, found.status[:LONGEST_MESSAGE], variables, coords)
    return _Row(Status.COMPLETED, _joined(warning, remark), variables, coords)


def _reduced_limit(here: Context, model: AbstractSystem, found: Arrays) -> dict[str, Variable]:
    """The limit's observables without the detour over a Dataset: there may be ten thousand."""
    observables = {o.name: o for o in model.observables}
    sampled = bool(found.attrs.get("realisations"))
    variables: dict[str, Variable] = {}
    for wanted in here.settings.observables:
        if wanted.source not in found.values:
            continue
        data = np.asarray(found.values[wanted.source])
        if not np.isfinite(data).all():
            raise FloatingPointError(f"Observable `{wanted.source}` is not finite.")
        observable = observables[wanted.source]
        rows = data if sampled else data[None]
        parts = [reduced(observable, row, here.times, here.settings.start, wanted) for row in rows]
        variables |= over_realisations(parts, wanted.name) if sampled else {wanted.name: parts[0]}
    return variables


def _limit_coords(
    here: Context, model: AbstractSystem, found: Arrays, variables: Mapping[str, Variable]
) -> dict[str, Variable]:
    known: dict[str, Variable] = {}
    for dim in sorted({dim for variable in variables.values() for dim in variable.dims}):
        if dim in ("population", "source"):
            known[dim] = Variable((dim,), np.array(model.populations), {"units": "1", "long_name": dim})
        elif dim == "time":
            known[dim] = Variable((dim,), here.times, {"units": model.time_unit, "long_name": "time"})
        elif dim in found.coords and not isinstance(found.coords[dim], tuple):
            known[dim] = Variable((dim,), np.asarray(found.coords[dim]), {})
    return known


def _joined(*remarks: str) -> str:
    return " ".join(remark for remark in remarks if remark)[:LONGEST_MESSAGE]


# Networks -------------------------------------------------------------------------------------------------------------


def _network(here: Context, values: Sequence[Any]) -> Block:
    try:
        value, warning = _heard(lambda: _network_row(here, values))
        return _gathered([value._replace(message=_joined(warning, value.message))])
    except Exception as error:
        return _gathered([_failed(error)])


def _network_row(here: Context, values: Sequence[Any]) -> _Row:
    settings = here.settings
    model = here.family.at(values)
    valid = {verb: options_of(model, verb) for verb in ("network", "limit")}
    ours, theirs = ({k: v for k, v in settings.options.items() if k in valid[verb]} for verb in valid)
    n = settings.n if settings.n is not None else model.reference_size
    seed = seed_of(settings, here.family.text(values))
    network = simulate(
        model,
        here.times,
        n=n,
        realisations=settings.realisations,
        seed=seed,
        method=settings.method,
        record=_requested(model, settings),
        **ours,
    )
    variables: dict[str, Variable] = {}
    coords: dict[str, Variable] = {}
    remark = ""
    if "network" in settings.run:
        variables, remark = of_dataset(network, model, settings.observables, settings.start)
        coords = coords_of(network, variables)
        variables = {f"network_{name}": variable for name, variable in variables.items()}
    if "compare" in settings.run:
        report, why = _compared(here, model, network, n, seed, theirs)
        kept = {f"compare_row_{name}": report[name] for name in _of_report(report)}
        variables |= {
            name: Variable(tuple(map(str, v.dims)), _plain_array(v.values), _attrs(v)) for name, v in kept.items()
        }
        variables |= _verdict(report)
        coords |= coords_of(report, {str(k): Variable(tuple(map(str, v.dims)), v.values, {}) for k, v in kept.items()})
        remark = _joined(remark, why)
    return _Row(Status.COMPLETED, remark, variables, coords)


def _requested(model: AbstractSystem, settings: Settings) -> tuple[str, ...]:
    names = {wanted.source for wanted in settings.observables if wanted.kind == Source.OBSERVABLE}
    offered = options_of(model, "limit")
    return tuple(o.name for o in model.observables if o.on_request and o.name in names and o.name not in offered)


def _of_report(report: Any) -> list[str]:
    return [str(name) for name, v in report.data_vars.items() if v.dims == ("component",)]


def _verdict(report: Any) -> dict[str, Variable]:
    """The verdict of a comparison on its point: the label, its code for maps, the worst row, what would decide it."""
    ratio = np.abs(report["difference"].values) / (report["tolerance"] * report["scale"]).values
    worst = int(np.nanargmax(ratio))
    needed = report["needed"].values
    verdict = str(report.attrs["verdict"])
    found = {
        "label": (np.array(verdict), "verdict on the point"),
        "label_code": (np.array(float(code_of(verdict))), f"verdict on the point: {CODES_IN_WORDS}"),
        "worst": (np.array(str(report["component"].values[worst])), "row with the largest difference in tolerances"),
        "worst_ratio": (np.array(float(ratio[worst])), "largest difference in tolerances"),
        "needed": (np.array(float(np.nanmax(needed, initial=0.0)) or np.nan), "realisations in all that would decide"),
    }
    return {f"compare_{name}": Variable((), data, {"long_name": words}) for name, (data, words) in found.items()}


CODES = ("within tolerance", "undecided", "finite-size effect", "beyond tolerance", "theory differs")
"""Verdicts by their code, the mildest first; a cause that is open is "beyond tolerance"."""
CODES_IN_WORDS = ", ".join(f"{code} {words}" for code, words in enumerate(CODES))


def code_of(verdict: str) -> int:
    """The code of a verdict."""
    return next(code for code, words in enumerate(CODES) if verdict.startswith(words))


def _plain_array(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(np.str_) if array.dtype.kind in "OUS" else array.astype(np.float64)


def _attrs(variable: Any) -> dict[str, str]:
    return {key: str(variable.attrs[key]) for key in ("units", "long_name") if key in variable.attrs}


def _compared(
    here: Context, model: AbstractSystem, network: Any, n: int | None, seed: int, options: Mapping[str, Any]
) -> tuple[Any, str]:
    """Compare as `largen run` does: against the limit and, where there is one, the theory at this size."""
    from largen.comparison.report import compare  # which takes longer to import than a small network to run
    from largen.simulation import solve_limit

    tolerances = {"rtol": here.settings.rtol, "atol": here.settings.atol}
    own = None if model.reference_size is None else n
    limit = solve_limit(model, here.times, n=own, strict=False, **tolerances, **options)
    remark = "" if limit.attrs["status"] == COMPLETED else f"The limit ends early: {limit.attrs['status']}."
    finite = None
    try:
        more = model.finite_options(realisations=here.settings.realisations, seed=seed)
        finite = solve_limit(model, here.times, n=n, strict=False, **tolerances, **(dict(options) | more))
    except (InputError, LimitError) as error:
        remark = _joined(remark, f"No theory at this size: {error}")
    settings = here.settings
    return compare(network, limit, finite=finite, level=settings.level, tolerance=settings.tolerance), remark
