"""Statistics of spiking runs on made signals whose answers are known; false-alarm probability 1e-6 each."""

import numpy as np
import pytest
import scipy.signal
from scipy import stats

import largen as ln
from largen import analysis
from largen.checks import InputError
from largen.statistics import errors, events, rates, signals, spectra, synchrony
from spiking_datasets import SIZE, dataset

LIMIT = stats.norm.isf(5e-7)


def poisson(rate, realisations, steps, seed=1, step=0.1, size=SIZE):
    """Independent Poisson neurons; rate in Hz, shape (population, ...)."""
    rng = np.random.default_rng(seed)
    per_step = step / 1000.0 * size[:, None]
    return rng.poisson(rate * per_step, (realisations, len(size), steps)) / per_step


def near(value, expected, error, limit=LIMIT):
    np.testing.assert_array_less(np.abs(np.asarray(value) - expected), limit * np.asarray(error))


def t_limit(count):
    return stats.t(count - 1).isf(5e-7)


# Rates and errors -----------------------------------------------------------------------------------------------


def test_mean_rates_and_their_errors():
    """40 realisations of Poisson neurons: rates within Student's t, errors within the law of chi."""
    rate = np.array([[20.0], [50.0]])
    found = analysis.summary(dataset(poisson(rate, 40, 10_001)))
    near(found["rate"], rate[:, 0], found["rate_se"], t_limit(40))
    exact = np.sqrt(rate[:, 0] / (SIZE * 0.75) / 40)  # 1 s, the first quarter left out
    low, high = np.sqrt(stats.chi2(39).ppf([5e-7, 1 - 5e-7]) / 39)
    assert np.all((found["rate_se"] / exact > low) & (found["rate_se"] / exact < high))
    assert found.attrs["standard_error"] == "over 40 realisations"
    assert found["rate"].attrs == {"units": "Hz", "long_name": "mean firing rate"}
    assert found.attrs["start"] == pytest.approx(250.0)


def test_one_realisation_has_batch_means():
    found = analysis.summary(dataset(poisson(np.array([[20.0], [50.0]]), 1, 20_001)))
    assert "10 blocks" in found.attrs["standard_error"]
    near(found["rate"], [20.0, 50.0], found["rate_se"], t_limit(10))
    exact = np.sqrt(np.array([20.0, 50.0]) / (SIZE * 1.5))
    low, high = np.sqrt(stats.chi2(9).ppf([5e-7, 1 - 5e-7]) / 9)
    assert np.all((found["rate_se"] / exact > low) & (found["rate_se"] / exact < high))


def test_batch_means_catch_correlated_noise():
    """A slow common modulation makes the error larger than Poisson counts alone would."""
    slow = np.repeat(np.random.default_rng(2).uniform(10, 90, 100), 200)[None]
    found = analysis.summary(dataset(poisson(slow, 1, 20_000)), start=0.0)
    assert found["rate_se"].values[0] > 5 * np.sqrt(50.0 / (300 * 2.0))


def test_too_short_a_run_says_that_errors_are_missing():
    found = analysis.summary(dataset(poisson(np.array([[20.0], [50.0]]), 1, 600)))
    assert np.all(np.isnan(found["rate_se"]))
    assert "too short" in found.attrs["standard_error"]
    assert "rate_se" in found.attrs["status"]


def test_jackknife_of_a_mean_is_its_standard_error():
    rows = np.random.default_rng(3).normal(size=(12, 1))
    assert errors.jackknife(rows, lambda mean: float(mean[0])) == pytest.approx(stats.sem(rows[:, 0]))


