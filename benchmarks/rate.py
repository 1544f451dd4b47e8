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
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.recursion import Problem, discrete_grid, forward
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


def interleaved(*functions, repeats=12):
    """Least CPU time of each of several functions, called in turn so that all meet the same load."""
    times = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, own in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            own.append(time.process_time() - start)
    return [min(own[1:]) for own in times]


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
                return rate_limit.solve(model, np.arange(steps + 1.0), rate_limit.Options(lags=5))

            seconds = best(solve, 6)
            series = 2 * len(model.kernel.coupling().field)  # of the covariance and of its frozen part
            pairs = series * (steps + 1) * (steps + 2) / 2
            row(f"recursion, {name}, T = {steps}", f"{seconds:.2f} s", f"{seconds / pairs * 1e6:.3f} us a pair and lag")


def expectations():
    """One row of covariances of rates, tail below 1e-8 of their variance, without the rest of the recursion."""
    t = 400
    for name, model in (
        ("separable, probit", RateNetwork()),
        ("table, lags 0..5, tanh", RateNetwork(kernel=table_kernel(5), activation="tanh", gain=0.5)),
    ):
        coupling, grid = model.kernel.coupling(), discrete_grid(t + 1, float(model.gamma), float(model.noise))
        inputs = InputCovariance(Activation.of(model), coupling, t + 1, 1e-8, 1e-10)
        law = forward(Problem.of(model), grid, inputs)
        driven = np.stack([law.driven[:, t], law.frozen[:, t]])
        own = np.stack([law.private[t], law.shared[t]])
        (seconds,) = interleaved(lambda s=inputs, d=driven, o=own: [s.row(t, d, o) for _ in range(50)], repeats=8)
        pairs = 50 * 2 * len(coupling.field) * (t + 1)
        row(f"expectations, {name}", f"{seconds / pairs * 1e6:.3f} us a pair", f"tail {inputs.tail:.0e}")


def networks():
    for n in (4000, 8000):
        for dtype in (np.float32, np.float64):
            rng = stream(0, "bench")
            matrix = draw(UncorrelatedKernel(1.0), n, 0.0, rng, dtype)
            couple, size, rates = ExplicitWeights(matrix), matrix.nbytes / 1e9, np.ones((n, 8), dtype)
            read, one, eight = interleaved(
                matrix.sum,
                lambda couple=couple, rates=rates: couple(rates[:, :1]),
                lambda couple=couple, rates=rates: couple(rates),
                repeats=12 if n == 4000 else 5,
            )
            name = f"N = {n}, {np.dtype(dtype).name}"
            beside = f"{100 * read / one:.0f} % of {size / read:.1f} GB/s (sum of the matrix)"
            row(f"network step, {name}", f"{size / one:.1f} GB/s", beside)
            row(f"8 replicas at once, {name}", f"{eight * 1e3:.0f} ms", f"{8 * one / eight:.1f} times cheaper")
            del matrix, couple
            spectrum = np.ones((n, n // 2 + 1), np.complex64 if dtype is np.float32 else np.complex128)
            bare, drawn = interleaved(
                lambda spectrum=spectrum, n=n: fft.irfft2(spectrum, (n, n)),
                lambda rng=rng, n=n, dtype=dtype: draw(SeparableKernel(), n, 0.0, rng, dtype),
                repeats=8 if n == 4000 else 3,
            )
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
    expectations()
    networks()
    million()
