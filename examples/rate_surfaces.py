"""Neurons stay correlated as the network grows: the rate system's Figure 1.

What: covariance over two times of one neuron (top) and of two neighbours (bottom): the limit, networks of 1000 neurons,
    and the difference of the two.
Source: Faugeras, MacLaurin & Tanre, "Neural networks do not become asynchronous in the large size limit", Figure 1.
    The paper does not print its parameters; these are largen's own (`RateNetwork.correlated`).
Run time: 5 s.
Command: python examples/rate_surfaces.py [--small] [--out rate_surfaces.png]
"""

import argparse

import numpy as np

import largen as ln


def figure(small=False):
    # Parameters
    model = ln.RateNetwork.correlated()
    times = np.arange(7.0 if small else 21.0)  # steps

    # Run
    limit = ln.solve_limit(model, times)
    network = ln.simulate(model, times, n=200 if small else 1000, realisations=4 if small else 64, seed=1)

    # Plot
    return ln.plot.covariance_surfaces(network, limit, lags=(0, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="rate_surfaces.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
