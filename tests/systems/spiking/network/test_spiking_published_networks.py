"""Networks of the literature against their published numbers, and those of NEST 3.10; all take seconds to a minute.

Tolerances are four standard errors of the difference, as measured over seeds and graphs, unless said.
"""

import numpy as np
import pytest

import largen
from largen.analysis import spike_trains, summary
from largen.systems.spiking import SpikingNetwork

pytestmark = pytest.mark.long


def rates_of(run, start):
    return run["rate"].where(run["time"] > start).mean(("realisation", "time")).values


@pytest.mark.parametrize(
    ("connectivity", "rates", "cv", "width"),
    [("quenched", (37.44, 37.62), 0.422, 0.01), ("annealed", (37.47, 37.62), 0.645, 0.015)],
)
def test_brunel_asynchronous_irregular(connectivity, rates, cv, width):
    """Brunel (2000), g = 5, eta = 2, 12 500 neurons: NEST's rates and CV where the graph is fixed.

    With fresh sources at every spike the rates stay and the trains are far more irregular.
    """
    model = SpikingNetwork.brunel(g=5, eta=2).replace(connectivity=connectivity)
    run = largen.simulate(model, np.arange(0.0, 1701.0, 1.0), realisations=1, record="spikes", seed=1)
    np.testing.assert_allclose(rates_of(run, 200.0), rates, atol=0.8)
    assert np.all(np.abs(spike_trains(run, start=200.0)["cv"].values - cv) < width)


def test_kicks_at_release():
    """Cai et al. (2021) in steps of 0.05 ms: rates and synchrony near those of their recording (22.5, 57.9, 0.121)."""
    times = np.arange(0.0, 5000.01, 0.05)
    run = largen.simulate(SpikingNetwork.kicks(), times, realisations=3, dt=0.05, seed=1)
    np.testing.assert_allclose(rates_of(run, 500.0), (22.84, 58.0), atol=1.2)
    assert abs(summary(run, start=500.0)["synchrony"].values[0] - 0.118) < 0.02


def test_a_tenth_of_the_microcircuit_has_the_rates_of_nest():
    """Potjans & Diesmann (2014) at scale 0.1, three graphs each; NEST 3.10 with fixed_total_number."""
    run = largen.simulate(
        SpikingNetwork.microcircuit(scale=0.1), np.arange(0.0, 701.0, 10.0), realisations=3, seed=2
    )  # fmt: skip
    nest = np.array([0.480, 2.127, 3.994, 5.020, 6.757, 7.788, 0.858, 7.024])
    graphs = np.array([0.055, 0.083, 0.064, 0.034, 0.25, 0.10, 0.044, 0.045])  # standard deviation over graphs
    assert np.all(np.abs(rates_of(run, 100.0) - nest) < 4.0 * graphs * np.sqrt(2.0 / 3.0))
