"""Speed of the rate system on one core, each figure beside its baseline of the same run.

What:     the forward recursion, one expectation, network steps against the machine's memory bandwidth, replicas in one
          product against one by one, drawing the weights against the bare FFT of their size, a million neurons without
          weights, and a network of 20 000 neurons in single precision. CPU seconds, the best of several.
Run time: about 2 minutes for all parts.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/rate.py recursion|expectations|networks|million|large
"""

import sys
from pathlib import Path

import numpy as np
from memory import peak
from scipy import fft
from timing import best, clocked, in_turn

import largen as ln
from largen import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.numerics.streams import stream
from largen.systems.rate import limit as rate_limit
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.recursion import Problem, discrete_grid, forward
from largen.systems.rate.weights import ExplicitWeights, draw

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main


def table_kernel(reach):
    lags = np.arange(-reach, reach + 1)
    return TableKernel(1.5 * np.outer(0.5 ** np.abs(lags), 0.4 ** np.abs(lags)))


def recursion(results: Results, small: bool) -> None:
    """The forward recursion of the limit. A pair is one (s, t) at one lag of one of the two laws (all, frozen)."""
    table = results.table("recursion", "kernel, activation", "T", ("CPU s", ".2f"), ("us a pair and lag", ".3f"))
    for name, model in (
        ("separable, probit", RateNetwork()),
        ("table, lags 0..5, logistic", RateNetwork(kernel=table_kernel(5), activation="logistic")),
        ("table, lags 0..5, tanh", RateNetwork(kernel=table_kernel(5), activation="tanh", gain=0.5)),
    )[: 1 if small else 3]:
        for steps in (20,) if small else (400, 800):

            def solve(model=model, steps=steps):
                return rate_limit.solve(model, np.arange(steps + 1.0), rate_limit.Options(lags=5))

            seconds = best(solve, rounds=6)
            series = 2 * len(model.kernel.coupling().field)  # of the covariance and of its frozen part
            table.add(name, steps, seconds, seconds / (series * (steps + 1) * (steps + 2) / 2) * 1e6)


def expectations(results: Results, small: bool) -> None:
    """One row of covariances of rates, tail below 1e-8 of their variance, without the rest of the recursion."""
    table, t = results.table("expectations", "kernel, activation", ("us a pair", ".3f"), ("tail", ".0e")), 400
    if small:
        t = 20
    for name, model in (
        ("separable, probit", RateNetwork()),
        ("table, lags 0..5, tanh", RateNetwork(kernel=table_kernel(5), activation="tanh", gain=0.5)),
    )[: 1 if small else 2]:
        coupling, grid = model.kernel.coupling(), discrete_grid(t + 1, float(model.gamma), float(model.noise))
        inputs = InputCovariance(Activation.of(model), coupling, t + 1, 1e-8, 1e-10)
        law = forward(Problem.of(model), grid, inputs)
        driven = np.stack([law.driven[:, t], law.frozen[:, t]])
        own = np.stack([law.private[t], law.shared[t]])
        (seconds,) = in_turn(lambda s=inputs, d=driven, o=own: [s.row(t, d, o) for _ in range(50)], rounds=8)
        table.add(name, seconds / (50 * 2 * len(coupling.field) * (t + 1)) * 1e6, inputs.tail)


def networks(results: Results, small: bool) -> None:
    """A step of a network with explicit weights, replicas in one product, and drawing the weights."""
    steps = results.table(
        "steps", "N", "precision", ("network step (GB/s)", ".1f"), ("% of the sum of the matrix", ".0f"),
        ("sum of the matrix (GB/s)", ".1f"), ("8 replicas at once (ms)", ".0f"),
        ("times cheaper than one by one", ".1f"), ("drawing the weights (s)", ".2f"), ("times the bare FFT", ".2f"),
    )  # fmt: skip
    for n in (200,) if small else (4000, 8000):
        for dtype in (np.float32, np.float64):
            rng = stream(0, "bench")
            matrix = draw(UncorrelatedKernel(1.0), n, 0.0, rng, dtype)
            couple, size, rates = ExplicitWeights(matrix), matrix.nbytes / 1e9, np.ones((n, 8), dtype)
            read, one, eight = in_turn(
                matrix.sum,
                lambda couple=couple, rates=rates: couple(rates[:, :1]),
                lambda couple=couple, rates=rates: couple(rates),
                rounds=12 if n <= 4000 else 5,
            )
            del matrix, couple
            spectrum = np.ones((n, n // 2 + 1), np.complex64 if dtype is np.float32 else np.complex128)
            bare, drawn = in_turn(
                lambda spectrum=spectrum, n=n: fft.irfft2(spectrum, (n, n)),
                lambda rng=rng, n=n, dtype=dtype: draw(SeparableKernel(), n, 0.0, rng, dtype),
                rounds=8 if n <= 4000 else 3,
            )
            cells = [size / one, 100 * read / one, size / read, 1e3 * eight, 8 * one / eight, drawn, drawn / bare]
            steps.add(n, np.dtype(dtype).name, *cells)


def million(results: Results, small: bool) -> None:
    """N = 10^6, T = 8, without weights."""
    table, n = results.table("million", "N", "replicas", ("CPU s", ".1f")), 10**3 if small else 10**6
    for replicas in (1, 2):
        run = lambda replicas=replicas: ln.simulate(RateNetwork(), np.arange(9.0), n=n, replicas=replicas)  # noqa: E731
        table.add(n, replicas, best(run, rounds=1))


def large(results: Results, small: bool) -> None:
    """Explicit weights in single precision, T = 8, 4 replicas."""
    table, n, found = results.table("large", "N", ("CPU s", ".0f"), ("peak memory (GB)", ".1f")), 20_000, []
    if small:
        n = 500
    options = {"weights": "explicit", "precision": "float32", "replicas": 4, "seed": 0}
    seconds = clocked(lambda: found.append(ln.simulate(RateNetwork(), np.arange(9.0), n=n, **options)))
    table.add(n, seconds, peak())
    assert np.isfinite(found[0]["covariance"].values).all()


PARTS = (recursion, expectations, networks, million, large)

if __name__ == "__main__":
    main(PARTS, __doc__)
