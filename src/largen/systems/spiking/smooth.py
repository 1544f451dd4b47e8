"""The statistics of the spiking reduction as one differentiable function of the model: rates, synchrony, gamma.

A mean over a window with sharp ends depends on the phase at which an oscillation is cut, and its derivative with
respect to a parameter that moves the frequency does not settle however long the window is. Every average here is
weighted by a Hann window, which makes that error fall with the cube of the number of cycles.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import integer, one_of, real, require
from largen.numerics.roots import implicit_root
from largen.parameters import parameters
from largen.statistics.signals import FINEST
from largen.statistics.synchrony import window_steps
from largen.system import AbstractSmoothLimit
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.fields import AbstractIntegrateAndFire as SpikingFields
from largen.systems.spiking.quadrature_jax import run as by_families
from largen.systems.spiking.quadrature_jax.step import Form as Families
from largen.systems.spiking.reduction.bin_width import with_bins
from largen.systems.spiking.reduction_jax.run import run, scheme
from largen.systems.spiking.time_step import check_step

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


class Form(NamedTuple):
    """What is fixed when the program is compiled.

    Attributes:
        steps: Steps from rest to the end.
        first: First step that counts.
        discretisation: With a bin width.
        size: Neurons per population.
        inhibitory: Which populations inhibit.
        threshold: Firing threshold.
        frequencies: Points of the grid on which the spectral peak is sought; 0 for no gamma frequency.
        families: Families and cells of closure "quadrature", else None.
    """

    steps: int
    first: int
    discretisation: Discretisation
    size: tuple[int, ...]
    inhibitory: tuple[bool, ...]
    threshold: float
    frequencies: int
    families: Families | None = None


class Window(NamedTuple):
    """Which steps count.

    Attributes:
        steps: Steps from rest to the end.
        first: First step that counts.
        dt: Step (ms).
        frequencies: Points of the grid on which the spectral peak is sought; 0 for no gamma frequency.
    """

    steps: int
    first: int
    dt: float
    frequencies: int


class SmoothLimit(AbstractSmoothLimit):
    """See `prepare`.

    Attributes:
        form: What is fixed.
        gamma: Frequency (Hz) around which the spectral peak is sought.
        scale: Strengths are multiplied by it: reference size over number of neurons.
        drive: External rate at the start of every step where it is a function of time, shape (step, population).
    """

    form: Form = eqx.field(static=True)
    gamma: Any
    scale: Any
    drive: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Rates and synchrony; the gamma frequency where a frequency to look at was given."""
        return ("rate", "synchrony") + (("gamma_frequency",) if self.form.frequencies else ())

    @property
    def fixed(self) -> Mapping[str, str]:
        """The threshold; the drive where it is a function of time; what only the network has."""
        held = {name: "this limit does not have it" for name, info in parameters(SpikingFields).items() if info.quiet}
        held |= {"threshold": "it is an edge of the voltage bins"}
        if self.form.families is not None and any(len(sources) > 1 for sources in self.form.families.sources):
            held |= {"decay": "synapses of one decay time share their families"}
        return held if self.drive is None else held | {"external_rate": "it is a function of time"}

    def __call__(self, model: "SpikingNetwork") -> tuple[dict[str, jax.Array], jax.Array]:
        """`rate` (Hz) and `synchrony`, shape (population,), `gamma_frequency` (Hz), and whether the run is sound."""
        form = self.form
        size = np.array(form.size)
        model = eqx.tree_at(
            lambda m: (m.size, m.inhibitory, m.threshold, m.strength),
            model,
            (size, np.array(form.inhibitory), np.array(form.threshold), model.strength * self.scale),
        )
        drive = self.drive
        if drive is None:
            drive = jnp.broadcast_to(model.external_rate, (len(size),))[None]
        if form.families is None:
            spikes, _, state = run(model, drive, np.array([form.steps]), form.discretisation)
            counts, good = spikes[form.first :] / size, state.fault == 0
        else:
            numbers = by_families.numbers_of(model, form.discretisation.dt)
            spikes, _, good = by_families.run(numbers, drive, steps=form.steps, form=form.families)
            counts = spikes[form.first :]
        gamma = self.gamma if form.frequencies else None
        values = statistics(counts, form.discretisation.dt, size, gamma=gamma, frequencies=form.frequencies)
        return values, good & jnp.all(jnp.isfinite(counts))


def statistics(counts: Any, dt: float, size: Any, *, gamma: Any = None, frequencies: int = 0) -> dict[str, jax.Array]:
    """Rate, spike synchrony index and gamma frequency of a deterministic run.

    Args:
        counts: Spikes per neuron in each step, shape (step, population).
        dt: Step (ms).
        size: Neurons per population, shape (population,).
        gamma: Frequency (Hz) around which the peak is sought, from 2/3 to 3/2 of it; None for no gamma frequency.
        frequencies: Points of the grid of the search.
    """
    steps = len(counts)
    window = hann(steps)
    rate = 1e3 / dt * window @ counts
    whole, beyond = window_steps(dt)
    cut = whole + len(beyond)
    sums = jnp.cumsum(jnp.pad(counts, ((1, 0), (0, 0))), axis=0)
    nearby = sums[2 * whole + 1 :] - sums[: steps - 2 * whole]
    nearby = nearby[len(beyond) : len(nearby) - len(beyond)]
    for k, weight in enumerate(beyond, whole + 1):
        nearby = nearby + weight * (counts[cut - k : steps - cut - k] + counts[cut + k : steps - cut + k])
    inner = hann(steps - 2 * cut)[:, None] * counts[cut : steps - cut]
    synchrony = jnp.sum(inner * nearby, axis=0) / jnp.sum(inner, axis=0)
    values = {"rate": rate, "synchrony": synchrony}
    if gamma is not None:
        pooled = counts @ jnp.asarray(size / np.sum(size))
        values["gamma_frequency"] = spectral_peak(pooled, dt, gamma, frequencies)
    return values