def test_deterministic_rates_are_averaged_over_whole_cycles():
    """An offset sine cut off in mid-cycle: its mean is exact, that of the plain window is off."""
    time = np.arange(0.0, 1013.0, 0.1)
    rate = np.stack([50 + 40 * np.sin(2 * np.pi * time / 17.3), 70 + 30 * np.cos(2 * np.pi * time / 17.3)])
    found = analysis.summary(dataset(rate, kind="limit"), start=100.0)
    np.testing.assert_allclose(found["rate"], [50, 70], atol=0.01)
    assert abs(rate[0, 1001:].mean() - 50) > 0.02
    assert np.all(found["rate_se"] == 0)
    assert found.attrs["standard_error"] == "deterministic: 0"
    chain = analysis.summary(dataset(rate, kind="limit", finite_size="true"), start=100.0)
    assert chain["rate_se"].values[0] > 0


def test_deterministic_rates_count_strong_and_weak_cycles_alike():
    """Period 2: bursts of 1.2 and 0.8 spikes at intervals of 11 and 19 ms; the mean of any window length is exact."""
    time = np.arange(0.0, 1300.0, 0.1)
    for end in (1000.0, 1010.0, 1024.0):
        bursts = sum(
            a * stats.norm.pdf(time, c + 30 * np.arange(50)[:, None], 1.0).sum(0) for c, a in ((5, 1.2), (16, 0.8))
        )
        rate = np.stack([1000 * bursts] * 2)[:, time < end]
        np.testing.assert_allclose(
            analysis.summary(dataset(rate, kind="limit"), start=100.0)["rate"], 2000 / 30, rtol=2e-3
        )


# Synchrony ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.1, 0.25, 0.5])
def test_synchrony_of_independent_neurons(step):
    """Poisson neurons: rate times the window, plus 1/n for the spike itself."""
    rate = np.array([20.0, 50.0])
    run = dataset(poisson(rate[:, None], 30, int(1500 / step), step=step), step=step)
    others = rate * 1.1 / 1000
    found = analysis.summary(run)
    near(found["synchrony"], others + 1 / SIZE, found["synchrony_se"], t_limit(30))
    found = analysis.summary(run, self_count="removed")
    near(found["synchrony"], others, found["synchrony_se"], t_limit(30))


def test_synchrony_of_made_volleys_is_exact():
    """Volleys of 150 spikes far apart, and a pair of half volleys 0.5 ms or 0.6 ms apart."""
    rate = np.zeros((2, 1000))
    full = 150 / SIZE / 1e-4
    rate[:, 100::300] = full[:, None]
    found = analysis.summary(dataset(rate[None]), start=0.0)
    np.testing.assert_allclose(found["synchrony"], 150 / SIZE)
    for gap, index in ((5, 150), (6, 75)):
        halves = np.zeros((2, 1000))
        halves[:, 100] = halves[:, 100 + gap] = full / 2
        found = analysis.summary(dataset(halves[None]), start=0.0)
        np.testing.assert_allclose(found["synchrony"], index / SIZE)


@pytest.mark.parametrize("step", [0.2, 0.3, 0.4, 0.5])
def test_synchrony_does_not_depend_on_the_output_grid(step):
    """The network and the limit at multiples of 0.1 ms: the window is that of 0.1 ms, up to what a step blurs."""
    model, every, tolerance = ln.SpikingNetwork(), round(step / 0.1), 0.01 if step < 0.5 else 0.025
    times = np.round(np.arange(6001) * 0.1, 9)
    fine = ln.simulate(model, times, seed=1), ln.solve_limit(model, times)
    for run in fine:
        rate = run["rate"].values[..., 1:]
        count = rate.shape[-1] // every
        coarse = rate[..., : count * every].reshape(*rate.shape[:-1], count, every).mean(-1)
        thin = run.isel(time=slice(0, count * every + 1, every)).copy(deep=True)
        thin["rate"].values[..., 1:] = coarse
        found = analysis.summary(thin, start=100.0)
        np.testing.assert_allclose(found["synchrony"], analysis.summary(run, start=100.0)["synchrony"], rtol=tolerance)
        assert f"interpolated on this grid of {step:g} ms" in found.attrs["synchrony_window"]


