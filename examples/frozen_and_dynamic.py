"""What part of a correlation is frozen by the weights, and what part fluctuates.

What: correlation of two neurons against their distance on the ring, and its frozen and dynamic parts, in the limit
    (lines) and in networks of 1000 neurons (points, two standard errors); correlated weights (left) and independent
    ones (right), whose neurons decorrelate.
Source: Faugeras, MacLaurin & Tanre; the split into two parts is largen's (docs/rate.md).
Run time: 5 s.
Command: python examples/frozen_and_dynamic.py [--small] [--out frozen_and_dynamic.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln


def figure(small=False):
    # Parameters
    models = {"correlated weights": ln.RateNetwork.correlated(), "independent weights": ln.RateNetwork.independent()}
    times = np.arange(9.0)  # steps
    lags = 5

    # Run and plot
    page = Figure(figsize=(9, 3.4), layout="constrained")
    for ax, (title, model) in zip(page.subplots(1, 2, sharey=True), models.items(), strict=True):
        limit = ln.solve_limit(model, times, lags=lags)
        network = ln.simulate(
            model, times, n=200 if small else 1000, realisations=4 if small else 64, seed=1, lags=lags
        )
        ln.plot.correlation_against_lag(
            ln.analysis.correlation_against_lag(limit), network=ln.analysis.correlation_against_lag(network), ax=ax
        )
        ax.set_title(title, loc="left", fontsize=10)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="frozen_and_dynamic.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
