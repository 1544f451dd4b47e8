"""Bifurcation diagrams of balanced networks, and of Morris and Lecar's neuron against auto-07p.

What:     (balanced) stationary states, folds, Hopf points and oscillations of the limit and at finite size; (folded)
          the balanced manifold with its sheets, and the relaxation oscillation around its folds in theory and network;
          (auto) special points of the Morris-Lecar neuron beside those of auto-07p. The spiking reduction is in
          bifurcation_spiking.py.
Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273); Rinzel & Ermentrout 1989 for Morris-Lecar.
Run time: 1 to 2 minutes each on one core; `auto` needs Debian's auto-07p.
Command:  OPENBLAS_NUM_THREADS=1 python validation/bifurcation.py balanced|folded|auto
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from diagrams import keep_compiled, tabulate
from matplotlib.figure import Figure
from study import ROOT, Results, estimate, main

import largen as ln
from largen import analysis, plot


def balanced(results: Results, small: bool) -> None:
    """Branches of balanced networks in the limit and at N = 2000, and the period of the folded oscillation."""
    folded = ln.BalancedNetwork.folded()
    parts, refused = [], []
    cases = [
        ("S3 (balanced), limit", ln.BalancedNetwork(), "drive[e]", 0.9, None),
        ("S3 (balanced), limit", ln.BalancedNetwork(), "drive[e]", 0.45, None),
        ("S1 (rank_one), limit", ln.BalancedNetwork.rank_one(), "input[e]", 2.0, None),
        ("folded, limit", folded, "drive*", 1.6, None),
        ("folded, limit", folded, "drive*", 0.2, None),
        ("folded, limit", folded, "gain[e].threshold", 1.5, None),
        ("folded, N = 2000", folded, "drive*", 1.9, 2000),
        ("folded, N = 2000", folded, "drive*", 0.1, 2000),
        ("folded, N = 2000", folded, "gain[e].threshold", 1.5, 2000),
    ]
    for name, model, parameter, to, n in cases[:1] if small else cases:
        title = f"{name}, {parameter} to {to}"
        try:
            diagram = analysis.follow(model, parameter, to=to, n=n, largest_step=0.05, points=20 if small else 400)
            parts.append((title, diagram))
        except (ln.LimitError, ln.InputError) as error:
            refused.append((title, str(error)))
    tabulate(results, parts)
    table = results.table("refused", "diagram", "message")
    for row in refused:
        table.add(*row)
    table = results.table("periods", "n per population", ("period", ".5f"), ("trivial multiplier - 1", ".0e"))
    for n in (2000,) if small else (2000, 20_000, 2_000_000):
        orbit = analysis.limit_cycle(folded, n=n)
        table.add(n // 2, float(orbit["period"]), float(orbit["trivial_multiplier"]) - 1)


def crossings(time, values):
    """Mean period between upward passages of the middle, its standard error, and their number."""
    middle = 0.5 * (values.min() + values.max())
    up = np.flatnonzero((values[:-1] < 0.9 * middle) & (values[1:] >= 0.9 * middle))
    at = time[up]
    at = at[np.append(True, np.diff(at) > 0.5)]
    return float(np.mean(np.diff(at))), float(np.std(np.diff(at)) / np.sqrt(len(at) - 1)), len(at) - 1


def folded(results: Results, small: bool) -> None:
    """The balanced manifold with its sheets, and the relaxation oscillation around its folds at finite n."""
    model = ln.BalancedNetwork.folded()
    observed, largest = (2000, 20_000) if small else (20_000, 200_000)  # 200 neurons have no orbit
    sizes, times = tuple(dict.fromkeys((2000, observed, largest))), np.linspace(0.0, 40.0, 8001)
    theory = {n: ln.solve_limit(model, times[:2401], n=n) for n in sizes}
    network = ln.simulate(model, times, n=observed, realisations=1, seed=1)
    portrait = analysis.phase_portrait(
        model,
        finite=theory[largest],
        network=network.sel(time=slice(0, 12)),
        start=4.0,
        window=((-0.6, 3.2), (0.45, 2.2)),
    )
    if not small:
        draw_folded(portrait, theory, network.sel(time=slice(0, 12)))
    table = results.table(
        "periods",
        "n",
        ("period, theory", ".5f"),
        ("trivial multiplier - 1", ".0e"),
        ("period, network", ".3f"),
        "periods",
    )
    for n in sizes if small else (*sizes, 2_000_000):
        orbit, measured = analysis.limit_cycle(model, n=n), (None, None)
        if n == observed:
            late = network.sel(time=slice(4.0, None))
            mean, error, count = crossings(late["time"].values, late["mean"].values[0, 0])
            measured = estimate(mean, error), count
        table.add(n, float(orbit["period"]), float(orbit["trivial_multiplier"]) - 1, *measured)
    table = results.table("folds", ("mean of e", ".4f"), ("mean of i", ".4f"))
    for fold in portrait["fold"].values:
        table.add(*fold)


def draw_folded(portrait, theory, network):
    """The sheets of the manifold with orbits, and the mean of e against time."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot.phase_portrait(portrait, ax=left, arrows=False)
    left.set_title("sheets of the balanced manifold; orbits at n = 200000 (theory), 20000 (network)", fontsize=8)
    for n, run in theory.items():
        right.plot(run["time"], run["mean"].isel(population=0), lw=1.0, label=f"theory, n = {n}")
    line = network["mean"].isel(realisation=0, population=0)
    right.plot(network["time"], line, lw=0.7, color="0.3", label="network, n = 20000")
    right.set(xlabel="time (1)", ylabel="mean state of e")
    right.legend(frameon=False, fontsize=7)
    figure.savefig(ROOT / "docs" / "validation" / "bifurcation-folded.png", dpi=110)


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


def auto(results: Results, small: bool) -> None:
    """Special points of the Morris-Lecar neuron: largen's beside those of auto-07p."""
    flow = analysis.Flow(morris_lecar, [-36.75474151, 0.07019816], {"i": 60.0}, scale=[60.0, 1.0], time_unit="ms")
    diagram = analysis.follow(flow, "i", to=100.0 if small else 250.0, cycles=not small, largest_step=0.03)
    ours = list(zip(diagram["special_kind"].values, diagram["special_parameter"].values, strict=True))
    theirs = [] if small and not shutil.which("auto-07p") else auto_points()
    table = results.table(
        "auto", "Morris-Lecar, current", ("largen", ".7f"), ("auto-07p", ".7f"), ("difference", ".1e")
    )
    for kind, value in ours:
        near = [v for k, v in theirs if k == kind and abs(v - value) < 1.0]
        best = min(near, key=lambda v: abs(v - value)) if near else None
        table.add(str(kind).replace("_", " "), value, best, None if best is None else abs(best - value))


def auto_points():
    """Kinds and currents of the special points that auto-07p finds."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ml.f90").write_text(MORRIS_LECAR)
        (Path(folder) / "go.auto").write_text(AUTO_SCRIPT)
        done = subprocess.run(["auto-07p", "go.auto"], cwd=folder, capture_output=True, text=True, timeout=300)
    found = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("POINT")]
    if not found:
        raise SystemExit(f"auto-07p gave no special point.\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return [(kind, float(value)) for kind, value in found]


PARTS = (balanced, folded, auto)

if __name__ == "__main__":
    keep_compiled()
    main(PARTS, __doc__)