def test_the_window_is_exact_on_grids_of_its_own_steps():
    """The sum over lags of a parabola, from its sums over pairs of bins of 2 to 5 steps of 0.1 ms."""
    assert synchrony.window_steps(0.1) == (5, ())
    lags = np.arange(-5, 6)
    for many in (2, 3, 4, 5):
        whole, beyond = synchrony.window_steps(0.1 * many)
        pairs = np.subtract.outer(np.arange(many), np.arange(many)).ravel()
        weights = np.concatenate([np.ones(whole + 1), beyond])
        for power in (0, 2):
            found = sum(
                weight * (1 if k == 0 else 2) * np.mean((k * many + pairs) ** power) * many
                for k, weight in enumerate(weights)
            )
            assert found == pytest.approx(np.sum(lags**power))


def test_a_spectrum_says_the_segment_that_was_used():
    found = analysis.power_spectrum(dataset(poisson(20.0, 2, 3000)), start=0.0, segment=5000.0)
    assert found.attrs["segment"] == pytest.approx(299.9)
    assert found["frequency"].values[1] == pytest.approx(1000 / 299.9)


def test_a_grid_too_coarse_for_a_smoothing_is_said():
    run = dataset(poisson(20.0, 2, 300, step=5.0), step=5.0)
    found = analysis.orbit(run)
    assert found.attrs["smoothing"] == 0.0
    np.testing.assert_array_equal(found["rate"], run["rate"][..., 1:])
    assert "cycle" not in found
    assert analysis.orbit(run, smoothing=10.0).attrs["smoothing"] == 10.0


def test_a_selection_keeps_the_sizes_and_kinds_of_its_populations():
    run = ln.simulate(ln.SpikingNetwork(size=[300, 100]), np.round(np.arange(3001) * 0.1, 9), seed=1)
    whole = analysis.summary(run)
    for part in (run.sel(population=["i", "e"]), run.sel(population="i"), run.isel(realisation=0)):
        found = analysis.summary(part, self_count="removed")
        again = analysis.summary(run, self_count="removed")["synchrony"].sel(population=found["population"])
        np.testing.assert_allclose(found["synchrony"], again)
    turned = analysis.summary(run.sel(population=["i", "e"]))
    np.testing.assert_allclose(turned["orbit_area"], whole["orbit_area"])
    np.testing.assert_allclose(turned["gamma_frequency"], whole["gamma_frequency"])
    old = run.sel(population=["i", "e"])
    del old.attrs["populations"]  # a file of an earlier version
    np.testing.assert_allclose(analysis.summary(old)["orbit_area"], whole["orbit_area"])


def test_synchrony_leaves_out_both_ends():
    rate = np.zeros((2, 101))
    rate[:, [1, 5, 96, 100]] = 1e4  # sample 0 carries no step; of the 100 steps these lie in the first or last five
    rate[:, [50, 52]] = [[1e3], [2e3]]
    found = analysis.summary(dataset(rate[None]), start=0.0)
    np.testing.assert_allclose(found["synchrony"], [0.2, 0.4])


def test_synchrony_of_a_deterministic_limit_has_no_self_count():
    rate = np.full((2, 5000), 40.0)
    for choice in ("included", "removed"):
        found = analysis.summary(dataset(rate, kind="limit"), self_count=choice)
        np.testing.assert_allclose(found["synchrony"], 40.0 * 1.1e-3)


# Spectra --------------------------------------------------------------------------------------------------------


def test_power_spectrum_is_welch():
    rate = poisson(np.array([[20.0], [50.0]]), 3, 30_001)
    found = analysis.power_spectrum(dataset(rate), start=500.0, highest=5000.0)
    frequency, power = scipy.signal.welch(rate[..., 5001:], fs=1e4, nperseg=5000, axis=-1)
    np.testing.assert_allclose(found["frequency"], frequency)
    np.testing.assert_allclose(found["power"], power.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found["power_se"], stats.sem(power, axis=0), rtol=1e-9)
    assert found["frequency"].attrs["units"] == "Hz"
    one = analysis.power_spectrum(dataset(rate[:1]), start=500.0, segment=500.1)  # an odd number of steps
    frequency, power = scipy.signal.welch(rate[0, :, 5001:], fs=1e4, nperseg=5001, noverlap=2501, axis=-1)
    np.testing.assert_allclose(one["power"], power[:, frequency <= 500], rtol=1e-9)


