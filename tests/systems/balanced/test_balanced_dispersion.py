"""Waves on a balanced ring: J(k) against the full Jacobian, onsets against closed forms, growth in time."""

import warnings

import numpy as np
import pytest

import largen as ln
from largen.checks import InputError, LimitError
from largen.systems.balanced import patch_dispersion, patch_equations


def ring(e_ee, e_ei=0.15, e_ie=0.25, e_ii=0.15, patches=16):
    cosines = [[ln.CosineKernel(e) for e in row] for row in ((e_ee, e_ei), (e_ie, e_ii))]
    return ln.BalancedNetwork(space=ln.Ring(patches), kernel=tuple(map(tuple, cosines)))


@pytest.mark.parametrize(
    "model",
    [
        ring(0.4, patches=5),
        ring(0.4, patches=6).replace(kernel=ln.GaussianKernel(0.2), fractions=(0.7, 0.3), tau=(1.0, 0.6), noise=0.2),
        ring(0.3).replace(space=ln.Torus((3, 4)), kernel=((ln.CosineKernel(0.3), ln.CosineKernel(0.1)),) * 2),
    ],
)
def test_the_modes_have_the_eigenvalues_of_the_full_jacobian(model):
    n = 3200
    state = patch_dispersion.homogeneous(model, n)
    system = patch_equations.equations(model, n)
    y = np.concatenate([np.repeat(part, model.space.count) for part in state[:3]])
    assert np.abs(system.rhs(0.0, y)).max() < 1e-9
    full = np.linalg.eigvals(system.jacobian(0.0, y))
    modes = patch_dispersion.linearise(model, n, model.space.modes()).matrices
    found = np.linalg.eigvals(modes).ravel()
    for one, other in ((full, found), (found, full)):
        assert max(np.abs(other - value).min() for value in one) < 1e-7


def test_onset_in_a_mode_in_the_limit_and_at_finite_n():
    # det A^(1) = 0: e_ee e_ii alpha_ee alpha_ii = e_ie e_ei alpha_ie alpha_ei.
    limit = ln.analysis.onset(ring(0.2), "kernel[e,e].amplitude", between=(0.2, 0.44))
    assert float(limit["onset"]) == pytest.approx(0.25 * 0.15 * 1.2 * 2.0 / (0.15 * 1.0 * 1.8), abs=1e-10)
    assert (limit["waves"].values.tolist(), limit.attrs["kind_of_leading_mode"]) == ([1], "stationary pattern")
    values = {}
    for n in (400, 1600, 6400, 10**6, 10**8):  # of a kind
        found = ln.analysis.onset(ring(0.2), "kernel[e,e].amplitude", low=0.2, high=0.49, n=2 * n, modes=2)
        values[n] = float(found["onset"])
    wanted = {400: 0.406287, 1600: 0.363564, 6400: 0.346471, 10**6: 0.334212, 10**8: 0.333420}
    assert values == pytest.approx(wanted, abs=1e-6)


def test_an_oscillation_comes_first_where_the_trace_vanishes_first():
    model = ring(0.2, 0.2, 0.3, 0.1)
    found = ln.analysis.onset(model, "kernel[e,e].amplitude", between=(0.1, 0.49), n=2 * 10**6, modes=2)
    assert found.attrs["kind_of_leading_mode"] == "wave"
    assert 2.0 * np.pi * float(found["frequency"]) == pytest.approx(116.894, abs=2e-3)
    limit = ln.analysis.onset(model, "kernel[e,e].amplitude", between=(0.1, 0.49))
    assert float(limit["onset"]) == pytest.approx(0.301, abs=1e-3)


def test_growth_of_a_mode_at_sixteen_hundred_of_a_kind_and_in_time():
    growth = {
        e: float(ln.analysis.dispersion(ring(e), n=3200, modes=[1])["growth"].values[0, 0])
        for e in (0.25, 0.35, 0.4, 0.45, 0.5)
    }
    assert growth == pytest.approx({0.25: -1.948, 0.35: -0.388, 0.4: 0.852, 0.45: 1.818, 0.5: 2.673}, abs=1e-3)
    model = ring(0.5)
    state = patch_dispersion.homogeneous(model, 3200)
    model = model.replace(initial_mean=state.mean, initial_variance=state.variance)
    path = ln.solve_limit(model, [0.0, 2.0, 3.0], n=3200, perturbation=(1e-6, 1), rtol=1e-10, atol=1e-14)
    power = np.abs(np.fft.fft(path["patch_mean"].values[0], axis=0)[1])
    assert np.log(power[2] / power[1]) == pytest.approx(growth[0.5], abs=2e-3)


