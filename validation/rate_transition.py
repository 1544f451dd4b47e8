"""The transition to chaos of the noiseless rate network: theory, and the largest exponent of finite networks.

What:     tanh, independent weights of variance g^2/N, continuous time (tau = 1), no noise. Theory: the onset and
          Delta_0(g). Networks: largest Lyapunov exponent against g for several N, where it changes sign in each draw,
          and where the quiescent state of the same draw becomes unstable (rightmost eigenvalue of the weights).
Source:   Sompolinsky, Crisanti & Sommers 1988.
Run time: about 2 CPU minutes.
Command:  OPENBLAS_NUM_THREADS=1 python validation/rate_transition.py theory|networks
"""

import functools

import numpy as np
from study import Results, estimate, main

import largen as ln
from largen import analysis
from largen.numerics.streams import stream
from largen.systems.rate.weights import draw

GAINS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5)
DRAWS = {100: 16, 200: 16, 400: 8, 800: 3}
NEAR = (1.002, 1.004, 1.006, 1.008, 1.010)
POSITIVE = 0.004  # an exponent above this is positive: a limit cycle's is 0 within less


def model(g):
    return ln.RateNetwork.chaotic().replace(kernel=ln.UncorrelatedKernel(g**2))


def theory(results: Results, small: bool) -> None:
    """Onset of chaos for N to infinity, and Delta_0(g)."""
    gains = GAINS[3:5] if small else GAINS
    found = analysis.chaos_onset(model(1.0), gains=[*NEAR, *gains])
    variance = dict(zip(found["gain"].values.tolist(), found["variance"].values.tolist(), strict=True))
    curve = np.polynomial.Polynomial.fit([variance[g] for g in NEAR], NEAR, len(NEAR) - 1)
    table = results.table("onset", "onset of chaos from", ("g - 1", ".1e"))
    table.add("loss of stability of the static state", float(found["onset"]) - 1)
    table.add(f"polynomial g(Delta_0) through g = {', '.join(map(str, NEAR))}, at Delta_0 = 0", curve(0.0) - 1)
    table = results.table("variance", "g", ("Delta_0", ".10f"))
    for g in gains:
        table.add(g, variance[g])


def exponents(n, draws, small):
    """Largest exponents, shape (gain, draw), and their errors over time."""
    duration, transient = (100.0, 20.0) if small else (300.0, 200.0)
    runs = [
        analysis.lyapunov(model(g), n=n, duration=duration, transient=transient, dt=0.2, realisations=draws, seed=1)
        for g in GAINS
    ]
    return tuple(np.array([run[name].values[:, 0] for run in runs]) for name in ("exponent", "exponent_se"))


def last_crossing(values):
    """Gain above which the exponent of one draw stays positive, by linear interpolation; NaN without one."""
    below = np.flatnonzero(values <= POSITIVE)
    k = below[-1] if below.size else -1
    if k in (-1, len(GAINS) - 1):
        return np.nan
    share = (POSITIVE - values[k]) / (values[k + 1] - values[k])
    return GAINS[k] + share * (GAINS[k + 1] - GAINS[k])


def unstable_from(n, draws):
    """Gain at which the quiescent state of each draw becomes unstable: 1 over the rightmost eigenvalue at g = 1."""
    kernel = ln.UncorrelatedKernel(1.0)
    for r in range(draws):
        rng = functools.partial(stream, 1, "n", n, "realisation", r)
        yield 1.0 / np.linalg.eigvals(draw(kernel, n, 0.0, rng("weights"))).real.max()


def mean_and_error(values):
    values = np.asarray(values)
    return estimate(values.mean(), values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def networks(results: Results, small: bool) -> None:
    """Largest exponents of finite networks, the share of chaotic draws, and the shift of the transition."""
    heads = [f"g = {g}" for g in GAINS]
    curves = results.table("exponents", "N", "draws", *((head, ".4f") for head in heads))
    shares = results.table("shares", "N", "draws", *((head, ".2f") for head in heads))
    shifts = results.table(
        "shifts", "N", ("quiescent state unstable from g", ".4f"), ("exponent positive from g", ".4f"), "draws seen",
        "of", ("shift from 1", ".4f"), ("largest error over time", ".4f"),
        ("exponent less rightmost eigenvalue, g = 0.8", ".4f"),
    )  # fmt: skip
    for n, draws in {50: 3}.items() if small else DRAWS.items():
        value, error = exponents(n, draws, small)
        curves.add(n, draws, *map(mean_and_error, value))
        shares.add(n, draws, *np.mean(value > POSITIVE, axis=1))
        crossing = np.array([last_crossing(v) for v in value.T])
        seen = crossing[np.isfinite(crossing)]
        quiescent = np.array(list(unstable_from(n, draws)))
        below = mean_and_error(value[0] - (0.8 / quiescent - 1.0))
        cells = [mean_and_error(quiescent), mean_and_error(seen), len(seen), draws, mean_and_error(seen - 1.0)]
        shifts.add(n, *cells, error.max(), below)


PARTS = (theory, networks)

if __name__ == "__main__":
    main(PARTS, __doc__)