def test_power_spectrum_of_poisson_neurons_is_flat():
    """Shot noise: one-sided 2 r/n, mean over frequencies; one realisation has errors over its segments."""
    found = analysis.power_spectrum(dataset(poisson(np.array([[20.0], [50.0]]), 1, 200_001)))
    flat = 2 * np.array([20.0, 50.0]) / SIZE
    ratio = found["power"].values[:, 1:] / flat[:, None]
    assert "segments of one realisation" in found.attrs["standard_error"]
    exact = np.sqrt((1 + 1 / 18) / 77)  # 77 half overlapping segments
    seen = found["power_se"].values[:, 2:] / flat[:, None]
    assert abs(seen.mean() / exact - 1) < 0.05
    assert abs(ratio.mean() - 1) < LIMIT * exact / np.sqrt(ratio.size / 1.5)


def oscillating(frequency, realisations=10, steps=40_001, seed=4):
    """Inhomogeneous Poisson neurons with bursts at a known frequency, inhibition 2 ms later; random phases."""
    time = 1e-4 * np.arange(steps)
    phase = np.random.default_rng(seed).uniform(0, 1, realisations)

    def bursts(delay, mean):
        wave = np.exp(6 * np.cos(2 * np.pi * (frequency * (time - delay) + phase[:, None])))
        return mean * wave / wave.mean()

    rate = np.stack([bursts(0.0, 50.0), bursts(0.002, 70.0)], axis=1)
    rng = np.random.default_rng(seed + 1)
    per_step = 1e-4 * SIZE[:, None]
    return rng.poisson(rate * per_step) / per_step, rate


def test_gamma_frequency_of_made_bursts():
    noisy, clean = oscillating(63.7)
    found = analysis.summary(dataset(noisy))
    assert found["gamma_frequency"] == pytest.approx(63.7, abs=0.05)
    assert found["event_rate"] == pytest.approx(63.7, rel=0.01)
    assert found["gamma_frequency_se"] < 0.1
    exact = analysis.summary(dataset(clean[0], kind="limit"))
    assert exact["gamma_frequency"] == pytest.approx(63.7, abs=0.03)
    assert exact["event_rate"] == pytest.approx(63.7, abs=0.01)
    one = analysis.summary(dataset(noisy[:1]))
    assert one["gamma_frequency"] == pytest.approx(63.7, abs=0.1)


def test_gamma_frequency_is_not_the_subharmonic():
    """Bursts at 60 Hz ride on a larger swell at 30 Hz: the highest peak is at 30 Hz, gamma is at 60 Hz."""
    time = 1e-4 * np.arange(40_001)
    bursts = np.exp(8 * np.cos(2 * np.pi * 60 * time))
    wave = bursts / bursts.mean() + 2.2 * (1 + np.cos(2 * np.pi * 30 * time))
    rate = np.stack([50 * wave / wave.mean()] * 2)
    found = analysis.summary(dataset(rate, kind="limit"))
    spectrum = analysis.power_spectrum(dataset(rate, kind="limit"))["power"].values[0]
    assert np.argmax(spectrum) == 15  # on a grid of 2 Hz
    assert found["gamma_frequency"] == pytest.approx(60.0, abs=0.05)


def test_peak_is_found_between_grid_points_and_only_within_the_band():
    grid = np.arange(0.0, 200.0, 2.0)
    power = np.exp(-((grid - 61.3) ** 2) / 50) + 9 * np.exp(-((grid - 30) ** 2) / 50)
    assert spectra._peak(grid, power, 45, 90) == pytest.approx(61.3, abs=0.01)
    assert np.isnan(spectra._peak(grid, power, 100, 150))


