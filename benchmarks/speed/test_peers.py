"""The same network in other hands: each peer is a script that runs alone and prints one JSON line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from report import PEERS

FOLDER = Path(__file__).parents[1] / "peers"
LENGTH = {400: 2000, 4000: 500, 20_000: 100}  # ms
TARGET = {400: 3, 4000: 9, 20_000: 20}
DIFFERS = {
    "largen": "release spike by spike; single-precision potentials, integer counts",
    "plain_numba": "the plain kernel of the tests: release spike by spike, double precision; no spikes recorded",
    "numpy": "annealed; release spike by spike, double precision; no spikes recorded",
    "brian2": "C++ standalone; release deterministic; double precision",
    "nest": "iaf_psc_exp: inhibition a current, release deterministic, fixed refractory period; double precision",
}


def script(name, n, python):
    line = [python, str(FOLDER / f"{name}_spiking.py"), str(n), str(LENGTH[n])]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("n", [400, *(pytest.param(n, marks=pytest.mark.slow) for n in (4000, 20_000))])
def test_peers(n, add, request):
    pythons = {"largen": sys.executable, "plain_numba": sys.executable, "numpy": sys.executable}
    pythons |= {name: request.config.getoption(f"--{name[:5]}") for name in ("brian2", "nest")}
    own = None
    for name, python in pythons.items():
        if python is None or (n > 4000 and name in ("plain_numba", "numpy", "nest")):
            continue
        found = script(name, n, python)
        cpu = found["cpu_per_second"]
        own = cpu if name == "largen" else own
        add(
            PEERS,
            neurons=n,
            peer=found["peer"],
            **{
                "CPU s per s": cpu,
                "times largen": cpu / own,
                "target": TARGET[n] if name == "brian2" else None,
                "GB": found["gb"],
                "rates (Hz)": ", ".join(f"{rate:.1f}" for rate in found["rate"].values()),
                "what it does": DIFFERS[name],
            },
        )
    assert own > 0
