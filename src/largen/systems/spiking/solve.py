"""The discrete-state reduction (dsODE) of a spiking network: options, choice of the engine, labelled arrays.

The two engines know nothing of each other: `reduction` (numba; also the finite-size chain) and `reduction_jax`
(derivatives and batches). That they agree is a check of both.

Source: CLWTX 2024 (arXiv 2411.14801); derived in docs/spiking.md. Times in ms, rates in Hz, potentials in the paper's
units.
"""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, flag, integer, one_of, real, require, seed_number
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.spiking.constants import per_population
from largen.systems.spiking.discretisation import CLOSURES, Discretisation
from largen.systems.spiking.reduction.bin_width import (
    TRIAL,
    deeper,
    reaches_too_low,
    warn_of_width,
    widest_good,
    widest_sampled,
    with_bins,
)
from largen.systems.spiking.reduction.layout import Layout, build_layout, drive_of, edges_of, in_patches
from largen.systems.spiking.reduction.run import run
from largen.systems.spiking.reduction.trust import SHORTEST, warning_for
from largen.systems.spiking.sheet import coordinates, split_patches
from largen.systems.spiking.time_step import check_step, output_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet

RECORDABLE = ("voltage_density",)


def solve(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation = Discretisation(),  # noqa: B008 (immutable)
    *,
    finite_size: bool = False,
    engine: str = "auto",
    seed: int = 0,
    realisations: int = 1,
    record: tuple[str, ...] = (),
    sheet: "Sheet | None" = None,
) -> Arrays:
    """Solve the reduction from rest.

    Args:
        model: The network, scaled to its number of neurons.
        times: Output times (ms), shape (time,); every one an integer number of steps after times[0].
        discretisation: Closure, bins and step.
        finite_size: The coarse-grained Markov chain of integer numbers instead of its mean ("joint", "white").
        engine: "numba", "jax" or "auto" (numba).
        seed: Seed of the chain's streams.
        realisations: Number of realisations of the chain; 1 without `finite_size`.
        record: Any of "voltage_density" (numba engine).
        sheet: The sheet of which `model` is a patch, or None.

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0];
        `pending` (population, source, time): mean number of pending spikes; on request `voltage_density`
        (population, bin, time), probability per bin, with `refractory_fraction` (population, time). With
        `finite_size` a leading axis of realisations.

    Raises:
        InputError: An option cannot be used, or dt is too large for this network.
    """
    closure = one_of("closure", discretisation.closure, CLOSURES)
    engine = one_of("engine", engine, ("auto", "numba", "jax")).replace("auto", "numba")
    realisations, seed = integer("realisations", realisations, low=1), seed_number("seed", seed)
    for word in record:
        one_of("record", word, RECORDABLE)
    _check_combination(closure, finite_size, engine, realisations, record, model)
    dt = _check_step(model, discretisation)
    steps = output_steps(times, dt)
    _require_memory(model, steps, _checked(discretisation, dt), realisations if finite_size else 1, record, sheet)
    drive = drive_of(model, float(times[0]), int(steps[-1]), dt)
    chosen = _checked(discretisation, dt)
    given = chosen.bin_width is not None and engine == "numba"  # such a run checks its own bins
    resolved = chosen if given else with_bins(chosen, model, drive)
    setup = _Setup(model, resolved, _layout(model, resolved, sheet, finite_size), drive, steps, sheet)

    unchecked = chosen.bin_width is not None and closure != "paper"
    if unchecked and (engine == "jax" or steps[-1] * dt < TRIAL):  # no run long enough to check its own bins
        _check_bins(setup, finite_size, seed)
        unchecked = False

    if engine == "jax":
        values = _by_jax(setup)
    else:
        chain = (seed, realisations) if finite_size else None
        values, resolved = _by_numba(setup, chain, "voltage_density" in record, unchecked)
    attrs = {
        "method": "Markov chain" if finite_size else "discrete-state reduction",
        "dt": dt,
        "bin_width": resolved.bin_width,
        "closure": closure,
        "finite_size": bool(finite_size),
        "linear_in_bin": resolved.linear_in_bin,
        "engine": engine,
    }
    if finite_size:
        attrs["realisations"] = realisations
    elif closure == "joint" and (said := _warning(setup, values["rate"])):
        attrs["flags"] = said
        warnings.warn(f"closure='joint': {said}.", stacklevel=2)
    edges = edges_of(model, resolved)
    coords: dict[str, Any] = {"bin": 0.5 * (edges[1:] + edges[:-1])} if record else {}
    if sheet is not None:
        coords |= coordinates(sheet.space, split_patches(setup.layout.size, sheet.space) if finite_size else None)
    return Arrays(values, coords, attrs)


def _layout(model: "SpikingNetwork", chosen: Discretisation, sheet: "Sheet | None", whole: bool) -> Layout:
    """The constants of a run, of all patches where there are any; `whole`: numbers of neurons are integers."""
    layout = build_layout(model, chosen)
    return layout if sheet is None else in_patches(layout, sheet, whole=whole)


