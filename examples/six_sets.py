"""Network against reduction over the paper's six parameter sets.

What: mean rates of networks of 400 neurons, of the deterministic reduction, and of the reduction with finite-size noise
    (the Markov chain of the bins); error bars are two standard errors over realisations.
Source: Chang et al. 2024 (arXiv 2411.14801): the default set and one parameter moved at a time.
Run time: 10 s.
Command: python examples/six_sets.py [--small] [--out six_sets.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import largen as ln

SETS = {
    "defaults": {},
    "s_ee = 1.05": {"strength[e,e]": 1.05},
    "p_ei = 0.5": {"probability[e,i]": 0.5},
    "p_ei = 1": {"probability[e,i]": 1.0},
    "λ = 4": {"external_rate": 4.0},
    "τ_ee = 2": {"decay[e,e]": 2.0},
}
COLOURS = {"e": "#D55E00", "i": "#0072B2"}


def rates(run):
    """Mean rate of every population after the first 500 ms, and its standard error over realisations (0 without)."""
    rate = run["rate"].where(run["time"] > 0.25 * run["time"][-1], drop=True).mean("time")
    if "realisation" not in rate.dims:
        return rate, 0.0 * rate
    return rate.mean("realisation"), rate.std("realisation", ddof=1) / np.sqrt(rate.sizes["realisation"])


def figure(small=False):
    # Parameters
    times = np.arange(2_001 if small else 20_001) * 0.1  # ms
    realisations = 2 if small else 4
    sets = dict(list(SETS.items())[:2]) if small else SETS

    # Run
    found = []
    for changes in sets.values():
        model = ln.SpikingNetwork().replace(**changes)
        found.append(
            {
                "network": rates(ln.simulate(model, times, realisations=realisations, seed=1)),
                "reduction": rates(ln.solve_limit(model, times)),
                "with finite-size noise": rates(
                    ln.solve_limit(model, times, finite_size=True, realisations=realisations, seed=1)
                ),
            }
        )

    # Plot
    page = Figure(figsize=(9, 3.6), layout="constrained")
    axes = page.subplots(1, 2, width_ratios=(3, 2))
    for population, colour in COLOURS.items():
        for k, row in enumerate(found):
            network, network_error = (float(part.sel(population=population)) for part in row["network"])
            axes[0].bar(k + (population == "i") * 0.36 - 0.18, network, 0.32, color=colour, alpha=0.3)
            for shift, (name, marker) in enumerate({"reduction": "o", "with finite-size noise": "D"}.items()):
                theory, error = (float(part.sel(population=population)) for part in row[name])
                place = k + (population == "i") * 0.36 - 0.24 + 0.12 * shift
                white = "white" if name == "reduction" else colour
                axes[0].plot(place, theory, marker, ms=4, mfc=white, color=colour)
                axes[1].errorbar(
                    100 * (theory - network) / network,
                    k + (population == "i") * 0.3 - 0.15,
                    xerr=200 * np.hypot(error, network_error) / network,
                    fmt=marker,
                    ms=4,
                    mfc=white,
                    color=colour,
                    label=f"{population}, {name}" if k == 0 else None,
                )
    axes[0].set_xticks(range(len(sets)), list(sets), fontsize=8)
    axes[0].set_ylabel("mean rate (Hz); bars: network")
    axes[1].axvline(0, color="0.6", lw=0.8)
    axes[1].set_yticks(range(len(sets)), list(sets), fontsize=8)
    axes[1].invert_yaxis()
    axes[1].set_xlabel("theory less network (%)")
    axes[1].legend(fontsize=7, frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="six_sets.png")
    given = parser.parse_args()
    figure(given.small).savefig(given.out, dpi=110)
