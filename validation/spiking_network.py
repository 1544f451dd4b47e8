"""The spiking network against numbers of an independent program, and against its own size.

What:     (sets) six parameter sets, 20 seeds of 5 s each, with synchrony (SSI) and gamma frequency from
          `analysis.summary`; (sizes) how the rate depends on the size of the network; (published) networks of the
          literature beside their reductions. The plain kernel and quenched graphs are in network_kernels.py, the
          speed in benchmarks/speed.py.
Source:   Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801); reference values: 10 seeds of 5 s of another program.
Run time: about a minute of CPU time on one core each; published two.
Command:  python validation/spiking_network.py sets|sizes|published
"""

import numpy as np
from study import Results, estimate, main

import largen as ln
from largen import analysis

DURATION = 5000.0
SETS = {  # E rate, its standard error, I rate, SSI_E, gamma frequency
    "defaults": ({}, 47.28, 0.03, 65.88, 0.2663, 64.5),
    "s_ee 1.05": ({"strength[e,e]": 1.05}, 62.32, 0.10, 74.20, 0.299, 51.4),
    "p_ei 0.5": ({"probability[e,i]": 0.5}, 107.0, 0.17, 112.3, 0.169, 77.3),
    "p_ei 1.0": ({"probability[e,i]": 1.0}, 11.02, 0.03, 38.68, 0.043, "broad"),
    "lambda 4": ({"external_rate": 4.0}, 27.47, 0.05, 40.87, 0.228, 41.0),
    "tau_ee 2.0": ({"decay[e,e]": 2.0}, 40.81, 0.05, 68.36, 0.135, 78.3),
}
SIZES = {100: 47.7, 200: 48.8, 400: 47.3, 800: 45.2, 1600: 44.3}
"""Reference E rate (Hz) by number of neurons."""


def statistics(model, *, n=400, seed=0, realisations=10, small=False):
    """Value and standard error per statistic, after the first 500 ms."""
    if small:
        realisations = 2
    times = np.arange(0.0, (1000.0 if small else DURATION) + 0.05, 0.1)
    found = analysis.summary(ln.simulate(model, times, n=n, realisations=realisations, seed=seed))
    return {name: (found[name].values, found[f"{name}_se"].values) for name in found.data_vars if f"{name}_se" in found}


def sets(results: Results, small: bool) -> None:
    """Six parameter sets of 400 neurons against reference values."""
    table = results.table(
        "sets", "set", ("E Hz", ".2f"), ("E reference", ""), ("E z", "+.1f"), ("I Hz", ".2f"), ("I reference", ""),
        ("I z", "+.1f"), ("SSI_E", ".4f"), ("SSI_E reference", ""), ("gamma Hz", ".1f"), ("gamma reference", ""),
    )  # fmt: skip
    for name, (changes, e, e_se, i, ssi, gamma) in list(SETS.items())[: 1 if small else None]:
        found = statistics(ln.SpikingNetwork().replace(**changes), realisations=20, small=small)
        rate, error = found["rate"]
        z_e = (rate[0] - e) / np.hypot(error[0], e_se)
        z_i = (rate[1] - i) / (np.sqrt(1 + 20 / 10) * error[1])  # the reference's error, not stated, is of 10 seeds
        synchrony = estimate(found["synchrony"][0][0], found["synchrony"][1][0])
        rates = [estimate(rate[k], error[k]) for k in range(2)]
        table.add(name, rates[0], e, z_e, rates[1], i, z_i, synchrony, ssi, estimate(*found["gamma_frequency"]), gamma)


def sizes(results: Results, small: bool) -> None:
    """Rates and synchrony against the number of neurons, strengths scaled by 400/n."""
    table = results.table(
        "sizes", "neurons", ("E Hz", ".2f"), ("E reference", ""), ("I Hz", ".2f"), ("SSI_E without self-count", ".4f")
    )
    for n, reference in list(SIZES.items())[: 2 if small else None]:
        found = statistics(ln.SpikingNetwork(), n=n, seed=2, small=small)
        (rate, error), (ssi, ssi_error) = found["rate"], found["synchrony"]
        cells = [estimate(rate[0], error[0]), reference, estimate(rate[1], error[1])]
        table.add(n, *cells, estimate(ssi[0] - 1 / (0.75 * n), ssi_error[0]))


PUBLISHED = {  # preset: dt (ms), duration (ms), realisations, rates elsewhere
    "brunel": (0.1, 1200.0, 2, "37.25 by Siegert's formula at this dt, 37.4 to 37.6 in NEST"),
    "kicks": (0.05, 1500.0, 24, "22.5, 57.9: the authors' recording (Cai et al. 2021)"),
    "sheet_mean": (0.1, 1000.0, 4, ""),
}


def published(results: Results, small: bool) -> None:
    """Rates after 300 ms of networks of the literature, and of their limit as `solve_limit` chooses it."""
    heads = ("preset", "neurons", ("network (Hz)", ".2f"), ("limit (Hz)", ".2f"), ("its estimated error (Hz)", ".2f"))
    table = results.table("published", *heads, "elsewhere (Hz)")
    for name, (dt, duration, realisations, elsewhere) in PUBLISHED.items():
        model = getattr(ln.SpikingNetwork, name)()
        times = np.arange(0.0, (400.0 if small else duration) + 0.5)
        runs = ln.simulate(model, times, dt=dt, realisations=2 if small else realisations, seed=1)
        limit = ln.solve_limit(model, times, dt=dt)
        own, theory = (part["rate"].sel(time=slice(300.5, None)).mean("time") for part in (runs, limit))
        errors = own.std("realisation", ddof=1) / np.sqrt(runs.sizes["realisation"])
        rates = [estimate(*pair) for pair in zip(own.mean("realisation").values, errors.values, strict=True)]
        estimated = list(np.atleast_1d(limit.attrs["rate_error"])) if "rate_error" in limit.attrs else None
        table.add(name, int(np.sum(model.size)), rates, list(theory.values), estimated, elsewhere)


PARTS = (sets, sizes, published)

if __name__ == "__main__":
    main(PARTS, __doc__)
