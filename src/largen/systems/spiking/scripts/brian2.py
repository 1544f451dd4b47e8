"""The spiking network as a script of Brian2.

A step of the script does what a step of largen's network does, in the same order: spikes arrive, pending ones are
released by a binomial number, V moves, kicks and the threshold come after. Brian2 delivers a spike at the end of the
step in which it occurs, so that a delay of d steps is d - 1 steps there (d where what arrives is taken up after V has
moved).
"""

from typing import TYPE_CHECKING

import numpy as np

from largen.checks import InputError
from largen.systems.spiking import constants as derived
from largen.systems.spiking.scripts.common import (
    Run,
    graph_rule,
    header,
    per_pair,
    per_population,
    refuse,
    settings,
    sizes,
    text_of,
    whole_pairs,
)
from largen.systems.spiking.time_step import check_step, refractory_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


def write(model: "SpikingNetwork", run: Run) -> str:
    """Write the script.

    Raises:
        InputError: The network has what the script cannot say.
    """
    check_step(model, run.dt)
    counted = model.synapse in ("pending", "release")
    reasons = {}
    annealed = model.connectivity == "annealed"
    if annealed and model.probability is None:
        which = "in_degree" if model.in_degree is not None else "synapses"
        reasons[which] = "a given number of connections, drawn afresh at every spike: say connectivity='quenched'"
    if annealed and np.any(np.asarray(model.delay_spread) > 0.0):
        reasons["delay_spread"] = "a spread of delays without a fixed graph: say connectivity='quenched'"
    if np.any(np.asarray(model.strength_spread) > 0.0) and (counted or annealed):
        reasons["strength_spread"] = "a spread of strengths, without a fixed graph or of pending spikes"
    pulled = model.inhibition == "conductance" and bool(np.any(model.inhibitory))
    if pulled and model.synapse in ("exponential", "delta"):
        reasons["inhibition"] = f"inhibition as a conductance with {model.synapse} synapses"
    waits = refractory_steps(model, run.dt)
    if model.refractory == "fixed" and np.any(waits != np.rint(waits)):
        reasons["refractory_time"] = f"a refractory period that is no multiple of {run.dt:g} ms"
    refuse(model, "Brian2", reasons)
    parts = [
        header("Brian2", run, _differences(model, counted)),
        "import brian2 as b2\nimport numpy as np\nfrom brian2 import ms\n\n",
        settings(run),
        _numbers(model, run),
        _BINOMIAL if counted or annealed else "",
        _cells(model, pulled),
        _ANNEALED if annealed else _quenched(model),
        _SAVE.replace("COUNTERS", "list(counters.values()), " if annealed else ""),
    ]
    return "".join(parts)


def _differences(model: "SpikingNetwork", counted: bool) -> list[str]:
    if model.synapse == "pending":
        return ["Euler's method within a step, and released spikes have the mean of their charges."]
    if counted:
        return ["inhibitory kicks come after the flow of a step, not before it."]
    if np.any(np.asarray(model.external_sd) > 0.0) or model.external_strength is None:
        return ["Euler's method within a step."]
    return []


def _numbers(model: "SpikingNetwork", run: Run) -> str:
    """All numbers of the model."""
    kicks = derived.external_kicks(model)
    diffuse = model.external == "gaussian" and model.external_strength is None
    rate = np.zeros(len(model.size)) if kicks.rate is None else kicks.rate
    size = np.where(rate > 0.0, kicks.size, 0.0)
    mean = derived.per_population(model, model.external_mean) + diffuse * size * rate
    sd = np.sqrt(derived.per_population(model, model.external_sd) ** 2 + diffuse * size**2 * rate)
    steps = derived.nearest_step(derived.per_pair(model, model.delay), run.dt)
    weight = derived.per_pair(model, model.strength) if _counted(model) else derived.weights(model)
    text = [
        sizes(model),
        f"refractory_steps = {text_of(refractory_steps(model, run.dt))}  # mean\n",
        "\n# Synapses, [target][source]\n",
        f"weight = {text_of(weight)}\n" if not _counted(model) else f"strength = {text_of(weight)}\n",
        f"decay = {per_pair(model, model.decay)}  # ms\n" if model.synapse != "delta" else "",
        f"delay_steps = {text_of(steps)}  # a spike of step n acts in step n + d\n",
    ]
    rule = graph_rule(model)
    table = per_pair if rule == "probability" else whole_pairs
    text.append(f"{rule} = {table(model, getattr(model, rule))}\n")
    if model.inhibition == "conductance":
        text.append(f"reversal = {float(model.reversal)!r}\n")
    text += [
        "\n# Drive\n",
        f"drift = {text_of(mean)}  # per ms\n",
        f"noise = {text_of(sd)}  # per root of a ms\n",
    ]
    if not diffuse and np.any(rate > 0.0):
        text += [f"kick_rate = {text_of(rate)}  # per ms\n", f"kick_size = {text_of(size)}\n"]
        if np.any(np.asarray(model.external_decay) > 0.0):
            text.append(f"kick_decay = {per_population(model, model.external_decay)}  # ms\n")
    return "".join(text) + _PREPARE


