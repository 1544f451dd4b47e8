"""Burst and quiet dwell times of the spiking network near the edge of its oscillation, and how they depend on n.

What:     p_ei = 0.91, where 400 neurons alternate between runs of bursts and quiet: mean dwell of each state, network
          and finite-size chain, with the definition of a run varied, a hidden Markov model beside it, and n varied.
Source:   Chang et al. 2024 (arXiv 2411.14801) for the model; the definitions are in docs/validation/metastability.md.
Run time: about 2 CPU minutes.
Command:  python validation/metastability.py definitions|onsets|survival|sizes
"""

import functools

import numpy as np
from study import Results, Table, estimate, main

import largen as ln
from largen import analysis

STEP = 0.1  # ms
LONG, SHORT = (20_000.0, 16), (10_000.0, 4)  # ms, realisations; the long ones at n = 400
DWELLS = (("bursting (ms)", ".1f"), ("quiet (ms)", ".1f"), ("time bursting (%)", ".1f"), "exits")


def network(model, n, duration, runs):
    return ln.simulate(model, np.arange(0, duration + STEP / 2, STEP), n=n, realisations=runs, seed=1)


def chain(model, n, duration, runs):
    times = np.arange(0, duration + STEP / 2, STEP)
    return ln.solve_limit(model, times, n=n, finite_size=True, realisations=runs, seed=1)


KINDS = {"network": network, "chain": chain}


@functools.cache
def runs_at_400(small):
    """Network and chain of 400 neurons at p_ei = 0.91, which all parts share."""
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": 0.91})
    return {name: make(model, 400, *((3000.0, 4) if small else LONG)) for name, make in KINDS.items()}


def dwells(found):
    """Cells of the columns `DWELLS`."""
    pairs = [found[name].sel(state=s) for s in ("bursting", "quiet") for name in ("dwell", "dwell_se")]
    share = [100 * found[name].sel(state="bursting") for name in ("fraction", "fraction_se")]
    return [estimate(*pairs[:2]), estimate(*pairs[2:]), estimate(*share), int(found["exits"].sel(state="bursting"))]


def definitions(results: Results, small: bool) -> None:
    """Mean dwells at n = 400 under several definitions of a run of bursts."""
    table = results.table("definitions", "of", "definition", *DWELLS)
    for name, run in runs_at_400(small).items():
        base = analysis.metastability(run)
        interval = float(base["gap"]) / 1.5
        table.add(name, f"default: gap 1.5 intervals = {1.5 * interval:.1f} ms", *dwells(base))
        for factor in (1.25, 1.65, 1.75):
            found = analysis.metastability(run, gap=factor * interval)
            table.add(name, f"gap {factor} intervals = {factor * interval:.1f} ms", *dwells(found))
        for factor in (0.8, 1.25):
            pair = (factor * float(base["low"]), factor * float(base["high"]))
            found = analysis.metastability(run, thresholds=pair)
            table.add(name, f"thresholds {pair[0]:.0f}, {pair[1]:.0f} Hz", *dwells(found))
        for window in (0.75, 1.0):
            found = analysis.metastability(run, states="hidden_markov", window=window * interval)
            table.add(name, f"hidden Markov model, windows of {window * interval:.1f} ms", *dwells(found))


def onsets(results: Results, small: bool) -> None:
    """Runs from the onset of their first burst to that of their last, quiet from there to the next onset."""
    table = results.table(
        "onsets", "of", "thresholds", ("gap (ms)", ".0f"), ("bursting (ms)", ".1f"), ("quiet (ms)", ".1f"), "runs"
    )
    for name, run in runs_at_400(small).items():
        base = analysis.metastability(run)
        for factor in (1.0, 1.25):
            pair = (factor * float(base["low"]), factor * float(base["high"]))
            each = analysis.metastability(run, thresholds=pair, gap=0.0)
            for gap in (60.0, 65.0, 70.0):
                bursting, quiet = between_onsets(each, gap)
                cells = [estimate(np.mean(x), np.std(x) / np.sqrt(len(x))) for x in (bursting, quiet)]
                table.add(name, f"{pair[0]:.0f}, {pair[1]:.0f} Hz", gap, *cells, len(quiet))


def between_onsets(each, gap):
    """Durations of runs and of quiet, from bursts that each are a run of their own."""
    number, state, begin = (each[f"visit_{k}"].values for k in ("realisation", "state", "begin"))
    bursting, quiet = [], []
    for r in np.unique(number):
        at = begin[(number == r) & (state == 1)][1:]
        steps = np.diff(at)
        last = np.flatnonzero(steps > gap)
        bursting += list((at[last] - at[np.append(0, last[:-1] + 1)])[1:])
        quiet += list(steps[last])
    return bursting, quiet


def survival(results: Results, small: bool) -> None:
    """How dwells are distributed at n = 400."""
    table = results.table(
        "survival", "of", "state", "dwells seen whole", ("median (ms)", ".0f"), ("s.d./mean of whole dwells", ".2f")
    )
    for name, run in runs_at_400(small).items():
        found = analysis.metastability(run)
        for k, state in enumerate(found["state"].values):
            mine = found["visit_complete"].values & (found["visit_state"].values == k)
            seen = found["visit_duration"].values[mine]
            table.add(name, state, seen.size, np.median(seen), seen.std() / seen.mean())


def sizes(results: Results, small: bool) -> None:
    """Mean dwells against n."""
    table = results.table(
        "sizes", "n", "p_ei", "of", *DWELLS, ("midway peaks (%)", ".1f"), "two clear states", ("interval (ms)", ".1f")
    )
    cases = [(n, 0.91, name) for n in (200, 400, 800, 1600) for name in KINDS]
    cases += [(4000, p, "chain") for p in (0.94, 0.97)]
    for n, p, name in cases[:3] if small else cases:
        add_size(table, n, p, name, small)


def add_size(table: Table, n: int, p: float, name: str, small: bool) -> None:
    """A row of the table of sizes."""
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": p})
    run = runs_at_400(small)[name] if n == 400 else KINDS[name](model, n, *((3000.0, 4) if small else SHORT))
    found = analysis.metastability(run)
    clear = found.attrs["status"] == "completed"
    table.add(n, p, name, *dwells(found), 100 * float(found["between"]), clear, float(found["gap"]) / 1.5)


PARTS = (definitions, onsets, survival, sizes)

if __name__ == "__main__":
    main(PARTS, __doc__)
