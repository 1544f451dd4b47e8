"""Stationary states and linear noise: worked numbers, closed forms, a network."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from largen.checks import InputError, LimitError
from largen.simulation import simulate
from largen.systems.balanced import BalancedNetwork, Logistic, fluctuations, stationary
from largen.systems.balanced.fluctuations import linear_noise

S1, S3 = BalancedNetwork.rank_one(), BalancedNetwork.balanced()


def test_rank_one():
    state = S1.fixed_points()
    np.testing.assert_allclose(state.mean, [[0.3185045686, -0.1814954314]], atol=1e-10)
    np.testing.assert_allclose(state.variance, [[0.5380625320, 0.5380625320]], atol=1e-10)
    np.testing.assert_allclose(state.fast, [[-0.41718]], atol=5e-6)
    np.testing.assert_allclose(state.slow, [[-1, -2, -2.49381]], atol=5e-6)
    assert state.stable.tolist() == [True]


def test_full_rank():
    state = S3.fixed_points()
    np.testing.assert_allclose(state.mean, [[-0.5735178741, -0.5278504981]], atol=1e-10)
    np.testing.assert_allclose(state.rate, [[0.35, 0.5]], atol=1e-11)
    np.testing.assert_allclose(state.fast, [[-0.31037 + 0.01988j, -0.31037 - 0.01988j]], atol=6e-6)
    np.testing.assert_allclose(state.slow, [[-2, -2]], atol=1e-9)


def test_unstable_states_are_found_and_named():
    saddle, folded = BalancedNetwork.saddle().fixed_points(), BalancedNetwork.folded().fixed_points()
    assert saddle.fast.real[0, 0] > 0 > saddle.fast.real[0, 1]
    assert folded.fast.real[0, 0] > 0
    assert not saddle.stable.any()
    assert not folded.stable.any()


@pytest.mark.long
def test_all_states_of_a_multistable_network_against_a_scan():
    """Rank 1, equal tau and populations alike but for input and gain: a scalar equation, scanned by hand."""
    model = BalancedNetwork(
        coupling=((0.3, 0.3), (0.3, 0.3)),
        gain=(Logistic(1.0, 5.0, 1.0), Logistic(2.0, 1.0, 1.2)),
        drive=(0.0, 0.0),
        input=(0.9, 0.0),
        initial_mean=(0.0, 0.0),
        initial_variance=(0.1, 0.1),
    )
    found = model.fixed_points()
    xi = np.linspace(-9.5, 9.5, 4001)
    weights = np.exp(-0.5 * xi**2) / np.sum(np.exp(-0.5 * xi**2))

    def mean_rate(gain, v, k):
        return weights @ (gain.maximum / (1 + np.exp(-gain.slope * (v + np.sqrt(k) * xi - gain.threshold))))

    # v = (0.9 + l, l) and K = 0.09 F with F_e = F_i = F: for each F solve v_e, then compare v_i.
    def gap(rate):
        k = 0.09 * rate
        v_e = brentq(lambda v: mean_rate(model.gain[0], v, k) - rate, -60, 60)
        return mean_rate(model.gain[1], v_e - 0.9, k) - rate

    grid = np.linspace(2e-4, 1 - 2e-4, 200)
    values = [gap(rate) for rate in grid]
    roots = [brentq(gap, a, b) for a, b, x, y in zip(grid, grid[1:], values, values[1:], strict=False) if x * y < 0]
    assert len(roots) == 2
    np.testing.assert_allclose(np.sort(found.rate[:, 0]), roots, atol=1e-9)
    assert found.stable.sum() == 1


def test_three_populations_and_tails():
    for state in (S1.fixed_points(), S3.fixed_points()):
        assert np.all(state.rate > 1e-4)
    nothing = S3.replace(drive=(0.65, 3.0)).fixed_points()
    assert nothing.mean.shape == (0, 2)
    assert nothing.fast.shape == (0, 2)
    assert S1.replace(drive=(0.1, 0.2)).fixed_points().mean.shape == (0, 2)
    with pytest.raises(InputError, match="constant"):
        S3.replace(input=lambda t: np.zeros(2)).fixed_points()


def test_finite_states_tend_to_the_limit():
    limiting = S3.fixed_points().mean[0]
    error = [np.max(np.abs(S3.fixed_points(n).mean[0] - limiting)) for n in (2_000, 200_000)]
    np.testing.assert_allclose(error[0] / error[1], 10, rtol=0.1)


def test_linear_noise_worked_numbers():
    for model, expected in ((S1, (2.488, 0.485, 0.940)), (S3, (1.215, 0.501, 0.484))):
        noise = linear_noise(model, 2_000)
        cov = 1000 * noise.mean_covariance
        np.testing.assert_allclose((cov[0, 0], cov[1, 1], cov[0, 1]), expected, atol=1.1e-3)
        np.testing.assert_allclose(cov, cov.T, atol=1e-12)


def test_linear_noise_at_full_rank_tends_to_its_closed_form():
    """n Var(M_b) -> Var f_b(Z)/D_b^2 - K_b, n Cov(M_e, M_i) -> 0, n Var(V)/(2 K^2) -> 1."""
    n = 2 * 10**12
    noise = linear_noise(S3, n, modes=40)
    xi = np.linspace(-9.5, 9.5, 2001)
    weights = np.exp(-0.5 * xi**2) / np.sum(np.exp(-0.5 * xi**2))
    expected = []
    for gain, v, k in zip(S3.gain, noise.mean, noise.variance, strict=True):
        f = gain.maximum * ndtr(gain.slope * (v + np.sqrt(k) * xi - gain.threshold))
        slope = weights @ (f * xi) / np.sqrt(k)
        expected.append((weights @ f**2 - (weights @ f) ** 2) / slope**2 - k)
    found = 0.5 * n * noise.mean_covariance
    np.testing.assert_allclose(np.diag(found), expected, rtol=2e-3)
    np.testing.assert_allclose(found[0, 1], 0, atol=2e-3)
    np.testing.assert_allclose(0.5 * n * np.diag(noise.variance_covariance) / (2 * noise.variance**2), 1, rtol=2e-3)


def test_linear_noise_without_coupling_is_that_of_independent_neurons():
    model = S3.replace(coupling=np.diag([1e-9, 1e-9]), drive=(0.0, 0.0), noise=(1.0, 0.5))
    sizes = np.array([300, 100])
    drift, intensity = fluctuations._drift_and_noise(model, np.zeros(2), np.array([0.5, 0.125]), sizes, 6)
    variance = (intensity / (-2 * np.diag(drift))).reshape(2, 6)
    np.testing.assert_allclose(variance, np.repeat(1.0 / sizes[:, None], 6, axis=1), rtol=1e-6)


def test_pair_correlations_from_the_variance_of_means():
    covariance = np.array([[0.3, 0.05], [0.05, 0.2]])
    sizes, variance = np.array([10, 20]), np.array([2.0, 3.0])
    found = fluctuations.pair_correlation(covariance, variance, sizes)
    c = np.array([0.1, 0.05])
    np.testing.assert_allclose(np.diag(found), c / (variance + c))
    np.testing.assert_allclose(found[0, 1], 0.05 / np.sqrt(2.1 * 3.05))


def test_linear_noise_against_a_network():
    """n Var(M) over a long run of 200 neurons a population; blocks of 10 time units give the error."""
    noise = linear_noise(S1, 400)
    times = np.concatenate([[0.0], np.arange(10.0, 410.0, 0.5)])
    network = simulate(S1, times, n=400, seed=2, method="tau_leap")
    mean = network["mean"].values[0, :, 1:]
    for a in range(2):
        square = (mean[a] - mean[a].mean()) ** 2
        blocks = square.reshape(40, 20).mean(axis=1)
        error = blocks.std(ddof=1) / np.sqrt(40)
        assert abs(blocks.mean() - noise.mean_covariance[a, a]) < 4.9 * error
        assert error < 0.15 * blocks.mean()


def test_no_linear_noise_about_an_unstable_state():
    with pytest.raises(LimitError, match="one stable stationary state"):
        linear_noise(BalancedNetwork.folded(), 2_000)


def test_tail_is_what_it_says():
    assert stationary.TAIL == 1e-4
