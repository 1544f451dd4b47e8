"""From fast oscillations to quiet: the spiking network and its reduction against p_ei.

What: mean, lowest and highest E rate of the reduction once it has settled from rest, at each p_ei (the probability that
    an inhibitory spike reaches an excitatory neuron), with networks of 400 neurons on top: their mean (dots) and the
    spread of their smoothed rate (bars, 5 to 95 %). It shows stable states only; docs/bifurcation.md has the branches,
    stable and not, and their special points, by continuation.
Source: Chang et al. 2024 (arXiv 2411.14801), bifurcations of the gamma oscillation in p_ei.
Run time: 20 s.
Command: python examples/diagram_p_ei.py [--small] [--out diagram_p_ei.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln


def settled(run, start=500.0):
    """E rate smoothed over 2 ms, after the first 500 ms, over all realisations."""
    rate = run["rate"].sel(population="e").rolling(time=20, center=True).mean()
    return rate.where(rate["time"] > min(start, float(rate["time"][-1]) / 2), drop=True).dropna("time").values


def figure(small=False):
    # Parameters
    values = np.linspace(0.45, 1.0, 4 if small else 56)
    networks = np.linspace(0.45, 1.0, 2 if small else 12)
    times = np.arange(2_001 if small else 15_001) * 0.1  # ms

    # Run
    model = ln.SpikingNetwork()
    reduction, network = [], []
    for value in values:
        found = settled(ln.solve_limit(model.replace(**{"probability[e,i]": value}), times))
        reduction.append((found.min(), found.mean(), found.max()))
    for value in networks:
        found = settled(
            ln.simulate(model.replace(**{"probability[e,i]": value}), times, realisations=2 if small else 4, seed=1)
        )
        network.append((*np.quantile(found, (0.05, 0.95)), found.mean()))

    # Plot
    low, mean, high = np.array(reduction).T
    bottom, top, middle = np.array(network).T
    page = Figure(figsize=(7, 4), layout="constrained")
    ax = page.subplots()
    ax.fill_between(values, low, high, color="#D55E00", alpha=0.15, lw=0, label="reduction, lowest to highest")
    ax.plot(values, mean, color="#D55E00", label="reduction, mean")
    ax.vlines(networks, bottom, top, color="0.4", lw=2, label="network, 5 to 95 %")
    ax.plot(networks, middle, "o", color="black", mfc="white", label="network, mean")
    ax.set(xlabel="$p_{ei}$", ylabel="rate of the excitatory neurons (Hz)", ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False, loc="upper right", bbox_to_anchor=(1.0, 1.0))
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="diagram_p_ei.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
