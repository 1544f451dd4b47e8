"""The speed of the networks' kernels: CPU time per neuron and step, and how it grows.

Shows: (1) the spiking network, annealed and quenched (stored and regenerated graphs), with the plain kernel of the
tests in the same run; (2) its growth from 400 to 10^7 neurons (annealed) and to 10^5 (quenched), with the slope of a
log-log fit and the largest resident memory; (3) the balanced network, exact per candidate and tau-leaping per
neuron and step, with the plain kernels.
Source: shared/spec/kernels.md for the targets (one core with AVX-512; 15 % more with AVX2).
Run time: about 5 minutes of CPU time on one core, 2 GB of memory.
Command: python benchmarks/network_speed.py [FILE], by default docs/network-speed.md (and .png next to it)
"""

import resource
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import largen as ln
from largen.numerics.streams import stream
from largen.systems.balanced import network as balanced_network
from largen.systems.spiking import network as spiking_network

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from systems.spiking import plain_kernel  # noqa: E402

ANNEALED = {400: 7.0, 4000: 7.0, 40_000: 9.0, 400_000: 10.0}
QUENCHED = {400: 8.0, 4000: 5.9, 20_000: 11.5, 40_000: 17.0}
DT = 0.1


def machine():
    """Processor and the widest vector set it has."""
    text = Path("/proc/cpuinfo").read_text()
    name = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
    flags = set(next(line for line in text.splitlines() if line.startswith("flags")).split())
    widest = next((label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE2")
    return f"{name}, {widest}"


def difference(cpu, short, long, repeats):
    """Least CPU time of a long run less that of a short one: start-up, graphs and tables drop out."""
    return min(cpu(long) for _ in range(repeats)) - min(cpu(short) for _ in range(repeats))


def clocked(function):
    began = time.process_time()
    function()
    return time.process_time() - began


def spiking(n, connectivity, graph="auto", windows=6):
    """CPU ns per neuron and step: the least over windows of 50 ms or more, from 50 or 100 ms after rest on."""
    model = ln.SpikingNetwork(connectivity=connectivity).scaled(n)
    chunk = max(spiking_network._CHUNK // n, 1)
    rest, least = (1000 if n <= 40_000 else 500, 500) if n < 2_000_000 else (300, 30)
    window = chunk * -(-least // chunk)  # about three cycles of the oscillation; too long for millions of neurons
    steps = chunk * -(-rest // chunk) + window * windows
    seen = []

    def tick(fraction):
        seen.append((round(fraction * steps), time.process_time()))

    times, rng = DT * np.arange(steps + 1), partial(stream, 1)
    spiking_network.run(model, times, rng=rng, record=(), tick=tick, dt=DT, graph=graph)
    late = np.array([pair for pair in seen if pair[0] >= rest])[:: window // chunk]
    return 1e9 * np.min(np.diff(late[:, 1]) / np.diff(late[:, 0])) / n


def plain(n):
    """The same of the plain kernel of the tests: all of a run from rest."""
    model = ln.SpikingNetwork().scaled(n)
    plain_kernel.run(model, 1.0, seed=1)
    steps = 10_000_000 // n
    return 1e9 * min(clocked(lambda: plain_kernel.run(model, DT * steps, seed=1)) for _ in range(2)) / (steps * n)


def regenerated(n):
    """CPU ns per synapse slot and spike of a graph made again, less what the stored one takes; and in all."""
    again, stored = (spiking(n, "quenched", graph) for graph in ("regenerated", "stored"))
    model = ln.SpikingNetwork(connectivity="quenched").scaled(n)
    times, rng = DT * np.arange(3001), partial(stream, 1)
    run = spiking_network.run(model, times, rng=rng, record=(), tick=lambda _: None, dt=DT)
    spikes = (run.values["rate"][:, 1001:] * model.size[:, None]).sum() * DT / 1000 / 2000  # per step
    return (again - stored) / spikes, again


def balanced(n, method, usual=True):
    """CPU ns per candidate (exact), or per neuron and step; n neurons in all, S3."""
    model = ln.BalancedNetwork()
    keep = balanced_network._usual
    if not usual:
        balanced_network._usual = lambda circuit: False
    if method == "exact":
        unit, step = balanced_network._pace(model, model.sizes(n)), None
        short, long = (1e6 / unit, (8e6 if usual else 3e6) / unit)
    else:
        step = 0.1 / np.sqrt(n / 2)
        unit = n / step
        short, long = step * (2e6 // n + 5), step * ((1.6e7 if usual else 3e6) // n + 10)

    def cpu(end):
        options = {"n": n, "rng": partial(stream, 1), "method": method, "record": (), "tick": lambda _: None}
        times = np.array([0.0, end])
        return clocked(lambda: balanced_network.run(model, times, dt=step, neurons=1, time_limit=1e9, **options))

    cpu(short)
    spent = difference(cpu, short, long, 5 if usual else 2)
    balanced_network._usual = keep
    return 1e9 * spent / (unit * (long - short))


def rows():
    """All figures: (what, n, unit, value, target or None, plain kernel or None)."""
    found = []
    for n, target in ANNEALED.items():
        found.append(
            (
                "spiking, annealed",
                n,
                "ns per neuron-step",
                spiking(n, "annealed"),
                target,
                plain(n) if n <= 40_000 else None,
            )
        )
        print(found[-1], flush=True)
    for n, target in QUENCHED.items():
        found.append(("spiking, quenched, stored", n, "ns per neuron-step", spiking(n, "quenched"), target, None))
        print(found[-1], flush=True)
    for n in (4000, 20_000):
        slot, whole = regenerated(n)
        found.append(("spiking, quenched, regenerated", n, "ns per synapse slot and spike", slot, 0.25, None))
        found.append(("spiking, quenched, regenerated", n, "ns per neuron-step", whole, None, None))
        print(found[-2:], flush=True)
    for n, method, unit, target in (
        (400, "exact", "ns per candidate", 24.0),
        (2000, "exact", "ns per candidate", 24.0),
        (400, "tau_leap", "ns per neuron-step", 7.0),
        (2000, "tau_leap", "ns per neuron-step", 4.0),
        (20_000, "tau_leap", "ns per neuron-step", 4.0),
        (2_000_000, "tau_leap", "ns per neuron-step", 4.0),
    ):
        value, slow = balanced(n, method), balanced(n, method, usual=False)
        found.append((f"balanced, {method}", n, unit, value, target, slow))
        print(found[-1], flush=True)
    return found


def growth():
    """CPU ns per neuron and step against N, and the largest memory of the process so far."""
    found = []
    for connectivity, sizes in (
        ("annealed", (400, 1600, 6400, 25_600, 102_400, 409_600, 1_638_400, 10_000_000)),
        ("quenched", (400, 1600, 6400, 25_600, 102_400)),
    ):
        for n in sizes:
            value = spiking(n, connectivity, windows=3 if n < 1_000_000 else 1)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            found.append((connectivity, n, value, memory))
            print(found[-1], flush=True)
    return found


def slope(points):
    """Exponent of the CPU time of a step against N."""
    n, ns = np.array([(p[1], p[2]) for p in points]).T
    return np.polyfit(np.log(n), np.log(n * ns), 1)[0]


def picture(points, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.5, 4.0), layout="constrained")
    for connectivity, marker in (("annealed", "o"), ("quenched", "s")):
        own = [p for p in points if p[0] == connectivity]
        n, ns = np.array([(p[1], p[2]) for p in own]).T
        axes.loglog(n, 1e-6 * n * ns, marker, linestyle="-", label=f"{connectivity}, slope {slope(own):.2f}")
    axes.set(xlabel="neurons", ylabel="CPU time of a step (ms)", title="Spiking network, one core")
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "network-speed.md")
    began = time.process_time()
    lines = [
        "# The speed of the networks",
        "",
        f"Written by `python benchmarks/network_speed.py` on {machine()}; one core, CPU time of the process: "
        "the least of several windows of 50 ms or more (spiking), or of five runs less a shorter one (balanced). "
        "Rates and pending spikes are "
        "sampled at every step. Targets are for AVX-512; 15 % more with AVX2. Plain: the loops of the tests (spiking) "
        "and of `kernels` (balanced), in the same run.",
        "",
        "| network | neurons | unit | measured | target | plain |",
        "|---|---|---|---|---|---|",
    ]
    for what, n, unit, value, target, slow in rows():
        cells = [f"{value:.2f}" if value < 2 else f"{value:.1f}", "" if target is None else f"{target:g}"]
        lines.append(f"| {what} | {n} | {unit} | {' | '.join(cells)} | {'' if slow is None else f'{slow:.0f}'} |")
    points = growth()
    picture(points, out.with_suffix(".png"))
    lines += [
        "",
        "## Growth",
        "",
        f"![CPU time of a step against N]({out.with_suffix('.png').name})",
        "",
        "CPU time of a step grows as N to the power "
        + " and ".join(f"{slope([p for p in points if p[0] == c]):.2f} ({c})" for c in ("annealed", "quenched"))
        + ". Memory is the largest of the process up to then; a graph takes N²/8 bytes.",
        "",
        "| connectivity | neurons | ns per neuron-step | memory (GB) |",
        "|---|---|---|---|",
        *(f"| {c} | {n} | {ns:.1f} | {memory:.2f} |" for c, n, ns, memory in points),
        "",
        f"The whole script took {time.process_time() - began:.0f} s of CPU time.",
    ]
    out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
