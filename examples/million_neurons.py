"""A network of a million neurons whose weights are never stored.

What: networks of 10^6 rate neurons with correlated weights against their limit (bars: two standard errors over four
    draws). The weights would fill 4 TB in single precision; given the past, their effect on each new direction of the
    inputs is white noise, so that drawing only that is exact in law, in time O(n T^2).
Source: largen's own construction for the network of Faugeras, MacLaurin & Tanre (docs/rate.md).
Run time: 15 s, 900 MB.
Command: python examples/million_neurons.py [--small] [--out million_neurons.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln


def with_error(variable):
    """Mean over the draws, and two standard errors."""
    return variable.mean("realisation"), 2 * variable.std("realisation", ddof=1) / np.sqrt(
        variable.sizes["realisation"]
    )


def figure(small=False):
    # Parameters
    model = ln.RateNetwork()
    times = np.arange(9.0)  # steps
    n, draws = (10_000 if small else 1_000_000), 4

    # Run
    network = ln.simulate(model, times, n=n, realisations=draws, seed=1, replicas=1, weights="integrated")
    limit = ln.solve_limit(model, times)

    # Plot
    page = Figure(figsize=(9, 3.4), layout="constrained")
    axes = page.subplots(1, 2)
    axes[0].plot(limit["time"], limit["mean"], color="#D55E00", label="limit")
    axes[0].errorbar(times, *with_error(network["mean"]), fmt="o", color="black", mfc="white", label=f"n = {n:,}")
    axes[0].set_ylabel("mean state")
    for lag, colour in zip((0, 1, 2), ("black", "#0072B2", "#D55E00"), strict=True):
        theory, found = (run["covariance"].sel(lag=lag).isel(time_=-1) for run in (limit, network))
        axes[1].plot(times, theory, color=colour, label=f"lag {lag}")
        axes[1].errorbar(times, *with_error(found), fmt="o", color=colour, mfc="white")
    axes[1].set_ylabel("covariance with the last time")
    for ax in axes:
        ax.set_xlabel("time")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=7, frameon=False)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="million_neurons.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