def hann(steps: int) -> np.ndarray:
    """Hann weights that add up to 1, shape (step,)."""
    weights = np.sin(np.pi * (np.arange(steps) + 0.5) / steps) ** 2
    return weights / weights.sum()


def spectral_peak(series: Any, dt: float, centre: Any, points: int) -> jax.Array:
    """Frequency (Hz) of the highest peak of the power spectrum between 2/3 and 3/2 of a frequency.

    The peak of the Hann-windowed spectrum as a function of a continuous frequency: its derivatives follow from the
    implicit function theorem. At a maximum on the edge of the band there is no peak, and the edge comes back.

    Args:
        series: Shape (step,).
        dt: Step (ms).
        centre: Frequency (Hz).
        points: Points of the grid on which the search begins: at least four per frequency resolved.
    """
    steps = len(series)
    window = hann(steps)
    time = 1e-3 * dt * (np.arange(steps) - 0.5 * (steps - 1))
    signal = window * (series - window @ series)

    def wave(frequency: Any, signal: Any) -> tuple[Any, Any]:
        angle = 2.0 * np.pi * frequency * time
        return jnp.cos(angle) @ signal, jnp.sin(angle) @ signal

    def slope(frequency: Any, signal: Any) -> Any:
        """Derivative of the power by the frequency."""
        value, change = jax.jvp(lambda f: wave(f, signal), (frequency,), (jnp.ones_like(frequency),))
        return 2.0 * (value[0] * change[0] + value[1] * change[1])

    grid = jax.lax.stop_gradient(centre) * jnp.linspace(2.0 / 3.0, 1.5, points)
    fixed = jax.lax.stop_gradient(signal)
    c, s = jax.lax.map(lambda f: jnp.stack(wave(f, fixed)), grid).T
    power = c**2 + s**2
    k = jnp.argmax(power)
    inside = (k > 0) & (k < points - 1)
    best = jnp.clip(k, 1, points - 2)
    scaled = signal / jnp.sqrt(jax.lax.stop_gradient(power[best]))
    root = implicit_root(slope, grid[best], scaled)
    near = inside & (jnp.abs(root - grid[best]) <= grid[1] - grid[0])
    return jnp.where(near, root, grid[k])


def grid_points(gamma: float, duration: float) -> int:
    """Points of the search of `spectral_peak`: eight per frequency that the duration (ms) resolves, a power of 2."""
    resolved = gamma * (1.5 - 2.0 / 3.0) * 1e-3 * duration
    return 2 ** max(5, int(np.ceil(np.log2(8.0 * resolved + 1.0))))


def window_of(times: np.ndarray, dt: float, start: float | None, gamma: float | None) -> Window:
    """Which steps count, from the arguments of `prepare`."""
    require(dt <= FINEST, "dt", f"be at most {FINEST:g} ms for the synchrony index", dt)
    begin, end = float(times[0]), float(times[-1])
    steps = round((end - begin) / dt)
    name, value = ("times", f"{begin:g} to {end:g}") if start is None else ("start", start)
    start = begin + min(500.0, 0.25 * (end - begin)) if start is None else real("start", start, low=begin)
    first = round((start - begin) / dt)
    must = "leave at least 50 ms for the statistics"
    require((steps - first) * dt >= 50.0, name, must, value, f"They begin at {start:g} ms.")
    points = 0 if gamma is None else grid_points(real("gamma", gamma, above=0.0), (steps - first) * dt)
    return Window(steps, first, dt, points)


def prepare(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation = Discretisation(),  # noqa: B008 (immutable)
    *,
    n: int | None = None,
    start: float | None = None,
    gamma: float | None = None,
    orders: Any = "auto",
) -> SmoothLimit:
    """Fix the form of the computation from one model.

    Args:
        model: The network.
        times: First and last count: the reduction runs from rest at times[0] to times[-1] (ms).
        discretisation: Closure "joint", "white" or "quadrature", bins and step.
        n: Total number of neurons; the model's own if None.
        start: Time (ms) after which statistics are taken; 500 ms after the first, or a quarter of the run if less.
        gamma: Frequency (Hz) around which the gamma peak is sought, or None for no gamma frequency.
        orders: Of "quadrature": those of excitation and inhibition, or "auto".
    """
    check_step(model, discretisation.dt)
    one_of("closure", discretisation.closure, ("joint", "white", "quadrature"))
    steps, first, dt, points = window_of(times, discretisation.dt, start, gamma)
    begin = float(times[0])
    scaled = model if n is None else model.scaled(integer("n", n, low=1))
    drive = sample_drive(model.external_rate, begin, steps, dt, len(model.size))
    width = discretisation.bin_width
    given = discretisation._replace(
        dt=dt,
        bin_width=None if width is None else real("bin_width", width, above=0.0),
        linear_in_bin=bool(discretisation.linear_in_bin),
    )
    if given.closure == "quadrature":
        resolved, families = given, by_families.choose_form(scaled, given, orders)[0]
    else:
        resolved, families = with_bins(given, scaled, drive), None
        scheme(scaled, resolved)  # refuses what the reduction cannot do
    form = Form(
        steps,
        first,
        resolved,
        tuple(np.asarray(scaled.size).tolist()),
        tuple(np.asarray(model.inhibitory).tolist()),
        float(model.threshold),
        points,
        families,
    )
    constant = not callable(model.external_rate)
    scale = np.array(model.reference_size / sum(form.size))
    return SmoothLimit(form, np.array(0.0 if gamma is None else gamma), scale, None if constant else drive)
