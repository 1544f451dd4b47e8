"""solve_limit(): solve the limit equations of a system."""

from typing import Any

import xarray as xr

from largen.checks import LimitError, increasing_times, integer, real
from largen.options import check_options
from largen.results import label
from largen.system import AbstractSystem


def solve_limit(
    system: AbstractSystem,
    times: Any,
    *,
    n: int | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    strict: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Solve the large-n limit of a system, or its equations at a finite size.

    Args:
        system: The model, such as `SpikingNetwork()`.
        times: Times (ms for the spiking system), shape (time,), strictly increasing; times[0] is the start.
        n: Total number of neurons. None is the model's own size: infinite for the balanced and rate systems,
            `reference_size` for the spiking system, whose reduction is one of finite networks.
        rtol: Relative tolerance, where the limit is an ODE.
        atol: Absolute tolerance, likewise.
        strict: Raise where the limit is lost on the way; otherwise cut `time` there and say so in
            `attrs["status"]`.
        options: The system's own options, such as closure or bin_width.

    Returns:
        Dataset with the system's observables, dims (population, time).

    Raises:
        InputError: An argument cannot be used; the sentence names it and the remedy.
        LimitError: The limit does not exist for these parameters, or was lost at `.t` (`.partial` up to then).
    """
    times = increasing_times("times", times)
    rtol, atol = real("rtol", rtol, above=0.0), real("atol", atol, above=0.0)
    if n is not None:
        n = integer("n", n, low=1)
        system.sizes(n)
    check_options(system, "limit", options)

    arrays = system.limit(times, n=n, rtol=rtol, atol=atol, **options)

    size = n or system.reference_size
    dataset = label(
        system,
        times,
        [arrays],
        kind="limit",
        n=float("inf") if size is None else size,
        seed=options.get("seed"),
        method=str(arrays.attrs.get("method", "limit equations")),
        realisations=False,
        attrs=options,
    )
    if strict and arrays.stopped_at is not None:
        raise LimitError(arrays.status, t=arrays.stopped_at, partial=dataset)
    return dataset
