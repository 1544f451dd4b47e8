"""Speed of the networks and of the spiking reduction, beside other simulators in the same run.

What:     one core, CPU time of the process, the least of several rounds. (simulators) the default spiking network in
          largen, plain numba, NumPy, Brian2 and NEST; (spiking, balanced) the networks' kernels; (reduction,
          populations, jax) the spiking reduction; (start, pair, memory) compiling, two processes at once, and memory.
Needs:    for Brian2 and NEST a Python that imports them, named by $BRIAN2_PYTHON and $NEST_PYTHON; with
          BRIAN2_PYTHON=make Brian2 is installed into an environment of its own, ~/.cache/largen/brian2, since it needs
          NumPy below 2.4. A simulator without a Python is left out.
Run time: about 15 minutes of CPU time on one core and 6 GB of memory for all parts.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/speed.py PART, one of those at the end of this file
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from functools import partial
from pathlib import Path

import jax as jax_library
import jax.numpy as jnp
import numpy as np
from networks import DT, Spiking, balanced_cpu
from timing import best, clocked, in_turn

import largen as ln
from largen import SpikingNetwork
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.reduction.layout import build_layout
from largen.systems.spiking.reduction.state import new_output, new_state, new_work
from largen.systems.spiking.reduction.step import run_steps
from largen.systems.spiking.reduction_jax.run import rates as jax_rates

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from study import Results, main

from systems.spiking import plain_kernel

HERE = Path(__file__).parent
CORES = os.sched_getaffinity(0)

# Other simulators ------------------------------------------------------------------------------------------------

LENGTH = {400: 2000, 4000: 500, 20_000: 100}
"""Duration (ms) by number of neurons."""
TARGET = {400: 3, 4000: 9, 20_000: 20}
"""Times faster than Brian2 that largen aims at."""
DIFFERS = {
    "largen": "release spike by spike; single-precision potentials, integer counts",
    "plain_numba": "the plain kernel of the tests: release spike by spike, double precision; no spikes recorded",
    "numpy": "annealed; release spike by spike, double precision; no spikes recorded",
    "brian2": "C++ standalone; release deterministic; double precision",
    "nest": "iaf_psc_exp: inhibition a current, release deterministic, fixed refractory period; double precision",
}


def brian2_python() -> str | None:
    """Python of an environment with Brian2, made on first use where that is asked for."""
    asked = os.environ.get("BRIAN2_PYTHON")
    if asked != "make":
        return asked
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "largen" / "brian2"
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing Brian2 into {folder} ...", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "brian2>=2.9", "numpy<2.4"], check=True)
    return str(python)


def simulators(results: Results, small: bool) -> None:
    """The default spiking network, quenched, spikes recorded: CPU seconds of its own loop per biological second."""
    table = results.table(
        "simulators", "neurons", "simulator", ("CPU s per s", ".3g"), ("times largen", ".3g"), "target", ("GB", ".3g"),
        ("rates (Hz)", ".1f"), "what it does",
    )  # fmt: skip
    pythons = dict.fromkeys(("largen", "plain_numba", "numpy"), sys.executable)
    pythons |= {"brian2": brian2_python(), "nest": os.environ.get("NEST_PYTHON")}
    for n in (400,) if small else LENGTH:
        own = None
        for name, python in pythons.items():
            if python is None or (n > 4000 and name in ("plain_numba", "numpy", "nest")):
                continue
            line = [python, str(HERE / "simulators" / f"{name}_spiking.py"), str(n), str(100 if small else LENGTH[n])]
            found = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
            cpu, rates = found["cpu_per_second"], list(found["rate"].values())
            own = cpu if name == "largen" else own
            target = TARGET[n] if name == "brian2" else None
            table.add(n, found["simulator"], cpu, cpu / own, target, found["gb"], rates, DIFFERS[name])


# Kernels ----------------------------------------------------------------------------------------------------------

ANNEALED = {400: 7.0, 4000: 7.0, 40_000: 9.0, 400_000: 10.0, 2_000_000: None, 10_000_000: None}
QUENCHED = {400: 8.0, 4000: 5.9, 20_000: 11.5, 40_000: 17.0, 100_000: None}
"""Targets (ns per neuron-step, for AVX-512) by number of neurons."""


def spiking(results: Results, small: bool) -> None:
    """Kernels of the spiking network after 100 ms from rest; rates and pending spikes sampled at every step."""
    table = results.table(
        "spiking", "network", "neurons", "unit", ("measured", ".3g"), ("target", ".3g"), ("CPU ms per step", ".3g")
    )
    for kind, targets in (("annealed", ANNEALED), ("quenched", QUENCHED)):
        for n, target in list(targets.items())[: 1 if small else None]:
            shape = {"warm": 300, "window": 50} if small or n >= 2_000_000 else {}
            network = Spiking(n, kind, **shape)
            ns = 1e9 * best(network, rounds=2 if small or n >= 2_000_000 else 5) / network.work
            label = "quenched, stored" if kind == "quenched" else kind
            table.add(label, n, "ns per neuron-step", ns, target, 1e-6 * n * ns)
    for n in (400,) if small else (4000, 20_000):
        again = Spiking(n, "quenched", graph="regenerated", **({"window": 50} if small else {}))
        stored = Spiking(n, "quenched", graph="stored", **({"window": 50} if small else {}))
        usual, seconds = in_turn(stored, again, rounds=3)
        slots = again.spikes_per_step() * n * again.window
        label, ns = "quenched, regenerated", 1e9 * seconds / again.work
        table.add(label, n, "ns per synapse slot and spike", 1e9 * (seconds - usual) / slots, 0.25, None)
        table.add(label, n, "ns per neuron-step", ns, None, 1e-6 * n * ns)
    for n in (400,) if small else (400, 4000, 40_000):
        model, steps = SpikingNetwork().scaled(n), 400 if small else max(5_000_000 // n, 400)
        seconds = best(partial(plain_kernel.run, model, DT * steps, seed=1), rounds=2)
        ns = 1e9 * seconds / (steps * n)
        table.add("annealed, plain numba of the tests", n, "ns per neuron-step", ns, None, 1e-6 * n * ns)


BALANCED = [(n, "exact", "ns per candidate", 24.0) for n in (400, 2000, 10_000)]
BALANCED += [
    (n, "tau_leap", "ns per neuron-step", 7.0 if n == 400 else 4.0) for n in (400, 2000, 20_000, 200_000, 2_000_000)
]


def balanced(results: Results, small: bool) -> None:
    """Kernels of the balanced network, case S3; plain: the loops of `balanced/kernels.py`, their reference."""
    table = results.table(
        "balanced", "method", "neurons", "unit", ("measured", ".3g"), ("target", ".3g"), ("plain", ".3g"),
        ("CPU s per unit of time", ".3g"),
    )  # fmt: skip

    def cost(n, method, vectorised):
        run, pace, (short, long) = balanced_cpu(n, method, vectorised=vectorised)
        seconds = best(run, long, rounds=2 if small else 5) - best(run, short, rounds=2 if small else 5)
        return 1e9 * seconds / (pace * (long - short)), pace

    for n, method, unit, target in BALANCED[:1] if small else BALANCED:
        ns, pace = cost(n, method, True)
        plain = cost(n, method, False)[0] if n <= 2000 else None
        table.add(method, n, unit, ns, target, plain, 1e-9 * ns * pace)


# The spiking reduction --------------------------------------------------------------------------------------------

CASES = {
    "joint, w = 4": ({"bin_width": 4.0}, 0.05),
    "joint, w = 10": ({"bin_width": 10.0}, 0.025),
    "joint, w = 4, constant in a bin": ({"bin_width": 4.0, "linear_in_bin": False}, None),
    "joint, w = 2, constant in a bin": ({"bin_width": 2.0, "linear_in_bin": False}, None),
    "white, w = 4": ({"bin_width": 4.0, "closure": "white"}, None),
    "paper, w = 4": ({"bin_width": 4.0, "closure": "paper"}, None),
    "chain, w = 4": ({"bin_width": 4.0, "finite_size": True}, 0.08),
    "chain, w = 10": ({"bin_width": 10.0, "finite_size": True}, None),
}
"""Options of the reduction and targets (CPU seconds per biological second)."""


def reduction(results: Results, small: bool) -> None:
    """The reduction from rest, dt = 0.1 ms: CPU seconds per biological second; set-up cancels by subtraction."""
    table, duration = results.table("reduction", "case", ("measured", ".3g"), ("target", ".3g")), 2000.0
    if small:
        duration = 100.0

    for name, (options, target) in list(CASES.items())[: 2 if small else None]:

        def run(end, options=options):
            ln.solve_limit(SpikingNetwork(), np.array([0.0, end]), **options)

        seconds = best(run, 10.0 + duration) - best(run, 10.0)
        table.add(name, seconds / duration * 1e3, target)


def many(populations):
    """The default network cut into equal populations, densely coupled."""
    owner = np.arange(populations) % 2
    grid = np.ix_(owner, owner)
    base = SpikingNetwork()
    fields = {name: np.array(getattr(base, name))[grid] for name in ("probability", "decay")}
    return SpikingNetwork(
        size=np.array((300, 100))[owner],
        inhibitory=owner == 1,
        strength=np.array(base.strength)[grid] * 2.0 / populations,
        external_rate=7.0,
        **fields,
    )


def populations(results: Results, small: bool) -> None:
    """The reduction of many populations, all coupled to all, w = 4: CPU seconds per biological second."""
    table = results.table("populations", "populations", "engine", ("measured", ".3g"), ("target", ".3g"))
    for count in (2, 8) if small else (2, 8, 32, 128, 256):
        layout = build_layout(many(count), Discretisation(bin_width=4.0))
        steps, rate = 10 if small else max(150, 10_000 // count), np.full((1, count), 7.0)
        output = new_output(layout, np.array([0, steps]))
        run = partial(run_steps, layout, new_state(layout), new_work(layout), rate, output)
        table.add(count, "numba", best(run) / steps * 1e4, 8.0 if count == 256 else None)
    if not small:
        with jax_library.enable_x64(True):
            function = jax_library.jit(lambda: jax_rates(many(256), Discretisation(bin_width=4.0), duration=4.0))
            table.add(256, "JAX", best(function, rounds=3) / 4e-3, None)


def jax(results: Results, small: bool) -> None:
    """The reduction in JAX, double precision: value and forward derivative per parameter set and biological second."""
    table = results.table(
        "jax", "case", "sets", ("value, CPU s", ".3g"), ("target", ".3g"), ("derivative over value", ".3g"),
        ("its target", ".3g"), ("compiling value (s)", ".3g"), ("compiling derivative (s)", ".3g"),
        ("target of compiling (s)", ".3g"),
    )  # fmt: skip
    base = SpikingNetwork()
    cases = ((4.0, 64, 0.15), (10.0, 64, 0.05), (4.0, 1, None), (10.0, 1, None))
    for width, sets, target in ((10.0, 1, None),) if small else cases:
        duration, bins = 5.0 if small else 50.0, Discretisation(bin_width=width)
        with jax_library.enable_x64(True):

            def rates(strength, bins=bins, sets=sets, duration=duration):
                if sets == 1:
                    changed = base.replace(strength=strength * base.strength)
                    return jax_rates(changed, bins, duration=duration)
                varied = {"strength[e,e]": strength * np.linspace(0.8, 1.05, sets)}
                return jax_rates(base, bins, sets=varied, duration=duration)

            one, first = jnp.ones(()), []
            value = jax_library.jit(rates)
            tangent = jax_library.jit(lambda s, rates=rates: jax_library.jvp(rates, (s,), (jnp.ones(()),)))
            functions = [partial(value, one), partial(tangent, one)]
            for function in functions:
                first.append(clocked(function))
            seconds, derivative = in_turn(*functions, rounds=2 if small else 6)  # the machine's speed drifts
        cells = [seconds / (sets * duration * 1e-3), target, derivative / seconds, 3.0]
        table.add(f"w = {width:g}", sets, *cells, first[0] - seconds, first[1] - derivative, 10.0)


# Processes of their own -------------------------------------------------------------------------------------------

FIRST = """
import time
began = time.process_time()
import numpy as np
import largen as ln
times = np.arange(1001) * 0.1
{work}
print(time.process_time() - began, flush=True)
"""
OTHERS = "import jax, equinox, xarray, numba.np.linalg  # what largen stands on"
WORK = {
    "imports of JAX, Equinox, xarray, Numba alone": (OTHERS, None, None),
    "import largen and its model": ("ln.SpikingNetwork()", None, None),
    "simulate, spiking network": ("ln.simulate(ln.SpikingNetwork(), times)", 20.0, 1.5),
    "solve_limit, reduction": ("ln.solve_limit(ln.SpikingNetwork(), times, bin_width=4.0)", 20.0, 1.5),
    "solve_limit, chain": ("ln.solve_limit(ln.SpikingNetwork(), times, bin_width=4.0, finite_size=True)", None, 1.5),
    "simulate, balanced network": ("ln.simulate(ln.BalancedNetwork(), times[:11], n=400)", None, None),
}
"""Work of a process, and targets (s) of the first process and of the second."""


def process(code, **environment):
    """Wall time until a Python process prints its line, and the line."""
    began = time.perf_counter()
    environment = (
        os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])} | environment
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as running:
        line = running.stdout.readline()
        wall = time.perf_counter() - began
    assert running.returncode == 0
    return wall, line.strip()


def start(results: Results, small: bool) -> None:
    """Seconds from an empty process to its first result: at first with an empty cache, then the least of five."""
    table = results.table(
        "start", "work", ("first process, CPU s", ".3g"), ("target", ".3g"), ("second process, CPU s", ".3g"),
        ("second process, wall s", ".3g"), ("its target", ".3g"),
    )  # fmt: skip
    for name, (work, first_target, second_target) in list(WORK.items())[: 2 if small else None]:
        code = FIRST.format(work=work)
        if name.startswith("imports"):
            code = code.replace("import largen as ln\n", "")
        with tempfile.TemporaryDirectory() as folder:
            _, cold = process(code, NUMBA_CACHE_DIR=folder, JAX_COMPILATION_CACHE_DIR=folder)
            runs = [process(code, NUMBA_CACHE_DIR=folder) for _ in range(1 if small else 5)]
        wall, cpu = min(run[0] for run in runs), min(float(run[1]) for run in runs)
        table.add(name, float(cold), first_target, cpu, wall, second_target)


PAIR = """
import sys
import time
import numpy as np
import largen as ln
times = np.arange(1001) * 0.1
ln.simulate(ln.SpikingNetwork(), times, n=4000)
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
ln.simulate(ln.SpikingNetwork(), np.arange({steps} + 1) * 0.1, n=4000, seed=2)
print(time.perf_counter() - began)
"""


def together(count, steps):
    """Simulations per second of so many processes at once, all started and compiled."""
    code = PAIR.format(steps=steps)
    each = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    running = [subprocess.Popen([sys.executable, "-c", code], **each) for _ in range(count)]
    os.sched_setaffinity(0, own)
    for p in running:
        assert p.stdout.readline().strip() == "ready"
    for p in running:
        p.stdin.write("\n")
        p.stdin.flush()
    return sum(1.0 / float(p.communicate()[0]) for p in running)


def pair(results: Results, small: bool) -> None:
    """Two networks of 4000 neurons at once: networks per second, over one alone (wall; median of the turns)."""
    table = results.table("pair", "turns", ("two over one, median", ".3g"), ("least", ".3g"), ("most", ".3g"), "target")
    count, steps = (1, 1000) if small else (7, 150_000)
    turns = [together(2, steps) / together(1, steps) for _ in range(count)]
    table.add(count, statistics.median(turns), min(turns), max(turns), 1.9)


LARGE = """
import json
import numpy as np
import largen as ln
model = ln.SpikingNetwork(connectivity={connectivity!r}).scaled({n})
times = np.arange({steps} + 1) * 0.1
estimate = model.plan(times, n={n}, method=None, record=(), dt=0.1).bytes
rate = ln.simulate(model, times, n={n})["rate"].values
from memory import peak
print(json.dumps([estimate / 1e9, peak(), float(np.isfinite(rate).all())]))
"""


def memory(results: Results, small: bool) -> None:
    """Largest resident memory of a process that simulates a few steps, beside what `simulate` estimates."""
    table = results.table("memory", "network", "neurons", "steps", ("estimate (GB)", ".3g"), ("peak (GB)", ".3g"))
    cases = ((100_000, "quenched", 100), (10_000_000, "annealed", 20), (100_000_000, "annealed", 5))
    for n, connectivity, steps in ((1000, "quenched", 10),) if small else cases:
        _, line = process(LARGE.format(n=n, connectivity=connectivity, steps=steps))
        estimate, peak, finite = json.loads(line)
        table.add(connectivity, n, steps, estimate, peak)
        assert finite


PARTS = (simulators, spiking, balanced, reduction, populations, jax, start, pair, memory)

if __name__ == "__main__":
    os.sched_setaffinity(0, {max(CORES)})  # JAX would take all cores, and its CPU time with them
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    main(PARTS, __doc__)
