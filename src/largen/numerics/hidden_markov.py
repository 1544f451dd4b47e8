"""Hidden Markov models with two states and Gaussian observations: fit, posterior, most likely path.

Source: Rabiner 1989, Proc. IEEE 77:257 (Baum-Welch with scaled forward and backward variables, Viterbi).
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.compiled import njit

_MOST_ITERATIONS = 2000
_SMALLEST_SD = 1e-3  # of a state, relative to that of all observations: no state may shrink to one value


class HiddenMarkov(NamedTuple):
    """A fitted model; state 0 has the lower mean.

    Attributes:
        mean: Mean observation in each state, shape (2,).
        sd: Its s.d., shape (2,).
        transition: Probability of going from state i to state j in one step, shape (2, 2).
        start: Probability of each state at the first step, shape (2,).
        log_likelihood: Natural logarithm of the likelihood.
        converged: Whether the likelihood had stopped growing.
    """

    mean: np.ndarray
    sd: np.ndarray
    transition: np.ndarray
    start: np.ndarray
    log_likelihood: float
    converged: bool


def otsu(values: np.ndarray) -> float:
    """Threshold that splits values into two classes with the largest variance between them (Otsu 1979).

    Args:
        values: At least two different numbers, shape (any,).
    """
    ordered = np.sort(np.asarray(values, np.float64))
    below = np.arange(1, ordered.size)
    sums = np.cumsum(ordered)
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (ordered.size - below)
    between = below * (ordered.size - below) * (high - low) ** 2
    between[ordered[1:] == ordered[:-1]] = -1.0
    k = int(np.argmax(between))
    return float(0.5 * (ordered[k] + ordered[k + 1]))


def fit(series: np.ndarray, *, start: HiddenMarkov | None = None, tolerance: float = 1e-9) -> HiddenMarkov:
    """Fit by expectation maximisation; sequences share all parameters.

    Args:
        series: Observations, shape (sequence, step).
        start: Where to begin; by default the classes that Otsu's threshold makes.
        tolerance: Stop when an iteration adds less than this, per observation, to the log likelihood.
    """
    series = np.ascontiguousarray(series, np.float64)
    floor = _SMALLEST_SD * series.std()
    model = _guess(series, floor) if start is None else start
    before = -np.inf
    for _ in range(_MOST_ITERATIONS):
        posterior, moves, log_likelihood = _expect(series, _densities(series, model), model.transition, model.start)
        gain, before = log_likelihood - before, log_likelihood
        model = _maximise(series, posterior, moves, log_likelihood, floor)
        if gain < tolerance * series.size:
            return model._replace(converged=True)
    return model


def posterior(series: np.ndarray, model: HiddenMarkov) -> np.ndarray:
    """Probability of state 1 at every step given the whole sequence, shape (sequence, step)."""
    series = np.ascontiguousarray(series, np.float64)
    return _expect(series, _densities(series, model), model.transition, model.start)[0][..., 1]


def most_likely_path(series: np.ndarray, model: HiddenMarkov) -> np.ndarray:
    """Most likely states (Viterbi), shape (sequence, step)."""
    series = np.ascontiguousarray(series, np.float64)
    with np.errstate(divide="ignore"):
        return _viterbi(_log_densities(series, model), np.log(model.transition), np.log(model.start))


def _guess(series: np.ndarray, floor: float) -> HiddenMarkov:
    above = series > otsu(series.ravel())
    mean = np.array([series[~above].mean(), series[above].mean()])
    sd = np.maximum([series[~above].std(), series[above].std()], floor)
    leave = [np.mean(above[:, 1:][~above[:, :-1]]), np.mean(~above[:, 1:][above[:, :-1]])]
    leave = np.clip(np.nan_to_num(leave, nan=0.5), 1e-3, 0.5)
    transition = np.array([[1.0 - leave[0], leave[0]], [leave[1], 1.0 - leave[1]]])
    return HiddenMarkov(mean, sd, transition, np.array([0.5, 0.5]), -np.inf, False)


def _maximise(
    series: np.ndarray, weight: np.ndarray, moves: np.ndarray, log_likelihood: float, floor: float
) -> HiddenMarkov:
    total = np.maximum(weight.sum((0, 1)), 1e-300)
    mean = np.einsum("rt,rts->s", series, weight) / total
    sd = np.sqrt(np.einsum("rts,rts->s", (series[..., None] - mean) ** 2, weight) / total)
    transition = moves / np.maximum(moves.sum(1, keepdims=True), 1e-300)
    start = (weight[:, 0].sum(0) + 0.5) / (len(series) + 1)  # half an observation of each is added: none has p = 0
    order = np.argsort(mean)
    return HiddenMarkov(
        mean[order],
        np.maximum(sd, floor)[order],
        transition[np.ix_(order, order)],
        start[order],
        float(log_likelihood),
        False,
    )


def _log_densities(series: np.ndarray, model: HiddenMarkov) -> np.ndarray:
    z = (series[..., None] - model.mean) / model.sd
    return -0.5 * z**2 - np.log(model.sd * np.sqrt(2.0 * np.pi))


def _densities(series: np.ndarray, model: HiddenMarkov) -> np.ndarray:
    """Densities relative to the larger of the two, and its logarithm last, shape (sequence, step, 3)."""
    log = _log_densities(series, model)
    top = log.max(-1, keepdims=True)
    return np.concatenate([np.exp(log - top), top], axis=-1)


@njit(cache=True, error_model="numpy")
def _expect(series, density, transition, start):
    """Posterior of every state, expected number of moves between states, and the log likelihood."""
    sequences, steps = series.shape
    weight, moves = np.empty((sequences, steps, 2)), np.zeros((2, 2))
    scale = np.empty(steps)
    log_likelihood = 0.0
    for r in range(sequences):
        zero, one = start[0], start[1]
        for t in range(steps):
            zero, one = zero * density[r, t, 0], one * density[r, t, 1]
            scale[t] = max(zero + one, 1e-300)
            zero, one = zero / scale[t], one / scale[t]
            weight[r, t, 0], weight[r, t, 1] = zero, one
            log_likelihood += np.log(scale[t]) + density[r, t, 2]
            zero, one = (
                zero * transition[0, 0] + one * transition[1, 0],
                zero * transition[0, 1] + one * transition[1, 1],
            )
        zero = one = 1.0  # backward: probability of the later observations given each state
        for t in range(steps - 2, -1, -1):
            zero = zero * density[r, t + 1, 0] / scale[t + 1]
            one = one * density[r, t + 1, 1] / scale[t + 1]
            for i in range(2):
                moves[i, 0] += weight[r, t, i] * transition[i, 0] * zero
                moves[i, 1] += weight[r, t, i] * transition[i, 1] * one
            zero, one = (
                transition[0, 0] * zero + transition[0, 1] * one,
                transition[1, 0] * zero + transition[1, 1] * one,
            )
            weight[r, t, 0] *= zero
            weight[r, t, 1] *= one
    return weight, moves, log_likelihood


def _viterbi(log_density: np.ndarray, log_transition: np.ndarray, log_start: np.ndarray) -> np.ndarray:
    """All sequences at once, step by step."""
    sequences, steps, _ = log_density.shape
    came = np.empty((steps, sequences, 2), np.int64)
    best = log_start + log_density[:, 0]
    for t in range(1, steps):
        ways = best[:, :, None] + log_transition  # (sequence, from, to)
        came[t] = ways.argmax(1)
        best = ways.max(1) + log_density[:, t]
    path = np.empty((sequences, steps), np.int64)
    path[:, -1] = best.argmax(1)
    for t in range(steps - 1, 0, -1):
        path[:, t - 1] = came[t][np.arange(sequences), path[:, t]]
    return path
