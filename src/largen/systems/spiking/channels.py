"""From a model to the arrays of the reduction: bins, synapse classes merged into channels, constants of a step."""

from typing import Any

import numpy as np

from largen.checks import require
from largen.systems.spiking.bins import bin_edges, reset_bin
from largen.systems.spiking.layout import CLOSURES, JOINT, PAPER, Layout
from largen.systems.spiking.transfer import MOST_BINS

PAPER_BELOW = 40.0
"""The reference implementation's bins reach to -40 for a threshold of 100."""


def edges_of(model: Any, width: float, closure: str) -> np.ndarray:
    """Bin edges, shape (bin + 1,)."""
    threshold = float(model.threshold)
    edges = bin_edges(threshold, width)
    if closure == "paper":
        edges = edges[edges > -PAPER_BELOW / 100.0 * threshold - 1e-9 * threshold]
    return edges


def build_layout(
    model: Any,
    dt: float,
    width: float,
    *,
    closure: str = "joint",
    linear_in_bin: bool = True,
    narrowest: float = 1e-2,
    stretched: bool = True,
) -> tuple[Layout, np.ndarray]:
    """Return the constants of a reduction and its bin edges, shape (bin + 1,).

    Args:
        model: A SpikingNetwork, already scaled to its number of neurons.
        dt: Step (ms).
        width: Bin width.
        closure: One of `markov.CLOSURES`.
        linear_in_bin: Pending spikes linear within a bin (`joint` only).
        narrowest: Shortest support of the density in a bin; bifurcation tests need 0.05.
        stretched: Drift linear within a bin (`joint` only), else constant.
    """
    size = np.array(model.size, dtype=np.float64)
    P = len(size)
    code = CLOSURES[closure]
    edges = edges_of(model, width, closure)
    require(
        len(edges) <= MOST_BINS, "bin_width", f"give fewer than {MOST_BINS} bins", f"{width:g} ({len(edges) - 1} bins)"
    )
    leak = 1.0 / np.broadcast_to(model.membrane_time, (P,))
    gain = np.where(leak > 0.0, leak, 1.0)
    refractory = np.broadcast_to(model.refractory_time, (P,))
    fixed = model.refractory == "fixed" and code != PAPER
    delay = np.round(refractory / dt).astype(np.int64) if fixed else np.zeros(P, dtype=np.int64)
    leave = dt / refractory if code == PAPER else -np.expm1(-dt / refractory)
    target, source, starts = _merge(model)
    first = starts[:-1]
    channel_target = target[first]
    decay, strength, probability = (
        np.array(x)[target, source] for x in (model.decay, model.strength, model.probability)
    )
    layout = Layout(
        size=size,
        leak=np.array(leak),
        drive_mean=np.array(gain),
        drive_variance=gain**2,
        leave=leave,
        delay=delay,
        channels=np.searchsorted(channel_target, np.arange(P + 1)),
        rate=1.0 / decay[first],
        inhibitory=np.array(model.inhibitory)[source[first]].astype(np.int64),
        classes=starts,
        source=source,
        target=target,
        probability=probability,
        strength=strength,
        dt=float(dt),
        width=float(edges[1] - edges[0]),
        lowest=float(edges[0]),
        reset=reset_bin(edges),
        span=float(model.threshold - model.reversal),
        reversal=float(model.reversal),
        narrowest=float(narrowest),
        closure=code,
        sloped=bool(linear_in_bin and code == JOINT),
        stretched=bool(stretched and code == JOINT),
    )
    return layout, edges


def _merge(model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes that can ever hold a spike, sorted by channel.

    Returns:
        Targets and sources, shape (class,), and the first class of every channel, shape (channel + 1,).
    """
    target, source = np.nonzero(np.array(model.probability) > 0.0)
    decay = np.array(model.decay)[target, source]
    sign = np.array(model.inhibitory)[source]
    order = np.lexsort((source, decay, sign, target))
    target, source, decay, sign = (x[order] for x in (target, source, decay, sign))
    new = np.ones(len(target), dtype=bool)
    new[1:] = (np.diff(target) != 0) | (np.diff(decay) != 0) | (sign[1:] != sign[:-1])
    return target, source, np.append(np.flatnonzero(new), len(target)).astype(np.int64)
