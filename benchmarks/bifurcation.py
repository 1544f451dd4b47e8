"""Bifurcation diagrams: special points, periods and multipliers of the spiking reduction and the balanced network.

What: each part writes one section of docs/bifurcation.md (the others stay as they are).
Source: the parameter sets of CLWTX 2024 and MV 2024; Rinzel & Ermentrout 1989 for Morris-Lecar.
Run time (one core): goldens 1 min, spiking 5 min, slopes 5 min, external 5 min, strength 5 min, hysteresis 1 min,
balanced 1 min, auto 1 min (needs Debian's auto-07p), speed 2 min.
Command: OPENBLAS_NUM_THREADS=1 python benchmarks/bifurcation.py PART [PART ...]
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot
from largen.analysis.cycles import _returning
from largen.numerics.continuation import shooting

PAGE = Path(__file__).parents[1] / "docs" / "bifurcation.md"
GOLDEN = {"linear_in_bin": False, "stretched": False, "bin_width": 4.0}
MIDDLE = {"linear_in_bin": False, "bin_width": 4.0}


def section(name, text):
    """Replace one section of the page."""
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    command = f"`python benchmarks/bifurcation.py {name}`"
    body = f"{begin}\n{text.rstrip()}\n\nMade by {command}.\n{end}"
    page = PAGE.read_text()
    found = re.search(re.escape(begin) + ".*?" + re.escape(end), page, re.DOTALL)
    PAGE.write_text(page.replace(found.group(0), body) if found else page.rstrip() + "\n\n" + body + "\n")
    print(text, flush=True)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def specials(diagram):
    rows = []
    shifts = [str(key) for key in diagram.data_vars if str(key).startswith("special_shift_")]
    for k, kind in enumerate(diagram["special_kind"].values.tolist()):
        p, error = float(diagram["special_parameter"][k]), float(diagram["special_uncertainty"][k])
        frequency, period = float(diagram["special_frequency"][k]), float(diagram["special_period"][k])
        what = (
            f"{frequency:.4g} {diagram['special_frequency'].attrs['units']}".replace(" 1", "")
            if np.isfinite(frequency)
            else (f"T {period:.4f}" if np.isfinite(period) else "")
        )
        row = [kind.replace("_", " "), f"{p:.6f}", f"{error:.0e}", what, int(diagram["special_branch"][k])]
        rows.append(row + [f"{float(diagram[key][k]):+.5f}" for key in shifts])
    heads = ["kind", "value", "+-", "frequency / period", "branch", *(key[8:].replace("_", " ") for key in shifts)]
    return table(heads, rows)


def branches(diagram):
    rows = []
    for k in range(diagram.sizes["branch"]):
        count = int((diagram["on_branch"] == k).sum())
        rows.append([k, str(diagram["branch_kind"].values[k]), count, str(diagram["branch_ending"].values[k])])
    return table(["branch", "of", "points", "how it ends"], rows)


def follow_spiking(name, values, parameter, begin, to, options, **more):
    model = ln.SpikingNetwork().replace(**{parameter: begin})
    started = time.process_time()

    def each(point):
        if point.get("special") or point["branch"] > 0:
            print(f"{time.process_time() - started:7.1f} s", point, flush=True)

    diagram = analysis.follow(model, parameter, to=to, each=each, **options, **more)
    spent = time.process_time() - started
    ln.save(diagram, Path(tempfile.gettempdir()) / f"bifurcation-{name}.nc")
    figure = plot.diagram_page(diagram, title=f"spiking reduction: {values}")
    figure.savefig(PAGE.parent / f"bifurcation-{name}.png", dpi=110)
    text = f"{specials(diagram)}\n\n{branches(diagram)}\n\nCPU time {spent:.0f} s for {diagram.sizes['point']} points."
    section(name, text + f"\n\n![{values}](bifurcation-{name}.png)")


def spiking():
    follow_spiking(
        "spiking", "p_ei, golden switches", "probability[e,i]", 0.45, 1.0, GOLDEN, most_branches=4,
        largest_step=0.05, tolerance=2e-6, points=90,
    )  # fmt: skip


def p_ei():
    """The diagram of 4000 neurons at the default options, with their network on top."""
    name, size, parts = "probability[e,i]", 4000, []
    more = {"n": size, "switch": False, "tolerance": 1e-5}
    model = ln.SpikingNetwork().replace(**{name: 0.45})
    parts.append(analysis.follow(model, name, to=1.0, most_branches=2, points=70, largest_step=0.06, **more))
    for begin, to in ((0.88, 1.0), (0.88, 0.74)):
        model = ln.SpikingNetwork().replace(**{name: begin})
        orbit = settled_orbit(model.scaled(size), name, begin)
        parts.append(analysis.follow(
            model, name, to=to, start=orbit, cycles=False, points=40, first_step=0.05, largest_step=0.15, **more
        ))  # fmt: skip
    networks = {}
    for p in (0.5, 0.6, 0.7, 0.76, 0.82, 0.88, 0.94):
        model = ln.SpikingNetwork().replace(**{name: p})
        networks[p] = ln.simulate(model, np.arange(0.0, 1500.05, 0.5), n=size, realisations=1, seed=1)
    draw_p_ei(parts, networks)


def draw_p_ei(parts, networks):
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    ax = figure.subplots()
    for k, diagram in enumerate(parts):
        plot.bifurcation(diagram, ax=ax, component="e", networks={} if k else networks, start=300.0)
    known = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    ax.legend(known.values(), known.keys(), frameon=False, fontsize=7)
    ax.set_title("4000 neurons: branches of the reduction; grey: histogram and peak heights of the network", fontsize=9)
    figure.savefig(PAGE.parent / "bifurcation-p_ei.png", dpi=110)
    text = "\n\n".join(f"{specials(diagram)}\n\n{branches(diagram)}" for diagram in parts)
    section("p_ei", text + "\n\n![p_ei at 4000 neurons, with the network](bifurcation-p_ei.png)")


def settled_orbit(model, parameter, p, settle=2000.0, **options):
    """An orbit for `follow` by the very program that follows it, which need not be compiled again."""
    with jax.enable_x64(True):
        dynamics = model.dynamics(parameter, n=None, **options)
        law, p = shooting.Repeated(dynamics.law), np.asarray(p)

        def ahead(x, count):
            return np.asarray(shooting._flow(law, x, np.asarray(count * 0.1), p, np.asarray(count)))

        path = [ahead(dynamics.starts(float(p))[0], round(settle / 0.1))]
        for _ in range(1000):
            path.append(ahead(path[-1], 1))
        period, orbit = _returning(dynamics, 0.1 * np.arange(len(path)), np.array(path))
    return xr.Dataset({"period": ((), period), "unknowns": (("phase", "unknown"), orbit[:-1])})


def stretched():
    """The diagram with the drift linear within a bin (ka of the specification), and the fold of the big oscillation."""
    name = "probability[e,i]"
    begin = ln.SpikingNetwork().replace(**{name: 0.45})
    more = {"switch": False, "tolerance": 1e-6} | MIDDLE
    whole = analysis.follow(begin, name, to=1.0, most_branches=2, largest_step=0.05, points=85, **more)
    text = f"{specials(whole)}\n\n{branches(whole)}"
    print(text, flush=True)
    big = ln.SpikingNetwork().replace(**{name: 0.87})
    orbit = settled_orbit(big, name, 0.87, **MIDDLE)
    part = analysis.follow(
        big, name, to=0.95, start=orbit, cycles=False, points=14, first_step=0.1, largest_step=0.2, **more
    )
    section("stretched", f"{text}\n\nThe big oscillation from p_ei = .87:\n\n{specials(part)}")


def bursts():
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": 0.8})
    orbit = analysis.limit_cycle(model, window=100.0, settle=3000.0, **GOLDEN)
    started = time.process_time()
    clock = []

    def each(point):
        clock.append(time.process_time() - started)
        print(f"{clock[-1]:7.1f} s", point, flush=True)

    diagram = analysis.follow(
        model, "probability[e,i]", to=0.95, within=(0.8, 0.95), start=orbit, cycles=False, switch=False, points=30,
        each=each, first_step=0.1, largest_step=0.2, tolerance=1e-5, **GOLDEN,
    )  # fmt: skip
    spent = f"CPU time {clock[-1] - clock[0]:.0f} s for {len(clock)} points."
    section("bursts", f"{specials(diagram)}\n\n{branches(diagram)}\n\n{spent}")


def slopes():
    follow_spiking(
        "slopes", "p_ei, linear_in_bin", "probability[e,i]", 0.45, 1.0, {"bin_width": 4.0}, cycles=False,
        largest_step=0.06, refine={"bin_width": 2.0, "dt": 0.05},
    )  # fmt: skip


def external():
    more = {"most_branches": 3, "switch": False, "largest_step": 0.06, "points": 120, "tolerance": 1e-5}
    follow_spiking("external", "lambda", "external_rate", 3.0, 14.0, {"bin_width": 4.0}, **more)


def external_big():
    """The oscillation at lambda = 6, followed up and down: none from the Hopf point leads to it within the range."""
    name, text = "external_rate", []
    model = ln.SpikingNetwork().replace(**{name: 6.0})
    orbit = settled_orbit(model, name, 6.0, bin_width=4.0)
    for to, points in ((14.0, 20), (3.0, 30)):
        started = time.process_time()
        part = analysis.follow(
            model, name, to=to, start=orbit, cycles=False, switch=False, points=points, first_step=0.1,
            largest_step=0.3, tolerance=1e-5, bin_width=4.0, each=lambda point: print(point, flush=True),
        )  # fmt: skip
        spent = f"CPU time {time.process_time() - started:.0f} s for {part.sizes['point']} points."
        text.append(f"From lambda = 6 to {to:g}:\n\n{specials(part)}\n\n{branches(part)}\n\n{spent}")
    section("external_big", "\n\n".join(text))


def strength():
    more = {"most_branches": 3, "switch": False, "largest_step": 0.06, "points": 60, "tolerance": 1e-5}
    follow_spiking("strength", "s_ee", "strength[e,e]", 0.7, 1.1, {"bin_width": 4.0}, **more)


def goldens():
    rows = []
    for p, expected in ((0.65, "16.2151, 76.166, 85.744, .1089"), (0.8, "30.4441, 46.6885, 65.077, .0251 +- .0266i")):
        model = ln.SpikingNetwork().replace(**{"probability[e,i]": p})
        orbit = analysis.limit_cycle(model, window=100.0, settle=3000.0, **GOLDEN)
        first = complex(orbit["multiplier_real"][0].item(), orbit["multiplier_imag"][0].item())
        rows.append(
            [p, f"{float(orbit['period']):.4f}", *(f"{rate:.4f}" for rate in orbit["rate"].values), f"{first:.4f}",
             f"{float(orbit['trivial_multiplier']) - 1:.0e}", expected]
        )  # fmt: skip
    heads = ["p_ei", "period (ms)", "E (Hz)", "I (Hz)", "leading multiplier", "trivial - 1", "independent prototype"]
    section("goldens", table(heads, rows))


def steps():
    """The doubling for two numbers of steps per period, and between them at dt = .1 exactly."""
    rows = []
    for kind, begin, to, period, expected in (("period_doubling", 0.74, 0.77, 18.943, ".75678 +- 1e-4, T 18.941"),):
        found = []
        for count in (np.floor(period / 0.1), np.ceil(period / 0.1)):
            options = GOLDEN | {"dt": period / count}
            model = ln.SpikingNetwork().replace(**{"probability[e,i]": begin})
            orbit = analysis.limit_cycle(model, window=100.0, settle=2000.0, **options)
            diagram = analysis.follow(
                model, "probability[e,i]", to=to, start=orbit, cycles=False, switch=False, points=25, first_step=0.1,
                largest_step=0.2, tolerance=1e-6, **options,
            )  # fmt: skip
            k = diagram["special_kind"].values.tolist().index(kind)
            p, t = float(diagram["special_parameter"][k]), float(diagram["special_period"][k])
            slope = np.gradient(diagram["period"].values, diagram["parameter"].values)
            near = float(slope[max(int(diagram["special_point"][k]) - 2, 0)])
            found.append((t / count, p, t))
            rows.append(
                [kind.replace("_", " "), int(count), f"{t / count:.6f}", f"{p:.6f}", f"{t:.4f}", f"{near:.0f}", ""]
            )
            print(rows[-1], flush=True)
        (d0, p0, t0), (d1, p1, t1) = found
        share = (0.1 - d0) / (d1 - d0)
        rows.append(
            [
                kind.replace("_", " "),
                "-",
                "0.1",
                f"{p0 + share * (p1 - p0):.6f}",
                f"{t0 + share * (t1 - t0):.4f}",
                "",
                expected,
            ]
        )
    heads = ["kind", "steps k", "T/k (ms)", "p_ei", "T (ms)", "dT/dp before it (ms)", "prototype"]
    section("steps", table(heads, rows))


def balanced():
    folded = ln.BalancedNetwork.folded()
    parts = []
    for name, model, parameter, to, n in (
        ("S3 (balanced), limit", ln.BalancedNetwork(), "drive[e]", 0.9, None),
        ("S3 (balanced), limit", ln.BalancedNetwork(), "drive[e]", 0.45, None),
        ("S1 (rank_one), limit", ln.BalancedNetwork.rank_one(), "input[e]", 2.0, None),
        ("folded, limit", folded, "drive*", 1.6, None),
        ("folded, limit", folded, "drive*", 0.2, None),
        ("folded, limit", folded, "gain[e].threshold", 1.5, None),
        ("folded, N = 2000", folded, "drive*", 1.9, 2000),
        ("folded, N = 2000", folded, "drive*", 0.1, 2000),
        ("folded, N = 2000", folded, "gain[e].threshold", 1.5, 2000),
    ):
        try:
            diagram = analysis.follow(model, parameter, to=to, n=n, largest_step=0.05, points=120)
            parts.append(f"{name}, {parameter} to {to}:\n\n{specials(diagram)}\n\n{branches(diagram)}")
        except (ln.LimitError, ln.InputError) as error:
            parts.append(f"{name}, {parameter} to {to}: {error}")
        print(parts[-1], flush=True)
    rows = []
    for n in (2000, 20_000, 2_000_000):
        orbit = analysis.limit_cycle(folded, n=n)
        rows.append([n // 2, f"{float(orbit['period']):.5f}", f"{float(orbit['trivial_multiplier']) - 1:.0e}"])
    heads = ["n per population", "period", "trivial multiplier - 1"]
    section("balanced", "\n\n".join([*parts, "Relaxation oscillation, folded:", table(heads, rows)]))


def crossings(time, values):
    """Mean period between upward passages of the middle, and its standard error."""
    middle = 0.5 * (values.min() + values.max())
    up = np.flatnonzero((values[:-1] < 0.9 * middle) & (values[1:] >= 0.9 * middle))
    at = time[up]
    at = at[np.append(True, np.diff(at) > 0.5)]
    return float(np.mean(np.diff(at))), float(np.std(np.diff(at)) / np.sqrt(len(at) - 1)), len(at) - 1


def folded():
    """The balanced manifold with its sheets, and the relaxation oscillation around its folds at finite n."""
    model = ln.BalancedNetwork.folded()
    sizes, times = (2000, 20_000, 200_000), np.linspace(0.0, 40.0, 8001)
    theory = {n: ln.solve_limit(model, times[:2401], n=n) for n in sizes}
    network = ln.simulate(model, times, n=20_000, realisations=1, seed=1)
    path = analysis.phase_portrait(
        model,
        finite=theory[200_000],
        network=network.sel(time=slice(0, 12)),
        start=4.0,
        window=((-0.6, 3.2), (0.45, 2.2)),
    )
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot.phase_portrait(path, ax=left, arrows=False)
    left.set_title("sheets of the balanced manifold; orbits at n = 200000 (theory), 20000 (network)", fontsize=8)
    for n, run in theory.items():
        right.plot(run["time"], run["mean"].isel(population=0), lw=1.0, label=f"theory, n = {n}")
    shown = network.sel(time=slice(0, 12))
    right.plot(
        shown["time"], shown["mean"].isel(realisation=0, population=0), lw=0.7, color="0.3", label="network, n = 20000"
    )
    right.set(xlabel="time (1)", ylabel="mean state of e")
    right.legend(frameon=False, fontsize=7)
    figure.savefig(PAGE.parent / "bifurcation-folded.png", dpi=110)
    rows = []
    for n in (*sizes, 2_000_000):
        orbit = analysis.limit_cycle(model, n=n)
        rows.append([n, f"{float(orbit['period']):.5f}", f"{float(orbit['trivial_multiplier']) - 1:.0e}", ""])
        if n == 20_000:
            late = network.sel(time=slice(4.0, None))
            mean, error, count = crossings(late["time"].values, late["mean"].values[0, 0])
            rows[-1][-1] = f"{mean:.3f} +- {error:.3f} ({count} periods)"
    fold = ", ".join(f"({x:.4f}, {y:.4f})" for x, y in path["fold"].values)
    text = table(["n", "period, theory", "trivial multiplier - 1", "period, network"], rows)
    text += f"\n\nFolds of the manifold at the orbit's mean variances: {fold}."
    section("folded", text + "\n\n![the slow manifold with both sheets](bifurcation-folded.png)")


def hysteresis():
    from largen.analysis.cycles import _run_steps, _sample_steps

    model = ln.SpikingNetwork()
    rows = []
    values = [0.87, 0.875, 0.88, 0.885, 0.89, 0.895, 0.9, 0.905, 0.91]
    with jax.enable_x64(True):
        dynamics = model.dynamics("probability[e,i]", n=None, **GOLDEN)
        dt, x, found = np.asarray(0.1), dynamics.starts(0.87)[0], {}
        for direction in (1, -1):
            for p in values[::direction]:
                x = np.asarray(_run_steps(dynamics.law, x, np.asarray(p), dt, np.asarray(20_000)))
                path = np.asarray(_sample_steps(dynamics.law, x, np.asarray(p), dt, 600))
                found[p, direction] = float(np.max(np.ptp(path, axis=0)))
        rows = [[p, f"{found[p, 1]:.4f}", f"{found[p, -1]:.4f}"] for p in values]
    heads = ["p_ei", "swing of the state, sweeping up", "sweeping down"]
    section("hysteresis", table(heads, rows))


def speed():
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": 0.5})
    times = []
    analysis.follow(
        model, "probability[e,i]", to=0.75, cycles=False, largest_step=0.05, **GOLDEN,
        each=lambda point: times.append(time.process_time()),
    )  # fmt: skip
    fixed = np.median(np.diff(times))
    orbit = analysis.limit_cycle(model, settle=1000.0, window=100.0, **GOLDEN)
    clock, special = [], []

    def each(point):
        clock.append(time.process_time())
        special.append("special" in point)

    analysis.follow(
        model, "probability[e,i]", to=0.95, start=orbit, switch=False, cycles=False, points=60, largest_step=0.05,
        tolerance=1e-5, each=each, **GOLDEN,
    )  # fmt: skip
    what = f"{len(clock)} points of cycles with multipliers, {sum(special)} of them special points located"
    rows = [
        ["a fixed point with its spectrum (median)", f"{fixed:.3f} s", "0.1 s"],
        [what, f"{clock[-1] - clock[0]:.1f} s", "40 s for 60"],
        ["a plain point of them (median)", f"{np.median(np.diff(clock)):.2f} s", ""],
    ]
    section("speed", table(["what", "CPU time after compilation", "target"], rows))


MORRIS_LECAR = """
      SUBROUTINE FUNC(NDIM,U,ICP,PAR,IJAC,F,DFDU,DFDP)
      IMPLICIT NONE
      INTEGER, INTENT(IN) :: NDIM, ICP(*), IJAC
      DOUBLE PRECISION, INTENT(IN) :: U(NDIM), PAR(*)
      DOUBLE PRECISION, INTENT(OUT) :: F(NDIM)
      DOUBLE PRECISION, INTENT(INOUT) :: DFDU(NDIM,NDIM), DFDP(NDIM,*)
      DOUBLE PRECISION V, W, M, E, R
      V=U(1)
      W=U(2)
      M=0.5D0*(1+TANH((V+1.2D0)/18D0))
      E=0.5D0*(1+TANH((V-2D0)/30D0))
      R=COSH((V-2D0)/60D0)
      F(1)=(PAR(1)-2D0*(V+60D0)-4.4D0*M*(V-120D0)-8D0*W*(V+84D0))/20D0
      F(2)=0.04D0*R*(E-W)
      END SUBROUTINE FUNC
      SUBROUTINE STPNT(NDIM,U,PAR,T)
      IMPLICIT NONE
      INTEGER, INTENT(IN) :: NDIM
      DOUBLE PRECISION, INTENT(INOUT) :: U(NDIM),PAR(*)
      DOUBLE PRECISION, INTENT(IN) :: T
      PAR(1)=60D0
      U(1)=-36.75474151D0
      U(2)=0.07019816D0
      END SUBROUTINE STPNT
      SUBROUTINE BCND
      END SUBROUTINE BCND
      SUBROUTINE ICND
      END SUBROUTINE ICND
      SUBROUTINE FOPT
      END SUBROUTINE FOPT
      SUBROUTINE PVLS
      END SUBROUTINE PVLS
