"""The equations of an integrate-and-fire network with any of the further fields, as LaTeX.

They are those of one neuron of each population, given the rates r_b(t) (spikes per neuron and ms) of all: N_ab counts
the spikes of b that reach it, and a limit closes them by r_b = the rate at which neurons of b spike. Terms that vanish
are left out.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from largen.numerics.latex import aligned, number, over, total
from largen.systems.spiking import constants

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

Row = tuple[str, ...]


def label(name: str) -> str:
    """A population's label as an index."""
    plain = name in ("e", "i") or (name[0] in "ei" and name[1:].isdigit())
    return name if plain else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"


def write(model: "SpikingNetwork") -> str:
    """Write the equations with a model's numbers; those of `SpikingNetwork` without further fields are in `latex`."""
    names = [label(name) for name in model.populations]
    rows: list[Row] = []
    for a in range(len(names)):
        rows.append((f"dV_{{{names[a]}}}", _potential(model, a, names)))
    for a in range(len(names)):
        for b in range(len(names)):
            if _connected(model, a, b):
                rows += _synapse(model, a, b, names)
        rows += _external_channel(model, a, names)
        rows += _adaptation(model, a, names)
    rows += _conductance(model, names)
    for a in range(len(names)):
        rows += _spike(model, a, names)
    rows += _first(model, names)
    return aligned(rows)


def _one(model: "SpikingNetwork", field: str, a: int) -> float:
    return float(constants.per_population(model, getattr(model, field))[a])


def _connected(model: "SpikingNetwork", a: int, b: int) -> bool:
    return bool(constants.weights(model)[a, b] != 0.0 and constants.in_degrees(model)[a, b] > 0.0)


def _pulls(model: "SpikingNetwork", b: int) -> bool:
    return bool(model.inhibitory[b]) and model.inhibition == "conductance"


def _pair(names: list[str], a: int, b: int) -> str:
    return f"{{{names[a]}{'' if len(names[a] + names[b]) == 2 else ','}{names[b]}}}"


# The potential ----------------------------------------------------------------------------------------------------


def _potential(model: "SpikingNetwork", a: int, names: list[str]) -> str:
    """What population a gains in dt: flow, currents, drive, noise, kicks."""
    drift = [_flow(model, a, names[a])]
    kicks = []
    for b in range(len(names)):
        if not _connected(model, a, b):
            continue
        weight, pair = float(constants.weights(model)[a, b]), _pair(names, a, b)
        sign = "-" if weight < 0.0 else "+"
        if model.synapse in ("pending", "exponential"):
            pending = model.synapse == "pending"
            size = float(model.strength[a, b] / model.decay[a, b]) if pending else 1.0
            variable = f"H_{pair}" if pending else f"I_{pair}"
            if model.synapse == "exponential" and not _pulls(model, b):
                sign = "+"  # the channel has its own sign
            pull = rf"g_{{{names[a]}}}(V_{{{names[a]}}})\," if _pulls(model, b) else ""
            drift.append(f"{sign} {pull}{_times(size, variable)}")
        elif not _pulls(model, b):
            counted = f"dN_{pair}" if model.synapse == "delta" else f"dR_{pair}"
            kicks.append(f"{sign} {_times(abs(weight), counted, average=_spread(model, a, b))}")
    drift += _drive(model, a, names[a], kicks)
    if np.any(constants.per_population(model, model.adaptation_step)[a] != 0.0):
        drift.append(f"- w_{{{names[a]}}}")
    flowing = " ".join(part for part in drift if part).removeprefix("+ ")
    text = rf"\left({flowing}\right)dt" if flowing else ""
    return " ".join(part for part in (text, *_noise(model, a, names[a]), *kicks) if part).removeprefix("+ ") or "0"


def _times(size: float, variable: str, *, average: float = 0.0) -> str:
    """A size times a variable; with a spread it stands for the mean of sizes, `average` their standard deviation."""
    if average > 0.0:
        return rf"({number(size)} \pm {number(average)})\,{variable}"
    return variable if size == 1.0 else rf"{number(size)}\,{variable}"


def _spread(model: "SpikingNetwork", a: int, b: int) -> float:
    relative = float(constants.per_pair(model, model.strength_spread)[a, b])
    return relative * abs(float(constants.weights(model)[a, b]))


