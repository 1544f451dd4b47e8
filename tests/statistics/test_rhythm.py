"""Whether a sample has a rhythm: made trains of which it is known; what `compare` and `fit` make of those without."""

import numpy as np
import pytest
from scipy.stats import binom

import largen as ln
from largen.statistics.events import find_cycles
from largen.statistics.rhythm import CHANCE, shows_rhythm
from largen.statistics.signals import read
from spiking_datasets import SIZE, dataset

RATE = 20.0


def trains(realisations, steps, seed, *, frequency=0.0, depth=0.0):
    """Poisson neurons whose common rate is modulated (Hz, relative), with another phase in each realisation."""
    rng = np.random.default_rng(seed)
    phase = 2.0 * np.pi * (frequency * 1e-4 * np.arange(steps) + rng.uniform(size=(realisations, 1, 1)))
    per_step = 1e-4 * SIZE[:, None]
    made = rng.poisson(RATE * (1.0 + depth * np.cos(phase)) * per_step) / per_step
    return dataset(np.concatenate([np.zeros((realisations, len(SIZE), 1)), made], axis=-1))


def shown(run):
    signals = read(run, 0.0)
    found = [find_cycles(signals.realisation(r)) for r in range(len(signals.rate))]
    intervals = np.concatenate([cycles.following - cycles.onset for cycles in found]) * signals.step
    return shows_rhythm(signals, 1000.0 / intervals.mean())


@pytest.mark.parametrize("realisations", [1, 3, 16])
def test_independent_neurons_show_no_rhythm(realisations):
    """A false alarm comes in at most a share of `CHANCE` of samples; that many of 30 in one case in a million."""
    said = sum(shown(trains(realisations, 12_000 // realisations, seed)) for seed in range(30))
    assert binom.sf(said - 1, 30, CHANCE) > 1e-6


@pytest.mark.parametrize("frequency", [30.0, 60.0])
@pytest.mark.parametrize("realisations", [1, 3, 16])
def test_a_common_modulation_is_shown(realisations, frequency):
    """Of half the rate: 0.8 of the variance of the smoothed rate (36 to 48 Hz^2; shot noise of 400 neurons is 9.4)."""
    assert all(shown(trains(realisations, 8_000, seed, frequency=frequency, depth=0.5)) for seed in range(5))


def test_the_comparison_of_two_recordings_without_rhythm_has_no_gamma_frequency():
    """The highest peaks of two spectra of noise lie anywhere: their difference is no difference of the networks."""
    found = ln.compare(trains(4, 6_000, 1), trains(4, 6_000, 2))
    assert "gamma_frequency" not in found["component"]
    assert "gamma_frequency (neither side has rhythm)" in found.attrs["not_compared"]
    with_it = ln.compare(*(trains(4, 6_000, k, frequency=60.0, depth=0.5) for k in (1, 2)))
    assert "gamma_frequency" in with_it["component"]


def test_a_fit_leaves_out_the_gamma_frequency_of_trials_without_rhythm_and_refuses_it_by_name():
    rng = np.random.default_rng(5)
    model = ln.SpikingNetwork()
    rec = ln.recording(
        rng.uniform(0, 300, 14_400), rng.integers(0, 400, 14_400), trials=np.repeat(np.arange(6), 2400),
        populations={"e": range(300), "i": range(300, 400)}, t_start=0, t_stop=300,
    )  # fmt: skip
    how = {"free": ["external_rate"], "strict": False, "check": False, "starts": 1, "iterations": 2, "profile": False}
    found = ln.fit(model, rec, **how)
    assert found["datum"].values.tolist() == ["rate[e]", "rate[i]", "synchrony[e]", "synchrony[i]"]
    assert found.attrs["left_out"].startswith("`gamma_frequency` is not fitted: its realisations show no rhythm")
    with pytest.raises(ln.InputError, match="`observables` must leave out `gamma_frequency`: its realisations show no"):
        ln.fit(model, rec, observables=["rate", "gamma_frequency"], **how)
