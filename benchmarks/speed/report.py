"""The table of the speed benchmarks: sections of lines, slopes, and the picture."""

import json
import os
from datetime import datetime
from pathlib import Path

import numpy as np

CORES = os.sched_getaffinity(0)

PEERS = "Peers: the default spiking network, quenched, spikes recorded"
SPIKING = "Kernels: the spiking network"
BALANCED = "Kernels: the balanced network"
REDUCTION = "The spiking reduction"
POPULATIONS = "The reduction of many populations, all coupled to all"
JAX = "The reduction in JAX"
START = "Compiling and starting"
MEMORY = "Memory"

PROSE = {
    PEERS: "CPU seconds of the network's own loop per biological second, from rest; building a model, drawing its "
    "graph and compiling are left out. Ratio: to largen at the same size.",
    SPIKING: "After 100 ms from rest, windows of 50 ms or more; rates and pending spikes sampled at every step. "
    "Targets are for AVX-512; 15 % more with AVX2. A slot: an ordered pair of neurons whose source spiked.",
    BALANCED: "Case S3 of docs/balanced-theory.md. Plain: the loops of `balanced/kernels.py`, the law's reference.",
    REDUCTION: "CPU seconds per biological second, dt .1 ms, from rest; set-up and the bin rule cancel by subtraction.",
    POPULATIONS: "CPU seconds per biological second at w = 4, numba.",
    JAX: "Double precision; CPU seconds per parameter set and biological second; the derivative is forward (jvp).",
    START: "Seconds from an empty process to the first result of 100 ms, imports included; first: with an empty "
    "folder of compiled kernels, so that the difference is what compiling takes (target 10). Second: the least of "
    "five. Most of it goes to imports of other packages, of which the first line tells; largen imports them without "
    "looking for garbage meanwhile, and so takes less than they do alone.",
    MEMORY: "Largest resident memory of a process that simulates a few steps (an empty one takes .35), beside what "
    "`simulate` estimates, and refuses, before it starts.",
}


def machine():
    """Processor, widest vector set, cores and load."""
    text = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line.split(":")[1].strip() for line in text if line.startswith("model name"))
    flags = set(next(line for line in text if line.startswith("flags")).split())
    widest = next((label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE2")
    now = datetime.now().strftime("%Y-%m-%d %H:%M")
    return f"{now}: {name}, {widest}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def slope(x, y):
    """Exponent of a power law through the points."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


class Table:
    """Lines by section and points of growth curves, each with the benchmark that it comes from."""

    def __init__(self):
        self.lines = []  # (benchmark, section, {column: value})
        self.points = []  # (benchmark, panel, label, x, y)
        self.machines = []

    def read(self, path):
        """Take what an earlier run left; a benchmark that runs again replaces its lines."""
        kept = json.loads(Path(path).read_text())
        self.lines, self.points, self.machines = kept["lines"], kept["points"], kept["machines"]

    def keep(self, path):
        """Leave the table for a later run."""
        Path(path).write_text(json.dumps({"lines": self.lines, "points": self.points, "machines": self.machines}))

    def begin(self, benchmark):
        """Forget what an earlier run of this benchmark left."""
        self.lines = [line for line in self.lines if line[0] != benchmark]
        self.points = [point for point in self.points if point[0] != benchmark]

    def add(self, benchmark, section, **line):
        """Add a line; a column that a line does not have stays empty."""
        self.lines.append((benchmark, section, line))
        print("  ", " | ".join(f"{name} {_shown(value)}" for name, value in line.items()), flush=True)

    def point(self, benchmark, panel, label, x, y):
        """Add a point of a growth curve."""
        self.points.append((benchmark, panel, label, x, y))

    def curves(self):
        """(panel, label, sizes, values) of every curve of three points or more."""
        found = {}
        for _, panel, label, x, y in self.points:
            found.setdefault((panel, label), []).append((x, y))
        return [(*key, *zip(*sorted(pairs), strict=True)) for key, pairs in found.items() if len(pairs) > 2]

    def _parts(self):
        """When the earlier parts were run, where there are several."""
        times = sorted(machine.split(": ")[0] for machine in self.machines)
        return f" Run in {len(times)} parts since {times[0]}." if len(times) > 1 else ""

    def write(self, path):
        """Write the page, and the picture of the growth beside it."""
        path = Path(path)
        lines = [
            "# Speed, and that of the peers",
            "",
            "Written by `python -m benchmarks`. One core, CPU time of the process, the least of several rounds.",
            "",
            f"Machine: {self.machines[-1]}." + self._parts(),
        ]
        for section in PROSE:
            rows = [line for _, own, line in self.lines if own == section]
            if not rows:
                continue
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines += ["", f"## {section}", "", PROSE[section], ""]
            lines += ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
            lines += ["| " + " | ".join(_shown(row.get(name)) for name in names) + " |" for row in rows]
        curves = self.curves()
        if curves:
            picture(curves, path.with_suffix(".png"))
            lines += ["", "## Growth", "", f"![CPU time against size]({path.with_suffix('.png').name})", ""]
            lines += [f"- {panel}, {label}: power {slope(x, y):.2f}" for panel, label, x, y in curves]
        path.write_text("\n".join(lines) + "\n")


def _shown(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def picture(curves, path):
    """CPU time against size, both axes logarithmic, one panel per system."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(c[0] for c in curves))
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.8), layout="constrained", squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        own = [c for c in curves if c[0] == panel]
        for marker, (_, label, x, y) in zip("osv^", own, strict=False):
            axis.loglog(x, y, marker, linestyle="-", label=f"{label}, slope {slope(x, y):.2f}")
        size, _, unit = panel.partition(": ")
        axis.set(xlabel=size, ylabel=unit)
        axis.legend()
    figure.savefig(path, dpi=130)
