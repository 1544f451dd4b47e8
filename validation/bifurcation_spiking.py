"""Bifurcation diagrams of the spiking reduction, against an independent program and against their own settings.

What:     special points, periods and multipliers in p_ei, s_ee and lambda; how far they move with the bin width, the
          step and `linear_in_bin`; the diagram of 4000 neurons with their network. Curves that take minutes are kept in
          ~/.cache/largen/diagrams under the state of the code that made them: a part that was interrupted goes on with
          the curve at which it stopped.
Source:   the parameter sets of Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801).
Run time: (one core) p_ei and reference 7 min, slopes 25 min, strength and lambda_orbits 3 min, the others 1 to 2 min.
Command:  OPENBLAS_NUM_THREADS=1 python validation/bifurcation_spiking.py PART, one of those at the end
"""

from typing import Any

import jax
import numpy as np
from diagrams import branches_of, draw, followed, keep_compiled, kept, printed, special_points, tabulate
from study import Results, main

import largen as ln
from largen import analysis

P_EI = "probability[e,i]"
REFERENCE: dict[str, Any] = {"linear_in_bin": False, "affine_drift": False, "bin_width": 4.0}
"""Settings of the independent program."""
BASE: dict[str, Any] = {"bin_width": 4.0}


def sized(small: bool, **options: Any) -> dict[str, Any]:
    """Options of `follow`; few points of coarse bins where `small`."""
    return options | {"points": 2, "cycles": False, "switch": False, "bin_width": 20.0} if small else options


def reference(results: Results, small: bool) -> None:
    """The whole diagram in p_ei with the settings of the independent program."""
    more = sized(small, most_branches=6, largest_step=0.05, tolerance=1e-5, points=90, **REFERENCE)
    whole = followed(P_EI, 0.45, 1.0, **more)
    tabulate(results, [("p_ei", whole)])
    if not small:
        draw("spiking", "spiking reduction: p_ei, settings of the independent program", [whole])


def slopes(results: Results, small: bool) -> None:
    """The diagram with pending spikes linear within a bin, beside that without, and how far w and dt move it."""
    more = sized(small, most_branches=6, largest_step=0.05, tolerance=1e-5, points=110, **BASE)
    whole = followed(P_EI, 0.45, 1.0, **more)
    variants = {
        "linear_in_bin False": {"linear_in_bin": False, "bin_width": 4.0},
        "w = 2": {"bin_width": 2.0},
        "dt = 0.05": BASE | {"dt": 0.05},
    }
    if small:
        variants = {"linear_in_bin False": {"linear_in_bin": False}}
    diagrams = {name: pieces(options, small) for name, options in variants.items()}
    points, matched = special_points(whole), {}
    for name, parts in diagrams.items():
        others = [p for _, part in parts for p in special_points(part)]
        matched[name] = partners(points, others, 4.0 if "False" in name else 1.0)
    shifts = [name for name in variants if "False" not in name]
    table = results.table(
        "special points", "branch", "kind", ("linear_in_bin False", ".6f"), ("True", ".6f"), ("frequency", ".4g"),
        ("period", ".4f"), *((name, "+.5f") for name in shifts),
    )  # fmt: skip
    for k, point in enumerate(points):
        found = {name: None if each[k] is None else each[k]["parameter"] for name, each in matched.items()}
        moved = [None if found[name] is None else found[name] - point["parameter"] for name in shifts]
        period = None if np.isfinite(point["frequency"]) else point["period"]
        cells = [found["linear_in_bin False"], point["parameter"], point["frequency"], period, *moved]
        table.add(point["branch"], point["kind"].replace("_", " "), *cells)
    table = results.table("branches", "branch", "of", "points", "how it ends")
    for branch in branches_of(whole):
        table.add(*branch)
    table = results.table("compared", "compared with", "of", "points", "how it ends")
    for name, parts in diagrams.items():
        for title, part in parts:
            for _, *branch in branches_of(part):
                table.add(f"{name}, {title}", *branch)
    if not small:
        draw("slopes", "p_ei, linear_in_bin, w = 4, dt = 0.1", [whole])


def pieces(options: dict[str, Any], small: bool) -> list[tuple[str, Any]]:
    """Stationary states and the bursts born at the lower Hopf point; the period-2 branch in both directions."""
    more = sized(small, largest_step=0.06, tolerance=1e-5, **({"points": 110} | options))
    first = followed(P_EI, 0.45, 1.0, **(more if small else more | {"most_branches": 2}))
    if small:
        return [("bursts", first)]
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


def strength(results: Results, small: bool) -> None:
    """From the Hopf point in s_ee to the end of its orbits and of those of the first doubling."""
    more = sized(small, most_branches=3, largest_step=0.06, points=600, tolerance=1e-5, **BASE)
    diagram = followed("strength[e,e]", 0.7, 1.1, **more)
    tabulate(results, [("s_ee", diagram)])
    if not small:
        draw("strength", "spiking reduction: s_ee", [diagram])


LAMBDA: dict[str, Any] = {"largest_step": 0.06, "tolerance": 1e-5, "points": 600, "most_branches": 4, **BASE}


