"""The discrete-state reduction (dsODE) of a spiking network: options, bins, engines, labelled arrays.

Source: CLWTX 2024 (arXiv 2411.14801); `markov` has the step, `chain` the finite-size Markov chain, `markov_jax` the
second engine. Times in ms, rates in Hz, potentials in the paper's units.
"""

import warnings
from typing import Any

import numpy as np

from largen.checks import InputError, integer, one_of, real, require
from largen.numerics.streams import stream
from largen.system import Arrays
from largen.systems.spiking.chain import new_moves, run_chain
from largen.systems.spiking.channels import build_layout
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.markov import CLOSURES, Layout, new_state, new_work, run_steps
from largen.systems.spiking.resolution import TRIAL, automatic_width, watch, watched, widest_good

RECORDABLE = ("voltage_density",)
FOLDED = 1e-6
"""Fraction of a population that may sit in bins which a step of dt would turn over."""


def solve(
    model: Any,
    times: np.ndarray,
    *,
    closure: str = "joint",
    finite_size: bool = False,
    bin_width: float | None = None,
    linear_in_bin: bool = True,
    dt: float = 0.1,
    engine: str = "auto",
    seed: int = 0,
    realisations: int = 1,
    record: tuple[str, ...] = (),
) -> Arrays:
    """Solve the reduction from rest.

    Args:
        model: A SpikingNetwork, scaled to its number of neurons.
        times: Output times (ms), shape (time,); every one a whole number of steps after times[0].
        closure: "joint" carries the coloured synaptic noise with the potentials; "white" whitens it; "paper" is
            the published reference implementation with all its conventions.
        finite_size: The coarse-grained Markov chain of integer counts instead of its mean ("joint", "white").
        bin_width: Width of the voltage bins, the threshold divided by a whole number; None for the rule of
            `resolution.automatic_width`.
        linear_in_bin: Pending spikes linear within a bin ("joint" only): second order in the bin width.
        dt: Step (ms).
        engine: "numba", "jax" or "auto" (numba).
        seed: Seed of the chain's streams.
        realisations: Number of realisations of the chain; 1 without `finite_size`.
        record: Any of "voltage_density" (numba engine).

    Returns:
        `rate` (population, time): spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0];
        `pending` (population, source, time): mean number of pending spikes; on request `voltage_density`
        (population, bin, time), probability per bin, with `refractory_fraction` (population, time). With
        `finite_size` a leading axis of realisations.

    Raises:
        InputError: An option cannot be used, or dt is too large for this network.
    """
    one_of("closure", closure, CLOSURES)
    engine = one_of("engine", engine, ("auto", "numba", "jax")).replace("auto", "numba")
    realisations, seed = integer("realisations", realisations, low=1), integer("seed", seed, low=0)
    for word in record:
        one_of("record", word, RECORDABLE)
    _check_combination(closure, finite_size, engine, realisations, record, model)
    dt = _check_step(model, dt)
    steps = _steps(times, dt)
    drive = sample_drive(model.external_rate, float(times[0]), int(steps[-1]), dt, len(model.size))
    linear_in_bin = bool(linear_in_bin) and closure == "joint"
    width = _width(model, drive, dt, closure, bin_width)
    layout, edges = build_layout(model, dt, width, closure=closure, linear_in_bin=linear_in_bin)

    judged = bin_width is not None and closure != "paper"
    if judged and (engine == "jax" or steps[-1] * dt < TRIAL):  # no run that is long enough to judge its own bins
        if finite_size:  # the reduction would have to be compiled, the chain must be anyhow
            trial = np.array([round(TRIAL / dt)])
            _run_numba(layout, drive, trial, len(edges) - 1, stream(seed, "trial", 0, "chain"), False, True)
        else:
            _warn_of_width(width, widest_good(model, drive, dt), linear_in_bin)
        judged = False

    if engine == "jax":
        values = _run_jax(model, drive, steps, dt, width, closure, linear_in_bin, layout)
    else:
        streams = [stream(seed, "realisation", r, "chain") for r in range(realisations)] if finite_size else [None]
        density = "voltage_density" in record
        runs = [
            _run_numba(layout, drive, steps, len(edges) - 1, rng, density, judged and rng is streams[0])
            for rng in streams
        ]
        values = {name: np.stack([run[name] for run in runs]) if finite_size else runs[0][name] for name in runs[0]}
    attrs = {
        "method": "Markov chain" if finite_size else "discrete-state reduction",
        "dt": dt,
        "bin_width": width,
        "closure": closure,
        "finite_size": bool(finite_size),
        "linear_in_bin": linear_in_bin,
        "engine": engine,
    }
    if finite_size:
        attrs["realisations"] = realisations
    coords = {"bin": 0.5 * (edges[1:] + edges[:-1])} if record else {}
    return Arrays(values, coords, attrs)


# Checks --------------------------------------------------------------------------------------------------------


def _check_combination(
    closure: str, finite_size: bool, engine: str, realisations: int, record: tuple[str, ...], model: Any
) -> None:
    require(isinstance(finite_size, bool | np.bool_), "finite_size", "be True or False", finite_size)
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


def _check_step(model: Any, dt: Any) -> float:
    """Refuse a step that the model's time constants do not allow (explicit Euler)."""
    dt = real("dt", dt, above=0.0)
    fastest = float(np.min(model.decay))
    must = f"be less than half the shortest synaptic decay ({fastest:g} ms)"
    require(dt < 0.5 * fastest, "dt", must, dt)
    membrane = float(np.min(model.membrane_time))
    must = f"be less than half the shortest membrane time ({membrane:g} ms)"
    require(dt < 0.5 * membrane, "dt", must, dt)
    if model.refractory == "fixed":
        steps = np.asarray(model.refractory_time) / dt
        whole = (np.abs(steps - np.round(steps)) <= 1e-6 * steps) & (np.round(steps) >= 1)
        must = f"divide the fixed refractory period ({np.asarray(model.refractory_time).tolist()} ms)"
        require(np.all(whole), "dt", must, dt)
    return dt


