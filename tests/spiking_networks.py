"""Networks of pending synapses by numbers of inputs, for the tests of the reductions."""

import numpy as np

import largen as ln


def network(inhibitory, strength, inputs, decay, membrane_time, external_rate):
    """A network of 20 000 neurons, or of 30 000 and 10 000, by mean number of inputs and decay time of each source."""
    size = (20000,) if len(inhibitory) == 1 else (30000, 10000)
    count = len(size)
    return ln.SpikingNetwork(
        size=size, inhibitory=inhibitory, strength=np.reshape(strength, (count, count)),
        probability=np.tile(np.array(inputs) / size, (count, 1)), decay=np.tile(decay, (count, 1)),
        membrane_time=membrane_time, external_rate=external_rate, refractory_time=2.0,
    )  # fmt: skip


SPARSE = network([False, True], [3.0, 9.0, 5.0, 10.0], [60.0, 20.0], [3.0, 10.0], 20.0, 100.0)
