"""The spiking network against the numbers of its specification.

Shows: (1) the six parameter sets of the specification, 20 seeds of 5 s each, with SSI and gamma frequency from
`analysis.summary`; (2) how the rate depends on the size of the network. The plain kernel and quenched graphs are in
network_law.py, the speed in `python -m benchmarks`.
Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801); the table's values are those of shared/spec/spiking.md.
Run time: about a minute of CPU time on one core.
Command: python benchmarks/spiking_network.py [FILE], by default docs/spiking-network.md
"""

import sys
import time
from pathlib import Path

import numpy as np

import largen as ln
from largen import analysis

DURATION = 5000.0
SETS = {  # E rate, its standard error, I rate, SSI_E, gamma
    "defaults": ({}, 47.28, 0.03, 65.88, 0.2663, "64.5"),
    "s_ee 1.05": ({"strength[e,e]": 1.05}, 62.32, 0.10, 74.20, 0.299, "51.4"),
    "p_ei .5": ({"probability[e,i]": 0.5}, 107.0, 0.17, 112.3, 0.169, "77.3"),
    "p_ei 1.0": ({"probability[e,i]": 1.0}, 11.02, 0.03, 38.68, 0.043, "broad"),
    "lambda 4": ({"external_rate": 4.0}, 27.47, 0.05, 40.87, 0.228, "41.0"),
    "tau_ee 2.0": ({"decay[e,e]": 2.0}, 40.81, 0.05, 68.36, 0.135, "78.3"),
}
SIZES = {100: 47.7, 200: 48.8, 400: 47.3, 800: 45.2, 1600: 44.3}


def statistics(model, n=400, seed=0, realisations=10):
    """Value and standard error per statistic, after the first 500 ms."""
    run = ln.simulate(model, np.arange(0.0, DURATION + 0.05, 0.1), n=n, realisations=realisations, seed=seed)
    found = analysis.summary(run)
    return {name: (found[name].values, found[f"{name}_se"].values) for name in found.data_vars if f"{name}_se" in found}


def shown(value, error, digits=2):
    return f"{float(value):.{digits}f} ± {float(error):.{digits}f}"


def published(annealed):
    rows = [
        "| set | E Hz | table | z | I Hz | table | z | SSI_E | table | gamma Hz | table |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (_, e, e_se, i, ssi, gamma) in SETS.items():
        found = annealed[name]
        rate, error = found["rate"]
        z_e = (rate[0] - e) / np.hypot(error[0], e_se)
        z_i = (rate[1] - i) / (np.sqrt(1 + 20 / 10) * error[1])  # the table's error, not stated, is that of 10 seeds
        synchrony = shown(found["synchrony"][0][0], found["synchrony"][1][0], 4)
        rows.append(
            f"| {name} | {shown(rate[0], error[0])} | {e} | {z_e:+.1f} | {shown(rate[1], error[1])} | {i} | {z_i:+.1f} "
            f"| {synchrony} | {ssi} | {shown(*found['gamma_frequency'], 1)} | {gamma} |"
        )
    return rows


def sizes():
    rows = ["| neurons | E Hz | table | I Hz | SSI_E without self-count |", "|---|---|---|---|---|"]
    for n, table in SIZES.items():
        found = statistics(ln.SpikingNetwork(), n=n, seed=2)
        (rate, error), (ssi, ssi_error) = found["rate"], found["synchrony"]
        ssi = ssi[0] - 1 / (0.75 * n)
        cells = [shown(rate[0], error[0]), f"{table}", shown(rate[1], error[1]), shown(ssi, ssi_error[0], 4)]
        rows.append(f"| {n} | {' | '.join(cells)} |")
    return rows


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "spiking-network.md")
    began = time.process_time()
    annealed = {
        name: statistics(ln.SpikingNetwork().replace(**changes), realisations=20)
        for name, (changes, *_) in SETS.items()
    }
    lines = [
        "# The spiking network in numbers",
        "",
        "Written by `benchmarks/spiking_network.py`. Network of 400 neurons (300 E, 100 I) unless said otherwise, dt "
        f"0.1 ms, runs of {DURATION / 1000:g} s from rest whose first 500 ms are left out, value ± standard error "
        "over seeds: 20 for the first table, 10 for the others.",
        "",
        "## Against the specification",
        "",
        "`table` is the specification's value (10 seeds of 5 s of another program), z the difference in combined "
        "standard errors. SSI_E counts the spike itself. Where the table says broad there is no sharp gamma peak.",
        "",
        *published(annealed),
        "",
        "## Size",
        "",
        "Strengths scaled by 400/n. The table's errors are .1 to .3 Hz.",
        "",
        *sizes(),
        "",
        f"The whole script took {time.process_time() - began:.0f} s of CPU time.",
    ]
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
