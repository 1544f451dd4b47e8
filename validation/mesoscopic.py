"""The finite-size chain beside NEST's mesoscopic populations, each against the network of its own neurons.

What:     excitatory and inhibitory neurons, four to one, of which each hears a quarter of the others; N from 240 to
          3200 with strengths that keep the mean input. largen's neurons have white noise and a hard threshold, those of
          `gif_pop_psc_exp` a random threshold and no noise: what one has the other cannot have. Alike are sizes,
          in-degrees, strengths, delays, resets, refractory periods, and the rate of an uncoupled neuron. Delta synapses
          stand beside currents of 0.5 ms. The neuron of largen has the noise that gives it that rate.
Source:   T. Schwalger, M. Deger & W. Gerstner, PLoS Comput. Biol. 13 (2017): e1005507.
Needs:    a Python that imports NEST 3, named by $NEST_PYTHON.
Run time: about a minute and a half of CPU time on one core.
Command:  NEST_PYTHON=... python validation/mesoscopic.py rates
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.integrate import cumulative_trapezoid, quad, trapezoid
from scipy.optimize import brentq
from scipy.special import erfcx
from study import Results, estimate, main

import largen as ln

SCRIPT = Path(__file__).parent / "simulators" / "nest_mesoscopic.py"
NEURON = {"membrane_time": 20.0, "threshold": 15.0, "reset": 0.0, "refractory_time": 4.0}
DELAY, DRIVE, SOFTNESS, ESCAPE, SYNAPSE = 1.0, 16.0, 2.0, 100.0, 0.5
STEP, WARM = 0.1, 300.0
INPUT = np.array([48.0, -60.0])  # mV, strength times in-degree, by source
WINDOW = 20  # steps in which spikes are counted: 2 ms


def escape_rate() -> float:
    """Rate (Hz) of an uncoupled neuron with escape noise: one over the mean interval (Gerstner et al. 2014, ch. 9)."""
    t = np.linspace(0.0, 2000.0, 400_001)
    v = DRIVE + (NEURON["reset"] - DRIVE) * np.exp(-t / NEURON["membrane_time"])
    hazard = 1e-3 * ESCAPE * np.exp((v - NEURON["threshold"]) / SOFTNESS)
    survival = np.exp(-cumulative_trapezoid(hazard, t, initial=0.0))
    return 1e3 / (NEURON["refractory_time"] + float(trapezoid(survival, t)))


def noise_for(rate: float) -> float:
    """White noise (mV/root ms) with which a leaky neuron has this rate in steps (Siegert 1951)."""
    tau = NEURON["membrane_time"]

    def difference(sd: float) -> float:
        sigma = sd * np.sqrt(tau)
        seen = NEURON["threshold"] + 0.5826 * sd * np.sqrt(STEP)
        low, high = (NEURON["reset"] - DRIVE) / sigma, (seen - DRIVE) / sigma
        area = quad(lambda u: erfcx(-u), low, high)[0]
        return 1e3 / (NEURON["refractory_time"] + tau * np.sqrt(np.pi) * area) - rate

    return brentq(difference, 0.05, 20.0)


def model_of(n: int, sd: float) -> ln.SpikingNetwork:
    """largen's network of n neurons."""
    size = np.array([4 * n // 5, n // 5])
    degree = size // 4
    return ln.SpikingNetwork(
        size=size, names=("E", "I"), inhibitory=(False, True), synapse="delta", inhibition="current",
        in_degree=[degree.tolist()] * 2, strength=[np.abs(INPUT / degree).tolist()] * 2, delay=DELAY,
        refractory="fixed", external_rate=0.0, external_mean=DRIVE / NEURON["membrane_time"], external_sd=sd,
        connectivity="quenched", **NEURON,
    )  # fmt: skip


def in_nest(model: ln.SpikingNetwork, kind: str, duration: float, seed: int) -> tuple[np.ndarray, float]:
    """Spikes of each population in steps, and CPU seconds per biological second."""
    sign = np.where(model.inhibitory, -1.0, 1.0)
    fields = NEURON | {
        "size": np.asarray(model.size).tolist(), "in_degree": np.asarray(model.in_degree).tolist(), "delay": DELAY,
        "strength": (sign * model.strength).tolist(), "drive": DRIVE, "softness": SOFTNESS, "escape_rate": ESCAPE,
        "synapse": SYNAPSE,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "model.json", Path(folder) / "spikes.npz"
        file.write_text(json.dumps(fields))
        line = [os.environ["NEST_PYTHON"], str(SCRIPT), str(file), str(out), kind, str(duration), str(seed)]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        with np.load(out) as found:
            return found["spikes"], json.loads(done.stdout.splitlines()[-1])["cpu_per_second"]


def in_largen(model: ln.SpikingNetwork, kind: str, duration: float, seed: int) -> tuple[np.ndarray, float]:
    """The same of largen's network, or of its chain."""
    times = np.arange(round(duration / STEP) + 1) * STEP

    def run(times: np.ndarray) -> np.ndarray:
        if kind == "neurons":
            found = ln.simulate(model, times, realisations=1, seed=seed)["rate"].values[0]
        else:
            found = ln.solve_limit(model, times, finite_size=True, seed=seed)["rate"].values[0]
        return np.rint(found[:, 1:] * 1e-3 * STEP * np.asarray(model.size)[:, None]).astype(np.int64)

    run(times[:3])  # compiles
    began = time.process_time()
    spikes = run(times)
    return spikes, (time.process_time() - began) / duration * 1e3


def numbers(spikes: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rate (Hz) and the standard deviation of the rate in windows, of population E: values of ten blocks."""
    late = spikes[0, round(WARM / STEP) :]
    rate = late[: late.size // WINDOW * WINDOW].reshape(-1, WINDOW).sum(1) / size[0] / (WINDOW * STEP) * 1e3
    blocks = np.array_split(rate, 10)
    return np.array([block.mean() for block in blocks]), np.array([block.std() for block in blocks])


def rates(results: Results, small: bool) -> None:
    """Rate of E and its fluctuations in windows of 2 ms, by N, and the CPU time of each."""
    sd = noise_for(escape_rate())
    table = results.table(
        "rates", "theory", "N", ("network (Hz)", ".2f"), ("theory (Hz)", ".2f"), ("error (%)", "+.1f", ".1f"),
        ("sd, network (Hz)", ".2f"), ("sd, theory (Hz)", ".2f"), ("error (%) ", "+.1f", ".1f"),
        ("network, CPU s per s", ".3g"), ("theory, CPU s per s", ".3g"),
    )  # fmt: skip
    for n in (240,) if small else (240, 480, 960, 1920, 3200):
        model, duration = model_of(n, sd), 800.0 if small else 4300.0
        for name, engine in (("chain (largen)", in_largen), ("gif_pop_psc_exp (NEST)", in_nest)):
            found = [engine(model, kind, duration, n + 1) for kind in ("neurons", "population")]
            cells = []
            for k in range(2):
                parts = [numbers(spikes, np.asarray(model.size))[k] for spikes, _ in found]
                mean, error = [part.mean() for part in parts], [part.std(ddof=1) / np.sqrt(10) for part in parts]
                relative = float(np.hypot(*error) / mean[0])
                off = estimate(100.0 * (mean[1] / mean[0] - 1.0), 100.0 * relative)
                cells += [*map(estimate, mean, error), off]
            table.add(name, n, *cells, *(cpu for _, cpu in found))


PARTS = (rates,)

if __name__ == "__main__":
    if "NEST_PYTHON" not in os.environ:
        sys.exit("NEST_PYTHON must name a Python that imports NEST 3.")
    main(PARTS, __doc__)