def _warning(setup: "_Setup", rate: np.ndarray) -> str:
    """What to say of a result of "joint" by the rates of its second half; nothing of short runs."""
    steps, dt = setup.steps, setup.layout.dt
    if steps[-1] * dt < SHORTEST:
        return ""
    lengths = np.diff(steps, prepend=0)
    late = np.where(steps > 0.5 * steps[-1], lengths, 0.0)
    kicks = setup.drive[int(0.5 * len(setup.drive)) :].mean(0)
    return warning_for(setup.model, rate @ late / late.sum(), kicks)


# Checks --------------------------------------------------------------------------------------------------------


FINEST_GUESS = 1e-3
"""Bin width, in units of the threshold, for the estimate of memory where none is given."""


def _checked(discretisation: Discretisation, dt: float) -> Discretisation:
    """The discretisation with numbers in place of what was given; deviations are linear for "joint" only."""
    width = discretisation.bin_width
    return discretisation._replace(
        dt=dt,
        bin_width=None if width is None else real("bin_width", width, above=0.0),
        linear_in_bin=flag("linear_in_bin", discretisation.linear_in_bin) and discretisation.closure == "joint",
    )


def _check_combination(
    closure: str, finite_size: bool, engine: str, realisations: int, record: tuple[str, ...], model: "SpikingNetwork"
) -> None:
    flag("finite_size", finite_size)
    if finite_size:
        require(closure != "paper", "closure", "be 'joint' or 'white' with finite_size=True", closure)
        require(engine == "numba", "engine", "be 'numba' with finite_size=True", engine)
    else:
        remedy = "Only the chain (finite_size=True) is random."
        require(realisations == 1, "realisations", "be 1 without finite_size", realisations, remedy)
    if engine == "jax":
        require(closure != "paper", "closure", "be 'joint' or 'white' with engine='jax'", closure)
        require(not record, "record", "be empty with engine='jax'", record)
    if model.refractory == "fixed":
        require(closure != "paper", "closure", "be 'joint' or 'white' with a fixed refractory period", closure)
        require(engine == "numba", "engine", "be 'numba' with a fixed refractory period", engine)


def check_own_options(closure: str, orders: Any, error: bool) -> None:
    """Refuse options of the quadrature with another closure."""
    if closure != "quadrature":
        must, remedy = f"be absent with closure={closure!r}", "Only closure='quadrature' has it."
        require(isinstance(orders, str) and orders == "auto", "orders", must, orders, remedy)
        require(flag("error", error), "error", must, error, remedy)


def _check_step(model: "SpikingNetwork", discretisation: Discretisation) -> float:
    """Refuse a step that cannot hold the model; the paper's explicit Euler step holds less."""
    dt = check_step(model, discretisation.dt)
    if discretisation.closure == "paper":
        for name, times in (("synaptic decay", model.decay), ("membrane time", model.membrane_time)):
            fastest = float(np.min(times))
            must = f"be less than half the shortest {name} ({fastest:g} ms) with closure='paper'"
            require(dt < 0.5 * fastest, "dt", must, dt)
    return dt


def _require_memory(
    model: "SpikingNetwork",
    steps: np.ndarray,
    chosen: Discretisation,
    realisations: int,
    record: tuple[str, ...],
    sheet: "Sheet | None" = None,
) -> None:
    """Refuse a reduction that does not fit; the message names the largest numbers that do."""

    def size(times: int = len(steps), realisations: int = realisations) -> float:
        patches = 1 if sheet is None else sheet.space.count
        count, width = len(model.size) * patches, chosen.bin_width or FINEST_GUESS * float(model.threshold)
        channels, bins = count + count * len(model.size), 1.6 * float(model.threshold) / width
        wait = min(float(np.max(model.refractory_time)) / chosen.dt, float(steps[-1]))
        wait = wait if model.refractory == "fixed" else 1.0
        drive = 32.0 * float(steps[-1]) * count if callable(model.external_rate) else 0.0
        density = float(times) * count * bins if "voltage_density" in record else 0.0
        outputs = 16.0 * times * channels + 16.0 * density
        return 8.0 * channels * wait + 8.0 * (60.0 + 4.0 * channels) * bins + drive + 2.0 * outputs * realisations

    remedy = "Take fewer output times, wider bins, a larger dt, or a shorter refractory period."
    smaller = {
        "{} realisations": (realisations, lambda k: size(realisations=k)),
        "{} output times": (len(steps), lambda k: size(times=k) if k > 1 else -1.0),
    }
    require_memory(size(), f"The reduction of {int(np.sum(model.size))} neurons", remedy, smaller=smaller)


# Engines -------------------------------------------------------------------------------------------------------


class _Setup(NamedTuple):
    """What a run needs.

    Attributes:
        model: The network, scaled to its number of neurons.
        discretisation: With a bin width.
        layout: Its constants.
        drive: External kicks per ms, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to record, shape (T,).
        sheet: The sheet of which `model` is a patch, or None.
    """

    model: "SpikingNetwork"
    discretisation: Discretisation
    layout: Layout
    drive: np.ndarray
    steps: np.ndarray
    sheet: "Sheet | None" = None