def _flow(model: "SpikingNetwork", a: int, name: str) -> str:
    """What the neuron does by itself, in units of the potential per ms (S24, S26, S27)."""
    rest, tau, v = _one(model, "rest", a), _one(model, "membrane_time", a), f"V_{{{name}}}"
    if model.neuron == "leaky":
        if np.isinf(tau):
            return ""
        above = total([1.0], [v], -rest)
        return "- " + over(above if tau != 1.0 or rest == 0.0 else f"({above})", tau)
    slope, soft = _one(model, "slope", a), _one(model, "soft_threshold", a)
    from_soft = total([1.0], [v], -soft)
    if model.neuron == "exponential":
        grows = rf"{number(slope)}\,e^{{({from_soft})/{number(slope)}}}"
        return over(rf"{total([-1.0], [v], rest)} + {grows}", tau)
    return over(rf"({total([1.0], [v], -rest)})({from_soft})", tau * slope)


def _drive(model: "SpikingNetwork", a: int, name: str, kicks: list[str]) -> list[str]:
    """The drift from outside; Poisson kicks go to `kicks`."""
    size = float(constants.external_kicks(model).size[a])
    found, through = [], _one(model, "external_decay", a) > 0.0
    if _is_on(model, "external_rate", a) and size != 0.0:
        rate = rf"\lambda_{{{name}}}(t)" if callable(model.external_rate) else None
        if through:
            found.append(f"+ X_{{{name}}}")
        elif model.external == "gaussian":
            found.append(_term(size, rate, 1.0 if rate else _one(model, "external_rate", a)))
        else:
            kicks.append(("- " if size < 0.0 else "+ ") + _times(abs(size), f"dN^x_{{{name}}}"))
    if callable(model.external_mean):
        found.append(rf"+ \mu_{{{name}}}(t)")
    elif _one(model, "external_mean", a) != 0.0:
        found.append(_term(_one(model, "external_mean", a), None, 1.0))
    return found


def _is_on(model: "SpikingNetwork", field: str, a: int) -> bool:
    value = getattr(model, field)
    return callable(value) or _one(model, field, a) != 0.0


def _term(size: float, symbol: str | None, factor: float) -> str:
    value = size * factor
    sign = "-" if value < 0.0 else "+"
    return f"{sign} {number(abs(value)) if symbol is None else _times(abs(value), symbol)}"


def _noise(model: "SpikingNetwork", a: int, name: str) -> list[str]:
    """White noise of Gaussian kicks and of `external_sd`."""
    size, found = abs(float(constants.external_kicks(model).size[a])), []
    direct = model.external == "gaussian" and not _one(model, "external_decay", a) > 0.0
    if direct and size > 0.0 and _is_on(model, "external_rate", a):
        if callable(model.external_rate):
            found.append("+ " + _times(size, rf"\sqrt{{\lambda_{{{name}}}(t)}}\,dW_{{{name}}}"))
        else:
            found.append("+ " + _times(size * np.sqrt(_one(model, "external_rate", a)), f"dW_{{{name}}}"))
    if callable(model.external_sd):
        found.append(rf"+ \sigma_{{{name}}}(t)\,dB_{{{name}}}")
    elif _one(model, "external_sd", a) > 0.0:
        found.append("+ " + _times(_one(model, "external_sd", a), f"dB_{{{name}}}"))
    return found


# What arrives -----------------------------------------------------------------------------------------------------


def _synapse(model: "SpikingNetwork", a: int, b: int, names: list[str]) -> list[Row]:
    """The variables of one pair of populations: spikes that arrive, and what they do."""
    pair, weight = _pair(names, a, b), float(constants.weights(model)[a, b])
    rows: list[Row] = [(f"N_{pair}", _arrivals(model, a, b, names), r"\sim")]
    tau = float(model.decay[a, b])
    factor = abs(weight) / (_one(model, "threshold", a) - float(model.reversal)) if _pulls(model, b) else 0.0
    v = f"V_{{{names[a]}}}"
    if model.synapse == "exponential":
        size = abs(weight) if _pulls(model, b) else weight
        jump = _times(abs(size), f"dN_{pair}", average=_spread(model, a, b))
        rows.append((f"dI_{pair}", f"-{over(f'I_{pair}', tau)}\\,dt {'-' if size < 0.0 else '+'} {jump}"))
    if model.synapse in ("pending", "release"):
        rows.append((f"dH_{pair}", f"dN_{pair} - dR_{pair}"))
        rows.append((f"R_{pair}", rf"\text{{Poisson process of rate }}{over(f'H_{pair}', tau)}", r"\sim"))
    if model.synapse in ("delta", "release") and _pulls(model, b):
        counted = f"dN_{pair}" if model.synapse == "delta" else f"dR_{pair}"
        away = total([1.0], [v], -float(model.reversal))
        left = rf"{number(1.0 - factor)}^{{{counted}}}"
        rows.append((away, rf"({away})\,{left}", r"\leftarrow"))
    return rows