def test_a_run_whose_patches_stay_alike_warns_of_the_mode_that_nothing_starts():
    model, times = ring(0.45), np.linspace(0.0, 12.0, 4)
    with pytest.warns(UserWarning, match=r"mode 1 would grow.*perturbation=\(1e-3, 1\)"):
        run = ln.solve_limit(model, times[:3], n=3200)
    assert run.attrs["growing_mode"].tolist() == [1]
    assert run.attrs["growth"] == pytest.approx(1.818, abs=5e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for still in (
            ln.solve_limit(model, times, n=3200, perturbation=(1e-3, 1)),
            ln.solve_limit(ring(0.3), times, n=3200),
            ln.solve_limit(ring(0.4), times, n=400),  # below the onset at this n
        ):
            assert "growing_mode" not in still.attrs


def test_patches_that_rounding_drives_apart_are_told_as_such(monkeypatch):
    """Whether rounding differs between patches is the processor's affair: here one patch is moved by hand."""
    kept, model = [], ring(0.45)
    with monkeypatch.context() as patched:
        patched.setattr(patch_dispersion, "with_growing_mode", lambda model, n, found: kept.append(found) or found)
        ln.solve_limit(model, np.linspace(0.0, 8.0, 3), n=3200)
    shifts = np.zeros(kept[0].values["mean"].shape)
    shifts.reshape(2, -1, 3)[0, 0, -1] = 1e-3
    moved = kept[0]._replace(values=dict(kept[0].values) | {"mean": kept[0].values["mean"] + shifts})
    with pytest.warns(UserWarning, match=r"stationary pattern of mode 1 has begun .* rounding"):
        patch_dispersion.with_growing_mode(model, 3200, moved)


def test_the_preset_loses_balance_in_its_mode_of_one_wave_from_four_hundred_neurons():
    found = {n: ln.analysis.dispersion(ln.BalancedNetwork.ring(), n=n, modes=3).attrs for n in (300, 400)}
    assert [found[n]["unstable"] for n in (300, 400)] == [False, True]
    assert found[400]["leading_mode"].tolist() == [1]
    assert found[400]["kind_of_leading_mode"] == "stationary pattern"


def test_growth_by_patches_approaches_that_of_a_ring_without_patches_as_the_square_of_their_side():
    wide, narrow = ln.GaussianKernel(0.25), ln.GaussianKernel(0.15)
    model = ring(0.3).replace(kernel=((narrow, wide), (wide, wide)))
    found = ln.analysis.patch_convergence(model, (32, 16, 8), n=3200, modes=3)
    assert found["patches"].values.tolist() == [8, 16, 32]
    assert found["waves"].values.tolist() == [[0], [1], [2]]
    assert found["side"].values.ravel().tolist() == [1 / 8, 1 / 16, 1 / 32]
    for k, m in enumerate((8, 16, 32)):
        alone = ln.analysis.dispersion(model.replace(space=ln.Ring(m)), n=3200, modes=[1, 2])
        np.testing.assert_allclose(found["growth"].values[k, 1:], alone["growth"].values[:, 0], rtol=1e-9)
        np.testing.assert_allclose(found["homogeneous_rate"].values[k], alone["homogeneous_rate"].values, rtol=1e-9)
    far = found["difference"].values[:, 1]
    assert far[2] == 0.0
    assert abs(far[1]) > 1e-3
    np.testing.assert_allclose(far[0] / far[1], 5.0, rtol=0.15)  # (1/8^2 - 1/32^2)/(1/16^2 - 1/32^2)
    with pytest.raises(InputError, match="at least two different numbers"):
        ln.analysis.patch_convergence(model, [8, 8])
    with pytest.raises(InputError, match="`space` must be given"):
        ln.analysis.patch_convergence(ln.RateNetwork(), [8, 16])


def test_a_gaussian_ring_has_no_limit_but_a_dispersion_relation():
    model = ring(0.2).replace(kernel=ln.GaussianKernel(0.1))
    found = ln.analysis.dispersion(model, n=20_000, branches=6)
    assert not found.attrs["unstable"]
    assert found["waves"].values.ravel().tolist() == list(range(9))
    fastest = found["growth"].values.min(axis=1)
    assert fastest[0] < 5.0 * fastest[-1]  # the last mode is hardly balanced any more


def test_the_limit_lists_the_modes_that_are_balanced():
    found = ln.analysis.dispersion(ring(0.2))
    assert found["balanced"].values.tolist() == [True, True] + [False] * 7
    assert np.isnan(found["growth"].values[2:]).all()
    assert found["growth"].attrs["units"] == "sqrt(n)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ln.analysis.dispersion(ln.BalancedNetwork()), InputError, "`space` must be given"),
        (lambda: ln.analysis.dispersion(ln.RateNetwork()), InputError, "`space` must be given"),
        (lambda: ln.analysis.dispersion(ring(0.2), modes=[9]), InputError, "at most half of the 16 patches"),
        (lambda: ln.analysis.onset(ring(0.2), "kernel[e,e].amplitude"), InputError, "`between` must be given"),
        (lambda: ln.analysis.onset(ring(0.2), "tau[e]", between=(1.0, 1.1)), LimitError, "No mode begins"),
        (lambda: ln.analysis.dispersion(ring(0.2).replace(drive=(3.0, 0.0))), LimitError, "no homogeneous balanced"),
    ],
)  # fmt: skip
def test_what_has_no_dispersion_relation_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
