"""Statistics of spike trains against closed forms: Poisson and gamma processes, thinned common input, spread rates.

Fixed seeds; tolerances are four to five standard errors of the estimate itself (false alarms below 1e-4 each).
"""

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from largen.analysis import spike_trains
from largen.checks import InputError


def recording(trains, duration, realisations=1):
    """A Dataset of one population from rows of (realisation, neuron, times)."""
    run = np.concatenate([np.full(len(times), r) for r, _, times in trains]).astype(np.int32)
    neuron = np.concatenate([np.full(len(times), i) for _, i, times in trains]).astype(np.int32)
    size = 1 + max(i for _, i, _ in trains)
    return xr.Dataset(
        {
            "rate": (("realisation", "population", "time"), np.zeros((realisations, 1, 2)), {"units": "Hz"}),
            "spike_time": ("spike", np.concatenate([times for _, _, times in trains])),
            "spike_neuron": ("spike", neuron),
            "spike_population": ("spike", np.zeros(len(run), np.int32)),
            "spike_realisation": ("spike", run),
        },
        {"time": [0.0, duration], "population": ["e"], "realisation": np.arange(realisations)},
        {"system": "spiking", "kind": "network", "sizes": [size], "populations": "e", "n": size},
    )


def renewal(rng, shape, rate, duration):
    """Times (ms) of a gamma process of this shape in its stationary state; shape 1 is Poisson."""
    count = int(1.5 * rate * duration / 1000.0 + 60)
    times = np.cumsum(rng.gamma(shape, 1000.0 / rate / shape, count)) - 1000.0
    return times[(times > 0.0) & (times < duration)]


@pytest.mark.parametrize("shape", [1, 2, 4])
def test_gamma_processes(shape):
    """CV 1/sqrt(k), LvR without refractoriness 3/(2k + 1); in long windows the Fano factor is CV^2 (Cox 1962)."""
    rng, duration = np.random.default_rng(shape), 20_000.0
    data = recording([(0, i, renewal(rng, shape, 40.0, duration)) for i in range(100)], duration)
    found = spike_trains(data, start=0.0, window=500.0, refractoriness=0.0)
    assert abs(found["cv"] - shape**-0.5) < 5.0 * found["cv_se"] + 0.003
    assert abs(found["lvr"] - 3.0 / (2 * shape + 1)) < 5.0 * found["lvr_se"]
    assert abs(found["fano_factor"] - 1.0 / shape) < 5.0 * found["fano_factor_se"] + 0.1 / (shape * 20.0)
    assert abs(found["rate"] - 40.0) < 5.0 * found["rate_se"]
    assert abs(found["correlation"]) < 5.0 * found["correlation_se"]
    assert found["rate_spread"] < 1.0  # all have one rate; what counting makes of it alone is 1.4/sqrt(k)
    assert found["neurons"] == 100


def test_local_variation_follows_a_slow_change_of_rate_and_cv_does_not():
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.exponential(20.0, 40_000))
    slow = times + 15.0 * 2000.0 / (2 * np.pi) * np.sin(2 * np.pi * times / 50_000.0)
    found = spike_trains(recording([(0, 0, np.sort(slow))], float(slow.max())), start=0.0, refractoriness=0.0)
    assert abs(found["lvr"].item() - 1.0) < 0.02
    assert found["cv"].item() > 1.01


@pytest.mark.parametrize("refractoriness", [0.0, 5.0])
def test_local_variation_of_a_poisson_process_with_a_dead_time(refractoriness):
    """Of two intervals 5 + x, 5 + y the sum x + y = s is gamma, and (x - y)^2 has the mean s^2/3 given s."""
    rng = np.random.default_rng(4)
    times = np.cumsum(5.0 + rng.exponential(15.0, 40_000))
    found = spike_trains(recording([(0, 0, times)], float(times.max())), start=0.0, refractoriness=refractoriness)

    def term(s):
        return (s / (s + 10.0)) ** 2 * (1.0 + 4.0 * refractoriness / (s + 10.0)) * stats.gamma(2, scale=15.0).pdf(s)

    assert found["lvr"].item() == pytest.approx(integrate.quad(term, 0.0, np.inf)[0], abs=0.015)


def test_correlation_of_a_thinned_common_train():
    """Neurons that each keep a spike of one Poisson train with probability c have correlation c in short bins."""
    rng, share, duration = np.random.default_rng(5), 0.2, 50_000.0
    parent = np.sort(rng.uniform(0.0, duration, 2500))
    trains = [(0, i, parent[rng.random(parent.size) < share]) for i in range(60)]
    data = recording(trains, duration)
    found = spike_trains(data, start=0.0, bin_width=2.0)
    assert abs(found["correlation"] - share) < 5.0 * found["correlation_se"]
    pairs = np.corrcoef([np.histogram(t, np.arange(0.0, duration + 1.0, 2.0))[0] for _, _, t in trains])
    assert found["correlation"].item() == pytest.approx(pairs[np.triu_indices(60, 1)].mean(), abs=1e-6)


def test_the_spread_of_rates_is_without_the_counting_noise():
    """Rates of 10 ± 3 Hz over 2 s: counting alone would add sqrt(10/2) Hz."""
    rng, duration = np.random.default_rng(6), 2000.0
    rates = rng.normal(10.0, 3.0, 4000).clip(0.5)
    data = recording([(0, i, renewal(rng, 1, rate, duration)) for i, rate in enumerate(rates)], duration)
    found = spike_trains(data, start=0.0)
    assert abs(found["rate_spread"] - rates.std()) < 5.0 * found["rate_spread_se"]
    assert found["rate_spread_se"] < 0.15


def test_realisations_give_the_errors():
    rng, duration = np.random.default_rng(7), 4000.0
    trains = [(r, i, renewal(rng, 1, 30.0, duration)) for r in range(4) for i in range(30)]
    found = spike_trains(recording(trains, duration, realisations=4))
    assert found["neurons"] == 120
    error = np.sqrt(30.0 / (3.6 * 120))  # of a Poisson count
    assert abs(found["rate"].item() - 30.0) < 5.0 * error
    assert 0.1 * error < found["rate_se"].item() < 3.0 * error


def test_what_cannot_be_measured_is_refused_or_nan():
    data = recording([(0, 0, np.array([10.0, 50.0])), (0, 1, np.array([70.0]))], 1000.0)
    found = spike_trains(data, start=0.0)
    assert np.isnan(found["cv"])
    assert found["neurons"] == 0
    with pytest.raises(InputError, match="`window` must fit twice"):
        spike_trains(data, window=900.0)
    with pytest.raises(InputError, match="`start` must lie"):
        spike_trains(data, start=1000.0)
    with pytest.raises(InputError, match="hold spikes"):
        spike_trains(data[["rate"]])
