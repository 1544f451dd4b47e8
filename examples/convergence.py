"""How fast networks approach their limit: convergence exponents.

What: the largest distance between one network and its limit, against the number of neurons, with the fitted power
    and its 95 % interval. Fluctuations of averages over n neurons are of order n^(-1/2).
Source: MacLaurin & Vilanova 2024 (arXiv 2412.17273) and Faugeras, MacLaurin & Tanre; the exponents are largen's.
Run time: 20 s.
Command: python examples/convergence.py [--small] [--out convergence.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln


def figure(small=False):
    # Parameters
    balanced, rate = ln.BalancedNetwork(), ln.RateNetwork()
    sizes = [100, 400] if small else [400, 1_600, 6_400, 25_600]
    draws = [6, 4] if small else [128, 64, 32, 16]

    # Run
    studies = {
        "balanced: means": ln.convergence(
            balanced, np.linspace(0, 1, 11), n=sizes, realisations=draws, method="tau_leap", seed=1
        ),
        "rate: mean": ln.convergence(rate, np.arange(9.0), n=sizes, realisations=draws, seed=1, replicas=1),
        "rate: covariance": ln.convergence(
            rate, np.arange(9.0), n=sizes, realisations=draws, seed=1, replicas=1, observable="covariance"
        ),
    }

    # Plot
    page = Figure(figsize=(10, 3.4), layout="constrained")
    for ax, (title, study) in zip(page.subplots(1, 3), studies.items(), strict=True):
        ln.plot.convergence(study, ax=ax)
        ax.set_title(title, loc="left", fontsize=10)
        ax.set_ylabel("largest distance over times" if ax.get_subplotspec().is_first_col() else "")
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="convergence.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
