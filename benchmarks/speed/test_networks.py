"""Kernels of the networks: CPU time per neuron and step, per synapse slot and per candidate, and their growth."""

import sys
from pathlib import Path

import pytest
from networks import DT, Spiking, balanced_cpu, clocked
from report import BALANCED, SPIKING

import largen as ln

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from systems.spiking import plain_kernel

slow = pytest.mark.slow
GROWTH = "neurons N: CPU ms per step"
LEAPS = "neurons n: CPU s per unit of time"


def sizes(targets, large):
    """Parameters (n, target); what is above `large` is slow."""
    return [pytest.param(n, t, marks=slow if n > large else ()) for n, t in targets.items()]


ANNEALED = {400: 7.0, 4000: 7.0, 40_000: 9.0, 400_000: 10.0, 2_000_000: None, 10_000_000: None}
QUENCHED = {400: 8.0, 4000: 5.9, 20_000: 11.5, 40_000: 17.0, 100_000: None}


@pytest.mark.parametrize(("n", "target"), sizes(ANNEALED, 40_000))
def test_annealed(n, target, least, add, point):
    shape = {"warm": 300, "window": 50} if n >= 2_000_000 else {}
    network = Spiking(n, "annealed", **shape)
    ns = 1e9 * least(network, rounds=15 if n < 100_000 else 5 if n < 2_000_000 else 2) / network.work
    add(SPIKING, network="annealed", neurons=n, unit="ns per neuron-step", measured=ns, target=target)
    point(GROWTH, "annealed", n, 1e-6 * n * ns)


@pytest.mark.parametrize(("n", "target"), sizes(QUENCHED, 4000))
def test_quenched(n, target, least, add, point):
    network = Spiking(n, "quenched")
    ns = 1e9 * least(network, rounds=15 if n < 10_000 else 4) / network.work
    add(SPIKING, network="quenched, stored", neurons=n, unit="ns per neuron-step", measured=ns, target=target)
    point(GROWTH, "quenched", n, 1e-6 * n * ns)


@pytest.mark.parametrize("n", [4000, pytest.param(20_000, marks=slow)])
def test_regenerated(n, least, add):
    stored = Spiking(n, "quenched", graph="stored")
    usual = min(clocked(stored) for _ in range(3))
    again = Spiking(n, "quenched", graph="regenerated")
    seconds = least(again, rounds=3)
    slots = again.spikes_per_step() * n * again.window
    line = {"network": "quenched, regenerated", "neurons": n}
    ns = 1e9 * (seconds - usual) / slots
    add(SPIKING, **line, unit="ns per synapse slot and spike", measured=ns, target=0.25)
    add(SPIKING, **line, unit="ns per neuron-step", measured=1e9 * seconds / again.work)


@pytest.mark.parametrize("n", [400, *(pytest.param(n, marks=slow) for n in (4000, 40_000))])
def test_plain(n, least, add):
    model, steps = ln.SpikingNetwork().scaled(n), max(5_000_000 // n, 400)
    seconds = least(lambda: plain_kernel.run(model, DT * steps, seed=1), rounds=2)
    add(
        SPIKING,
        network="annealed, plain numba of the tests",
        neurons=n,
        unit="ns per neuron-step",
        measured=1e9 * seconds / (steps * n),
    )


EXACT = [(n, "exact", "ns per candidate", 24.0) for n in (400, 2000, 10_000)]
LEAP = [
    (n, "tau_leap", "ns per neuron-step", 7.0 if n == 400 else 4.0) for n in (400, 2000, 20_000, 200_000, 2_000_000)
]


@pytest.mark.parametrize(
    ("n", "method", "unit", "target"), [pytest.param(*c, marks=slow if c[0] > 400 else ()) for c in EXACT + LEAP]
)
def test_balanced(n, method, unit, target, least, add, point):
    run, pace, (short, long) = balanced_cpu(n, method)
    run(short)
    start = min(clocked(run, short) for _ in range(5))
    ns = 1e9 * (least(run, long) - start) / (pace * (long - short))
    plain = None
    if n <= 2000:
        run, _, (short, long) = balanced_cpu(n, method, vectorised=False)
        run(short)
        plain = 1e9 * (min(clocked(run, long) for _ in range(2)) - min(clocked(run, short) for _ in range(2)))
        plain /= pace * (long - short)
    add(BALANCED, method=method, neurons=n, unit=unit, measured=ns, target=target, plain=plain)
    point(LEAPS, method, n, 1e-9 * ns * pace)
