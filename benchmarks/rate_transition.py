"""The transition to chaos of the noiseless rate network: theory, and the largest exponent of finite networks.

What:     tanh, independent weights of variance g^2/N, continuous time (tau = 1), no noise. Theory: the onset and
          Delta_0(g). Networks: largest Lyapunov exponent against g for several N, where it changes sign in each draw,
          and where the quiescent state of the same draw becomes unstable (rightmost eigenvalue of the weights).
Source:   Sompolinsky, Crisanti & Sommers 1988.
Run time: about 2 CPU minutes.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/rate_transition.py [--out docs/rate-transition.md]
"""

import argparse
import functools
import time
from pathlib import Path

import numpy as np

import largen as ln
from largen import analysis
from largen.numerics.streams import stream
from largen.systems.rate.weights import draw

GAINS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5)
DRAWS = {100: 16, 200: 16, 400: 8, 800: 3}
DURATION, TRANSIENT, DT = 300.0, 200.0, 0.2
NEAR = (1.002, 1.004, 1.006, 1.008, 1.010)
POSITIVE = 0.004  # an exponent above this is positive: a limit cycle's is 0 within less


def model(g):
    return ln.RateNetwork.chaotic().replace(kernel=ln.UncorrelatedKernel(g**2))


def theory():
    found = analysis.chaos_onset(model(1.0), gains=[*NEAR, *GAINS])
    variance = dict(zip(found["gain"].values.tolist(), found["variance"].values.tolist(), strict=True))
    curve = np.polynomial.Polynomial.fit([variance[g] for g in NEAR], NEAR, len(NEAR) - 1)
    lines = [
        f"Loss of stability of the static state: g = 1 + ({float(found['onset']) - 1:.1e}).",
        f"Delta_0(g) at g = {', '.join(map(str, NEAR))}, extrapolated to Delta_0 = 0 by the polynomial g(Delta_0) "
        f"through these points: g = 1 + ({curve(0.0) - 1:.1e}).",
    ]
    rows = ["| g | Delta_0 |", "|---|---|", *(f"| {g} | {variance[g]:.10f} |" for g in GAINS)]
    return "\n\n".join(lines), "\n".join(rows)


def exponents(n, draws):
    """Largest exponents, shape (gain, draw), and their errors over time."""
    runs = [
        analysis.lyapunov(model(g), n=n, duration=DURATION, transient=TRANSIENT, dt=DT, realisations=draws, seed=1)
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
    return f"{values.mean():.4f} +- {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="docs/rate-transition.md")
    out = Path(parser.parse_args().out)
    began = time.process_time()
    words, table = theory()
    head = "| N (draws) | " + " | ".join(f"g = {g}" for g in GAINS) + " |\n|---|" + "---|" * len(GAINS)
    curves, shares, shifts = [head], [head], []
    for n, draws in DRAWS.items():
        value, error = exponents(n, draws)
        curves.append(f"| {n} ({draws}) | " + " | ".join(map(mean_and_error, value)) + " |")
        shares.append(f"| {n} ({draws}) | " + " | ".join(f"{np.mean(v > POSITIVE):.2f}" for v in value) + " |")
        crossing = np.array([last_crossing(v) for v in value.T])
        seen = crossing[np.isfinite(crossing)]
        quiescent = np.array(list(unstable_from(n, draws)))
        below = mean_and_error(value[0] - (0.8 / quiescent - 1.0))
        shifts.append(
            f"| {n} | {mean_and_error(quiescent)} | {mean_and_error(seen)} ({len(seen)} of {draws}) | "
            f"{mean_and_error(seen - 1.0)} | {error.max():.4f} | {below} |"
        )
        print(curves[-1], shares[-1], shifts[-1], sep="\n", flush=True)
    heading = (
        "| N | quiescent state unstable from g | exponent positive from g | shift from 1 | largest error over time | "
        "exponent less rightmost eigenvalue, g = .8 |\n|---|---|---|---|---|---|"
    )
    out.write_text(
        TEXT.format(
            seconds=time.process_time() - began,
            words=words,
            table=table,
            curves="\n".join(curves),
            shares="\n".join(shares),
            shifts="\n".join([heading, *shifts]),
            positive=POSITIVE,
        )
    )


TEXT = """# The transition to chaos of the rate network

tanh, independent weights of variance g^2/N, continuous time (tau = 1), no noise, no thresholds; {seconds:.0f} CPU
seconds, `python benchmarks/rate_transition.py`.

## Theory (N to infinity), `analysis.chaos_onset`

{words}

{table}

## Largest exponent of the network, `analysis.lyapunov`

300 tau after 200 tau that are left out, Runge-Kutta steps of .2; the mean over draws of weights and start with its
standard error. All g use the same draws.

{curves}

Share of draws with an exponent above {positive} (a limit cycle's is 0):

{shares}

## Finite-N shift

Per draw: the g at which its quiescent state loses its stability (from the rightmost eigenvalue of its weights), and the
g above which its exponent stays above {positive} on this grid, by linear interpolation (draws that are not chaotic at
the largest g are left out: where not all are counted, the mean is too low).

{shifts}

Between the two a finite network settles on a fixed point or a limit cycle (exponent negative or 0). The last column
checks the exponents below the transition: they are those of the linearised network.
"""

if __name__ == "__main__":
    main()
