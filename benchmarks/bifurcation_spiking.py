"""The diagrams of the spiking reduction: parts of benchmarks/bifurcation.py.

Every curve is kept on disk (`bifurcation_page.kept`) under the state of the code that made it: a part that was
interrupted goes on with the curve at which it stopped.
"""

import time
from typing import Any

import numpy as np
from bifurcation_page import branches, drawn, followed, kept, listed, section, specials, table, turn, written

import largen as ln
from largen import analysis

P_EI = "probability[e,i]"
GOLDEN: dict[str, Any] = {"linear_in_bin": False, "stretched": False, "bin_width": 4.0}
BASE: dict[str, Any] = {"bin_width": 4.0}


def spiking():
    """The whole diagram with the switches of the independent prototype."""
    whole = followed(P_EI, 0.45, 1.0, most_branches=6, largest_step=0.05, tolerance=1e-5, points=90, **GOLDEN)
    title = "spiking reduction: p_ei, golden switches"
    section("spiking", f"{written([('', whole)])}\n\n{drawn('spiking', title, [('', whole)])}")


def slopes():
    """The diagram with pending spikes linear within a bin, beside that without, and how far w and dt move it."""
    whole = followed(P_EI, 0.45, 1.0, most_branches=6, largest_step=0.05, tolerance=1e-5, points=110, **BASE)
    variants = {
        "False": {"linear_in_bin": False, "bin_width": 4.0},
        "w = 2": {"bin_width": 2.0},
        "dt = .05": BASE | {"dt": 0.05},
    }
    diagrams = {name: pieces(options) for name, options in variants.items()}
    points = listed(whole)
    matched = {
        name: partners(points, [p for _, part in parts for p in listed(part)], 4.0 if name == "False" else 1.0)
        for name, parts in diagrams.items()
    }
    rows = []
    for k, point in enumerate(points):
        others = {name: found[k] for name, found in matched.items()}
        values = {name: "-" if other is None else f"{other['parameter']:.6f}" for name, other in others.items()}
        shifts = {
            name: "-" if other is None else f"{other['parameter'] - point['parameter']:+.5f}"
            for name, other in others.items()
        }
        rows.append([
            point["branch"], point["kind"].replace("_", " "), values["False"], f"{point['parameter']:.6f}",
            turn(point), shifts["w = 2"], shifts["dt = .05"],
        ])  # fmt: skip
    heads = ["branch", "kind", "linear_in_bin False", "True", "frequency / period", "w = 2", "dt = .05"]
    ends = [(f"{name}, {title}", part) for name, parts in diagrams.items() for title, part in parts]
    text = [
        table(heads, rows),
        branches(whole),
        table(["compared with", "points", "how it ends"], list(endings(ends))),
        drawn("slopes", "p_ei, linear_in_bin, w = 4, dt = .1", [("", whole)]),
    ]
    section("slopes", "\n\n".join(text))


def pieces(options):
    """Stationary states and the bursts born at the lower Hopf point; the big oscillation in both directions."""
    more = {"largest_step": 0.06, "tolerance": 1e-5, "points": 110} | options
    first = followed(P_EI, 0.45, 1.0, most_branches=2, **more)
    up = followed(P_EI, 0.85, 1.0, orbit=True, within=(0.7, 1.0), cycles=False, **more)
    down = followed(P_EI, 0.85, 0.7, orbit=True, within=(0.7, 1.0), cycles=False, **more)
    return [("bursts", first), ("two bursts, up", up), ("two bursts, down", down)]


def partners(points, others, most):
    """For every special point the one of another diagram that is the same: of its kind, near in parameter and period.

    Every other point is given away once, the nearest pairs first; beyond the distance `most` there is none.
    """

    def far(one, two):
        near = abs(one["parameter"] - two["parameter"]) / 0.015
        return near + (abs(np.log(two["period"] / one["period"])) / 0.05 if np.isfinite(one["period"]) else 0.0)

    pairs = [(j, k) for j, one in enumerate(points) for k, two in enumerate(others) if one["kind"] == two["kind"]]
    found = [None] * len(points)
    taken = set()
    for j, k in sorted(pairs, key=lambda pair: far(points[pair[0]], others[pair[1]])):
        if found[j] is None and k not in taken and far(points[j], others[k]) < most:
            found[j] = others[k]
            taken.add(k)
    return found


def endings(parts):
    """Every branch of some diagrams: points and ending."""
    for title, part in parts:
        for k in range(part.sizes["branch"]):
            count = int((part["on_branch"] == k).sum())
            yield [f"{title}, {part['branch_kind'].values[k]}", count, str(part["branch_ending"].values[k])]


