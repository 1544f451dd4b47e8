"""The recordings and the posterior of docs/from-data.md: a network in NEST, written as NWB, and its parameters.

Source:   the script of `ln.to_nest`, run in a process of its own; one network (one graph), trials of 200 ms.
Needs:    a Python that imports NEST 3 ($NEST_PYTHON), and one that imports pynwb ($NWB_PYTHON), for `recordings`.
Run time: recordings 1 minute; posterior some minutes.
Command:  NEST_PYTHON=... NWB_PYTHON=... python validation/from_data.py recordings posterior
"""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from exported import version_of
from study import ROOT, Results, main

import largen as ln

FILES = ROOT / "docs" / "recordings"
"""Where docs/from-data.md reads."""
TRUE = {"strength[E,I]": 0.9, "external_rate": 7.0}
"""What the page looks for."""
STIMULUS = 1.25
"""Factor of the external rate in the condition that the page holds back."""
WARM, TRIAL, TRIALS = 400.0, 200.0, {"control": 16, "stimulated": 8}
"""Time before the first trial, length of a trial (ms), and how many of each session."""
GRAPH = 12
"""Seed of the graph: NEST draws it before the spikes of the drive, and so the same in both conditions."""
OPTIONS = {"orders": (10, 0), "bin_width": 1.25}
THEORY = {"rate": 0.05, "synchrony": 0.05}
"""How far the reduction may be off: it draws every graph anew, the recorded network has one."""
PRIORS = {"strength[E,I]": ln.priors.LogNormal(0.75, 0.3), "external_rate": (5.0, 10.0)}
NWB = """
import json, sys
from datetime import datetime, timezone
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from pynwb import NWBHDF5IO, NWBFile

about = json.loads(sys.argv[1])
spikes = np.load(about["spikes"])
file = NWBFile(
    session_description=about["what"], identifier=about["identifier"],
    session_start_time=datetime(2026, 1, 1, tzinfo=timezone.utc),
)
file.add_unit_column("cell_type", "E or I")
times = np.round(spikes["time_ms"] - about["warm"], 6) / 1000.0
length = about["trial"] * about["trials"] / 1000.0
inside = (times > 0.0) & (times <= length)
first = 0
for label, size in about["sizes"].items():
    for k in range(size):
        mine = np.sort(times[inside & (spikes["neuron"] == first + k)])
        file.add_unit(spike_times=mine, obs_intervals=[[0.0, length]], cell_type=label)
    first += size
for k in range(about["trials"]):
    file.add_trial(start_time=k * about["trial"] / 1000.0, stop_time=(k + 1) * about["trial"] / 1000.0)
file.units.spike_times.set_data_io(H5DataIO, {"compression": "gzip", "compression_opts": 9, "shuffle": True})
with NWBHDF5IO(about["out"], "w") as io:
    io.write(file, cache_spec=False)
"""
"""Writes one session as NWB: a unit a neuron, silent ones too, and a table of trials."""


def network() -> ln.SpikingNetwork:
    """The network that is recorded."""
    guess = ln.SpikingNetwork(
        names=("E", "I"), size=(800, 200), inhibitory=(False, True), strength=((0.15, 0.75), (0.15, 0.75)),
        synapse="exponential", inhibition="current", decay=((5.0, 5.0), (5.0, 5.0)), in_degree=((80, 20), (80, 20)),
        delay=1.5, membrane_time=20.0, threshold=20.0, reset=10.0, refractory_time=2.0, refractory="fixed",
        external="poisson", external_strength=0.15, external_decay=5.0, external_rate=6.0, connectivity="quenched",
    )  # fmt: skip
    return guess.replace(**TRUE)


def recordings(results: Results, small: bool) -> None:
    """Two sessions of one network in NEST: control, and a drive that is a quarter stronger."""
    import json

    nest, nwb = os.environ["NEST_PYTHON"], os.environ["NWB_PYTHON"]
    table = results.table(
        "sessions", "session", "NEST", "pynwb", "spikes", ("E (Hz)", ".2f", ".2f"), ("I (Hz)", ".2f", ".2f"), "kB"
    )
    model = network()
    sizes = dict(zip(model.populations, np.asarray(model.size).tolist(), strict=True))
    for name, factor in (("control", 1.0), ("stimulated", STIMULUS)):
        trials = 3 if small else TRIALS[name]
        driven = model.replace(external_rate=factor * float(model.external_rate))
        with tempfile.TemporaryDirectory() as folder:
            script, spikes = Path(folder) / "network.py", Path(folder) / "spikes.npz"
            script.write_text(ln.to_nest(driven))
            duration = str(WARM + trials * TRIAL)
            subprocess.run([nest, str(script), duration, str(GRAPH), str(spikes)], capture_output=True, check=True)
            out = (Path(folder) if small else FILES) / f"{name}.nwb"
            about = {
                "spikes": str(spikes), "what": f"1000 neurons in NEST, {name}", "identifier": f"largen-{name}",
                "warm": WARM, "trial": TRIAL, "trials": trials, "sizes": sizes, "out": str(out),
            }  # fmt: skip
            subprocess.run([nwb, "-c", NWB, json.dumps(about)], check=True)
            recorded = ln.read_recording(out, populations="cell_type", trials="trials")
            found = ln.analysis.summary(recorded, self_count="removed")
            rates = [
                {"value": float(value), "error": float(error)}
                for value, error in zip(found["rate"].values, found["rate_se"].values, strict=True)
            ]
            counted = recorded.sizes["spike"]
            kilobytes = round(out.stat().st_size / 1000)
        table.add(name, version_of(nest, "nest"), version_of(nwb, "pynwb"), counted, *rates, kilobytes)


def posterior(results: Results, small: bool) -> None:
    """Draws of the posterior of two parameters, by NUTS through the reduction with its differences."""
    recorded = ln.read_recording(FILES / "control.nwb", populations="cell_type", trials="trials")
    how = {"draws": 4, "warmup": 10, "chains": 1} if small else {"draws": 150, "warmup": 50, "chains": 2}
    model = network().replace(**{"strength[E,I]": 0.75, "external_rate": 7.0})
    found = ln.posterior(
        model,
        recorded,
        PRIORS,
        model_error=THEORY,
        starts=1,
        strict=not small,
        observables=["rate", "synchrony"],
        **OPTIONS,
        **how,
    )
    if not small:
        ln.save(found, FILES / "posterior.nc")
    table = results.table(
        "draws", "parameter", "prior", ("mean", ".4f", ".4f"), ("2.5 %", ".4f"), ("97.5 %", ".4f"), ("r-hat", ".3f"),
        ("effective draws", ".0f"), ("true", ".4g"),
    )  # fmt: skip
    for name in found["parameter"].values.tolist():
        one = found.sel(parameter=name)
        mean = {"value": float(one["mean"]), "error": float(one["sd"])}
        parts = [float(one[key]) for key in ("ci_low", "ci_high", "r_hat", "effective_draws")]
        table.add(f"`{name}`", str(one["prior"].values), mean, *parts, TRUE[name])


PARTS = (recordings, posterior)

if __name__ == "__main__":
    main(PARTS, __doc__)
