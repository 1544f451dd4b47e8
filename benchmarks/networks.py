"""Networks ready to be timed: advance a window at a time."""

from functools import partial

import numpy as np

import largen as ln
from largen.numerics.streams import stream
from largen.systems.balanced.network import run as balanced_run
from largen.systems.spiking.network import run as spiking_network
from largen.systems.spiking.network.graph import store_rows
from largen.systems.spiking.network.state import sample
from largen.systems.spiking.network.step import advance

DT = 0.1


class Spiking:
    """The default spiking network of n neurons, some time after rest; calling it advances it by a window.

    Args:
        n: Neurons.
        connectivity: "annealed" or "quenched".
        graph: "auto", "stored" or "regenerated".
        warm: Steps from rest that are run first.
        window: Steps of a call.
        record: () or ("spikes",).
    """

    def __init__(self, n, connectivity, *, graph="auto", warm=1000, window=None, record=()):
        model = ln.SpikingNetwork(connectivity=connectivity).scaled(n)
        self.size, self.step = model.size, 0
        self.window = window or max(500, 4_000_000 // n)
        self.rounds = 20
        self.drive = np.full((1, 2), 7.0)
        self.network = spiking_network.at_rest(model, DT, partial(stream, 1), self.drive, graph=graph)
        if len(self.network.graph.stored):
            store_rows(self.network.graph, 0, n)
        steps = np.arange(warm + self.rounds * self.window + 1)
        self.out = spiking_network._output(model, self.network.constants, steps, record)
        state = self.network.state
        sample(self.network.constants.edge, state.wait, state.voltage, self.out)
        self.spikes = []
        self.advance(warm)

    def advance(self, steps):
        end = self.step + steps
        while self.step < end:
            self.step = advance(*self.network, self.drive, self.out, self.step, end, False)
            count = self.out.cursor[1]
            self.spikes.append((self.out.spike_step[:count].copy(), self.out.spike_neuron[:count].copy()))
            self.out.cursor[1] = 0

    def __call__(self):
        self.advance(self.window)

    @property
    def work(self):
        """Neuron-steps of a window."""
        return self.window * float(self.size.sum())

    def spikes_per_step(self):
        return float(self.out.spikes.sum()) / self.step


def balanced_cpu(n, method, vectorised=True):
    """CPU time of a run of the balanced network: f(end), the candidates or neuron-steps per unit of time, and two ends.

    n neurons in all, case S3; vectorised=False: the plain kernels.
    """
    model = ln.BalancedNetwork()
    if method == "exact":
        unit, step = balanced_run._candidate_rate(model, model.sizes(n)), None
        ends = (1e6 / unit, (8e6 if vectorised else 3e6) / unit)
    else:
        step = 0.1 / np.sqrt(n / 2)
        unit = n / step
        ends = step * (2e6 // n + 5), step * ((1.6e7 if vectorised else 3e6) // n + 10)

    def run(end):
        keep = balanced_run._vectorised
        balanced_run._vectorised = keep if vectorised else (lambda constants: False)
        options = balanced_run.Options(method, (), step, 1, 1e9)
        balanced_run.run(model, np.array([0.0, end]), n, options, rng=partial(stream, 1), tick=lambda _: None)
        balanced_run._vectorised = keep

    return run, unit, ends
