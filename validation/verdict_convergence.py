"""The four statements of `convergence`: how often their intervals cover, what they see, and a real system.

What:     coverage of the intervals of the exponents and of what is left at infinite n, on drawn power laws; faults that
          must be seen, and one that is not; the balanced system over 400 to 6400 neurons.
Source:   largen's own; the formulas and their sources are in `largen.comparison.power_laws`.
Run time: about 15 CPU minutes.
Command:  python validation/verdict_convergence.py coverage|faults|balanced
"""

import numpy as np
from scipy import stats
from study import Results, estimate, main

import largen as ln
from largen.comparison.power_laws import bias_law, distance_law, noise_law, offset_at_infinity
from largen.numerics.streams import stream

SIZES = {3: (400, 1600, 6400), 4: (400, 800, 1600, 6400), 5: (400, 800, 1600, 3200, 6400)}
COUNTS = (2, 3, 4, 8, 16)
BIAS, ORDER = 0.5, 0.5
"""Bias of the drawn networks, 0.5 n^-0.5 against a noise of n^-0.5 or 3 n^-0.78 for one network: about that of the
balanced system's means."""
NOISES = {0.5: 1.0, 0.78: 3.0}


def drawn(rng, n, count, *, noise, offset=0.0):
    """Time means of networks less the limit, shape (size, realisation)."""
    spread = NOISES[noise] * n**-noise
    return (offset + BIAS * n**-ORDER + spread * rng.standard_normal((count, len(n)))).T


def distances(rng, n, count):
    """Distances of single networks, shape (size, realisation): roots of the mean of four squares, as n^-1/2."""
    return n[:, None] ** -0.5 * np.sqrt(rng.chisquare(4, (len(n), count)) / 4)


def statements(n, x, order=ORDER):
    """Noise, bias and what is left at infinite n of drawn time means, and the degrees of freedom."""
    count = x.shape[1]
    noise = noise_law(n, x.var(axis=1, ddof=1), np.full(len(n), count - 1.0))
    error = np.sqrt(noise.variance / count)
    mean = x.mean(axis=1)
    return noise, bias_law(n, mean, error, noise.dof), offset_at_infinity(n, mean, error, noise.dof, order), noise.dof


def covers(law, true):
    """Whether an interval holds the true exponent."""
    return law.low <= true <= law.high


def half_width(left, dof):
    """Half the 95 % interval of what is left at infinite n."""
    return stats.t.ppf(0.975, dof) * left.standard_error


def coverage(results: Results, small: bool) -> None:
    """Coverage of the 95 % intervals, 1500 sets of networks each (standard error 0.006)."""
    runs = 20 if small else 1500
    table = results.table(
        "coverage", "sizes", "networks a size", ("noise n^-", ".2f"), ("distance", ".3f"),
        ("lack of fit at 0.05", ".3f"), ("noise", ".3f"), ("bias", ".3f"), ("left at infinite n", ".3f"),
        ("its lack of fit at 0.05", ".3f"), ("median half-width of b", ".2f"),
    )  # fmt: skip
    for k, sizes in SIZES.items():
        n = np.array(sizes, float)
        for count in COUNTS[-1:] if small else COUNTS:
            for noise in NOISES:
                rng = stream(1, "coverage", k, count, int(100 * noise))
                found, widths = [], []
                for _ in range(runs):
                    distance = distance_law(n, list(distances(rng, n, count)))
                    law, bias, left, dof = statements(n, drawn(rng, n, count, noise=noise))
                    misfit = (distance.lack_of_fit < 0.05, left.lack_of_fit < 0.05)
                    inside = abs(left.value) <= half_width(left, dof)
                    found.append(
                        (covers(distance, 0.5), misfit[0], covers(law, noise), covers(bias, ORDER), inside, misfit[1])
                    )
                    widths.append((bias.high - bias.low) / 2)
                table.add(k, count, noise, *np.mean(found, axis=0).tolist(), float(np.median(widths)))