_PREPARE = """
b2.seed(seed)
rng = np.random.default_rng(seed)
b2.defaultclock.dt = dt * ms
b2.prefs.codegen.target = "numpy"  # needs no compiler
"""


def _counted(model: "SpikingNetwork") -> bool:
    return model.synapse in ("pending", "release")


_BINOMIAL = '''

@b2.implementation("numpy", discard_units=True)
@b2.check_units(number=1, chance=1, result=1)
def binomial(number, chance):
    """How many of a number happen, each with this chance."""
    return np.random.binomial(np.asarray(number).astype(np.int64), chance)


binomial.stateless = False
'''

_ANNEALED = """
# Every spike draws its targets afresh: a counter holds the spikes that arrive from a population in this step, and each
# neuron receives a binomial number of them.
counters, links = {}, []
for a in range(len(names)):
    for b in range(len(names)):
        counter = b2.NeuronGroup(1, "n : 1", name=f"arriving_{a}_{b}")
        counter.run_regularly("n = 0", when="before_thresholds", order=5)
        link = b2.Synapses(cells[b], counter, on_pre="n_post += 1", delay=(delay_steps[a][b] - 1) * dt * ms)
        link.connect()
        setattr(cells[a], f"n_{b}", b2.linked_var(counter, "n", index=np.zeros(size[a], dtype=int)))
        counters[a, b] = counter
        links.append(link)
"""


def _cells(model: "SpikingNetwork", pulled: bool) -> str:
    """The neurons of all populations, with what happens in every step."""
    annealed = model.connectivity == "annealed"
    lines = ["\n# Neurons\ncells = []\nfor a in range(len(names)):\n    sources = range(len(names))\n"]
    lines.append("    variables = ['kick : 1', 'pause : second']\n")
    if annealed:
        lines.append("    variables += [f'n_{b} : 1 (linked)' for b in sources]\n")
    early, late = [], []
    arrived = "binomial(n_{b}, {probability[a][b]})"
    if model.synapse == "pending":
        lines.append(_PENDING_VARIABLES)
        flow = "(charge - pull * (v - ({reversal})) / ({threshold[a] - reversal})) / ({dt} * ms)" if pulled else (
            "(charge - pull) / ({dt} * ms)"
        )  # fmt: skip
        early.append("charge = 0\npull = 0")
        early.append(_each("h_{b} += " + arrived) if annealed else "")
        early.append(_each("released_{b} = binomial(h_{b}, {leaves[b]})\nh_{b} -= released_{b}"))
        early.append(_each("{'pull' if inhibitory[b] else 'charge'} += {stay[b]} * h_{b} + {leave[b]} * released_{b}"))
    elif model.synapse == "release":
        lines.append(_RELEASE_VARIABLES)
        flow = "0 / ms"
        late.append(_each("released_{b} = binomial(h_{b}, {leaves[b]})\nh_{b} -= released_{b}"))
        late.append(_each(_release_kick(pulled)))
        late.append(_each("h_{b} += " + arrived) if annealed else "")
    elif model.synapse == "exponential":
        lines.append(_exponential_variables(model))
        flow = "({' + '.join(channels)}) / ms"
        if annealed:
            late.append(_each("{channel[b]} += {weight[a][b]} * " + arrived))
    else:
        flow = "0 / ms"
        if annealed:
            late.append(_each("kick += {weight[a][b]} * " + arrived))
    late.append(_external(model))
    late.append("v += kick * int(not_refractory)\nkick = 0")
    lines.append(
        _FLOW.replace("FLOW", flow)
        .replace("METHOD", _method(model))
        .replace("ABOVE", _above(model))
        .replace("PAUSE", _FIXED if model.refractory == "fixed" else _EXPONENTIAL)
    )
    for when, parts in (("start", early), ("before_thresholds", late)):
        kept = [f"        {_listed(part)},\n" for part in parts if part]
        if kept:
            lines.append(f"    step = [\n{''.join(kept)}    ]\n")
            lines.append(f'    group.run_regularly("\\n".join(step), when="{when}")\n')
    lines.append("    cells.append(group)\n")
    return "".join(lines)


