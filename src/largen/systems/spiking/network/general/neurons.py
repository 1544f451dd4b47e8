"""How the neurons of one chunk take up what arrives, move, and spike; numbers as in docs/spiking.md.

All loops are over neurons that lie one after another, without branches, so that they become vector instructions.
"""

import numpy as np
from numba import float32, int32, uint64

from largen.numerics.compiled import inner
from largen.systems.spiking.network.general.state import Constants, Scratch, State
from largen.systems.spiking.network.step import refractory_steps

_BLOCK = 32  # neurons that are searched for spikes together


@inner
def take(arriving: np.ndarray, low: int, count: int, arrived: np.ndarray) -> None:
    """Take what arrives at a chunk out of one row."""
    start = uint64(low)
    for i in range(uint64(count)):
        arrived[i] = arriving[start + i]
        arriving[start + i] = float32(0.0)


@inner
def add_draws(draw: np.ndarray, least: int, weight: float, count: int, arrived: np.ndarray) -> None:
    """Add the drawn numbers of spikes, each of this weight."""
    first, each = float32(least), float32(weight)
    for i in range(uint64(count)):
        arrived[i] += each * (float32(draw[i]) + first)


@inner
def add_spread(
    draw: np.ndarray, least: int, weight: float, count: int, normal: np.ndarray, arrived: np.ndarray
) -> None:
    """Add what the spread of the weights makes of so many spikes: a normal number of their variance."""
    first, each = float32(least), float32(weight)
    for i in range(uint64(count)):
        arrived[i] += each * np.sqrt(float32(draw[i]) + first) * normal[i]


@inner
def add_normals(mean: float, sd: float, count: int, normal: np.ndarray, arrived: np.ndarray) -> None:
    """Add normal numbers of this mean and standard deviation."""
    drift, noise = float32(mean), float32(sd)
    for i in range(uint64(count)):
        arrived[i] += drift + noise * normal[i]


@inner
def scale(values: np.ndarray, factor: float, count: int) -> None:
    """Multiply by a factor."""
    each = float32(factor)
    for i in range(uint64(count)):
        values[i] *= each


@inner
def pass_current(current: np.ndarray, low: int, count: int, keep: float, act: float, k: Scratch, r: int) -> None:
    """A channel acts on the flow, decays and takes up what arrives (S24)."""
    start, left, charge, arrived, push = uint64(low), float32(keep), float32(act), k.arrived[r], k.push
    for i in range(uint64(count)):
        x = current[start + i]
        push[i] += charge * x
        current[start + i] = left * x + arrived[i]


@inner
def pass_conductance(
    s: State, current: np.ndarray, low: int, count: int, keep: float, act: float, form: tuple, k: Scratch, r: int
) -> None:
    """As `pass_current` for an inhibition times g(V), with V of before the step; form: (reversal, slope)."""
    start, left, charge, arrived, push = uint64(low), float32(keep), float32(act * form[1]), k.arrived[r], k.push
    reversal = float32(form[0])
    for i in range(uint64(count)):
        x = current[start + i]
        push[i] += charge * x * (reversal - float32(s.voltage[start + i]))
        current[start + i] = left * x + arrived[i]


@inner
def add_row(arrived: np.ndarray, count: int, out: np.ndarray) -> None:
    """Add what arrives to `out`."""
    for i in range(uint64(count)):
        out[i] += arrived[i]


@inner
def join(pending: np.ndarray, low: int, count: int, arrived: np.ndarray) -> tuple[int, int]:
    """H <- H + what arrives; returns the largest H and the sum."""
    start, most, total = uint64(low), int32(0), 0
    for i in range(uint64(count)):
        h = int32(pending[start + i] + int32(arrived[i]))
        pending[start + i] = h
        most = max(most, h)
        total += h
    return int(most), int(total)


@inner
def note_pending(pending: np.ndarray, low: int, count: int, rest: np.ndarray) -> None:
    """Copy H to `rest`, from which releases are drawn."""
    start = uint64(low)
    for i in range(uint64(count)):
        rest[i] = pending[start + i]


@inner
def leave(
    pending: np.ndarray, low: int, count: int, released: np.ndarray, stay: float, each: float, out: np.ndarray
) -> None:
    """H <- H - R; out gets `stay` for each spike that stays pending and `each` for one that is released."""
    start, by_staying, by_leaving = uint64(low), float32(stay), float32(each)
    for i in range(uint64(count)):
        r = released[i]
        h = int32(pending[start + i] - r)
        pending[start + i] = h
        out[i] += by_staying * float32(h) + by_leaving * float32(r)


@inner
def adapt(adaptation: np.ndarray, low: int, count: int, numbers: np.ndarray, push: np.ndarray) -> None:
    """The adaptation w acts, and decays; numbers: (step, what is left, what w = 1 takes)."""
    start, left, taken = uint64(low), float32(numbers[1]), float32(numbers[2])
    for i in range(uint64(count)):
        push[i] -= taken * adaptation[start + i]
        adaptation[start + i] *= left


@inner
def move_leaky(s: State, low: int, count: int, keep: float, k: Scratch) -> None:
    """U <- U P + push + kicks, unless refractory (S24)."""
    voltage, wait, push, kicks, start = s.voltage, s.wait, k.push, k.kicks, uint64(low)
    for i in range(uint64(count)):
        v = voltage[start + i]
        free = wait[start + i] == int32(0)
        voltage[start + i] = v * keep + (push[i] + kicks[i]) if free else v
        wait[start + i] -= int32(0) if free else int32(1)


