"""The equations of the spiking network's mean field, which the reduction solves on voltage bins, as LaTeX."""

from typing import TYPE_CHECKING

import numpy as np

from largen.numerics.latex import aligned, number, over, total
from largen.systems.spiking.latex_general import label

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


def write(model: "SpikingNetwork", n: int | None) -> str:
    """Write the equations of CLWTX 2024 with a model's numbers: potentials, pending spikes, refractory period.

    V_a is the potential of a neuron of population a, r_a the population's rate per ms, m_ab and v_ab mean and
    variance of the pending spikes H_ab; a term that vanishes is left out. The reduction carries the law of V_a on
    voltage bins and H_ab as its mean, its variance and (closure "joint") its covariance with V_a.
    """
    scaled = model if n is None else model.scaled(n)
    names = tuple(label(name) for name in scaled.populations)
    size = np.asarray(scaled.size)
    rows: list[tuple[str, ...]] = []
    for a, name in enumerate(names):
        rows.append((f"dV_{{{name}}}", _potential(scaled, a, names)))
    for a, target in enumerate(names):
        for b, source in enumerate(names):
            p, tau = float(scaled.probability[a, b]), scaled.decay[a, b]
            m, v = (f"{letter}_{{{target}{source}}}" for letter in "mv")
            rate = f"r_{{{source}}}"
            mean, spread = (total([size[b] * factor], [rate]) for factor in (p, p * (1.0 - p)))
            rows.append((rf"\frac{{d{m}}}{{dt}}", _sum(f"-{over(m, tau)}", mean)))
            rows.append((rf"\frac{{d{v}}}{{dt}}", _sum(over(rf"{m} - 2{v}", tau), spread)))
    top, low = number(scaled.threshold), float(scaled.reversal)
    if np.any(scaled.inhibitory):
        shifted = total([1.0], ["V"], -low)
        rows.append(("g(V)", rf"\frac{{{shifted}}}{{{number(float(scaled.threshold) - low)}}}"))
    refractory = ",\\ ".join(
        f"{number(t)}" for t in np.unique(np.broadcast_to(scaled.refractory_time, len(names))).tolist()
    )
    law = r"\text{exponential of mean }" if scaled.refractory == "exponential" else r"\text{of }"
    after = rf"\text{{spike}},\ V \leftarrow 0,\ \text{{refractory period }}{law}{refractory}\ \text{{ms}}"
    rows.append((rf"V > {top}", after, r"\Rightarrow"))
    return aligned(rows)


def _sum(first: str, rest: str) -> str:
    return first if rest == "0" else f"{first} + {rest}"


def _potential(model: "SpikingNetwork", a: int, names: tuple[str, ...]) -> str:
    name = names[a]
    terms = []
    for b, source in enumerate(names):
        strength, tau = float(model.strength[a, b]), float(model.decay[a, b])
        if strength * float(model.probability[a, b]) == 0:
            continue
        current = rf"{number(strength / tau)}\,H_{{{name}{source}}}"
        terms.append(rf"- g(V_{{{name}}})\,{current}" if model.inhibitory[b] else f"+ {current}")
    membrane = float(np.broadcast_to(model.membrane_time, len(names))[a])
    scale = 1.0 if np.isinf(membrane) else 1.0 / membrane
    if np.isfinite(membrane):
        terms.append("- " + over(rf"V_{{{name}}}", membrane))
    if callable(model.external_rate):
        drive = rf"\lambda_{{{name}}}(t)"
        mean, noise = (drive if scale == 1 else rf"{number(scale)}\,{drive}"), rf"\sqrt{{{drive}}}"
        noise = noise if scale == 1 else rf"{number(scale)}{noise}"
    else:
        rate = float(np.broadcast_to(model.external_rate, len(names))[a])
        mean, noise = number(rate * scale), number(np.sqrt(rate) * scale)
    text = " ".join([*terms, f"+ {mean}"])
    text = text.removeprefix("+ ")
    return rf"\left({text}\right)dt + {noise}\,dW"