def external(results: Results, small: bool) -> None:
    """From the Hopf point in lambda."""
    diagram = followed("external_rate", 3.0, 14.0, **sized(small, **LAMBDA))
    tabulate(results, [("lambda", diagram)])
    if not small:
        draw("external", "spiking reduction: lambda", [diagram])


def lambda_orbits(results: Results, small: bool) -> None:
    """The oscillations at lambda = 10 and 6, followed up and down: none from the Hopf point leads there within 3 to 14.

    One burst per period at 10, two at 6, which is the doubled orbit of the first.
    """
    more = sized(small, **LAMBDA | {"within": (3.0, 14.0), "cycles": False})
    parts = []
    for begin in (10.0,) if small else (10.0, 6.0):
        for to in (14.0,) if small else (14.0, 3.0):
            parts.append((f"from {begin:g} to {to:g}", followed("external_rate", begin, to, orbit=True, **more)))
    tabulate(results, parts)
    if not small:
        draw("external_big", "spiking reduction: lambda", [diagram for _, diagram in parts])


def p_ei(results: Results, small: bool) -> None:
    """The diagram of 4000 neurons at the default options, with their network on top."""
    more = sized(small, size=4000, switch=False, tolerance=1e-5, largest_step=0.06, points=40)
    parts = [("from rest", followed(P_EI, 0.45, 1.0, **(more | ({} if small else {"most_branches": 2, "points": 90}))))]
    orbits = () if small else ((0.88, 1.0), (0.88, 0.7), (0.95, 1.0))
    for begin, to in orbits:
        diagram = followed(P_EI, begin, to, orbit=True, within=(0.7, 1.0), cycles=False, **more)
        which = "small-amplitude" if begin == 0.95 else "large-amplitude"
        parts.append((f"{which} oscillation, from {begin} to {to:g}", diagram))
    tabulate(results, parts)
    if not small:
        networks = {p: network(p) for p in (0.5, 0.6, 0.7, 0.76, 0.82, 0.88, 0.94)}
        title = "4000 neurons: branches of the reduction; grey: histogram and peak heights of the network"
        draw("p_ei", title, [diagram for _, diagram in parts], networks)


def network(p):
    """1.5 s of the network of 4000 neurons."""
    model, times = ln.SpikingNetwork().replace(**{P_EI: p}), np.arange(0.0, 1500.05, 0.5)
    return kept(("network", p), lambda: ln.simulate(model, times, n=4000, realisations=1, seed=1))


def p_ei_steps(results: Results, small: bool) -> None:
    """The large-amplitude oscillation of 4000 neurons for shorter steps: how far its trivial multiplier is from 1."""
    table = results.table(
        "p_ei_steps", "p_ei", "dt (ms)", ("period (ms)", ".4f"), ("trivial multiplier - 1", "+.0e"),
        ("leading multiplier, real part", ".4f"), ("imaginary part", "+.4f"), ("highest rate E, I (Hz)", ".0f"),
    )  # fmt: skip
    for p in (0.88,) if small else (0.76, 0.88, 0.97):
        for dt in (0.1,) if small else (0.1, 0.05, 0.025):
            model, more = ln.SpikingNetwork().replace(**{P_EI: p}), {"dt": dt, "settle": 3000.0, "n": 4000}
            more |= {"bin_width": 20.0, "settle": 1000.0} if small else {}
            orbit = kept(("orbit", p, sorted(more.items())), lambda model=model, more=more: cycle(model, **more))
            table.add(p, dt, *orbit_cells(orbit, "rate_high"))


def cycle(model, **options):
    """The orbit to which the reduction settles."""
    return analysis.limit_cycle(model, **options)


def orbit_cells(orbit, rate):
    """Period, trivial multiplier less 1, leading multiplier, and rates of an orbit."""
    first = orbit["multiplier_real"][0].item(), orbit["multiplier_imag"][0].item()
    return float(orbit["period"]), float(orbit["trivial_multiplier"]) - 1, *first, orbit[rate].values


def affine_drift(results: Results, small: bool) -> None:
    """The diagram with the drift linear within a bin, and the fold of the large-amplitude oscillation."""
    more = {"switch": False, "tolerance": 1e-6, "linear_in_bin": False, "bin_width": 4.0}
    whole = followed(P_EI, 0.45, 1.0, **sized(small, most_branches=2, largest_step=0.05, points=85, **more))
    parts = [("from rest", whole)]
    if not small:
        step = {"first_step": 0.1, "largest_step": 0.2}
        part = followed(P_EI, 0.87, 0.95, orbit=True, cycles=False, points=14, **step, **more)
        parts.append(("large-amplitude oscillation from 0.87", part))
    tabulate(results, parts)


