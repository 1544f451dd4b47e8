"""The cortical microcircuit at full size: published rates, one quenched network, the reduction, and NNMT.

What:     77 169 neurons, 299 million synapses with spread delays and strengths, a Poisson background; 3 s of one graph
          after the first 300 ms, in steps of 0.1 ms. The reduction is `closure="quadrature"`; NNMT solves Siegert's
          formula with shifted threshold and reset in a process of its own.
Source:   Potjans & Diesmann, Cereb. Cortex 24 (2014); rates as of its code at INM-6. van Albada et al. (2015).
Needs:    2.3 GB of memory; a Python that imports NNMT, named by $NNMT_PYTHON, for its column.
Run time: about 1 minute of CPU time on one core.
Command:  NNMT_PYTHON=... python validation/microcircuit.py rates
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from study import Results, estimate, main

import largen as ln
from largen.parameters.plain import to_plain
from largen.systems.spiking.presets import PUBLISHED_RATES

SCRIPT = Path(__file__).parent / "simulators" / "nnmt_rates.py"
WARM, BLOCKS = 300.0, 10


def nnmt(model: ln.SpikingNetwork) -> list[float | None]:
    """Rates (Hz) by NNMT, or none where it is not installed."""
    if "NNMT_PYTHON" not in os.environ:
        return [None] * len(model.size)
    with tempfile.TemporaryDirectory() as folder:
        fields = Path(folder) / "model.json"
        fields.write_text(json.dumps(to_plain(model, strict=False)))
        line = [os.environ["NNMT_PYTHON"], str(SCRIPT), str(fields)]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["rates"]


def rates(results: Results, small: bool) -> None:
    """Rates of the eight populations, their regularity, the spectra, and the CPU time."""
    model = ln.SpikingNetwork.microcircuit(scale=0.05 if small else 1.0)
    stop = 600.0 if small else WARM + 3000.0
    times = np.arange(round(stop / 0.5) + 1) * 0.5
    cpu = [time.process_time()]
    network = ln.simulate(model, times, realisations=1, seed=1, record="spikes")
    cpu.append(time.process_time())
    reduction = ln.solve_limit(model, times[times <= (300.0 if small else 1000.0)], closure="quadrature", error=False)
    cpu.append(time.process_time())
    _rates(results, model, network, reduction, small)
    _spectra(results, network, reduction)
    speed = results.table("speed", "what", ("ms", ".0f"), ("CPU s", ".3g"), ("neurons", ",d"), ("synapses", ",d"))
    synapses = int(np.sum(model.synapses))
    neurons = int(np.sum(model.size))
    speed.add("network: lists, run, recording", stop, cpu[1] - cpu[0], neurons, synapses)
    speed.add("reduction", float(reduction.time[-1]), cpu[2] - cpu[1], neurons, synapses)


def _rates(results: Results, model: ln.SpikingNetwork, network, reduction, small: bool) -> None:
    late = network["rate"].where(network["time"] > WARM, drop=True).mean("realisation")
    blocks = np.array([part.mean(1) for part in np.array_split(late.values, BLOCKS, axis=1)])
    theory = reduction["rate"].where(reduction["time"] > 0.5 * reduction["time"].max(), drop=True).mean("time").values
    other = [None] * len(model.size) if small else nnmt(model)
    trains = ln.analysis.spike_trains(network, start=WARM)
    table = results.table(
        "rates", "population", ("published (Hz)", ".3f"), ("network (Hz)", ".3f"), ("to published (%)", "+.2f"),
        ("reduction (Hz)", ".3f"), ("NNMT (Hz)", ".3f"), ("CV", ".3f"), ("spread of rates (Hz)", ".2f"),
    )  # fmt: skip
    published = np.array(PUBLISHED_RATES)
    mean = blocks.mean(0)
    for a, name in enumerate(model.populations):
        own = estimate(mean[a], blocks[:, a].std(ddof=1) / np.sqrt(BLOCKS))
        cv, spread = (estimate(trains[x][a], trains[f"{x}_se"][a]) for x in ("cv", "rate_spread"))
        off = 100.0 * (mean[a] / published[a] - 1.0)
        table.add(name, published[a], own, off, float(theory[a]), other[a], cv, spread)
    errors = results.table("errors", "rates of", ("mean error to the published (%)", ".2f"))
    for name, found in (("network", mean), ("reduction", theory), ("NNMT", other)):
        if found[0] is not None:
            errors.add(name, float(np.mean(np.abs(np.asarray(found) / published - 1.0)) * 100.0))


def _spectra(results: Results, network, reduction) -> None:
    """Power (Hz^2/Hz) of every population's rate, of segments of 250 ms, and the frequency of its peak above 20 Hz."""
    table = results.table("peaks", "population", ("peak of the network (Hz)", ".0f"), ("of the reduction (Hz)", ".0f"))
    found = [
        ln.analysis.power_spectrum(run, segment=250.0, start=start, highest=300.0)
        for run, start in ((network, WARM), (reduction, 0.5 * float(reduction["time"][-1])))
    ]
    for a, name in enumerate(network["population"].values):
        tops = []
        for one in found:
            above = np.where(one["frequency"].values > 20.0, one["power"].values[a], 0.0)
            tops.append(float(one["frequency"][int(above.argmax())]))
        table.add(str(name), *tops)
    spectra = results.table("spectra", "Hz", *((str(name), ".3g") for name in network["population"].values))
    for k, frequency in enumerate(found[0]["frequency"].values):
        spectra.add(float(frequency), *map(float, found[0]["power"].values[:, k]))


PARTS = (rates,)

if __name__ == "__main__":
    main(PARTS, __doc__)