def _check_bins(setup: _Setup, finite_size: bool, seed: int) -> None:
    """Warn of bins that are too wide, by a trial run."""
    if finite_size:  # the reduction would have to be compiled, the chain must be anyhow
        trial = np.array([round(TRIAL / setup.layout.dt)])
        _by_numba(setup._replace(steps=trial), (seed, 1), False, True, name="trial")
    else:
        warn_of_width(setup.discretisation, widest_good(setup.model, setup.drive, setup.layout.dt))


def _by_numba(
    setup: _Setup, chain: tuple[int, int] | None, density: bool, check_bins: bool, name: str = "realisation"
) -> tuple[dict[str, np.ndarray], Discretisation]:
    """The reduction or, with (seed, realisations), the chain, on bins that reach as low as the potentials.

    The first run may check the width of its bins meanwhile. Returns the outputs and the bins.
    """
    while True:
        runs: list[dict[str, np.ndarray]] = []
        for r in range(1 if chain is None else chain[1]):
            rng = None if chain is None else stream(chain[0], name, r, "chain")
            values = _run_once(setup, rng, density, check_bins and r == 0)
            if values is None:
                break
            runs.append(values)
        else:
            stacked = runs[0] if chain is None else {key: np.stack([run[key] for run in runs]) for key in runs[0]}
            return stacked, setup.discretisation
        lower = setup.discretisation._replace(below=deeper(setup.discretisation.below))
        setup = setup._replace(discretisation=lower, layout=_layout(setup.model, lower, setup.sheet, chain is not None))


def _run_once(
    setup: _Setup, rng: np.random.Generator | None, density: bool, check_bins: bool
) -> dict[str, np.ndarray] | None:
    """One run of the reduction or, with a generator, of the chain; None where potentials lie below the bins."""
    layout, steps, drive = setup.layout, setup.steps, setup.drive
    patches = 1 if setup.sheet is None else setup.sheet.space.count
    drive = drive if patches == 1 else np.tile(drive, (1, patches))
    first = _first_potentials(setup.model, patches)
    output, work = run(layout, drive, steps, rng=rng, density=density, sample_fluctuations=check_bins, first=first)
    _check_run(output.spikes / layout.size[:, None], output.pending, steps, layout.dt)
    if setup.discretisation.closure != "paper" and reaches_too_low(work, layout, int(steps[-1])):
        return None
    if check_bins:
        warn_of_width(setup.discretisation, widest_sampled(work))
    values = {"rate": _rates(output.spikes, steps, layout), "pending": output.pending}
    if density:
        values["voltage_density"] = output.number / layout.size[:, None, None]
        values["refractory_fraction"] = output.refractory / layout.size[:, None]
    if setup.sheet is None:
        return values
    share = split_patches(layout.size, setup.sheet.space)
    share = share / share.sum(axis=1, keepdims=True)
    split = {name: split_patches(array, setup.sheet.space) for name, array in values.items()}
    means = {name: np.einsum("ax...,ax->a...", array, share) for name, array in split.items()}
    return means | {"patch_rate": split["rate"]}


def _first_potentials(model: "SpikingNetwork", patches: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and standard deviation of the first potentials of all patches' populations; None for rest."""
    if model.initial_mean is None and not np.any(model.initial_spread):
        return None
    mean = per_population(model, 0.0 if model.initial_mean is None else model.initial_mean)
    return np.tile(mean, patches), np.tile(per_population(model, model.initial_spread), patches)


def _by_jax(setup: _Setup) -> dict[str, np.ndarray]:
    """One run of the JAX engine."""
    import jax

    from largen.systems.spiking.reduction_jax.run import run as run_jax

    layout, steps = setup.layout, setup.steps
    with jax.enable_x64(True):
        per_step, pending, _ = run_jax(setup.model, setup.drive, steps, setup.discretisation)
        per_step, pending = np.asarray(per_step), np.moveaxis(np.asarray(pending), 0, -1)
    total = np.concatenate([np.zeros((1, len(layout.size))), np.cumsum(per_step, axis=0)])[steps]
    spikes = np.diff(total, axis=0, prepend=0.0).T
    _check_run(spikes / layout.size[:, None], pending, steps, layout.dt)
    return {"rate": _rates(spikes, steps, layout), "pending": pending}


def _rates(spikes: np.ndarray, steps: np.ndarray, layout: Layout) -> np.ndarray:
    """Spikes between outputs, shape (population, time), to Hz; 0 at the start."""
    seconds = np.concatenate([[1.0], np.diff(steps) * layout.dt / 1000.0])
    return spikes / (layout.size[:, None] * seconds)


def _check_run(spikes: np.ndarray, pending: np.ndarray, steps: np.ndarray, dt: float) -> None:
    """Refuse a result that is no number, or more spikes than one a step and neuron."""
    possible = np.all(spikes <= 1.001 * np.diff(steps, prepend=0))
    if not (possible and np.all(np.isfinite(spikes)) and np.all(np.isfinite(pending))):
        raise InputError(
            f"Argument `dt` must be smaller for this network, but is {dt:g} ms: its potentials diverge. Halve dt until "
            "this passes."
        )
