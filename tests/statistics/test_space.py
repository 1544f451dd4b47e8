"""Statistics of activity on a ring or sheet, on made-up activity with a known answer."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import largen as ln
from largen.checks import InputError
from largen.comparison.decisions import Differences, p_beyond, pooled, welch
from largen.statistics import space

RNG = np.random.default_rng(11)


def made(values, shape, length, step=1.0, unit="1", size=None):
    """A Dataset with `patch_rate` (realisation, population, patch, time) in steps of `step`."""
    _, kinds, patches, steps = values.shape
    dims = ("realisation", "population", "patch", "time")
    coords = {"population": list("ei")[:kinds], "time": ("time", step * np.arange(steps), {"units": "ms"})}
    for name, column in zip("xy", ln.Torus(shape, length).centres().T if len(shape) > 1 else
                            ln.Ring(shape[0], length[0]).centres().T, strict=False):  # fmt: skip
        coords[name] = ("patch", column)
    attrs = {"system": "balanced", "kind": "network"}
    if size is not None:
        coords["patch_size"] = (("population", "patch"), np.full((kinds, patches), size))
    return xr.Dataset({"patch_rate": (dims, values, {"units": unit})}, coords, attrs)


def travelling(kx, ky, hertz, backward=0.0, noise=1.0):
    """Waves on a sheet of 8 x 6 patches of 2.0 x 1.5, 400 ms."""
    x, y = np.meshgrid(2.0 * np.arange(8) / 8, 1.5 * np.arange(6) / 6, indexing="ij")
    t = np.arange(401.0)
    phase = 2.0 * np.pi * (kx * x / 2.0 + ky * y / 1.5).ravel()[:, None]
    turn = 2.0 * np.pi * hertz * t / 1000.0
    out = np.cos(phase - turn) + backward * np.cos(phase + turn)
    return out + noise * RNG.standard_normal((4, 1, 48, 401))


def test_a_wave_has_its_direction_and_speed():
    found = ln.analysis.wave(made(travelling(1, 2, 25.0), (8, 6), (2.0, 1.5)), segment=200.0)
    q = 2.0 * np.pi * np.array([1 / 2.0, 2 / 1.5])
    assert float(found["direction"][0]) == pytest.approx(np.arctan2(q[1], q[0]), abs=0.03)
    assert float(found["frequency"][0]) == 25.0
    assert float(found["speed"][0]) == pytest.approx(2.0 * np.pi * 0.025 / np.linalg.norm(q), rel=1e-12)
    assert [int(found[f"wave_{a}"][0]) for a in "xy"] == [1, 2]
    assert np.all(np.abs(found["t"].values) > 10)
    back = ln.analysis.wave(made(travelling(-1, -2, 25.0), (8, 6), (2.0, 1.5)))
    assert np.allclose(back["net"].values, -found["net"].values, atol=0.05)


def test_a_standing_wave_has_no_direction():
    found = ln.analysis.wave(made(travelling(2, 0, 25.0, backward=1.0), (8, 6), (2.0, 1.5)))
    assert np.all(np.abs(found["net"].values) < 0.02)
    assert np.all(np.abs(found["t"].values) < 12.0)  # four realisations: |t| of 12 has a false alarm of 1e-3


def test_a_wave_on_a_ring():
    x, t = np.arange(16) / 16, np.arange(301.0)
    values = np.cos(2 * np.pi * (2 * x[:, None] + 0.02 * t)) + 0.1 * RNG.standard_normal((1, 1, 16, 301))
    found = ln.analysis.wave(made(values, [16], [3.0]), segment=100.0)
    assert float(found["direction"][0]) == pytest.approx(np.pi)
    assert float(found["speed"][0]) == pytest.approx(0.02 * 3.0 / 2)
    assert found.attrs["samples"] > 1


def test_maps_and_their_bins():
    values = np.arange(2 * 1 * 6 * 9, dtype=float).reshape(2, 1, 6, 9)
    found = ln.analysis.activity_map(made(values, (3, 2), (3.0, 1.0)), bin=4.0)
    assert found["activity"].dims == ("realisation", "population", "x", "y", "time")
    assert found["activity"].values[1, 0, 2, 1].tolist() == [values[1, 0, 5, 1:5].mean(), values[1, 0, 5, 5:9].mean()]
    assert found["time"].values.tolist() == [2.0, 6.0]
    assert found["x"].values.tolist() == [0.5, 1.5, 2.5]


def test_power_by_shell_of_independent_counts_is_the_counting_noise():
    rate, size, step = 8.0, 50, 2.0
    counts = RNG.poisson(rate * size * step / 1000.0, (6, 1, 48, 801))
    run = made(counts / size / (step / 1000.0), (8, 6), (2.0, 1.5), step, "Hz", size)
    found = ln.analysis.spectrum(run)
    floor = float(found["counting_noise"][0])
    assert floor == pytest.approx(rate / (size * step / 1000.0) / 48, rel=0.02)
    z = (found["shell_power"].values[0] - floor) / found["shell_power_se"].values[0]
    assert np.all(np.abs(z) < 8.0)  # six realisations
    assert found["shell_power"].values[0] == pytest.approx(floor, rel=0.08)
    function = ln.analysis.correlation_function(run)
    assert abs(float(function["covariance"][0, 0])) < 0.05 * floor * 48


def test_the_correlation_function_is_that_of_the_brute_force_sum_and_finds_a_length():
    ring, length = 24, 1.0
    d = np.minimum(np.arange(ring), ring - np.arange(ring)) * length / ring
    wanted = np.exp(-d / 0.08)
    root = np.sqrt(np.maximum(np.fft.fft(wanted).real, 0.0))
    noise = RNG.standard_normal((8, 1, ring, 500))
    values = np.fft.ifft(np.fft.fft(noise, axis=2) * root[:, None], axis=2).real
    run = made(values + np.arange(ring)[:, None], [ring], [length])  # and a frozen map
    found = ln.analysis.correlation_function(run)
    moving = values[..., 1:] - values[..., 1:].mean(-1, keepdims=True)
    for k in (0, 1, 5):
        brute = np.mean(np.sum(moving * np.roll(moving, k, axis=2), axis=-1) / 498)
        assert float(found["covariance"][0, k]) == pytest.approx(brute, rel=1e-9)
    assert float(found["length"][0]) == pytest.approx(0.08, rel=0.1)


def test_no_length_where_all_patches_move_together():
    values = RNG.standard_normal((3, 1, 1, 200)) + 0.01 * RNG.standard_normal((3, 1, 12, 200))
    assert np.isnan(ln.analysis.correlation_function(made(values, [12], [1.0]))["length"].values).all()


def test_shells_of_a_comparison_keep_their_level_and_find_twenty_per_cent():
    # Log power of 4 against 16 realisations with 30 effective samples: pooled variance, 20 000 tables of 6 rows.
    def logs(runs, factor=1.0):
        return np.log(factor * RNG.chisquare(60, (20_000, runs, 6)) / 60)

    def p(ours, theirs, test):
        sides = [Differences(x.mean(1), x.std(1, ddof=1) / x.shape[1] ** 0.5, np.full((20_000, 6), x.shape[1] - 1.0))
                 for x in (ours, theirs)]  # fmt: skip
        return p_beyond(test(*sides), np.full((20_000, 6), 1e-12))

    wrong = np.mean(p(logs(4), logs(16), pooled).min(1) < 0.05 / 6)
    assert 0.042 < wrong < 0.058
    assert np.mean(p(logs(4, 1.2), logs(16), pooled).min(1) < 0.05 / 6) > 0.5
    exact = Differences(np.zeros(1), np.zeros(1), np.full(1, np.inf))
    one = Differences(np.ones(1), np.full(1, 0.3), np.full(1, 3.0))
    assert pooled(one, exact) == welch(one, exact)


def test_a_comparison_has_rows_of_shells():
    quiet = RNG.standard_normal((6, 1, 16, 200))
    loud = quiet[:4].copy()
    loud += 2.0 * np.cos(2 * np.pi * 2 * np.arange(16) / 16)[:, None] * RNG.standard_normal((4, 1, 1, 200))
    features: Any = space.shell_features(made(quiet, [16], [1.0]))["log_power"]
    louder: Any = space.shell_features(made(loud, [16], [1.0]))["log_power"]
    assert features.labels == ("e,1", "e,2", "e,3", "e,4", "e,5")
    more = louder.estimate - features.estimate
    assert np.argmax(more) == 1
    assert more[1] > 1.0 > 0.3 > abs(more[3])
    assert "several realisations" in space.shell_features(made(quiet[:1], [16], [1.0]))["log_power"]
    assert "no power" in space.shell_features(made(0.0 * quiet, [16], [1.0]))["log_power"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run: ln.analysis.activity_map(run.drop_vars("patch_rate")), "must hold `patch_rate`"),
        (lambda run: ln.analysis.activity_map(run, bin=1.5), "`bin` must be a multiple of the step"),
        (lambda run: ln.analysis.activity_map(run, bin=99.0), "at least one bin"),
        (lambda run: ln.analysis.spectrum(run, by="frequency"), "'wavenumber'"),
        (lambda run: ln.analysis.activity_map(run, start=99.0), "`start` must lie before the last time"),
        (lambda run: ln.analysis.wave(run, segment=2.0), "at least four bins"),
        (lambda run: ln.analysis.wave(run, segment=float("nan")), "`segment`"),
        (lambda run: ln.analysis.wave(made(run.patch_rate.values[..., :2, :], [2], [1.0])), "at least three patches"),
        (lambda run: ln.analysis.wave(run.isel(time=[0, 1, 3, 4])), "uniformly spaced"),
    ],
)
def test_bad_input_is_refused(make, message):
    run = made(RNG.standard_normal((2, 1, 6, 12)), [6], [1.0])
    with pytest.raises(InputError, match=message):
        make(run)
