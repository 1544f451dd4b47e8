"""largen's networks beside the same networks in NEST: rates, regularity, rhythm, under the rule of `compare`.

Source:   Brunel 2000 (network A, g = 5, eta = 2, N = 12 500) and the cortical microcircuit (Potjans & Diesmann 2014)
          at a tenth of its size, each by `validation/simulators/nest_network.py` in a process of its own.
Needs:    a Python that imports NEST 3, named by $NEST_PYTHON.
Run time: brunel about 6 minutes, microcircuit about 10, scales about 6 (and 2.4 GB of memory).
Command:  NEST_PYTHON=... python validation/beside_nest.py brunel microcircuit scales
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from study import Results, estimate, main

import largen as ln
from largen.parameters.plain import to_plain

SCRIPT = Path(__file__).parent / "simulators" / "nest_network.py"
STEP = 0.1  # ms
FEWEST = 3  # intervals of a neuron that has a CV


def in_nest(model: ln.SpikingNetwork, duration: float, warm: float, seeds: range) -> tuple[object, list[dict]]:
    """The model in NEST, a graph for each seed: (recording after `warm` ms, what NEST said of each run)."""
    said, times, neurons = [], [], []
    populations: dict[str, range] = {}
    with tempfile.TemporaryDirectory() as folder:
        fields, spikes = Path(folder) / "model.json", Path(folder) / "spikes.npz"
        fields.write_text(json.dumps(to_plain(model, strict=False)))
        for seed in seeds:
            line = [os.environ["NEST_PYTHON"], str(SCRIPT), str(fields), str(spikes), str(duration), str(seed)]
            done = subprocess.run(line, capture_output=True, text=True, check=True)
            said.append(json.loads(done.stdout.splitlines()[-1]))
            with np.load(spikes) as found:
                late = found["times"] > warm + STEP / 2
                times.append(found["times"][late])
                neurons.append(found["senders"][late])
                populations = {
                    name: range(int(first), int(first) + int(size))
                    for name, first, size in zip(model.populations, found["firsts"], found["sizes"], strict=True)
                }
    inhibitory = [name for name, flag in zip(model.populations, model.inhibitory, strict=True) if flag]
    recording = ln.recording(
        times, neurons, populations=populations, t_start=warm, t_stop=duration, inhibitory=inhibitory, step=STEP,
        origin=said[0]["simulator"],
    )  # fmt: skip
    return recording, said


def beside(results: Results, model: ln.SpikingNetwork, duration: float, warm: float, count: int) -> None:
    """Add the two tables of one model."""
    theirs, said = in_nest(model, duration, warm, range(1, count + 1))
    began = time.process_time()
    times = np.arange(round(duration / STEP) + 1) * STEP
    ours = ln.simulate(model, times, realisations=count, seed=1, record="spikes")
    cpu = (time.process_time() - began) / count / duration * 1e3
    late = times[times > warm - STEP / 2]
    ours = ours.sel(time=late) if len(late) < len(times) else ours
    report = ln.compare(ours, theirs)
    rows = results.table(
        "rows", "row", ("largen", ".4g"), ("NEST", ".4g"), ("difference (%)", "+.2f"), ("from", "+.2f"), ("to", "+.2f"),
        ("tolerance (%)", ".3g"), "label",
    )  # fmt: skip
    for name in report["component"].values:
        row = report.sel(component=name)
        scale = float(row["scale"])
        parts = [100.0 * float(row[part]) / scale for part in ("difference", "ci_low", "ci_high", "tolerance")]
        parts[-1] *= scale
        rows.add(str(name), float(row["network"]), float(row["theory"]), *parts, str(row["label"].values))
    other = results.table("regularity", "population", ("CV, largen", ".4f"), ("CV, NEST", ".4f"))
    trains = [ln.analysis.spike_trains(dataset, start=warm, fewest=FEWEST) for dataset in (ours, theirs)]
    for a, name in enumerate(model.populations):
        other.add(name, *(estimate(found["cv"][a], found["cv_se"][a]) for found in trains))
    speed = results.table(
        "speed", "simulator", "synapses", ("CPU s per biological second", ".3g"), ("building (CPU s)", ".3g")
    )
    mean = {key: float(np.mean([one[key] for one in said])) for key in ("cpu_per_second", "building", "synapses")}
    speed.add(said[0]["simulator"], round(mean["synapses"]), mean["cpu_per_second"], mean["building"])
    speed.add("largen, building and recording included", None, cpu, None)


def brunel(results: Results, small: bool) -> None:
    """Brunel's network A at g = 5, eta = 2, quenched: a fixed number of inputs, delays of 1.5 ms."""
    model = ln.SpikingNetwork.brunel(n_e=800 if small else 10_000).replace(connectivity="quenched")
    beside(results, model, 300.0 if small else 1200.0, 100.0 if small else 200.0, 2 if small else 3)


def microcircuit(results: Results, small: bool) -> None:
    """The cortical microcircuit at a tenth of its size, with a Poisson background and spread delays and weights."""
    model = ln.SpikingNetwork.microcircuit(scale=0.02 if small else 0.1)
    beside(results, model, 300.0 if small else 2300.0, 100.0 if small else 300.0, 2 if small else 36)


def scales(results: Results, small: bool) -> None:
    """CPU time of the quenched microcircuit in one process each, from a fraction of it to the whole.

    Both costs without building. The whole in NEST is extrapolated: per step a cost of each neuron (its background is a
    random number for each) and a cost of each spike that arrives, from the two largest scales that were run.
    """
    heads = ("scale", "neurons", "synapses", ("NEST (CPU s per s)", ".3g"), ("largen (CPU s per s)", ".3g"))
    table = results.table("scales", *heads, ("ratio", ".1f"))
    run, stop = ((0.02, 0.05), 200.0) if small else ((0.1, 0.3), 500.0)
    parts, costs, rate = [], [], 0.0
    for scale in run:
        model = ln.SpikingNetwork.microcircuit(scale=scale)
        _, (said,) = in_nest(model, stop, 0.0, range(1, 2))
        own, size = _own_cost(model, stop), int(np.sum(model.size))
        rate = said["spikes"] / size  # of this run, per neuron
        parts.append([size, said["synapses"] * rate])
        costs.append(said["cpu_per_second"])
        table.add(f"{scale:g}", size, said["synapses"], costs[-1], own, costs[-1] / own)
    whole = ln.SpikingNetwork.microcircuit(scale=0.1 if small else 1.0)
    size, synapses, own = int(np.sum(whole.size)), int(np.sum(whole.synapses)), _own_cost(whole, stop)
    in_all = float(np.array([size, synapses * rate]) @ np.linalg.solve(np.array(parts), costs))
    table.add("whole, NEST extrapolated", size, synapses, in_all, own, in_all / own)


def _own_cost(model: ln.SpikingNetwork, stop: float) -> float:
    """CPU seconds per second of the network, without building."""
    spent = []
    for until in (1.0, 1.0, stop):  # the first compiles
        began = time.process_time()
        ln.simulate(model, np.arange(0.0, until + 0.5), realisations=1, record="spikes")
        spent.append(time.process_time() - began)
    return 1e3 * (spent[2] - spent[1]) / (stop - 1.0)


PARTS = (brunel, microcircuit, scales)

if __name__ == "__main__":
    if "NEST_PYTHON" not in os.environ:
        sys.exit("NEST_PYTHON must name a Python that imports NEST 3.")
    main(PARTS, __doc__)
