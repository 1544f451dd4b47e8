"""The balanced limit's equations, or those of n neurons, as LaTeX with a model's own numbers."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from largen.checks import InputError
from largen.numerics.latex import aligned, number, over, total
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import AbstractGain, CustomGain, Logistic, Probit

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


def write(model: "BalancedNetwork", n: int | None) -> str:
    """Write the limit (n None; eqs. B5, B8, B9 of docs/balanced.md), or the moments at n neurons in all (B4 to B7).

    v_a and K_a are mean and variance of population a, F_a its mean intensity, kappa_a its third cumulant; the
    multipliers lambda keep the balance conditions (the lines `0 = ...`) true at all times.

    Raises:
        InputError: A finite n with shared synapses, whose equations are not known.
    """
    names = model.populations
    v, k, f = ([f"{letter}_{{{name}}}" for name in names] for letter in "vKF")
    structure = manifold.structure(model)
    sizes = None if n is None else model.sizes(n).astype(float)
    if n is not None and model.synapses != "independent":
        raise InputError("The equations of a network with shared synapses are known in the limit only. Leave out `n`.")
    with jax.enable_x64(True):
        parts = jax.tree.map(np.asarray, manifold.balance(model, structure.columns, sizes))
    tau, noise = (np.broadcast_to(x, len(names)) for x in (model.tau, model.noise))
    inputs, drives = (_each(value, symbol, names) for value, symbol in ((model.input, "m"), (model.drive, "h")))
    rows = []
    if n is None:
        multipliers = [rf"\lambda_{{{j + 1}}}" for j in range(len(structure.columns))]
        for a in range(len(names)):
            pull = total(parts.basis[a], multipliers, inputs[a])
            rows.append((_rate_of_change(v[a]), _with_leak(v[a], tau[a], pull)))
        rows += [("0", total(row, f, h)) for row, h in _conditions(parts, drives)]
    else:
        root = number(np.sqrt(np.mean(np.asarray(sizes))))
        g = [rf"G_{{{name}}}" for name in names]
        kappa = [rf"\kappa_{{{name}}}" for name in names]
        for a in range(len(names)):
            strong = rf"{root}\left({total(parts.coupling[a], g, drives[a])}\right)"
            pull = strong if inputs[a] == 0.0 else f"{total([], [], inputs[a])} + {strong}"
            rows.append((_rate_of_change(v[a]), _with_leak(v[a], tau[a], pull)))
        for a in range(len(names)):
            kick = rf"\frac{{1}}{{{root}}}\left({total(parts.third_coupling[a], g)}\right)"
            rows.append((_rate_of_change(kappa[a]), _with_leak(kappa[a], tau[a] / 3.0, kick)))
    source = f if n is None else [rf"G_{{{name}}}" for name in names]
    for a in range(len(names)):
        growth = total(parts.variance_coupling[a], source, noise[a] ** 2)
        rows.append((_rate_of_change(k[a]), _with_leak(k[a], tau[a] / 2.0, growth)))
    rows += [(f[b], _mean_rate(gain, v[b], k[b])) for b, gain in enumerate(model.gain)]
    if n is not None:
        for b in range(len(names)):
            third = rf"\frac{{\partial^3 {f[b]}}}{{\partial {v[b]}^3}}"
            rows.append((source[b], rf"{f[b]} + \frac{{\kappa_{{{names[b]}}}}}{{6}} {third}"))
    return aligned(rows)


def _rate_of_change(symbol: str) -> str:
    return rf"\frac{{d{symbol}}}{{dt}}"


def _with_leak(symbol: str, tau: float, rest: str) -> str:
    leak = "-" + (over(symbol, tau) if tau >= 1 else rf"{number(1.0 / tau)}\,{symbol}")
    return leak if rest == "0" else f"{leak} {rest}" if rest.startswith("-") else f"{leak} + {rest}"


def _each(value: Any, symbol: str, names: tuple[str, ...]) -> list[Any]:
    """Numbers, or symbols where the value is a function of time."""
    if callable(value):
        return [rf"{symbol}_{{{name}}}(t)" for name in names]
    return [float(x) for x in value]


def _conditions(parts: manifold.Balance, drives: list[Any]) -> list[tuple[jax.Array, Any]]:
    """Rows of the balance conditions: as many independent rows of A F + h = 0 as the rank."""
    rank = parts.conditions.shape[0]
    chosen: list[int] = []
    for a in range(len(parts.coupling)):
        if np.linalg.matrix_rank(parts.coupling[[*chosen, a]], tol=1e-10 * np.abs(parts.coupling).max()) > len(chosen):
            chosen.append(a)
    return [(parts.coupling[a], drives[a]) for a in chosen[:rank]]


def _mean_rate(gain: AbstractGain, v: str, k: str) -> str:
    top = "" if float(gain.bound) == 1 else rf"{number(gain.bound)}\,"
    if isinstance(gain, Probit):
        slope = "" if float(gain.slope) == 1 else rf"{number(gain.slope)}\,"
        square = total([float(gain.slope) ** 2], [k], 0.0)
        distance = total([1.0], [v], -float(gain.threshold))
        distance = f"({distance})" if slope and float(gain.threshold) != 0 else distance
        inside = rf"\frac{{{slope}{distance}}}{{\sqrt{{1 + {square}}}}}"
        return rf"{top}\Phi\!\left({inside}\right)"
    state = rf"{v} + \sqrt{{{k}}}\,\xi"
    if isinstance(gain, Logistic):
        below = total([-float(gain.slope)], [rf"({state}{_minus(gain.threshold)})"])
        return rf"{top}\mathrm{{E}}\left[\frac{{1}}{{1 + e^{{{below}}}}}\right],\quad \xi\sim\mathcal{{N}}(0,1)"
    name = getattr(gain.function, "__name__", "f") if isinstance(gain, CustomGain) else "f"
    clean = name.replace("_", r"\_").replace("<", "").replace(">", "")
    return rf"\mathrm{{E}}\left[\mathrm{{{clean}}}({state})\right],\quad \xi\sim\mathcal{{N}}(0,1)"


def _minus(threshold: Any) -> str:
    value = -float(threshold)
    return "" if value == 0 else f" {'-' if value < 0 else '+'} {number(abs(value))}"