def _arrivals(model: "SpikingNetwork", a: int, b: int, names: list[str]) -> str:
    """The law of N_ab."""
    delay = float(constants.per_pair(model, model.delay)[a, b])
    spread = float(constants.per_pair(model, model.delay_spread)[a, b])
    kappa, name = float(constants.in_degrees(model)[a, b]), names[b]
    late = "t" if delay == 0.0 else f"t - {number(delay)}"
    seen = f"r_{{{name}}}({late})"
    if spread > 0.0 and delay > 0.0:
        law = rf"\mathrm{{Normal}}({number(delay)},\ {number(delay * spread)}^2)"
        seen = rf"\mathrm{{E}}\,r_{{{name}}}(t - d),\ d \sim {law}"
    fixed = r"\text{fixed sources, }" if model.connectivity == "quenched" else ""
    return rf"{fixed}\text{{Poisson process of rate }}{_times(kappa, seen)}"


def _external_channel(model: "SpikingNetwork", a: int, names: list[str]) -> list[Row]:
    """The current X of external kicks that pass a synapse, and the law of Poisson kicks."""
    size, name = float(constants.external_kicks(model).size[a]), names[a]
    if not _is_on(model, "external_rate", a) or size == 0.0:
        return []
    tau, rows = _one(model, "external_decay", a), []
    functional = callable(model.external_rate)
    rate = rf"\lambda_{{{name}}}(t)" if functional else number(_one(model, "external_rate", a))
    if tau > 0.0:
        brings = (
            f"+ {_times(abs(size), f'dN^x_{{{name}}}')}" if size > 0.0 else f"- {_times(-size, f'dN^x_{{{name}}}')}"
        )
        rows.append((f"dX_{{{name}}}", rf"-{over(f'X_{{{name}}}', tau)}\,dt {brings}"))
    if model.external == "poisson":
        rows.append((f"N^x_{{{name}}}", rf"\text{{Poisson process of rate }}{rate}", r"\sim"))
    elif tau > 0.0:
        rows.append((f"dN^x_{{{name}}}", rf"{rate}\,dt + \sqrt{{{rate}}}\,dW_{{{name}}}"))
    return rows


def _adaptation(model: "SpikingNetwork", a: int, names: list[str]) -> list[Row]:
    if _one(model, "adaptation_step", a) == 0.0:
        return []
    w = f"w_{{{names[a]}}}"
    return [(rf"\frac{{d{w}}}{{dt}}", f"-{over(w, _one(model, 'adaptation_time', a))}")]


def _conductance(model: "SpikingNetwork", names: list[str]) -> list[Row]:
    """g(V) where inhibition is a conductance that acts over time."""
    rows: list[Row] = []
    for a, name in enumerate(names):
        used = any(_pulls(model, b) and _connected(model, a, b) for b in range(len(names)))
        if used and model.synapse in ("pending", "exponential"):
            low = float(model.reversal)
            span = number(_one(model, "threshold", a) - low)
            rows.append((f"g_{{{name}}}(V)", rf"\frac{{{total([1.0], ['V'], -low)}}}{{{span}}}"))
    return rows


# Spikes -----------------------------------------------------------------------------------------------------------


def _spike(model: "SpikingNetwork", a: int, names: list[str]) -> list[Row]:
    v, wait = f"V_{{{names[a]}}}", _one(model, "refractory_time", a)
    sign = ">" if model.synapse == "pending" else r"\geq"
    after = rf"\text{{spike}},\ {v} \leftarrow {number(_one(model, 'reset', a))}"
    step = _one(model, "adaptation_step", a)
    if step != 0.0:
        after += rf",\ w_{{{names[a]}}} \leftarrow {total([1.0], [f'w_{{{names[a]}}}'], step)}"
    if wait > 0.0:
        law = r"\text{exponential of mean }" if model.refractory == "exponential" else r"\text{of }"
        after += rf",\ \text{{refractory period }}{law}{number(wait)}\ \text{{ms}}"
    return [(rf"{v} {sign} {number(_one(model, 'threshold', a))}", after, r"\Rightarrow")]


def _first(model: "SpikingNetwork", names: list[str]) -> list[Row]:
    """The first potentials, where they are not all at the reset."""
    if model.initial_mean is None and not np.any(np.asarray(model.initial_spread) > 0.0):
        return []
    mean: Any = model.reset if model.initial_mean is None else model.initial_mean
    means, rows = constants.per_population(model, mean), []
    for a, name in enumerate(names):
        spread = _one(model, "initial_spread", a)
        law = rf"\mathrm{{Normal}}({number(means[a])},\ {number(spread)}^2)" if spread > 0.0 else number(means[a])
        rows.append((f"V_{{{name}}}(0)", law, r"\sim" if spread > 0.0 else "="))
    return rows
