"""What may be said of measured differences: within their tolerances, beyond them, or undecided; and for what cause.

A difference d has the standard error s with nu degrees of freedom and the tolerance tau. Two null hypotheses are
tested: that the true difference is at least tau (rejected: "within tolerance"; two one-sided tests, Schuirmann 1987,
J. Pharmacokin. Biopharm. 15:657), and that it is at most tau (rejected: "beyond tolerance"). A table has many rows.
Holm's correction for "beyond" needs nothing of how the rows depend on each other; Hochberg's for "within" needs what
Simes' inequality needs, and has the property that a table whose 95 % intervals all lie inside their tolerances is
"within" in all its rows. Each is made at half the level, so that a table has a false label with at most that
probability.
"""

import enum
import functools
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from largen.numerics.distributions import chi2_ppf, t_ppf, t_sf
from largen.numerics.hypothesis_tests import hochberg, holm

POWER = 0.8
"""Probability with which `detectable` differences would have been called beyond, and plans come true."""
SHARES = (0.5, 1.5)
"""Share of a difference that the theory of n neurons must explain for a finite-size effect."""
FEWEST = 8
"""Runs of one side below which Welch's degrees of freedom are too many where the other side has twice as many."""
_NODES = 128
_MOST = 2.0**50


class Label(enum.StrEnum):
    """What a row of a comparison says against the limit."""

    WITHIN = "within tolerance"
    BEYOND = "beyond tolerance"
    UNDECIDED = "undecided"


class Cause(enum.StrEnum):
    """What a row says of the theory at the network's size."""

    NONE = ""
    FINITE_SIZE = "finite-size effect"
    THEORY = "theory differs"
    UNDECIDED = "cause undecided"
    NOT_SEPARATED = "cause not separated"


class Differences(NamedTuple):
    """Differences with their errors, one a row.

    Attributes:
        value: Network minus theory, shape (row,).
        error: Standard errors, shape (row,); 0 where a difference is exact, NaN where its error is not known.
        dof: Degrees of freedom of the errors, shape (row,); infinite where an error is known by theory.
    """

    value: np.ndarray
    error: np.ndarray
    dof: np.ndarray


def welch(ours: Differences, theirs: Differences) -> Differences:
    """Ours minus theirs: independent means with variances of their own (Welch 1947, Biometrika 34:28).

    The degrees of freedom are (v + w)^2/(v^2/nu_v + w^2/nu_w) for the variances v and w of the two means. That is too
    many where one side has fewer than 8 runs and the other at least twice as many: two runs agree so well by chance so
    often that with eight on the other side a level of 0.025 is 0.045, and more in the tails. There the degrees of
    freedom are those of the smaller side, which keep the level (Mickey & Brown 1966, Ann. Math. Stat. 37:639).
    """
    v, w = ours.error**2, theirs.error**2
    total = v + w
    with np.errstate(divide="ignore", invalid="ignore"):
        dof = np.where(total > 0, 1.0 / ((v / total) ** 2 / ours.dof + (w / total) ** 2 / theirs.dof), ours.dof)
    fewer, more = np.minimum(ours.dof, theirs.dof), np.maximum(ours.dof, theirs.dof)
    unequal = (v > 0) & (w > 0) & (fewer + 1 < FEWEST) & (more + 1 >= 2 * (fewer + 1))
    return Differences(ours.value - theirs.value, np.sqrt(total), np.where(unequal, fewer, dof))


def pooled(ours: Differences, theirs: Differences) -> Differences:
    """Ours minus theirs with one variance for both samples (Student): for values whose scatter both sides share.

    Of the log power of few realisations Welch's test has a level of 0.1 or 0.2 instead of 0.05 where one side has many
    more than the other; this one keeps it.
    """
    counts = ours.dof + 1.0, theirs.dof + 1.0
    with np.errstate(invalid="ignore"):
        dof = ours.dof + theirs.dof
        variance = (ours.dof * ours.error**2 * counts[0] + theirs.dof * theirs.error**2 * counts[1]) / dof
        error = np.sqrt(variance * (1.0 / counts[0] + 1.0 / counts[1]))
    sampled = np.isfinite(dof)
    plain = welch(ours, theirs)
    return Differences(plain.value, np.where(sampled, error, plain.error), np.where(sampled, dof, plain.dof))


