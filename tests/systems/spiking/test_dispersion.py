"""Dispersion relations of spiking sheets: spectra, the modes that are left out, growth in the reduction itself."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import largen as ln
from largen.checks import InputError
from largen.space import GaussianKernel, Ring, Torus
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.dispersion import Linear, coupled, distinct_modes, kind_of, linearise, matrix_of
from largen.systems.spiking.reduction.bin_width import with_bins
from largen.systems.spiking.reduction.layout import drive_of as kicks_of
from largen.systems.spiking.reduction_jax.run import at_rest, parameters_of, scheme
from largen.systems.spiking.reduction_jax.step import State, step
from largen.systems.spiking.sheet import sheet_of
from systems.spiking.test_sheet import BASIC, blocks, sheet_model


def linear(alone, spikes, mean_rows, variance_rows):
    return Linear(
        np.array(alone), np.array(spikes), np.array(mean_rows), np.array(variance_rows), np.array([1.0]), 0.0
    )  # fmt: skip


def test_a_wave_meets_the_spectrum_of_the_kernel_and_of_the_patches():
    """K(q) = K sum_m khat(q_m) sinc^2(q_m w/2), q_m = q + 2 pi m/w: a Gaussian averaged over patches."""
    model = sheet_model(Ring(8), kernel=GaussianKernel(0.15))
    waves, mean, variance = distinct_modes(sheet_of(model))
    assert waves.ravel().tolist() == [0, 1, 2, 3, -4]
    w, shifts = 1.0 / 8.0, np.arange(-400, 401)
    for k, wave in enumerate(waves.ravel()):
        q = 2.0 * np.pi * (wave + 8.0 * shifts)
        exact = np.sum(np.exp(-0.5 * (0.15 * q) ** 2) * np.sinc(q * w / (2.0 * np.pi)) ** 2)
        np.testing.assert_allclose(mean[k], [[60.0 * exact, 20.0 * exact]] * 2, rtol=1e-12, atol=1e-12)
    assert np.all(variance[0].real < mean[0].real)


def test_modes_that_look_the_same_are_solved_once():
    waves, _, _ = distinct_modes(sheet_of(sheet_model(Torus(4), kernel=GaussianKernel(0.3))))
    assert waves.tolist() == [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]] or len(waves) == 6


@pytest.mark.long
def test_the_modes_are_the_eigenvalues_of_a_step_of_all_patches():
    """Three patches as six populations, each pair with its own probability, linearised as a whole.

    Its multipliers are those of J(0), J(1) and J(1) of (S81), and the decays of pending spikes that it counts pair by
    pair. The kernels are untruncated, so that every pair of patches is connected.
    """
    narrow, wide = GaussianKernel(0.28), GaussianKernel(0.4)
    kernel = ((narrow, wide), (GaussianKernel(0.3), GaussianKernel(0.35)))
    model = sheet_model(
        Ring(3), size=(3000, 900), probability=((0.02, 20 / 900), (0.02, 20 / 900)), kernel=kernel,
        refractory="exponential", **BASIC,
    )  # fmt: skip
    chosen = Discretisation(closure="joint", dt=0.1, bin_width=10.0)
    sheet = sheet_of(model)
    linear, _ = linearise(sheet, chosen)
    waves, mean, variance = distinct_modes(sheet)
    assert waves.ravel().tolist() == [0, 1]
    by_mode = [np.linalg.eigvals(matrix_of(linear, mean[k], variance[k])) for k in (0, 1, 1)]

    whole = blocks(model, refractory="exponential", **BASIC)
    resolved = with_bins(chosen, whole, kicks_of(whole, 0.0, 1, 0.1))
    form = scheme(whole, resolved)
    with jax.enable_x64(True):
        numbers = jax.tree.map(lambda a: a[..., None], parameters_of(whole, 0.1, resolved.min_support, np.float64))
        drive = np.asarray(kicks_of(whole, 0.0, 1, 0.1))[0][:, None]
        state = at_rest(numbers, form)
        end, back = ravel_pytree(tuple(state[:-1]))

        @jax.jit
        def once(x):
            return ravel_pytree(tuple(step(State(*back(x), state[-1]), drive, numbers, form)[0][:-1]))[0]

        end = jax.jit(lambda x: jax.lax.fori_loop(0, 20_000, lambda _, x: once(x), x))(end)
        np.testing.assert_allclose(once(end), end, atol=1e-9)
        multipliers = np.linalg.eigvals(np.asarray(jax.jacfwd(once)(end)))
    left = multipliers[np.abs(multipliers) > 0.9].tolist()
    for mu in (mu for mu in np.concatenate(by_mode) if np.abs(mu) > 0.9):
        nearest = int(np.argmin(np.abs(np.array(left) - mu)))
        assert abs(left.pop(nearest) - mu) < 1e-7
    decays = np.exp(np.outer([-0.1, -0.2], 1.0 / np.array([3.0, 10.0]))).ravel()
    assert len(left) == 78
    assert np.abs(np.array(left)[:, None] - decays).min(axis=1).max() < 1e-12


def test_a_mode_that_no_spike_hears_of_is_left_out_though_it_grows():
    """Two unknowns: E[H] with the feedback 1.01, and a lonely one that grows faster but moves no spikes."""
    lonely = linear([[0.9, 0.0, 0.0], [0.0, 1.05, 0.0], [0.0, 0.0, 0.5]], [[0.5, 0.0, 0.0]], [[0]], [[2]])
    exponents, coupling = coupled(lonely, matrix_of(lonely, [[0.22]], [[0.0]]), 0.1)
    np.testing.assert_allclose(exponents, [1e4 * np.log(1.01)], rtol=1e-9)
    assert coupling[0] == pytest.approx(0.5)


def test_what_grows_has_a_name():
    assert kind_of(np.array([0, 0]), 20.0) == "uniform oscillation"
    assert kind_of(np.array([2]), 0.0) == "stationary pattern"
    assert kind_of(np.array([0, 1]), 5.0) == "wave"


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: ln.analysis.dispersion(m.replace(space=None, kernel=None)), "`space` must be given"),
        (lambda m: ln.analysis.dispersion(m.replace(delay=1.0)), "delay"),
        (lambda m: ln.analysis.onset(m, "strength[e,e]"), "`between` must be given"),
        (lambda m: ln.analysis.onset(m, "strength[e,e]", between=(3.0, 2.0)), "high"),
        (lambda m: ln.analysis.onset(m, "strength", between=(2.0, 3.0)), "one number"),
    ],
)
def test_what_has_no_dispersion_relation_is_refused(use, message):
    with pytest.raises(InputError, match=message):
        use(sheet_model())


def test_a_real_multiplier_that_meets_that_of_the_masses_stays_real():
    """At the onset of a pattern two multipliers are 1; a rounding of 1e-15 splits such a pair by 3e-8."""
    matrix = np.array([[1.0, 1.0], [-1e-15, 1.0]])
    assert np.abs(np.linalg.eigvals(matrix).imag).max() > 1e-8
    exponents, _ = coupled(linear(matrix, [[1.0, 1.0]], [[0]], [[1]]), matrix, 0.1)
    assert len(exponents) == 2
    assert np.all(exponents.imag == 0.0)


@pytest.mark.filterwarnings("ignore:rates driven by synaptic noise")
@pytest.mark.long
def test_a_ring_has_its_pattern_from_the_known_strength_on():
    """Ring of 24 patches: two waves stand from s_ee = 2.997(3) on, found apart from this code with Euler's drift."""
    narrow, wide = GaussianKernel(0.06), GaussianKernel(0.2)
    model = sheet_model(
        Ring(24), size=(30_000, 10_000), probability=0.002, kernel=((narrow, wide), (narrow, wide)),
        strength=((3.0, 9.0), (5.0, 10.0)), refractory="exponential",
    )  # fmt: skip
    found = ln.analysis.onset(model, "strength[e,e]", between=(2.8, 3.2), bin_width=4.0, modes=3)
    assert float(found.onset) == pytest.approx(2.997, abs=0.012)
    assert (found.waves.values.tolist(), float(found.frequency)) == ([2], 0.0)
    below = ln.analysis.dispersion(model.replace(**{"strength[e,e]": 2.8}), bin_width=4.0, modes=3)
    np.testing.assert_allclose(below.growth[:, 0], [-36.84, -20.26, -29.37], atol=0.8)
    np.testing.assert_allclose(below.frequency[:, 0], [19.2, 13.88, 0.0], atol=0.2)
    np.testing.assert_allclose(below.homogeneous_rate, [7.1045, 14.6041], rtol=2e-3)
