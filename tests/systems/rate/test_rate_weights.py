"""Draws of the weights, and the network without its weights against the network with them."""

import itertools

import numpy as np
import pytest
from scipy import stats

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.integrated_weights import integrated
from largen.systems.rate.network import Options, run
from largen.systems.rate.weights import ExplicitWeights, draw
from statistics_tools import assert_mean

ODD = TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]])
KERNELS = [SeparableKernel(1.5, 0.5, -0.4), ODD, UncorrelatedKernel(2.0)]


def lagged(kernel, n, k, l):
    """Lambda at lags (k, l) on a ring of n."""
    if isinstance(kernel, SeparableKernel):
        near = [min(x % n, -x % n) for x in (k, l)]
        return float(kernel.variance * kernel.post ** near[0] * kernel.pre ** near[1])
    if isinstance(kernel, UncorrelatedKernel):
        return float(kernel.variance) if k % n == l % n == 0 else 0.0
    near = [(x + n // 2) % n - n // 2 for x in (k, l)]
    inside = all(abs(x) <= r for x, r in zip(near, kernel.reach, strict=True))
    return float(kernel.values[1 + near[0], 1 + near[1]]) if inside else 0.0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n", [6, 7])
def test_drawn_weights_have_the_kernels_covariance(kernel, n):
    # every pair of weights of a small ring, in one chi-square-like check: 4000 draws, false alarm 1e-6 in all
    rng = stream(1, "weights", n)
    draws = 4000
    sample = np.stack([draw(kernel, n, 0.7, rng) for _ in range(draws)])
    flat = sample.reshape(draws, -1)
    expected = np.array(
        [
            [lagged(kernel, n, k - i, l - j) / n for k, l in itertools.product(range(n), repeat=2)]
            for i, j in itertools.product(range(n), repeat=2)
        ]
    )
    found = (flat - 0.7 / n).T @ (flat - 0.7 / n) / draws
    variance = np.diag(expected)
    error = np.sqrt((np.outer(variance, variance) + expected**2) / draws)
    worst = np.abs(found - expected) / error
    assert worst.max() < stats.norm.isf(0.5e-6 / expected.size)
    spread = np.sqrt(variance.max() / draws)
    assert np.abs(flat.mean(0) - 0.7 / n).max() < spread * stats.norm.isf(0.5e-6 / n**2)


def test_single_precision_and_the_same_bytes():
    for kernel in KERNELS:
        a, b = (draw(kernel, 64, 0.0, stream(3, "w"), np.float32) for _ in range(2))
        assert a.dtype == np.float32
        assert a.tobytes() == b.tobytes()
        assert abs(a.var() * 64 / float(lagged(kernel, 64, 0, 0)) - 1) < 0.2


def moments(trajectory):
    """Statistics of one small network up to fourth order: fifteen of them; trajectory (replica, time, neuron)."""
    u, v = trajectory
    last, middle, other = u[-1], u[2], v[-1]
    return np.array(
        [
            last.mean(),
            middle.mean(),
            last.mean() ** 2,
            last.mean() * other.mean(),
            last.mean() * middle.mean(),
            (last**2).mean(),
            (last * middle).mean(),
            (last * other).mean(),
            (last * np.roll(last, 1)).mean(),
            (last * np.roll(last, 2)).mean(),
            (last * np.roll(other, 1)).mean(),
            (last * np.roll(middle, -1)).mean(),
            (last**3).mean(),
            (last**4).mean(),
            (last**2 * np.roll(last, 1) ** 2).mean(),
            (last**2).mean() ** 2,
            (last * np.roll(other, 1)).mean() ** 2,
        ]
    )


@pytest.mark.parametrize("kernel", [SeparableKernel(1.5, 0.5, 0.4), pytest.param(ODD, marks=pytest.mark.long)])
def test_the_integrated_network_has_the_law_of_the_explicit_one(kernel):
    # N = 24, T = 4, two replicas of each draw; 17 statistics, false alarm 1e-4 in all (Bonferroni)
    model = RateNetwork(kernel=kernel, activation="tanh", gain=1.5)
    times, draws = np.arange(5.0), 1500
    samples = {}
    for weights in ("explicit", "integrated"):
        options = Options(None, ("state",), 2, 2, weights, "float64", None)
        generator = stream(5, weights)
        rows = [moments(states(model, times, 24, options, generator)) for _ in range(draws)]
        samples[weights] = np.stack(rows)
    a, b = samples["explicit"], samples["integrated"]
    z = (a.mean(0) - b.mean(0)) / np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / draws)
    assert len(z) >= 14
    assert np.abs(z).max() < stats.norm.isf(0.5e-4 / len(z))
    # the check is sensitive: an input 5 % too large is rejected
    wrong = b * 1.1
    seen = (a.mean(0) - wrong.mean(0)) / np.sqrt((a.var(0, ddof=1) + wrong.var(0, ddof=1)) / draws)
    assert np.abs(seen).max() > stats.norm.isf(0.5e-4 / len(z))


def states(model, times, n, options, generator):
    """States of all replicas of one draw."""
    from largen.systems.rate import network

    steps = network._steps(model, times, None)

    def rng(*names):
        return generator

    if options.weights == "integrated":
        couple = integrated(model.kernel, n, float(model.mean_weight), rng("weights"), steps.evaluations * 2)
    else:
        couple = ExplicitWeights(draw(model.kernel, n, float(model.mean_weight), rng("weights")))
    return network.trajectories(model, times, n, 2, couple, steps, rng=rng, tick=lambda done: None)


@pytest.mark.parametrize("kernel", KERNELS)
def test_integrated_inputs_given_fixed_rates_have_the_kernels_covariance(kernel):
    # rates that do not depend on the inputs: the inputs are Gaussian with a covariance known exactly
    n, inputs, draws = 9, 3, 2000
    rates = stream(2, "rates").standard_normal((inputs, n)) + 0.3
    rates[2] = 2.0 * rates[0] - rates[1]  # nothing new: no noise of its own
    sample = np.empty((draws, inputs, n))
    for r in range(draws):
        couple = integrated(kernel, n, 0.6, stream(3, r), inputs)
        sample[r] = [couple(rates[t][:, None])[:, 0] for t in range(inputs)]
    expected = np.zeros((inputs, n, inputs, n))
    for s, t in itertools.product(range(inputs), repeat=2):
        for i, k in itertools.product(range(n), repeat=2):
            expected[s, i, t, k] = sum(
                lagged(kernel, n, k - i, l - j) * rates[s, j] * rates[t, l] / n
                for j, l in itertools.product(range(n), repeat=2)
            )
    centred = (sample - 0.6 * rates.mean(1)[:, None]).reshape(draws, -1)
    expected = expected.reshape(inputs * n, -1)
    found = centred.T @ centred / draws
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / draws)
    assert (np.abs(found - expected) / error).max() < stats.norm.isf(0.5e-6 / expected.size)
    np.testing.assert_allclose(centred[:, 2 * n :], 2 * centred[:, :n] - centred[:, n : 2 * n], atol=1e-6)


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("n", [16, 19])
def test_explicit_input_is_the_matrix_product(n, replicas):
    matrix = draw(KERNELS[0], n, 0.0, stream(0, "w"))
    rates = stream(0, "f").standard_normal((n, replicas))
    np.testing.assert_allclose(ExplicitWeights(matrix)(rates), matrix @ rates, rtol=0, atol=1e-13)
    single = ExplicitWeights(matrix.astype(np.float32))(rates.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, matrix @ rates, rtol=0, atol=1e-5)


