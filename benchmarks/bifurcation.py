"""Bifurcation diagrams: special points, periods and multipliers of the spiking reduction and the balanced network.

What: each part writes one section of docs/bifurcation.md (the others stay as they are).
Source: the parameter sets of CLWTX 2024 and MV 2024; Rinzel & Ermentrout 1989 for Morris-Lecar.
Run time (one core): spiking and p_ei 7 min, slopes 25 min, strength and external_big 3 min, the others 1 to 2 min; auto
needs Debian's auto-07p. What `followed` computes is kept in ~/.cache/largen/bifurcation, so that a part that was
interrupted goes on with the curve at which it stopped.
Command: OPENBLAS_NUM_THREADS=1 python benchmarks/bifurcation.py PART [PART ...]; for `speed`, taskset -c 0 before it
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from bifurcation_page import PAGE, branches, followed, listed, section, specials, table
from bifurcation_spiking import (
    GOLDEN,
    external,
    external_big,
    p_ei,
    p_ei_steps,
    slopes,
    spiking,
    strength,
    stretched,
)
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot


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


STEPPED = (
    ("period_doubling", 0.74, 0.77, 18.943, ".75678 +- 1e-4, T 18.941"),
    ("fold_of_cycles", 0.87, 0.92, 39.355, ".90538, T 39.357"),
)
"""Kind, range, period nearby, and what the prototype found."""


def steps():
    """A doubling and a fold for two numbers of steps per period, and between them at dt = .1 exactly."""
    rows = []
    for kind, begin, to, period, expected in STEPPED:
        found = []
        for count in (int(period / 0.1), int(period / 0.1) + 1):
            p, t = stepped(kind, begin, to, period / count)
            found.append((t / count, p, t))
            rows.append([kind.replace("_", " "), count, f"{t / count:.6f}", f"{p:.6f}", f"{t:.4f}", ""])
            print(rows[-1], flush=True)
        (d0, p0, t0), (d1, p1, t1) = found
        share = (0.1 - d0) / (d1 - d0)
        p, t = p0 + share * (p1 - p0), t0 + share * (t1 - t0)
        rows.append([kind.replace("_", " "), "-", "0.1", f"{p:.6f}", f"{t:.4f}", expected])
    section("steps", table(["kind", "steps k", "T/k (ms)", "p_ei", "T (ms)", "prototype"], rows))


def stepped(kind, begin, to, dt):
    """Parameter and period of the first point of a kind, with a step that divides the period."""
    more = {"points": 25, "first_step": 0.1, "largest_step": 0.2, "tolerance": 1e-5, "cycles": False}
    diagram = followed("probability[e,i]", begin, to, orbit=True, dt=dt, **more, **GOLDEN)
    point = next(point for point in listed(diagram) if point["kind"] == kind)
    return point["parameter"], point["period"]


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
            diagram = analysis.follow(model, parameter, to=to, n=n, largest_step=0.05, points=400)
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
    from largen.bifurcation.cycles import _run_steps, _sample_steps

    model = ln.SpikingNetwork()
    rows = []
    values = [0.87, 0.875, 0.88, 0.885, 0.89, 0.895, 0.9, 0.905, 0.91]
    with jax.enable_x64(True):
        dynamics = model.dynamics("probability[e,i]", n=None, **GOLDEN)
        dt, x, found = np.asarray(0.1), dynamics.starts(0.87)[0], {}
        for direction in (1, -1):
            for p in values[::direction]:
                x = np.asarray(_run_steps(dynamics.rhs, x, np.asarray(p), dt, np.asarray(20_000)))
                path = np.asarray(_sample_steps(dynamics.rhs, x, np.asarray(p), dt, 600))
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
    clock, special, reached = [], [], []

    def each(point):
        clock.append(time.process_time())
        special.append("special" in point)
        reached.append(point["parameter"])

    analysis.follow(
        model, "probability[e,i]", to=0.95, start=orbit, switch=False, cycles=False, points=60, largest_step=0.03,
        tolerance=1e-5, each=each, **GOLDEN,
    )  # fmt: skip
    what = f"{len(clock)} points of cycles with multipliers, {sum(special)} of them special points located, "
    what += f"p_ei from {reached[0]:g} to {max(reached):.4f} and at last {reached[-1]:.4f}"
    rows = [
        ["a fixed point with its spectrum (median)", f"{fixed:.3f} s", "0.1 s"],
        [what, f"{clock[-1] - clock[0]:.1f} s", "40 s for 60"],
        ["a plain point of them (median)", f"{np.median(np.diff(clock)):.2f} s", ""],
    ]
    section("speed", table(["what", "CPU time after compilation, one core", "target"], rows))


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
for begin in ('HB1', 'HB2'):
    orbits = run(state(begin), IPS=2, ICP=[1, 11], ISP=2, DS=0.01, DSMAX=1.0, NMX=600, NTST=200,
                 UZSTOP={1: [60.0, 250.0]})
    for point in orbits('LP'):
        print('POINT fold_of_cycles', repr(point['PAR(1)']))
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


PARTS = {
    part.__name__: part
    for part in (
        spiking, slopes, external, external_big, strength, p_ei, p_ei_steps, stretched, bursts, goldens,
        steps, balanced, folded, hysteresis, speed, auto,
    )
}  # fmt: skip

if __name__ == "__main__":
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "largen"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    for name in sys.argv[1:]:
        PARTS[name]()