@inner
def begin(s: State, low: int, count: int, k: Scratch) -> None:
    """k.moved <- U."""
    for i in range(count):
        k.moved[i] = s.voltage[low + i]


@inner
def shrink(count: int, reversal: float, k: Scratch) -> None:
    """Multiply V - V_I of k.moved by the factor whose logarithm is k.shrink, which is used up."""
    for i in range(count):
        k.moved[i] = reversal + (k.moved[i] - reversal) * np.exp(k.shrink[i])
        k.shrink[i] = float32(0.0)


@inner
def jump(count: int, k: Scratch) -> None:
    """Add the jumps k.pull to k.moved, before the flow."""
    for i in range(count):
        k.moved[i] += k.pull[i]


@inner
def flow_leaky(count: int, keep: float, k: Scratch) -> None:
    """k.moved <- k.moved P + push."""
    for i in range(count):
        k.moved[i] = k.moved[i] * keep + k.push[i]


@inner
def flow_pulled(count: int, leak: float, form: tuple, k: Scratch) -> None:
    """The flow with a pull towards V_I in the step, as (S2): V relaxes by kappa = leak + pull, and never passes V_I.

    k.push holds what the flow with the leak alone would make of charges and drift, k.normal the noise.
    """
    reversal, free = form[0], -np.expm1(-leak) / leak if leak > 0.0 else 1.0
    free_noise = -np.expm1(-2.0 * leak) / (2.0 * leak) if leak > 0.0 else 1.0
    for i in range(count):
        pull = form[1] * k.pull[i]
        kappa = max(pull + leak, 1e-30)
        phi, root = -np.expm1(-kappa) / kappa, np.sqrt(-np.expm1(-2.0 * kappa) / (2.0 * kappa) / free_noise)
        u = k.moved[i]
        k.moved[i] = u + phi * (k.push[i] / free - (u - reversal) * pull - u * leak) + root * k.normal[i]
        k.normal[i] = float32(0.0)


@inner
def most_pull(count: int, k: Scratch) -> float:
    """Largest entry of k.pull."""
    most = float32(0.0)
    for i in range(uint64(count)):
        most = max(most, k.pull[i])
    return float(most)


@inner
def move_gently(s: State, low: int, count: int, leak: float, form: tuple, k: Scratch) -> None:
    """`begin`, `flow_pulled` and `land` in one, to third order in kappa, which is at most GENTLE."""
    voltage, wait, push, pull, kicks, z = s.voltage, s.wait, k.push, k.pull, k.kicks, k.normal
    loss, start, reversal, slope = float32(leak), uint64(low), float32(form[0]), float32(form[1])
    one, half, sixth, rest = float32(1.0), float32(0.5), float32(1.0 / 6.0), float32(1.0 / 24.0)
    free_phi = one - loss * (half - loss * (sixth - rest * loss))
    free_root = free_phi + rest * loss * loss * (one - half * loss)
    by_free, by_root = one / free_phi, one / free_root
    for i in range(uint64(count)):
        v = float32(voltage[start + i])
        pulled = slope * pull[i]
        kappa = pulled + loss
        phi = one - kappa * (half - kappa * (sixth - rest * kappa))
        root = (phi + rest * kappa * kappa * (one - half * kappa)) * by_root
        change = phi * (push[i] * by_free - (v - reversal) * pulled - v * loss) + root * z[i] + kicks[i]
        free = wait[start + i] == int32(0)
        voltage[start + i] += change if free else float32(0.0)
        wait[start + i] -= int32(0) if free else int32(1)


@inner
def pull_back(count: int, form: tuple, k: Scratch) -> None:
    """Take k.moved towards V_I by the pull of the step, before a tabulated flow."""
    for i in range(count):
        k.moved[i] = form[0] + (k.moved[i] - form[0]) * np.exp(-form[1] * k.pull[i])


@inner
def flow_tabulated(count: int, table: np.ndarray, first: float, by: float, k: Scratch) -> None:
    """k.moved <- phi(k.moved) + push, phi linear between the points of the table, and beyond its ends."""
    last = table.size - 2
    for i in range(count):
        x = (k.moved[i] - first) / by
        cell = int(min(max(x, 0.0), float(last)))
        k.moved[i] = table[cell] + (x - cell) * (table[cell + 1] - table[cell]) + k.push[i]


@inner
def land(s: State, low: int, count: int, k: Scratch) -> None:
    """U <- k.moved + kicks + noise, unless refractory."""
    for i in range(count):
        if s.wait[low + i] == 0:
            s.voltage[low + i] = k.moved[i] + (k.kicks[i] + k.normal[i])
        else:
            s.wait[low + i] -= 1


@inner
def fire(c: Constants, s: State, a: int, low: int, high: int, fired: int, lanes: np.ndarray) -> int:
    """List the neurons low..high - 1 above their limit, reset them and let them wait; returns the spikes listed."""
    voltage, limit = s.voltage, c.limit[a]
    for start in range(low, high, _BLOCK):
        first, above = uint64(start), int32(0)
        for i in range(uint64(min(_BLOCK, high - start))):
            above += int32(voltage[first + i] > limit)
        if above > 0:
            for i in range(start, min(start + _BLOCK, high)):
                if voltage[i] > limit:
                    voltage[i] = c.reset[a]
                    s.wait[i] = refractory_steps(c.wait[a], c.fixed_wait, lanes)
                    if s.adaptation.size:
                        s.adaptation[i] += c.adaptation[a, 0]
                    s.fired[fired] = i
                    fired += 1
    return fired