def interval(differences: Differences, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of Student's intervals, shape (row,) each."""
    half = t_ppf(0.5 + confidence / 2, differences.dof) * differences.error
    return differences.value - half, differences.value + half


def p_within(differences: Differences, tolerance: np.ndarray) -> np.ndarray:
    """P-values of "the true difference is at least the tolerance", shape (row,): P(T_nu > (tau - |d|)/s)."""
    gap = tolerance - np.abs(differences.value)
    return _tail(gap, differences)


def p_beyond(differences: Differences, tolerance: np.ndarray) -> np.ndarray:
    """P-values of "the true difference is at most the tolerance", shape (row,).

    P(T_nu > (|d| - tau)/s) + P(T_nu > (|d| + tau)/s): the probability of a larger |d| where the truth is +tau or -tau.
    """
    size = np.abs(differences.value)
    return np.minimum(_tail(size - tolerance, differences) + _tail(size + tolerance, differences), 1.0)


def _tail(gap: np.ndarray, differences: Differences) -> np.ndarray:
    """P(T_nu > gap/s); for an exact difference 0 or 1 (1 on the border itself), for an unknown error 1."""
    error = differences.error
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = t_sf(gap / error, differences.dof)
    tail = np.where(error == 0, np.where(gap > 0, 0.0, 1.0), tail)
    return np.where(np.isnan(error), 1.0, tail)


def labels_of(within: np.ndarray, beyond: np.ndarray, level: float) -> list[Label]:
    """A label for each row from its two p-values: Holm for "beyond", Hochberg for "within", each at level/2."""
    is_beyond = holm(beyond) <= level / 2
    is_within = hochberg(within) <= level / 2
    return [
        Label.BEYOND if b else Label.WITHIN if w else Label.UNDECIDED for b, w in zip(is_beyond, is_within, strict=True)
    ]


def causes_of(
    labels: list[Label], within: np.ndarray, beyond: np.ndarray, share: np.ndarray, level: float
) -> list[Cause]:
    """What each row says of the theory at the network's size.

    "Theory differs" is asked of every row, whatever its label, "finite-size effect" of those beyond the tolerance of
    the limit; both corrections run over all rows, so that at most a share `level` of tables names a false cause.

    Args:
        labels: The rows' labels against the limit.
        within: `p_within` against the theory at the network's size, shape (row,).
        beyond: `p_beyond` against it, shape (row,).
        share: Share of the difference from the limit that this theory explains, shape (row,); NaN where not asked.
        level: Level of the table.
    """
    differs = holm(beyond) <= level / 2
    near = hochberg(within) <= level / 2
    explains = np.isnan(share) | ((share >= SHARES[0]) & (share <= SHARES[1]))
    causes = []
    for k, label in enumerate(labels):
        if differs[k]:
            causes.append(Cause.THEORY)
        elif label is not Label.BEYOND:
            causes.append(Cause.NONE)
        else:
            causes.append(Cause.FINITE_SIZE if near[k] and explains[k] else Cause.UNDECIDED)
    return causes


def detectable(error: np.ndarray, dof: np.ndarray, tolerance: np.ndarray, level: float, rows: int) -> np.ndarray:
    """Smallest true |difference| that would have been called beyond with probability 0.8, shape (row,).

    tau + z s, where P(t_nu(z) > t_{1-alpha/m}(nu)) = 0.8 for the noncentral t; alpha = level/2, m = `rows` (the first
    step of Holm's correction).
    """
    return tolerance + _noncentrality(dof, level / 2 / rows) * error


def _noncentrality(dof: np.ndarray, alpha: float) -> np.ndarray:
    """Find z with P(t_dof(z) > quantile 1 - alpha) = 0.8, shape (row,), by bisection.

    The noncentral t exceeds q where a normal variable of mean z exceeds q sqrt(chi2_dof/dof): the probability is a mean
    over quantiles of chi2_dof.
    """
    nodes, weights = _gauss_legendre()
    finite = np.where(np.isfinite(dof), dof, 1.0)[:, None]
    scale = np.sqrt(chi2_ppf((nodes + 1) / 2, finite) / finite)
    scale = np.where(np.isfinite(dof)[:, None], scale, 1.0)
    quantile = -t_ppf(alpha, dof)
    low, high = np.zeros(len(dof)), 3.0 * quantile + 10.0
    for _ in range(60):
        z = (low + high) / 2
        reached = ndtr(z[:, None] - quantile[:, None] * scale) @ weights / 2 >= POWER
        low, high = np.where(reached, low, z), np.where(reached, z, high)
    return np.where(np.isnan(dof), np.nan, (low + high) / 2)


@functools.cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


class Plan(NamedTuple):
    """How many realisations would decide a row.

    Attributes:
        count: In all, of each side that is sampled, shape (row,); NaN for a decided row, or one without an error.
        at_least: Whether the estimate lies so near to the tolerance that this is a lower bound, shape (row,).
    """

    count: np.ndarray
    at_least: np.ndarray


def needed(
    differences: Differences, tolerance: np.ndarray, labels: list[Label], level: float, realisations: int
) -> Plan:
    """How many realisations would decide the undecided rows with probability 0.8, if this estimate is true.

    The smallest R' > R with (t_{1-a} + t_0.8) s sqrt(R/R') <= g, where g is the distance of |d| from the tolerance (at
    least a quarter of the tolerance), a = level/2 inside it and level/2/m outside, and the degrees of freedom grow with
    R'.
    """
    m = len(labels)
    gap = np.abs(tolerance - np.abs(differences.value))
    count, bound = np.full(m, np.nan), gap < tolerance / 4
    goal = np.maximum(gap, tolerance / 4)
    for k, label in enumerate(labels):
        error, dof = float(differences.error[k]), float(differences.dof[k])
        if label is not Label.UNDECIDED or not error > 0:
            continue
        alpha = level / 2 / (1 if abs(differences.value[k]) < tolerance[k] else m)
        count[k] = _smallest(error, dof, float(goal[k]), alpha, realisations)
    return Plan(count, bound & ~np.isnan(count))


def _smallest(error: float, dof: float, goal: float, alpha: float, realisations: int) -> float:
    def enough(count: float) -> bool:
        nu = dof * count / realisations
        reach = -t_ppf(alpha, nu) - t_ppf(1 - POWER, nu)
        return bool(reach * error * np.sqrt(realisations / count) <= goal)

    low, high = float(realisations), float(realisations + 1)
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST:
            return np.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def headline_of(labels: list[Label], causes: list[Cause], *, complete: bool = True) -> str:
    """The verdict on a whole table: the gravest of what its rows say.

    Args:
        labels: The rows' labels.
        causes: The rows' causes.
        complete: Whether every statistic of one side has its counterpart on the other; without, it is "undecided" at
            best.
    """
    for cause, words in (
        (Cause.THEORY, str(Cause.THEORY)),
        (Cause.UNDECIDED, f"{Label.BEYOND}, {Cause.UNDECIDED}"),
        (Cause.NOT_SEPARATED, f"{Label.BEYOND}, {Cause.NOT_SEPARATED}"),
        (Cause.FINITE_SIZE, str(Cause.FINITE_SIZE)),
    ):
        if cause in causes:
            return words
    if Label.BEYOND in labels:
        return str(Label.BEYOND)
    return str(Label.WITHIN if complete and Label.UNDECIDED not in labels else Label.UNDECIDED)