# Events and orbits ----------------------------------------------------------------------------------------------


def test_firing_events_of_made_bursts():
    """Gaussian bursts of 0.8 and 0.9 spikes per neuron every 15 ms: onset, size, interval, height in closed form."""
    time = 0.1 * np.arange(30_001) - 0.05  # middles of the steps
    width, period = 1.0, 15.0
    centres = np.arange(10.0, 3000.0, period)
    wave = sum(np.exp(-((time - c) ** 2) / 2 / width**2) for c in centres) / (width * np.sqrt(2 * np.pi))
    spikes = np.array([0.8, 0.9])
    found = analysis.firing_events(dataset(1000 * spikes[:, None] * wave, kind="limit"), start=500.0)
    np.testing.assert_allclose(found["interval"], period, atol=1e-6)
    broad = np.hypot(width, signals.SMOOTHING)
    np.testing.assert_allclose(found["height"].mean("event"), 1000 * spikes / broad / np.sqrt(2 * np.pi), rtol=1e-3)
    # Above the mean 1/period for |t| < half, where the smoothed Gaussian falls below it.
    half = broad * np.sqrt(2 * np.log(period / broad / np.sqrt(2 * np.pi)))
    np.testing.assert_allclose(found["onset"] - centres[np.searchsorted(centres, found["onset"])], -half, atol=0.11)
    np.testing.assert_allclose(found["duration"], 2 * half, atol=0.2)
    size = spikes * (2 * stats.norm.cdf(half / width) - 1)
    np.testing.assert_allclose(found["size"].mean("event"), size, rtol=2e-3)
    assert set(found["event_realisation"].values) == {0}
    totals = analysis.summary(dataset(1000 * spikes[:, None] * wave, kind="limit"), start=500.0)
    np.testing.assert_allclose(totals["event_size"], size, rtol=2e-3)
    assert totals["event_interval_sd"] == pytest.approx(0.0, abs=1e-6)


def test_signed_area_of_an_ellipse():
    """Rates e = a sin, i = b sin(. - lag): area pi a b sin(lag) per cycle, positive where excitation leads."""
    time = 1e-4 * np.arange(20_001)
    for lag in (0.7, -0.7):
        turn = 2 * np.pi * 50 * time
        rate = np.stack([60 + 40 * np.sin(turn), 60 + 30 * np.sin(turn - lag)])
        found = analysis.summary(dataset(rate, kind="limit"))
        damp = np.exp(-((2 * np.pi * 0.05 * signals.SMOOTHING) ** 2))  # both rates are smoothed
        assert found["orbit_area"] == pytest.approx(np.pi * 40 * 30 * np.sin(lag) * damp, rel=2e-3)
    square = events.signed_area(np.array([0.0, 1, 1, 0]), np.array([0.0, 0, 1, 1]))
    assert square == 1.0


def test_orbit_smooths_and_averages_cycles():
    noisy, clean = oscillating(50.0)
    found = analysis.orbit(dataset(noisy), smoothing=2.0)
    assert found["rate"].dims == ("realisation", "population", "time")
    assert found["rate"].sizes["time"] == 40_000
    assert found.attrs["cycles"] > 0.9 * 10 * 50 * 3.5
    exact = analysis.orbit(dataset(clean[0], kind="limit"), smoothing=2.0)
    assert exact["rate"].dims == ("population", "time")
    assert np.abs(found["cycle"] - exact["cycle"]).max() < 0.05 * exact["cycle"].max()
    np.testing.assert_allclose(exact["cycle"].mean("phase"), [50, 70], rtol=0.01)