"""
AUTO_SCRIPT = """
state = run(e='ml', NDIM=2, IPS=1, ICP=[1], NTST=60, NCOL=4, NMX=2000, NPR=2000, DS=0.1, DSMAX=2.0, DSMIN=1e-5,
            EPSL=1e-9, EPSU=1e-9, EPSS=1e-7, UZSTOP={1: 250.0}, ISP=2)
for point in state('HB'):
    print('POINT hopf', repr(point['PAR(1)']))
run(state('HB1'), IPS=2, ICP=[1, 11], ISP=2, DS=0.1, DSMAX=5.0, NMX=400, UZSTOP={1: [60.0, 250.0]}, NTST=100)
"""


def morris_lecar(x, q):
    v, w = x
    m = 0.5 * (1 + jnp.tanh((v + 1.2) / 18))
    end, rate = 0.5 * (1 + jnp.tanh((v - 2) / 30)), jnp.cosh((v - 2) / 60)
    current = q["i"] - 2 * (v + 60) - 4.4 * m * (v - 120) - 8 * w * (v + 84)
    return jnp.array([current / 20, 0.04 * rate * (end - w)])


def auto():
    flow = analysis.Flow(morris_lecar, [-36.75474151, 0.07019816], {"i": 60.0}, scale=[60.0, 1.0], time_unit="ms")
    diagram = analysis.follow(flow, "i", to=250.0, largest_step=0.03)
    ours = list(zip(diagram["special_kind"].values, diagram["special_parameter"].values, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ml.f90").write_text(MORRIS_LECAR)
        (Path(folder) / "go.auto").write_text(AUTO_SCRIPT)
        done = subprocess.run(["auto-07p", "go.auto"], cwd=folder, capture_output=True, text=True, timeout=300)
    theirs = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("POINT")]
    theirs += [["fold_of_cycles", line.split()[4]] for line in done.stdout.splitlines() if " LP " in line]
    if not theirs:
        print(done.stdout[-3000:], done.stderr[-2000:])
        raise SystemExit("auto-07p gave no special point.")
    rows = []
    for kind, value in ours:
        near = [float(v) for k, v in theirs if k == kind and abs(float(v) - value) < 1.0]
        best = min(near, key=lambda v: abs(v - value)) if near else None
        found = ("not reached", "") if best is None else (f"{best:.7f}", f"{abs(best - value):.1e}")
        rows.append([str(kind).replace("_", " "), f"{value:.7f}", *found])
    section("auto", table(["Morris-Lecar, current", "largen", "auto-07p", "difference"], rows))


if __name__ == "__main__":
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "largen"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    for part in sys.argv[1:]:
        globals()[part]()
