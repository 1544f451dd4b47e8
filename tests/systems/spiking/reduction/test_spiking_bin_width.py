"""The rule for the bin width."""

import numpy as np
import pytest

from largen.systems.spiking.model import SpikingNetwork
from largen.systems.spiking.reduction.bin_width import automatic_width, widest_good

MODEL = SpikingNetwork()


def test_width_follows_the_noise():
    assert automatic_width(MODEL, np.array([[7.0, 7.0]]), 0.1) == 4.0
    quiet = SpikingNetwork(strength=np.zeros((2, 2)), membrane_time=20.0, external_rate=100.0)
    # Without synapses the rule has a closed form: half of sqrt(lambda / tau_m^2 * tau_m / 2).
    drive = np.array([[100.0, 100.0]])
    assert widest_good(quiet, drive, 0.1) == pytest.approx(0.5 * np.sqrt(100.0 / 40.0))
    assert automatic_width(quiet, drive, 0.1) == pytest.approx(100.0 / 127.0)
    free = SpikingNetwork(strength=np.zeros((2, 2)))
    assert widest_good(free, drive, 0.1) == np.inf