def test_a_fixed_point_has_no_events_and_says_so():
    rate = np.full((2, 20_001), 40.0)
    found = analysis.summary(dataset(rate, kind="limit"))
    np.testing.assert_array_equal(found["rate"], 40.0)
    assert np.isnan(found["gamma_frequency"])
    assert "gamma_frequency" in found.attrs["status"]
    assert analysis.firing_events(dataset(rate, kind="limit")).sizes["event"] == 0
    assert "cycle" not in analysis.orbit(dataset(rate, kind="limit"))


def test_a_silent_population_has_no_synchrony_and_says_so():
    rate = poisson(np.array([[20.0], [0.0]]), 4, 20_001)
    found = analysis.summary(dataset(rate))
    assert np.isnan(found["synchrony"].values[1])
    assert "synchrony" in found.attrs["status"]
    assert found["rate"].values[1] == 0


def test_three_populations_are_pooled_by_kind():
    """Splitting E into two equal halves changes no statistic of the whole."""
    noisy, _ = oscillating(60.0, realisations=4)
    two = analysis.summary(dataset(noisy))
    split = dataset(noisy[:, [0, 0, 1]], size=[150, 150, 100], inhibitory=(False, False, True))
    three = analysis.summary(split)
    for name in ("gamma_frequency", "event_rate", "orbit_area"):
        assert float(three[name]) == pytest.approx(float(two[name]), rel=1e-9)
    only = dataset(noisy[:, [0, 0]], size=[150, 150], inhibitory=(False, False))
    assert "orbit_area" not in analysis.summary(only)


def test_sizes_follow_n():
    """Parameters are those of the model as given; the Dataset's sizes say how many neurons there were."""
    run = dataset(poisson(np.array([[20.0], [50.0]]), 4, 10_001))
    run.attrs["sizes"] = np.array([3000, 1000])
    np.testing.assert_array_equal(signals.read(run, None).size, [3000, 1000])


def test_crossings_and_window():
    np.testing.assert_array_equal(rates.upward_crossings(np.array([0.0, 2, 0, 2, 2, 0])), [1, 3])
    found = signals.read(dataset(np.arange(60.0).reshape(1, 2, 30), step=0.5, start=100.0), 105.0)
    assert found.times[0] == 105.5
    assert found.rate[0, 0, 0] == 11.0
    assert np.all(np.isnan(synchrony.synchrony_index(found.part(0, 2))))  # no step with a whole window


# Summaries and errors -------------------------------------------------------------------------------------------


def uneven(run):
    times = run["time"].values.copy()
    times[5:] += 0.05
    return run.assign_coords(time=times)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda run: "run", "but is str"),
        (lambda run: run.rename(rate="speed"), "with the variables speed"),
        (lambda run: run.assign(rate=run["rate"].assign_attrs(units="1")), "`rate` in Hz"),
        (lambda run: run.isel(time=slice(None, None, 10)), "at most 0.5 ms apart"),
        (uneven, "uniformly spaced"),
        (lambda run: run.isel(time=slice(2)), "at least three times"),
        (lambda run: run.where(run.time < 50), "hold finite rates"),
    ],
)
def test_bad_datasets_are_refused(bad, words):
    run = bad(dataset(poisson(np.array([[20.0], [50.0]]), 2, 1001)))
    with pytest.raises(InputError, match=words):
        analysis.summary(run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 99.9}, "lie before the end"),
        ({"start": -1.0}, "at least 0"),
        ({"self_count": "maybe"}, "one of 'included', 'removed'"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        analysis.summary(dataset(poisson(np.array([[20.0], [50.0]]), 2, 1001)), **options)


def test_metastability_says_why_numbers_are_missing():
    rate = np.zeros((1, 2, 4000))
    rate[:, :, 1000:] = 50.0
    found = analysis.metastability(dataset(rate), thresholds=(10.0, 20.0), gap=0.0, start=0.0)
    assert np.isnan(found["survival"]).any()
    assert "no dwell in the state `bursting` was seen whole" in found.attrs["status"]