def strength():
    """From the Hopf point in s_ee to the end of its orbits and of those of the first doubling."""
    more = {"most_branches": 3, "largest_step": 0.06, "points": 600, "tolerance": 1e-5, "bin_width": 4.0}
    parts = [("", followed("strength[e,e]", 0.7, 1.1, **more))]
    section("strength", f"{written(parts)}\n\n{drawn('strength', 'spiking reduction: s_ee', parts)}")


LAMBDA: dict[str, Any] = {"largest_step": 0.06, "tolerance": 1e-5, "bin_width": 4.0, "points": 600, "most_branches": 4}


def external():
    """From the Hopf point in lambda."""
    parts = [("", followed("external_rate", 3.0, 14.0, **LAMBDA))]
    section("external", f"{written(parts)}\n\n{drawn('external', 'spiking reduction: lambda', parts)}")


def external_big():
    """The oscillations at lambda = 10 and 6, followed up and down: none from the Hopf point leads there within 3 to 14.

    One burst per period at 10, two at 6, which is the doubled orbit of the first.
    """
    more = LAMBDA | {"within": (3.0, 14.0), "cycles": False}
    parts = []
    for begin in (10.0, 6.0):
        for to in (14.0, 3.0):
            part = followed("external_rate", begin, to, orbit=True, **more)
            parts.append((f"From lambda = {begin:g} to {to:g}:", part))
    section("external_big", f"{written(parts)}\n\n{drawn('external_big', 'spiking reduction: lambda', parts)}")


def p_ei():
    """The diagram of 4000 neurons at the default options, with their network on top."""
    more = {"size": 4000, "switch": False, "tolerance": 1e-5, "largest_step": 0.06}
    parts = [("From rest:", followed(P_EI, 0.45, 1.0, most_branches=2, points=90, **more))]
    for to in (1.0, 0.7):
        part = followed(P_EI, 0.88, to, orbit=True, within=(0.7, 1.0), cycles=False, points=40, **more)
        parts.append((f"The big oscillation, from .88 to {to:g}:", part))
    part = followed(P_EI, 0.95, 1.0, orbit=True, within=(0.7, 1.0), cycles=False, points=40, **more)
    parts.append(("The small oscillation, from .95 to its Hopf point:", part))
    networks = {p: network(p) for p in (0.5, 0.6, 0.7, 0.76, 0.82, 0.88, 0.94)}
    title = "4000 neurons: branches of the reduction; grey: histogram and peak heights of the network"
    section("p_ei", f"{written(parts)}\n\n{drawn('p_ei', title, parts, networks)}")


def p_ei_steps():
    """The big oscillation of 4000 neurons for shorter steps: how far the multiplier along the orbit is from 1."""
    rows = []
    for p in (0.76, 0.88, 0.97):
        for dt in (0.1, 0.05, 0.025):
            model = ln.SpikingNetwork().replace(**{P_EI: p}).scaled(4000)
            started = time.process_time()
            orbit = kept(("orbit", p, dt), lambda model=model, dt=dt: analysis.limit_cycle(model, dt=dt, settle=3000.0))
            first = complex(orbit["multiplier_real"][0].item(), orbit["multiplier_imag"][0].item())
            peaks = ", ".join(f"{peak:.0f}" for peak in orbit["rate_high"].values)
            values = f"{float(orbit['period']):.4f}", f"{float(orbit['trivial_multiplier']) - 1:+.0e}", f"{first:.4f}"
            rows.append([p, dt, *values, peaks])
            print(rows[-1], f"{time.process_time() - started:.0f} s", flush=True)
    heads = ["p_ei", "dt (ms)", "period (ms)", "trivial multiplier - 1", "leading multiplier", "highest rate E, I (Hz)"]
    section("p_ei_steps", table(heads, rows))


def network(p):
    """1.5 s of the network of 4000 neurons."""
    model, times = ln.SpikingNetwork().replace(**{P_EI: p}), np.arange(0.0, 1500.05, 0.5)
    return kept(("network", p), lambda: ln.simulate(model, times, n=4000, realisations=1, seed=1))


def stretched():
    """The diagram with the drift linear within a bin (ka of the specification), and the fold of the big oscillation."""
    more = {"switch": False, "tolerance": 1e-6, "linear_in_bin": False, "bin_width": 4.0}
    whole = followed(P_EI, 0.45, 1.0, most_branches=2, largest_step=0.05, points=85, **more)
    part = followed(
        P_EI, 0.87, 0.95, orbit=True, cycles=False, points=14, first_step=0.1, largest_step=0.2, **more
    )  # fmt: skip
    text = f"{specials(whole)}\n\n{branches(whole)}\n\nThe big oscillation from p_ei = .87:\n\n{specials(part)}"
    section("stretched", text)
