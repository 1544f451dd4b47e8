"""The README's picture: gamma oscillations of 400 spiking neurons, and their reduction.

What: raster, rates, spectra and orbit of 16 networks, the reduction, the reduction with finite-size noise, and the
    distance between them: what `largen run gamma` draws.
Source: Chang et al. 2024 (arXiv 2411.14801), Table 1 and its gamma oscillation.
Run time: 10 s.
Command: python examples/gamma.py [--small] [--out gamma.png]
"""

import argparse

import numpy as np

import largen as ln


def figure(small=False):
    # Parameters
    model = ln.SpikingNetwork()  # 300 excitatory and 100 inhibitory neurons
    times = np.arange(2_001 if small else 10_001) * 0.1  # ms
    realisations = 3 if small else 16

    # Run
    network = ln.simulate(model, times, realisations=realisations, seed=1, record="spikes")
    limit = ln.solve_limit(model, times)
    finite = ln.solve_limit(model, times, finite_size=True, realisations=realisations, seed=1)

    # Compare and plot
    report = ln.compare(network, limit, finite=finite)
    return ln.plot.overview(network, limit, finite=finite, report=report, title="gamma")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="gamma.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
