"""How fast networks approach their limit: convergence exponents.

What: the distance of one network from its limit (root mean square over times) against the number of neurons, with the
    fitted power and its 95 % interval, and that of the mean of networks. Fluctuations of averages over n neurons are of
    order n^(-1/2), the bias of the mean n^(-1/2) in the balanced and n^(-1) in the rate system.
Source: MacLaurin & Vilanova 2024 (arXiv 2412.17273) and Faugeras, MacLaurin & Tanre; the exponents are largen's.
Run time: 10 s.
Command: python examples/convergence.py [--small] [--out convergence.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln


def figure(small=False):
    # Parameters
    balanced, rate = ln.BalancedNetwork(), ln.RateNetwork()
    sizes = [100, 400] if small else [200, 800, 3_200, 12_800]
    draws = [6, 4] if small else [64, 32, 16, 8]

    # Run
    of_balanced = ln.convergence(
        balanced, np.linspace(0, 1, 11), n=sizes, realisations=draws, method="tau_leap", seed=1
    )
    of_rate = ln.convergence(rate, np.arange(9.0), n=sizes, realisations=draws, seed=1, replicas=1)

    # Plot
    page = Figure(figsize=(10, 3.4), layout="constrained")
    parts = [("balanced", of_balanced, "mean"), ("rate", of_rate, "mean"), ("rate", of_rate, "covariance")]
    for ax, (title, study, name) in zip(page.subplots(1, 3), parts, strict=True):
        ln.plot.convergence(study, observable=name, ax=ax)
        ax.set_title(f"{title}: {name}", loc="left", fontsize=10)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="convergence.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
