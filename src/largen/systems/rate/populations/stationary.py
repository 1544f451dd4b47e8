"""The stationary regime of the limit: means, latent variables, and covariances against the time between.

The start decides which of several solutions is found: the two-time recursion from the model's initial law by default.
Anderson's mixing makes it exact on a window of times, which doubles until the dynamic part has decayed.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import LimitError, real, require, vector
from largen.numerics.fixed_point import Status, iterate
from largen.systems.rate.populations import recursion, static_states
from largen.systems.rate.populations.sweep import Still, Sweep, Unknowns, prepare, radius_at_large, unbounded

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_LONGEST = 2**16
_STILL = 1e-9  # dynamic variance below which a law is static, as a share of the variance
_REMAINS = 1e3  # tolerances that may remain of a dynamic part that dies out
_HORIZON = 25.0  # largest time constants for which the recursion runs first
_PLAIN, _MOST_PLAIN = 10, 1000  # plain sweeps before the mixing
_LEFT = 1e-7  # share of the variance that may be left at the end of the window
_SETTLED = 3e-4  # relative change of the dynamic variances in a sweep after which the mixing takes over


class _NotReached(LimitError):
    """The iteration stalled; another start may do."""


class Stationary(NamedTuple):
    """The stationary law on its finest grid of times.

    Attributes:
        sweep: The model on the grid.
        law: The law.
        residual: Largest change in one more sweep.
        error: Estimated error of the time discretisation (0 in discrete time).
        static: Whether nothing fluctuates in time.
        state: The static state with its stability, or None.
        levels: The laws on the grids of which this is the extrapolation, coarse to fine; empty if it is on one grid.
    """

    sweep: Sweep
    law: Unknowns
    residual: float
    error: float
    static: bool
    state: static_states.StaticState | None
    levels: tuple["Stationary", ...] = ()

    def covariance(self, lag: int = 0) -> np.ndarray:
        """Covariance at a lag on the ring against the time between, shape (population, time)."""
        sweep, law = self.sweep, self.law
        fields = sweep.still.fields
        out = np.array([fields.of(a, lag) @ (law.static[:, None] + law.dynamic) for a in range(len(law.mean))])
        return out if lag else out + sweep.noise + self._own[:, None]

    def frozen(self, lag: int = 0) -> np.ndarray:
        """The static part, shape (population,)."""
        fields = self.sweep.still.fields
        out = np.array([fields.of(a, lag) @ self.law.static for a in range(len(self.law.mean))])
        return out if lag else out + self._own

    @property
    def rates(self) -> np.ndarray:
        """Mean rates, shape (population,)."""
        return np.array([law.rate for law in self.sweep.laws(self.law, self._own)])

    @property
    def time(self) -> np.ndarray:
        """Time between the two states, shape (time,); the last quarter of the window is not accurate."""
        return self.sweep.step * np.arange(3 * self.sweep.count // 4 + 1)

    @property
    def _own(self) -> np.ndarray:
        return self.sweep.still.own(self.sweep.still.filtered(self.law.latent))


class Start(NamedTuple):
    """Where the iteration starts.

    Attributes:
        law: The law on times 0, step, ....
        step: Time between its times.
        plain: Most plain sweeps before the mixing, which would jump back onto an unstable static law that is near.
    """

    law: Unknowns
    step: float
    plain: int = _PLAIN


def solve(
    model: "RatePopulations", *, start: Any = None, rtol: float = 1e-8, atol: float = 1e-10, longest: int = _LONGEST
) -> Stationary:
    """Solve the stationary regime.

    Args:
        model: A RatePopulations with constant input.
        start: None for the law that the model's initial law leads to, or (mean, latent, variance), shapes
            (population,), (rank,) and (population,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        longest: Most points of a window, beyond which a slow decay is given up.

    Raises:
        InputError: The input changes in time, or `start` has a wrong shape.
        LimitError: There is no stationary regime, or it was not reached.
    """
    rtol, atol = real("rtol", rtol, above=0.0), real("atol", atol, above=0.0)
    still = prepare(model)
    first = from_recursion(model, still) if start is None else _given(still, start)
    try:
        found = _on_levels(still, first, rtol, atol, longest)
    except _NotReached:
        if start is not None or np.any(still.numbers.noise):
            raise
        found = _on_levels(still, _stirred(still, first.law), rtol, atol, longest)
    if not found.static:
        return found
    state = static_states.judged(still, found.law)
    if state is not None and state.bulk_unstable and not np.any(still.numbers.noise):
        again = _on_levels(still, _stirred(still, found.law), rtol, atol, longest)
        if not again.static:
            return again
    if start is None and state is not None and not state.stable and radius_at_large(still) >= 1.0 - 1e-9:
        raise LimitError(unbounded(still))
    return found._replace(state=state)


def from_recursion(model: "RatePopulations", still: Still) -> Start:
    """The law late in the forward recursion."""
    numbers = still.numbers
    if numbers.discrete:
        step, horizon = 1.0, float(max(60, int(np.ceil(_HORIZON / np.min(1.0 - numbers.decay)))))
        horizon = min(horizon, 400.0)
        times = np.arange(horizon + 1.0)
    else:
        step, horizon = float(numbers.decay.min()) / 2.0, _HORIZON * float(numbers.decay.max())
        step = max(step, horizon / 600.0)
        times = np.array([0.0, horizon])
    setting = recursion.prepare(model, times, step=step, refine=1, rtol=1e-4, atol=1e-6)
    law = recursion.forward(setting)
    step = horizon / (setting.points - 1)
    static, driven = law.frozen[:, -1, -1], law.fields[:, -1, ::-1]
    half = max(driven.shape[1] // 2, 2)
    fade = np.clip(2.0 - np.arange(driven.shape[1]) / half, 0.0, 1.0)
    return Start(Unknowns(law.mean[:, -1], law.latent[:, -1], static, (driven - static[:, None]) * fade), step)


def _given(still: Still, start: Any) -> Start:
    """A start by means, latent variables and variances, half of them static."""
    require(isinstance(start, tuple | list) and len(start) == 3, "start", "be (mean, latent, variance)", start)
    count, rank = len(still.responses), still.numbers.loadings.rank
    sizes = {"mean": count, "latent": rank, "variance": count}
    parts = []
    for (name, size), given in zip(sizes.items(), start, strict=True):
        part = np.atleast_1d(vector("start", given, dims=None)) if np.size(given) else np.zeros(0)
        require(part.shape == (size,), "start", f"have {size} numbers as its {name}", given)
        parts.append(part)
    mean, latent, variance = parts
    require(np.all(variance >= 0.0), "start", "have variances of at least 0", variance)
    return _with_motion(still, mean, latent, 0.5 * _on_fields(still, variance), 0.5 * _on_fields(still, variance))


def _on_fields(still: Still, variance: np.ndarray) -> np.ndarray:
    """Fields of which each population's driven variance is this one."""
    target = still.fields.target
    carries = np.array([still.fields.of(a)[f] for f, a in enumerate(target)])
    total = np.array([carries[target == a].sum() for a in range(len(variance))])
    return variance[target] * carries / np.maximum(total[target], 1.0)


def _with_motion(still: Still, mean: np.ndarray, latent: np.ndarray, static: np.ndarray, moving: np.ndarray) -> Start:
    """A start whose dynamic part decays within a few time constants."""
    step = 1.0 if still.numbers.discrete else float(still.numbers.decay.min()) / 4.0
    slow = 2.0 if still.numbers.discrete else 2.0 * float(still.numbers.decay.max())
    shape = 1.0 / np.cosh(np.minimum(step * np.arange(257) / slow, 300.0))
    return Start(Unknowns(mean, latent, static, moving[:, None] * shape), step)


def _stirred(still: Still, law: Unknowns) -> Start:
    """A law with half of its static part made to fluctuate, from which plain sweeps lead to a stable regime."""
    start = _with_motion(still, law.mean, law.latent, 0.5 * law.static, 0.5 * law.static)
    return start._replace(plain=_MOST_PLAIN)


def _on_levels(still: Still, start: Start, rtol: float, atol: float, longest: int) -> Stationary:
    """Solve on one grid, or on finer and finer ones until the law no longer changes."""
    if still.numbers.discrete:
        return _on_window(still, start, 1.0, rtol, atol, longest)
    noisy = bool(np.any(still.numbers.noise))
    step = float(still.numbers.decay.min()) / (8.0 if noisy else 5.0)
    table: list[Stationary] = []
    grids: list[Stationary] = []
    error = np.inf
    for level in range(7):
        found = _on_window(still, start, step / 2**level, rtol, atol, longest)
        if found.static:
            return found
        latest = [found]
        grids.append(found)
        if noisy:
            for power, coarse in enumerate(table, start=1):
                latest.append(_combine(latest[-1], coarse, 4.0**power))
        if level >= (2 if noisy else 1):
            error = _distance(latest[-1], table[-1])
            if error <= 10.0 * rtol * float(found.covariance()[:, 0].max()) + atol:
                return latest[-1]._replace(error=error, levels=tuple(grids) if noisy else ())
        table = latest
        start = Start(found.law, found.sweep.step)
    raise LimitError(
        f"The stationary regime was not reached to rtol = {rtol:g}: the error is still about {error:.1e}. "
        "Loosen rtol and atol."
    )


def _combine(fine: Stationary, coarse: Stationary, factor: float) -> Stationary:
    """One step of Richardson extrapolation, on the coarse grid's times."""
    stride = round(coarse.sweep.step / fine.sweep.step)
    count = min(coarse.sweep.count, fine.sweep.count // stride)
    pairs = zip(fine.law, coarse.law, strict=True)
    mean, latent, static, dynamic = (
        (factor * (a[:, ::stride][:, : count + 1] if a.ndim == 2 else a) - (b[:, : count + 1] if b.ndim == 2 else b))
        / (factor - 1.0)
        for a, b in pairs
    )
    sweep = Sweep(fine.sweep.still, count, coarse.sweep.step)
    return fine._replace(sweep=sweep, law=Unknowns(mean, latent, static, dynamic))


def _distance(one: Stationary, two: Stationary) -> float:
    stride = round(two.sweep.step / one.sweep.step)
    dynamic = one.law.dynamic[:, ::stride]
    count = 3 * min(dynamic.shape[1], two.law.dynamic.shape[1]) // 4
    parts = [(dynamic[:, :count], two.law.dynamic[:, :count])]
    parts += [(getattr(one.law, name), getattr(two.law, name)) for name in ("mean", "latent", "static")]
    return max(float(np.abs(a - b).max(initial=0.0)) for a, b in parts)


def _resampled(start: Start, count: int, step: float) -> np.ndarray:
    """The dynamic part of a start on another grid, shape (field, count + 1)."""
    given = start.law.dynamic
    old, new = start.step * np.arange(given.shape[1]), step * np.arange(count + 1)
    if given.shape[1] > 8 and start.step > step:
        from scipy.interpolate import CubicSpline

        inside = new <= old[-1]
        out = np.zeros((len(given), count + 1))
        out[:, inside] = CubicSpline(old, given, axis=1)(new[inside])
        return out
    return np.array([np.interp(new, old, row, right=0.0) for row in given])


def _on_window(still: Still, start: Start, step: float, rtol: float, atol: float, longest: int) -> Stationary:
    """Solve with one time step, with a window that doubles until the dynamic part is negligible at its end."""
    law, noisy = start.law, bool(np.any(still.numbers.noise))
    count = 64 if still.numbers.discrete else int(np.ceil(12.0 * float(still.numbers.decay.max()) / step))
    while (start.law.dynamic.shape[1] - 1) * start.step > 1.01 * count * step and count < 2**12:
        count *= 2
    while count <= longest:
        sweep = Sweep(still, count, step)
        begin = law._replace(dynamic=_resampled(Start(law, start.step), count, step)).pack()
        scale = 1.0 + float(np.abs(begin).max(initial=0.0))
        tolerance = 1e-2 * (1e-2 * rtol * scale + atol)
        found = _mixed(still, sweep, begin, tolerance, start.plain)
        law = sweep.unpack(found.value)
        start = Start(law, step)
        residual = float(np.abs(sweep(found.value) - found.value).max())
        variance = law.dynamic[:, 0] + sweep.noise[still.fields.target, 0]
        whole = float(np.abs(law.static + law.dynamic[:, 0]).max(initial=0.0))
        nothing = max(_STILL * whole, _REMAINS * tolerance) + 10.0 * atol
        if not noisy and float(np.abs(law.dynamic[:, 0]).max(initial=0.0)) <= nothing:
            law = law._replace(dynamic=np.zeros_like(law.dynamic))
            return Stationary(sweep, law, residual, 0.0, True, None)
        end = max(float(np.abs(law.dynamic[:, -1]).max(initial=0.0)), float(sweep.noise[:, -1].max()))
        # at short times the images of the window enter by the square of what is left at its end
        if end <= _LEFT * float(variance.max(initial=0.0)) or end <= 1e-2 * atol:
            return Stationary(sweep, law, residual, 0.0, False, None)
        count *= 2
    raise LimitError(
        "The stationary covariance does not decay to 0: the correlation time is longer than the longest window. "
        "Add noise, or go further from the onset of chaos."
    )


def _mixed(still: Still, sweep: Sweep, begin: np.ndarray, tolerance: float, plain: int) -> Any:
    """Some plain sweeps, then Anderson's mixing."""
    for k in range(plain):
        before, begin = begin, sweep(begin)
        old, new = (sweep.unpack(x).dynamic[:, 0] for x in (before, begin))
        if k >= _PLAIN and np.abs(new - old).max() <= _SETTLED * np.abs(new).max():
            break
    found = iterate(sweep, begin, tolerance=tolerance, most=800, damping=0.7)
    if found.status is not Status.CONVERGED and found.residuals[-1] > 1e3 * tolerance:
        if found.status is Status.NOT_FINITE or float(np.abs(found.value).max()) > 1e12:
            raise LimitError(unbounded(still))
        raise _NotReached(
            f"{found.status.value} Its residual is {found.residuals[-1]:.1e}: the law may have no stationary "
            "regime. Give a `start` nearer to it, or look at the limit at late times (solve_limit)."
        )
    return found