def test_kernels_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"jointly even.*0.2 at lags \(-1, -1\) and 0.1 at \(1, 1\)"):
        TableKernel([[0.2, 0, 0], [0, 1, 0], [0, 0, 0.1]])
    with pytest.raises(InputError, match="odd number of rows"):
        TableKernel([[1.0, 0.2]])
    bad = RateNetwork(kernel=TableKernel([[0.6], [1.0], [0.6]]))
    with pytest.raises(InputError, match=r"ring of 8 neurons.* at post frequency 4 and pre frequency 0"):
        bad.sizes(8)
    bad.sizes(3)  # on this ring the table's spectrum is positive
    with pytest.raises(InputError, match=r"ring of 3 neurons.* is -0\.8 .* at post frequency 0"):
        RateNetwork(kernel=SeparableKernel(1.0, -0.9, 0.0)).sizes(3)
    with pytest.raises(InputError, match="positive definite on a large ring"):
        bad.limit(np.arange(3.0), n=None, rtol=1e-8, atol=1e-10)
    with pytest.raises(InputError, match="`n` must be at least 5, the width"):
        RateNetwork(kernel=TableKernel([[0.1, 0.1, 1.0, 0.1, 0.1]])).sizes(4)
    with pytest.raises(InputError, match=r"`post` must be at most 0\.999"):
        SeparableKernel(1.0, 1.0, 0.2)


def test_mean_input_is_right_with_and_without_weights():
    model, times = RateNetwork(kernel=UncorrelatedKernel(0.1)), np.arange(3.0)
    for weights in ("explicit", "integrated"):
        options = Options(None, (), 1, 1, weights, "float64", None)
        rows = [
            run(model, times, 40, options, rng=lambda *s, r=r, w=weights: stream(9, w, r, *s), tick=lambda done: None)
            for r in range(400)
        ]
        sample = np.array([row.values["mean"][1] for row in rows])
        rate = stats.norm.cdf(-0.3 / np.sqrt(2.0))
        assert_mean(sample, 0.7 * -0.3 - 0.8 * rate + 0.4, what=weights)