def _listed(part: str) -> str:
    """Entries of a list in the script: a part that is no list of its own is one entry."""
    return part if part.startswith(("*", "f'", 'f"')) else repr(part)


def _each(lines: str) -> str:
    """Entries of a list in the script: these lines for every source, what is in braces put in when it runs."""
    return "*[f" + repr(lines) + " for b in sources]"


_PENDING_VARIABLES = """    # Pending spikes h: in a step one that stays brings `stay`, one that is released `leave`.
    share = [dt / decay[a][b] for b in sources]
    leaves = [-np.expm1(-share[b]) for b in sources]
    stay = [strength[a][b] * share[b] for b in sources]
    leave = [strength[a][b] * (1 - share[b] / np.expm1(share[b])) for b in sources]
    variables += ["charge : 1", "pull : 1"] + [f"h_{b} : 1\\nreleased_{b} : 1" for b in sources]
"""
_RELEASE_VARIABLES = """    # Pending spikes h of each source; one kicks when it is released.
    leaves = [-np.expm1(-dt / decay[a][b]) for b in sources]
    variables += [f"h_{b} : 1\\nreleased_{b} : 1" for b in sources]
"""


def _exponential_variables(model: "SpikingNetwork") -> str:
    text = (
        "    # Synaptic drifts, one for each time constant\n"
        "    times = sorted({decay[a][b] for b in sources}OUTSIDE)\n"
        '    channels = [f"i_{k}" for k in range(len(times))]\n'
        "    channel = [channels[times.index(decay[a][b])] for b in sources]\n"
        '    variables += [f"di_{k}/dt = -i_{k} / ({times[k]} * ms) : 1" for k in range(len(times))]\n'
    )
    outside = " | {kick_decay[a]}" if np.any(np.asarray(model.external_decay) > 0.0) else ""
    return text.replace("OUTSIDE", outside)


def _release_kick(pulled: bool) -> str:
    if not pulled:
        return "kick += {-strength[a][b] if inhibitory[b] else strength[a][b]} * released_{b}"
    return (
        "{f'v = {reversal} + (v - ({reversal})) * {1 - strength[a][b] / (threshold[a] - reversal)}**(released_{b}"
        " * int(not_refractory))' if inhibitory[b] else f'kick += {strength[a][b]} * released_{b}'}"
    )


def _external(model: "SpikingNetwork") -> str:
    """External kicks: of V or of a channel, by number or by their normal law."""
    rate = derived.external_kicks(model).rate
    if (model.external == "gaussian" and model.external_strength is None) or rate is None or not np.any(rate > 0.0):
        return ""
    through = np.asarray(derived.per_population(model, model.external_decay)) > 0.0
    if np.any(through) and not np.all(through):
        raise InputError("The script for Brian2 cannot say this network: kicks with an external_decay in a part of it.")
    target = "{channels[times.index(kick_decay[a])]}" if np.all(through) else "kick"
    if model.external == "poisson":
        return "f" + repr(f"{target} += {{kick_size[a]}} * poisson({{kick_rate[a] * dt}})")
    number = "({kick_rate[a] * dt} + {(kick_rate[a] * dt) ** 0.5} * randn())"
    return "f" + repr(f"{target} += {{kick_size[a]}} * {number}")


def _method(model: "SpikingNetwork") -> str:
    noisy = np.any(np.asarray(model.external_sd) > 0.0) or (
        model.external == "gaussian" and model.external_strength is None
    )
    return "euler" if noisy or model.synapse == "pending" else "exact"


def _above(model: "SpikingNetwork") -> str:
    return ">" if model.synapse == "pending" else ">="


_FIXED = "{(refractory_steps[a] + 1) * dt} * ms"
_EXPONENTIAL = "(1 + floor(-{refractory_steps[a]} * log(rand()))) * {dt} * ms"
_FLOW = """    leak = f" + ({rest[a]} - v) / ({membrane_time[a]} * ms)" if membrane_time[a] < float("inf") else ""
    white = f" + {noise[a]} * xi / ms**0.5" if noise[a] > 0 else ""
    flow = f"FLOW + {drift[a]} / ms{leak}{white}"
    group = b2.NeuronGroup(
        size[a],
        "\\n".join([f"dv/dt = {flow} : 1 (unless refractory)", *variables]),
        threshold=f"v ABOVE {threshold[a]}",
        reset=f"v = {reset[a]}\\npause = PAUSE",
        refractory="pause",
        method="METHOD",
        name=f"cells_{a}",
    )
    group.v = first_mean[a] + first_spread[a] * rng.standard_normal(size[a])
"""


