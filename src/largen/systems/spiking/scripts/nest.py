"""The spiking network as a script of NEST: iaf_psc_delta and iaf_psc_exp on the grid of steps, one fixed graph."""

from typing import TYPE_CHECKING

import numpy as np

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

_ANY_CAPACITANCE = 250.0
"""pF, where the model gives potentials: it cancels."""


def write(model: "SpikingNetwork", run: Run) -> str:
    """Write the script.

    Raises:
        InputError: The network has what the script cannot say.
    """
    check_step(model, run.dt)
    refuse(model, "NEST", _reasons(model, run))
    delta = model.synapse == "delta"
    parts = [
        header("NEST", run, ["in nothing but the law of a graph's random numbers."]),
        "import nest\nimport numpy as np\n\n",
        settings(run),
        _numbers(model, run, delta),
        _CELLS.replace("MODEL", "iaf_psc_delta" if delta else "iaf_psc_exp").replace("TAUS", "" if delta else _TAUS),
        _DRIVE if _poisson(model) else "",
        _links(model),
        _SAVE,
    ]
    return "".join(parts)


def _poisson(model: "SpikingNetwork") -> bool:
    return not callable(model.external_rate) and bool(np.any(np.asarray(model.external_rate) > 0.0))


def _reasons(model: "SpikingNetwork", run: Run) -> dict[str, str]:
    """What NEST's neurons cannot say, by field."""
    found = {}
    if model.synapse in ("pending", "release"):
        found["synapse"] = f"{model.synapse} synapses, whose spikes are released at random: NEST has no such neuron"
    if model.inhibition != "current" and np.any(model.inhibitory):
        found["inhibition"] = "inhibition as a conductance with a reversal potential"
    waits = refractory_steps(model, run.dt)
    if model.refractory != "fixed" and np.any(waits > 0.0):
        found["refractory"] = "a random refractory period"
    elif np.any(waits != np.rint(waits)):
        found["refractory_time"] = f"a refractory period that is no multiple of {run.dt:g} ms"
    if model.connectivity != "quenched":
        found["connectivity"] = "targets that are drawn afresh at every spike: say connectivity='quenched'"
    if not np.all(np.isfinite(derived.per_population(model, model.membrane_time))):
        found["membrane_time"] = "a membrane without a leak"
    if np.any(np.asarray(model.external_sd) > 0.0) if not callable(model.external_sd) else False:
        found["external_sd"] = "white noise"
    if _poisson(model) and (model.external != "poisson" or model.external_strength is None):
        found["external"] = "a Gaussian drive: say external='poisson' with an external_strength"
    if model.synapse == "exponential":
        decay, inhibits = derived.per_pair(model, model.decay), np.asarray(model.inhibitory, bool)
        several = [np.ptp(decay[:, kind], axis=1) for kind in (inhibits, ~inhibits) if kind.any()]
        if any(np.any(spread > 0.0) for spread in several):
            found["decay"] = "several time constants of excitation, or of inhibition, in one neuron"
        outside = derived.per_population(model, model.external_decay)
        if _poisson(model) and (~inhibits).any() and np.any(outside != decay[:, ~inhibits][:, 0]):
            found["external_decay"] = "external kicks of another time constant than excitation"
    elif np.any(np.asarray(model.external_decay) > 0.0):
        found["external_decay"] = "external currents with delta synapses"
    return found


def _numbers(model: "SpikingNetwork", run: Run, delta: bool) -> str:
    """All numbers of the model, in NEST's units: mV, pF, pA, ms, spikes per s."""
    given = model.capacitance if model.capacitance is not None else _ANY_CAPACITANCE
    capacitance = derived.per_population(model, given)
    weight = derived.weights(model) * (1.0 if delta else capacitance[:, None])
    kicks = derived.external_kicks(model)
    size = kicks.size * (1.0 if delta else capacitance)
    steps = derived.nearest_step(derived.per_pair(model, model.delay), run.dt)
    inhibits = np.asarray(model.inhibitory, bool)
    decay = derived.per_pair(model, model.decay)
    note = "  # pF; any, where strengths are potentials" if model.capacitance is None else "  # pF"
    text = [
        sizes(model),
        f"refractory_time = {text_of(run.dt * refractory_steps(model, run.dt))}  # ms\n",
        f"capacitance = {text_of(capacitance)}{note}\n",
        f"current = {text_of(capacitance * derived.per_population(model, model.external_mean))}  # pA\n",
        "\n# Synapses, [target][source]\n",
        f"weight = {text_of(weight)}  # {'mV' if delta else 'pA'}\n",
        f"delay = {text_of(np.round(run.dt * steps, 9))}  # ms; at least one step\n",
    ]
    if not delta:
        for name, kind in (("tau_excitation", ~inhibits), ("tau_inhibition", inhibits)):
            tau = decay[:, kind][:, 0] if kind.any() else np.ones(len(inhibits))
            text.append(f"{name} = {text_of(tau)}  # ms\n")
    for name in ("delay_spread", "strength_spread"):
        if np.any(np.asarray(getattr(model, name)) > 0.0):
            text.append(f"{name} = {per_pair(model, getattr(model, name))}  # share\n")
    if np.any(np.asarray(model.delay_spread) > 0.0):
        text.append(f"delay = {per_pair(model, model.delay)}  # ms\n")
    rule = graph_rule(model)
    table = per_pair if rule == "probability" else whole_pairs
    text.append(f"{rule} = {table(model, getattr(model, rule))}\n")
    if _poisson(model):
        text.append("\n# Drive\n")
        text.append(f"kick_rate = {per_population(model, 1000.0 * np.asarray(model.external_rate))}  # per s\n")
        text.append(f"kick_size = {text_of(size)}  # {'mV' if delta else 'pA'}\n")
    return "".join(text)