def bursts(results: Results, small: bool) -> None:
    """The two bursts of p_ei = 0.8, followed to their fold."""
    model, form = ln.SpikingNetwork().replace(**{P_EI: 0.8}), REFERENCE | ({"bin_width": 20.0} if small else {})
    orbit = analysis.limit_cycle(model, window=100.0, settle=3000.0, **form)
    diagram = kept(
        ("bursts", small),
        lambda: analysis.follow(
            model, P_EI, to=0.95, within=(0.8, 0.95), start=orbit, cycles=False, switch=False,
            points=2 if small else 30, each=printed, first_step=0.1, largest_step=0.2, tolerance=1e-5, **form,
        ),
    )  # fmt: skip
    tabulate(results, [("two bursts", diagram)])


ORBITS = {0.65: (16.2151, 76.166, 85.744, "0.1089"), 0.8: (30.4441, 46.6885, 65.077, "0.0251 ± 0.0266i")}
"""Period (ms), E and I rate (Hz) and leading multiplier by p_ei, of the independent program."""


def reference_values(results: Results, small: bool) -> None:
    """Two orbits against reference values of the independent program."""
    table = results.table(
        "orbits", "p_ei", ("period (ms)", ".4f"), ("trivial multiplier - 1", ".0e"),
        ("leading multiplier, real part", ".4f"), ("imaginary part", "+.4f"), ("E, I (Hz)", ".4f"),
        "reference: period (ms)", "E (Hz)", "I (Hz)", "leading multiplier",
    )  # fmt: skip
    form = REFERENCE | ({"bin_width": 20.0} if small else {})
    for p, expected in list(ORBITS.items())[: 1 if small else None]:
        model = ln.SpikingNetwork().replace(**{P_EI: p})
        orbit = analysis.limit_cycle(model, window=100.0, settle=3000.0, **form)
        table.add(p, *orbit_cells(orbit, "rate"), *expected)


STEPPED = (
    ("period_doubling", 0.74, 0.77, 18.943, "0.75678 ± 1e-4, T 18.941"),
    ("fold_of_cycles", 0.87, 0.92, 39.355, "0.90538, T 39.357"),
)
"""Kind, range, period nearby, and the reference values of the independent program."""


def steps(results: Results, small: bool) -> None:
    """A doubling and a fold for two numbers of steps per period, and between them at dt = 0.1 exactly."""
    table = results.table(
        "steps", "kind", "steps k", ("T/k (ms)", ".6f"), ("p_ei", ".6f"), ("T (ms)", ".4f"), "reference values"
    )
    for kind, begin, to, period, expected in STEPPED[: 1 if small else None]:
        found = []
        for count in (int(period / 0.1), int(period / 0.1) + 1)[: 1 if small else None]:
            p, t = stepped(kind, begin, to, period / count, small)
            found.append((t / count, p, t))
            table.add(kind.replace("_", " "), count, t / count, p, t, None)
        if small:
            return
        (d0, p0, t0), (d1, p1, t1) = found
        share = (0.1 - d0) / (d1 - d0)
        p, t = p0 + share * (p1 - p0), t0 + share * (t1 - t0)
        table.add(kind.replace("_", " "), None, 0.1, p, t, expected)


def stepped(kind, begin, to, dt, small):
    """Parameter and period of the first point of a kind, with a step that divides the period."""
    more = {"points": 25, "first_step": 0.1, "largest_step": 0.2, "tolerance": 1e-5, "cycles": False}
    options = sized(small, **more, **REFERENCE)
    diagram = followed("probability[e,i]", begin, to, orbit=True, dt=dt, **options)
    found = [(p["parameter"], p["period"]) for p in special_points(diagram) if p["kind"] == kind]
    return (np.nan, np.nan) if small and not found else found[0]


def hysteresis(results: Results, small: bool) -> None:
    """How far the state swings when p_ei is swept up and down in small steps."""
    values = [0.87, 0.875, 0.88, 0.885, 0.89, 0.895, 0.9, 0.905, 0.91][: 2 if small else None]
    table = results.table("hysteresis", "p_ei", ("swing of the state, sweeping up", ".4f"), ("sweeping down", ".4f"))
    form = REFERENCE | ({"bin_width": 20.0} if small else {})
    settle, found = 1000 if small else 20_000, {}
    with jax.enable_x64(True):
        dynamics = ln.SpikingNetwork().dynamics(P_EI, n=None, **form)

        @jax.jit
        def settled(x, p):
            return jax.lax.fori_loop(0, settle, lambda _, y: dynamics.rhs(y, p, 0.1), x)

        @jax.jit
        def swing(x, p):
            return jax.numpy.ptp(
                jax.lax.scan(lambda y, _: (dynamics.rhs(y, p, 0.1), y), x, None, length=600)[1], axis=0
            )

        x = dynamics.starts(0.87)[0]
        for direction in (1, -1):
            for p in values[::direction]:
                x = settled(x, p)
                found[p, direction] = float(np.max(swing(x, p)))
    for p in values:
        table.add(p, found[p, 1], found[p, -1])


PARTS = (
    reference, slopes, external, lambda_orbits, strength, p_ei, p_ei_steps, affine_drift, bursts, reference_values,
    steps, hysteresis,
)  # fmt: skip

if __name__ == "__main__":
    keep_compiled()
    main(PARTS, __doc__)
