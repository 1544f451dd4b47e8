"""Speed of the rate system on one core, each figure beside its baseline of the same run.

What: the forward recursion, one expectation, network steps against the machine's memory bandwidth, replicas in one
product against one by one, drawing the weights against the bare FFT of their size, a million neurons without weights,
and (with --large) a network of 20 000 neurons in single precision.
Source: issue 4 (rate system), "Must be shown: speed". Run time: about 1 minute, 2 minutes with --large.
Command: OPENBLAS_NUM_THREADS=1 python benchmarks/rate.py [--large]
Writes a table in Markdown to standard output. Times are CPU seconds, the best of several.
"""

import resource
import sys
import time

import numpy as np
from scipy import fft

from largen.numerics.streams import stream
from largen.simulation import simulate
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate import limit as rate_limit
from largen.systems.rate.weights import ExplicitWeights, draw


def best(function, repeats=3):
    """Least CPU time of several calls, after one that compiles."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def row(what, value, baseline=""):
    print(f"| {what} | {value} | {baseline} |", flush=True)


def table_kernel(reach):
    lags = np.arange(-reach, reach + 1)
    return TableKernel(1.5 * np.outer(0.5 ** np.abs(lags), 0.4 ** np.abs(lags)))


def limits():
    for name, model in (
        ("separable, probit", RateNetwork()),
        ("table, lags 0..5, logistic", RateNetwork(kernel=table_kernel(5), activation="logistic")),
        ("table, lags 0..5, tanh", RateNetwork(kernel=table_kernel(5), activation="tanh", gain=0.5)),
    ):
        for steps in (400, 800):

            def solve(model=model, steps=steps):
                return rate_limit.solve(model, np.arange(steps + 1.0), rtol=1e-8, atol=1e-10, lags=5)

            seconds = best(solve, 2)
            series = 2 * len(model.kernel.coupling().field)  # of the covariance and of its frozen part
            pairs = series * (steps + 1) * (steps + 2) / 2
            row(f"recursion, {name}, T = {steps}", f"{seconds:.2f} s", f"{seconds / pairs * 1e6:.3f} us a pair and lag")


def networks():
    for n in (4000, 8000):
        for dtype in (np.float32, np.float64):
            rng = stream(0, "bench")
            matrix = draw(UncorrelatedKernel(1.0), n, 0.0, rng, dtype)
            couple, size = ExplicitWeights(matrix), matrix.nbytes / 1e9
            bandwidth = size / best(matrix.sum, 5)
            one = best(lambda couple=couple, n=n, dtype=dtype: couple(np.ones((n, 1), dtype)), 5)
            eight = best(lambda couple=couple, n=n, dtype=dtype: couple(np.ones((n, 8), dtype)), 3)
            name = f"N = {n}, {np.dtype(dtype).name}"
            row(f"network step, {name}", f"{size / one:.1f} GB/s", f"{bandwidth:.1f} GB/s to sum the matrix")
            row(f"8 replicas at once, {name}", f"{eight * 1e3:.0f} ms", f"{8 * one / eight:.1f} times cheaper")
            del matrix, couple
            spectrum = np.ones((n, n // 2 + 1), np.complex64 if dtype is np.float32 else np.complex128)
            bare = best(lambda spectrum=spectrum, n=n: fft.irfft2(spectrum, (n, n)), 2)
            drawn = best(lambda rng=rng, n=n, dtype=dtype: draw(SeparableKernel(), n, 0.0, rng, dtype), 2)
            row(f"drawing the weights, {name}", f"{drawn:.2f} s", f"{drawn / bare:.2f} times the bare FFT")


def million():
    times = np.arange(9.0)
    for replicas in (1, 2):
        seconds = best(lambda replicas=replicas: simulate(RateNetwork(), times, n=10**6, replicas=replicas), 1)
        row(f"N = 10^6, T = 8 without weights, {replicas} replica(s)", f"{seconds:.1f} s")


def large():
    start = time.process_time()
    network = simulate(
        RateNetwork(), np.arange(9.0), n=20_000, weights="explicit", precision="float32", replicas=4, seed=0
    )
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    row("N = 20000, float32, T = 8, 4 replicas", f"{seconds:.0f} s", f"peak {peak:.1f} GB")
    assert np.isfinite(network["covariance"].values).all()


if __name__ == "__main__":
    print("| what | figure | beside |\n|---|---|---|")
    if "--large" in sys.argv:
        large()
    limits()
    networks()
    million()