_TAUS = """
            "tau_syn_ex": tau_excitation[a],
            "tau_syn_in": tau_inhibition[a],"""
_CELLS = """
nest.set_verbosity("M_ERROR")
nest.ResetKernel()
nest.SetKernelStatus({"resolution": dt, "local_num_threads": 1, "rng_seed": seed})

cells = []
for a in range(len(names)):
    group = nest.Create(
        "MODEL",
        size[a],
        {
            "E_L": rest[a],
            "V_reset": reset[a],
            "V_th": threshold[a],
            "C_m": capacitance[a],
            "tau_m": membrane_time[a],
            "t_ref": refractory_time[a],
            "I_e": current[a],TAUS
        },
    )
    group.V_m = first_mean[a]
    if first_spread[a] > 0:
        group.V_m = nest.random.normal(mean=first_mean[a], std=first_spread[a])
    cells.append(group)
"""
_DRIVE = """
for a in range(len(names)):
    if kick_rate[a] > 0:
        source = nest.Create("poisson_generator", params={"rate": kick_rate[a]})
        nest.Connect(source, cells[a], syn_spec={"weight": kick_size[a], "delay": dt})
"""


def _links(model: "SpikingNetwork") -> str:
    """The fixed graph."""
    number = graph_rule(model)
    rule = {
        "probability": '{"rule": "pairwise_bernoulli", "p": probability[a][b]}',
        "in_degree": '{"rule": "fixed_indegree", "indegree": in_degree[a][b]}',
        "synapses": '{"rule": "fixed_total_number", "N": synapses[a][b]}',
    }[number]
    lines = [
        "\n# One fixed graph, links to itself included\n",
        "for a in range(len(names)):\n    for b in range(len(names)):\n",
        f"        if {number}[a][b] == 0 or weight[a][b] == 0:\n            continue\n",
        '        how = {"weight": weight[a][b], "delay": delay[a][b]}\n',
    ]
    if np.any(np.asarray(model.delay_spread) > 0.0):
        lines.append(
            "        normal = nest.random.normal(mean=delay[a][b], std=delay_spread[a][b] * delay[a][b])\n"
            '        how["delay"] = nest.math.redraw(normal, min=dt / 2, max=np.inf)\n'
        )
    if np.any(np.asarray(model.strength_spread) > 0.0):
        lines.append(
            "        normal = nest.random.normal(mean=weight[a][b], std=strength_spread[a][b] * abs(weight[a][b]))\n"
            "        ends = (0.0, np.inf) if weight[a][b] > 0 else (-np.inf, 0.0)\n"
            '        how["weight"] = nest.math.redraw(normal, min=ends[0], max=ends[1])\n'
        )
    lines.append(f"        nest.Connect(cells[b], cells[a], {rule}, how)\n")
    return "".join(lines)


_SAVE = """
recorder = nest.Create("spike_recorder")
for group in cells:
    nest.Connect(group, recorder)
nest.Simulate(duration)

events = recorder.get("events")
np.savez(out, time_ms=events["times"], neuron=events["senders"] - cells[0][0].global_id)
last = np.cumsum(size)
for a, name in enumerate(names):
    place = events["senders"] - cells[0][0].global_id
    spikes = np.sum((place < last[a]) & (place >= last[a] - size[a]))
    print(f"{name}: {spikes / size[a] / duration * 1000:.3f} Hz")
"""