def _quenched(model: "SpikingNetwork") -> str:
    """The fixed graph."""
    if model.synapse in ("pending", "release"):
        adds, late = 'f"h_{b}_post += 1"', int(model.synapse == "release")
    elif model.synapse == "exponential":
        adds, late = 'f"{channel_of[a][b]}_post += WEIGHT"', 1
    else:
        adds, late = '"kick_post += WEIGHT"', 0
    spread = bool(np.any(np.asarray(model.strength_spread) > 0.0))
    delays = bool(np.any(np.asarray(model.delay_spread) > 0.0))
    adds = adds.replace("WEIGHT", "w" if spread else "{weight[a][b]}")
    adds = adds if adds.startswith("f") else "f" + adds
    early = "" if late else " - 1"
    lines = ["\n# One fixed graph, links to itself included\n"]
    if spread:
        lines.append(f"weight_spread = {per_pair(model, model.strength_spread)}  # share\n")
    if delays:
        lines.append(f"delay = {per_pair(model, model.delay)}  # ms\n")
        lines.append(f"delay_spread = {per_pair(model, model.delay_spread)}  # share\n")
    if model.synapse == "exponential":
        lines.append(_CHANNEL_OF.replace("OUTSIDE", _outside(model)))
    lines.append("links = []\nfor a in range(len(names)):\n    for b in range(len(names)):\n")
    variables = '"w : 1", ' if spread else ""
    shared = "" if delays else f", delay=(delay_steps[a][b]{early}) * dt * ms"
    lines.append(f"        link = b2.Synapses(cells[b], cells[a], {variables}on_pre={adds}{shared})\n")
    lines.append(_graph(model))
    if spread:
        lines.append(
            "        w = weight[a][b] * (1 + weight_spread[a][b] * rng.standard_normal(len(link)))\n"
            "        while np.any(w * weight[a][b] < 0):  # drawn again\n"
            "            wrong = w * weight[a][b] < 0\n"
            "            w[wrong] = weight[a][b] * (1 + weight_spread[a][b] * rng.standard_normal(wrong.sum()))\n"
            "        link.w = w\n"
        )
    if delays:
        lines.append(
            "        d = delay[a][b] * (1 + delay_spread[a][b] * rng.standard_normal(len(link)))\n"
            "        while np.any(d < dt / 2):  # drawn again\n"
            "            wrong = d < dt / 2\n"
            "            d[wrong] = delay[a][b] * (1 + delay_spread[a][b] * rng.standard_normal(wrong.sum()))\n"
            f"        link.delay = (np.maximum(np.floor(d / dt + 0.5), 1){early}) * dt * ms\n"
        )
    lines.append("        links.append(link)\n")
    return "".join(lines)


_CHANNEL_OF = """channel_of = []
for a in range(len(names)):
    times = sorted({decay[a][b] for b in range(len(names))}OUTSIDE)
    channel_of.append([f"i_{times.index(decay[a][b])}" for b in range(len(names))])
"""


def _outside(model: "SpikingNetwork") -> str:
    return " | {kick_decay[a]}" if np.any(np.asarray(model.external_decay) > 0.0) else ""


def _graph(model: "SpikingNetwork") -> str:
    if model.probability is not None:
        return "        if probability[a][b] == 0:\n            continue\n        link.connect(p=probability[a][b])\n"
    if model.in_degree is not None:
        return (
            "        if in_degree[a][b] == 0:\n            continue\n"
            "        source = rng.integers(0, size[b], in_degree[a][b] * size[a])\n"
            "        link.connect(i=source, j=np.repeat(np.arange(size[a]), in_degree[a][b]))\n"
        )
    return (
        "        if synapses[a][b] == 0:\n            continue\n"
        "        source, target = (rng.integers(0, size[x], synapses[a][b]) for x in (b, a))\n"
        "        link.connect(i=source, j=target)\n"
    )


_SAVE = """
monitors = [b2.SpikeMonitor(group) for group in cells]
network = b2.Network(cells, links, COUNTERSmonitors)
network.run(duration * ms)

first = np.concatenate([[0], np.cumsum(size)])
np.savez(
    out,
    time_ms=np.concatenate([np.asarray(one.t / ms) + dt for one in monitors]),  # the end of the step
    neuron=np.concatenate([first[a] + np.asarray(one.i) for a, one in enumerate(monitors)]),
)
for a, one in enumerate(monitors):
    print(f"{names[a]}: {one.num_spikes / size[a] / duration * 1000:.3f} Hz")
"""