def _steps(times: np.ndarray, dt: float) -> np.ndarray:
    """Step at which every output time is reached, shape (time,)."""
    exact = (times - times[0]) / dt
    steps = np.rint(exact)
    # Times such as np.arange(0, 5000, .1) are whole numbers of steps only up to rounding.
    slack = 1e-6 * np.maximum(steps, 1.0) + 4.0 * np.spacing(np.abs(times).max()) / dt
    off = np.abs(exact - steps) - np.minimum(slack, 1e-3) > 0.0
    if np.any(off):
        i = int(np.argmax(off))
        raise InputError(
            f"Argument `times` must be times[0] plus multiples of dt = {dt:g} ms, but times[{i}] - times[0] = "
            f"{times[i] - times[0]:.10g} ms is {exact[i]:.6g} steps. Choose other times, or a dt that divides them."
        )
    return steps.astype(np.int64)


def _width(model: Any, drive: np.ndarray, dt: float, closure: str, bin_width: float | None) -> float:
    """Bin width as given, or by the rule."""
    if bin_width is not None:
        return real("bin_width", bin_width, above=0.0)
    return 0.04 * float(model.threshold) if closure == "paper" else automatic_width(model, drive, dt)


def _warn_of_width(width: float, widest: float, linear_in_bin: bool) -> None:
    """Warn where the bins are too wide."""
    widest *= 2.0 if linear_in_bin else 1.0
    if width > widest * (1.0 + 1e-9):
        warnings.warn(
            f"Argument `bin_width` should be at most {widest:.3g} to resolve this network's potentials, but is "
            f"{width:g}: rates may be off by several per cent.",
            stacklevel=2,
        )


# Engines -------------------------------------------------------------------------------------------------------


def _run_numba(
    layout: Layout,
    drive: np.ndarray,
    steps: np.ndarray,
    bins: int,
    rng: np.random.Generator | None,
    density: bool,
    judged: bool,
) -> dict[str, np.ndarray]:
    """One run of the reduction or, with a generator, of the chain; it may judge its own bins meanwhile.

    What the rule for the width needs are moments of the pending spikes, which hardly depend on the bins: over fifteen
    networks bins of 5 to 100 gave the widest good bin within 10 % of what bins of 4 give.
    """
    P, T = len(layout.size), len(steps)
    state, work = new_state(layout, bins), new_work(layout, bins)
    spikes, pending = np.zeros((P, T)), np.zeros((P, P, T))
    kept = T if density else 0
    occupied, refractory = np.zeros((P, bins, kept)), np.zeros((P, kept))
    outputs = (steps, spikes, pending, occupied, refractory)
    if judged:
        watch(work, layout.dt)
    if rng is None:
        run_steps(layout, state, work, drive, *outputs)
    else:
        run_chain(layout, state, work, new_moves(layout, bins, rng), drive, *outputs, rng)
    _check_run(spikes, pending, float(work.lost[0]), layout.dt)
    if judged:
        _warn_of_width(layout.width, watched(work), layout.sloped)
    values = {"rate": _rates(spikes, steps, layout), "pending": pending}
    if density:
        values["voltage_density"] = occupied / layout.size[:, None, None]
        values["refractory_fraction"] = refractory / layout.size[:, None]
    return values


def _run_jax(
    model: Any,
    drive: np.ndarray,
    steps: np.ndarray,
    dt: float,
    width: float,
    closure: str,
    linear_in_bin: bool,
    layout: Layout,
) -> dict[str, np.ndarray]:
    """One run of the JAX engine."""
    import jax

    from largen.systems.spiking import markov_jax

    with jax.enable_x64(True):
        per_step, pending, state = markov_jax.run(
            model, drive, steps, dt=dt, bin_width=width, closure=closure, linear_in_bin=linear_in_bin,
            narrowest=layout.narrowest,
        )  # fmt: skip
        per_step, pending = np.asarray(per_step), np.moveaxis(np.asarray(pending), 0, -1)
        fault = bool(state.fault)
    total = np.concatenate([np.zeros((1, len(layout.size))), np.cumsum(per_step, axis=0)])[steps]
    spikes = np.diff(total, axis=0, prepend=0.0).T
    _check_run(spikes, pending, float(fault), dt)
    return {"rate": _rates(spikes, steps, layout), "pending": pending}


def _rates(spikes: np.ndarray, steps: np.ndarray, layout: Layout) -> np.ndarray:
    """Spikes between outputs, shape (population, time), to Hz; 0 at the start."""
    seconds = np.concatenate([[1.0], np.diff(steps) * layout.dt / 1000.0])
    return spikes / (layout.size[:, None] * seconds)


def _check_run(spikes: np.ndarray, pending: np.ndarray, folded: float, dt: float) -> None:
    """Refuse a result that is wrong because dt is too large."""
    finite = bool(np.all(np.isfinite(spikes)) and np.all(np.isfinite(pending)))
    if folded > FOLDED or not finite:
        why = "its inhibition moves neurons past each other within a step" if finite else "its potentials diverge"
        raise InputError(
            f"Argument `dt` must be smaller for this network, but is {dt:g} ms: {why}. Halve dt until this passes."
        )
