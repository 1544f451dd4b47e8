"""The balanced system's special cases against their networks.

What:     growth at a saddle, loss of stability in time, the folded oscillation, shared synapses.
Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273); the cases are largen's own.
Run time: about 3 CPU minutes.
Command:  python validation/balanced_cases.py saddle|unstable|folded|shared
"""

import numpy as np
from study import Results, main

import largen as ln
from largen import BalancedNetwork
from largen.comparison.power_laws import distance_law


def saddle(results: Results, small: bool) -> None:
    """The limit is refused at a saddle; the network's means there grow as sqrt(n)."""
    model = BalancedNetwork.saddle()
    try:
        ln.solve_limit(model, [0.0, 3.0])
        message = "no error"
    except ln.LimitError as error:
        message = str(error)
    results.table("limit", "what the limit says").add(message)
    table = results.table("network", "n a population", ("abs mean[e] at time 3", ".2f"), ("divided by sqrt(n)", ".3f"))
    for n in (200, 800, 3200)[: 1 if small else 3]:
        ends = np.abs(ln.simulate(model, [0.0, 3.0], n=2 * n, realisations=3, seed=1)["mean"].values[:, 0, -1])
        table.add(n, ends.mean(), ends.mean() / n**0.5)


def unstable(results: Results, small: bool) -> None:
    """The time at which balance loses its stability, by both routes."""
    table = results.table("unstable", "route", "how it ends", ("last time", "g"))
    for route in ("explicit", "reduced"):
        cut = ln.solve_limit(BalancedNetwork.unstable(), np.linspace(0, 2, 21), route=route, strict=False)
        table.add(route, cut.attrs["status"], cut.time.values[-1])


def folded(results: Results, small: bool) -> None:
    """Period of the relaxation oscillation at 1000 a population: network against finite-size equations."""
    model, times = BalancedNetwork.folded(), np.arange(0.0, 30.0 if small else 60.0, 0.01)
    theory = period(times, ln.solve_limit(model, times, n=2000)["mean"].values[0])
    runs = ln.simulate(model, times, n=2000, realisations=1 if small else 3, seed=1, method="tau_leap")
    found = np.array([period(times, x) for x in runs["mean"].values[:, 0]])
    table = results.table(
        "folded", ("period of the equations", ".2f"), ("of the networks", ".2f"), ("difference of the mean", "+.1%")
    )
    table.add(theory, found, found.mean() / theory - 1)
    cut = ln.solve_limit(model, np.linspace(0, 5, 21), strict=False)
    results.table("limit", "what the limit says").add(cut.attrs["status"])


def period(times, x):
    """Lag between 1.5 and 4 of the highest autocorrelation, after a quarter of the trace.

    A mean of intervals would not do: now and then the network misses a cycle.
    """
    step = times[1] - times[0]
    x = x[len(x) // 4 :] - x[len(x) // 4 :].mean()
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    correlation = np.fft.irfft(power)[: len(x)] / np.arange(len(x), 0, -1)
    lags = np.arange(int(1.5 / step), int(4.0 / step))
    return lags[np.argmax(correlation[lags])] * step


def shared(results: Results, small: bool) -> None:
    """Shared synapses: decay of the variance, and the scaling of the means' fluctuations."""
    table = results.table(
        "shared", "n a population", ("largest relative error of K(0) exp(-2t), t <= 5", ".1e"),
        ("s.d. of mean[e] over times 10 to 60", ".4f"), ("s.d. of mean[i]", ".4f"),
        ("standard error of their mean", ".4f"),
    )  # fmt: skip
    model, times = BalancedNetwork.shared(), np.arange(0.0, 20.0 if small else 60.0, 0.1)
    sizes, spread = np.array((50, 100, 200) if small else (200, 800, 3200, 12800)), []
    for n in sizes:
        network = ln.simulate(model, times, n=2 * int(n), realisations=8, seed=2)
        k = network["variance"].values[:, :, :51]
        decay = np.abs(k / (k[:, :, :1] * np.exp(-2 * times[:51])) - 1).max()
        std = network["mean"].values[:, :, 100:].std(axis=2)
        spread.append(std.mean(axis=1))
        table.add(n, decay, std[:, 0].mean(), std[:, 1].mean(), spread[-1].std(ddof=1) / np.sqrt(8))
    exponent = results.table(
        "exponent", ("the s.d. falls as n^-a, a", ".3f"), ("95 % interval", ".3f"), ("lack of fit, p", ".2g")
    )
    law = distance_law(sizes.astype(float), spread)
    exponent.add(law.exponent, [law.low, law.high], law.lack_of_fit)


PARTS = (saddle, unstable, folded, shared)

if __name__ == "__main__":
    main(PARTS, __doc__)