def faults(results: Results, small: bool) -> None:
    """Faults put into drawn networks of five sizes, 500 sets each: what is seen."""
    runs = 10 if small else 500
    n = np.array(SIZES[5], float)
    table = results.table(
        "faults", "fault", "networks a size", ("lack of fit of the distance", ".3f"),
        ("interval of a holds 1/2", ".3f"), ("interval at infinite n holds 0", ".3f"),
        ("lack of fit of the extrapolation", ".3f"),
    )  # fmt: skip
    cases = {
        "none": {},
        "the distance stops falling at n = 1600": {"stops": 1600.0},
        "the limit is off by 0.01": {"offset": 0.01},
        "extrapolated with n^-1 instead of n^-1/2": {"order": 1.0},
    }
    for label, fault in cases.items():
        for count in (16,) if small else (4, 16, 64):
            rng, found = stream(2, label, count), []
            for _ in range(runs):
                near = np.minimum(n, fault.get("stops", np.inf))
                distance = distance_law(n, list(distances(rng, near, count)))
                if "offset" in fault:  # a network's distance from the wrong limit
                    x = NOISES[0.5] * n[:, None] ** -0.5 * rng.standard_normal((5, count)) + fault["offset"]
                    distance = distance_law(n, list(np.abs(x)))
                x = drawn(rng, n, count, noise=0.5, offset=fault.get("offset", 0.0))
                _, _, left, dof = statements(n, x, fault.get("order", ORDER))
                holds = abs(left.value) <= half_width(left, dof)
                found.append((distance.lack_of_fit < 0.05, covers(distance, 0.5), holds, left.lack_of_fit < 0.05))
            table.add(label, count, *np.mean(found, axis=0).tolist())


def balanced(results: Results, small: bool) -> None:
    """The balanced system, 400 to 6400 neurons, 64 networks a size, times 0 to 2."""
    sizes, count = ((100, 200, 400), 8) if small else (SIZES[5], 64)
    study = ln.convergence(
        ln.BalancedNetwork(), np.linspace(0, 2, 21), n=sizes, realisations=count, seed=9, method="tau_leap"
    )
    distance = results.table(
        "distance", "observable", ("a", ".3f"), ("95 % interval", ".3f"), ("lack of fit, p", ".2f"),
        ("between neighbouring sizes", ".2f"),
    )  # fmt: skip
    for name in study["observable"].values.tolist():
        one = study.sel(observable=name)
        distance.add(
            name, one["distance_exponent"].item(), ends(one, "distance_exponent"),
            one["distance_lack_of_fit"].item(), one["distance_exponent_between"].values,
        )  # fmt: skip
    table = results.table(
        "statements", "component", ("b", ".2f"), ("its 95 % interval", ".2f"), ("a'", ".3f"),
        ("interval of a'", ".3f"), ("left at infinite n, % of the scale", "+.2f"), ("interval", "+.2f"),
        ("lack of fit, p", ".2f"), "label",
    )  # fmt: skip
    bias = results.table(
        "bias", "component", "n", ("network - limit, % of the scale", "+.2f", ".2f"),
        ("theory of n neurons - limit", "+.2f"), "label", "cause",
    )  # fmt: skip
    for name in study["component"].values[study["offset_scale"].notnull().values].tolist():
        one = study.sel(component=name)
        scale = one["offset_scale"].item()
        table.add(
            name, one["bias_exponent"].item(), ends(one, "bias_exponent"), one["noise_exponent"].item(),
            ends(one, "noise_exponent"), 100 * one["offset"].item() / scale,
            [100 * value / scale for value in ends(one, "offset")], one["offset_lack_of_fit"].item(),
            one["offset_label"].item(),
        )  # fmt: skip
        for k, n in enumerate(study["n"].values.tolist()):
            at = one.isel(n=k)
            shares = (100 * at[key].item() / scale for key in ("difference", "standard_error", "predicted"))
            value, error, predicted = shares
            bias.add(name, n, estimate(value, error), predicted, at["label"].item(), at["cause"].item())


def ends(row, key):
    """Ends of an interval."""
    return [row[f"{key}_{end}"].item() for end in ("low", "high")]


PARTS = (coverage, faults, balanced)

if __name__ == "__main__":
    main(PARTS, __doc__)
