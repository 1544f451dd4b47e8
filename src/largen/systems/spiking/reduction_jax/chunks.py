"""A long run in chunks of steps: reverse mode keeps the states between them alone, outputs are picked in each."""

import math
from typing import Any, NamedTuple

import numpy as np


def chunk_length(steps: int) -> int:
    """A length near the square root, so that reverse mode keeps few states; a divisor if there is one near."""
    root = max(1, math.isqrt(steps))
    near = [length for length in range(max(1, root // 3), 3 * root + 1) if steps % length == 0]
    return min(near, key=lambda length: abs(length - root)) if near else root


class Plan(NamedTuple):
    """When the pending spikes are read out: steps `picks` of every chunk, then entries `order` of these."""

    picks: Any
    order: Any


def plan_outputs(output_steps: np.ndarray, steps: int) -> Plan:
    """Plan the outputs, given as numbers of steps from the start (0 is the start itself)."""
    length = chunk_length(steps)
    wanted = np.unique(output_steps[output_steps > 0])
    chunk, place = np.divmod(wanted - 1, length)
    slot = np.arange(len(wanted)) - np.searchsorted(chunk, chunk)
    most = int(slot.max(initial=0)) + 1
    picks = np.zeros((-(-steps // length), most), np.int32)
    picks[chunk, slot] = place
    order = np.concatenate([[0], 1 + chunk * most + slot])
    return Plan(picks, order[np.searchsorted(wanted, output_steps, side="right")].astype(np.int32))
