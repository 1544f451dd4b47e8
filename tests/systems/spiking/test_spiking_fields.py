"""The fields of the integrate-and-fire networks: relations, names, files with units, and that no engine ignores one."""

import equinox as eqx
import numpy as np
import pytest

import largen as ln
from largen.io.model_files import model_text, parse_model
from largen.io.plain_files import parse_plain

DELTA = {
    "names": ("E", "I"), "threshold": 20.0, "reset": 10.0, "membrane_time": 20.0, "synapse": "delta",
    "inhibition": "current", "strength": ((0.1, 0.5), (0.1, 0.5)), "in_degree": ((24, 6), (24, 6)), "delay": 1.5,
    "refractory": "fixed", "refractory_time": 2.0, "external": "poisson", "external_strength": 0.1,
}  # fmt: skip

WRONG = [
    ({"threshold": -1.0}, "`threshold` must be greater than 0"),
    ({"threshold": (20.0, 30.0), "reset": (10.0, 35.0)}, r"`reset\[i\]` must be less than the threshold"),
    ({"reversal": 5.0}, "`reversal` must be at most 0"),
    ({"names": ("e", "e")}, "`names` must differ"),
    ({"names": ("e", "12")}, "`names` must be made of letters"),
    ({"names": ("e", "a,b")}, "`names` must be made of letters"),
    ({"names": ("e",)}, "`names` must have 2 labels"),
    ({"names": "ei"}, "`names` must be a list of labels"),
    ({"probability": 0.5 * np.ones((2, 2)), "in_degree": 3}, "`probability` must not be given together"),
    ({"in_degree": 3, "synapses": ((9, 9), (9, 9))}, "`in_degree` must not be given together"),
    ({"in_degree": -3}, "`in_degree` must be at least 0"),
    ({"in_degree": 2.5}, "`in_degree` must hold integers"),
    ({"synapse": "delt"}, "Did you mean `delta`"),
    ({"delay": -1.0}, "`delay` must be at least 0"),
    ({"delay_spread": -1.0}, "`delay_spread` must be at least 0"),
    ({"capacitance": 250.0}, "`capacitance` must be given with synapse='exponential' only"),
    ({"capacitance": 250.0, "synapse": "exponential", "external_strength": 1.0}, "`external_decay` must be greater"),
    ({"external_decay": 0.5}, "`external_strength` must be given"),
    ({"neuron": "exponential", "membrane_time": 10.0}, "`soft_threshold` must be given"),
    ({"slope": 2.0}, "`slope` must be absent"),
    ({"neuron": "quadratic", "slope": 1.0, "soft_threshold": 1.0}, "`membrane_time` must be finite"),
    ({"neuron": "quadratic", "slope": 1.0, "soft_threshold": -1.0, "membrane_time": 9.0}, "`rest` must be at most"),
    ({"neuron": "exponential", "slope": 1.0, "soft_threshold": 200.0, "membrane_time": 9.0}, "be less than the thr"),
    ({"synapse": "delta", "strength": ((1.0, 200.0), (1.0, 1.0))}, r"`strength\[e,i\]` must be at most threshold - re"),
    ({"adaptation_time": 0.0}, "`adaptation_time` must be greater than 0"),
    ({"initial_mean": np.nan}, "`initial_mean` must be a number"),
    ({"external_sd": -1.0}, "`external_sd` must be at least 0"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_fields_that_do_not_belong_together_are_refused_by_name(fields, message):
    with pytest.raises(ln.InputError, match=message):
        ln.SpikingNetwork(**fields)


def test_names_are_the_labels_of_datasets_and_parameters():
    model = ln.SpikingNetwork(names=("exc", "inh"))
    assert model.is_basic
    assert model.replace(**{"strength[exc,inh]": 3.0}).strength[0, 1] == 3.0
    limit, plain = (ln.solve_limit(m, np.arange(0.0, 5.0, 0.5)) for m in (model, ln.SpikingNetwork()))
    assert limit.population.values.tolist() == ["exc", "inh"]
    assert np.array_equal(limit.rate.values, plain.rate.values)
    assert float(limit.rate.sel(population="inh").sum()) == float(plain.rate.sel(population="i").sum())


def test_one_way_of_connecting_ends_the_others():
    model = ln.SpikingNetwork(**DELTA)
    assert model.probability is None
    back = model.replace(probability=np.full((2, 2), 0.1))
    assert back.in_degree is None
    with pytest.raises(ln.InputError, match="must not be given together"):
        model.replace(probability=np.full((2, 2), 0.1), synapses=np.full((2, 2), 3))
    with pytest.raises(ln.InputError, match="`probability` has no entries"):
        model.replace(**{"probability[E,I]": 0.5})


def test_more_neurons_keep_the_mean_input_whatever_connects_them():
    by_degree = ln.SpikingNetwork(**DELTA)
    larger = by_degree.scaled(800)
    assert np.array_equal(larger.in_degree, by_degree.in_degree)
    assert np.array_equal(larger.strength, by_degree.strength)
    by_total = by_degree.replace(synapses=((7200, 1800), (2400, 600)))
    assert by_total.scaled(800).synapses.tolist() == [[14400, 3600], [4800, 1200]]
    by_chance = by_degree.replace(probability=np.full((2, 2), 0.1)).scaled(800)
    assert np.allclose(by_chance.strength, 0.5 * by_degree.strength)


def test_a_file_holds_every_field_exactly_and_leaves_out_what_is_not_said():
    model = ln.SpikingNetwork(
        **DELTA, rest=(0.1, 0.2), delay_spread=0.5, external_mean=0.3, external_sd=(0.1, 0.7), initial_mean=5.0,
        initial_spread=1 / 3, adaptation_step=1e-3, adaptation_time=(30.0, 50.0), strength_spread=0.1,
    )  # fmt: skip
    text = model_text(model)
    assert eqx.tree_equal(parse_model(text, "x")[0], model)
    assert "probability" not in text
    assert "capacitance" not in text
    assert list(parse_plain(model_text(ln.SpikingNetwork()))["parameters"]) == [
        "size", "inhibitory", "strength", "probability", "decay", "external_rate", "membrane_time",
        "refractory_time", "threshold", "reversal", "refractory", "connectivity",
    ]  # fmt: skip


UNITS = """
system: spiking
parameters:
  names: [E, I]
  threshold: -50 mV
  rest: -65 mV
  reset: [-65 mV, -0.065 V]
  strength: [[87.8 pA, 351.2 pA], [87.8 pA, 0.3512 nA]]
  synapse: exponential
  inhibition: current
  decay: [[0.5 ms, 500 us], [0.5 ms, 0.5 ms]]
  capacitance: 250 pF
  delay: 1.5 ms
  external_rate: [12800 Hz, 12 kHz]
  external_strength: 87.8 pA
  external_decay: 0.5 ms
  external_mean: 0.3 mV/ms
  external_sd: 0.1 mV/sqrt(ms)
  in_degree: 100
"""


def test_units_in_a_file_become_the_models_numbers():
    model = parse_model(UNITS, "x")[0]
    assert model.threshold == -50.0
    assert model.reset.tolist() == [-65.0, -65.0]
    assert model.strength.tolist() == [[87.8, 351.2], [87.8, 351.2]]
    assert model.decay.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert model.external_rate.tolist() == [12.8, 12.0]
    assert model.value("capacitance") == 250.0
    assert "mV" not in model_text(model)
    assert eqx.tree_equal(parse_model(model_text(model), "x")[0], model)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold: -50 mV", "threshold: -50", "`threshold` must be in mV, as others .* but has none"),
        ("threshold: -50 mV", "threshold: -50 ms", "`threshold` must be in one of mV"),
        ("threshold: -50 mV", "", "`threshold` must be greater than -65|`threshold` must be in mV, .* but is absent"),
        ("external_strength: 87.8 pA", "external_strength: 0.15 mV", "`external_strength` must be in pA with a `cap"),
        ("delay: 1.5 ms", "delay: 1.5 mV", "`delay` must be in one of ms"),
        ("external_rate: [12800 Hz, 12 kHz]", "external_rate: 8 ms", "`external_rate` must be in one of 1/ms"),
        ("in_degree: 100", "in_degree: 100 ms", "`in_degree` must be a pure number"),
        ("0.3 mV/ms", "0.3 mV", "`external_mean` must be in one of mV/ms"),
        ("0.3 mV/ms", "0.3", "`external_mean` must be in mV/ms"),
        ("[[87.8 pA, ", "[[87.8, ", "`strength` must be in pA"),
        ("capacitance: 250 pF", "", "`strength` must be in mV without a `capacitance`"),
    ],
)
def test_units_of_the_wrong_kind_and_mixtures_are_refused(old, new, message):
    assert old in UNITS
    with pytest.raises(ln.InputError, match=message):
        parse_model(UNITS.replace(old, new), "x")


EXTENDED = {
    "rest": 1.0, "reset": 1.0, "synapse": "delta", "inhibition": "current", "delay": 1.0, "delay_spread": 0.1,
    "strength_spread": 0.1, "in_degree": 3, "synapses": ((9, 9), (9, 9)), "external_strength": 1.0,
    "external": "poisson", "external_mean": 0.1, "external_sd": 0.1, "initial_mean": 1.0, "initial_spread": 1.0,
    "adaptation_step": 0.1, "adaptation_time": 50.0, "threshold": (100.0, 90.0), "refractory_time": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("name", list(EXTENDED))
def test_an_engine_without_a_field_says_so(name):
    model, times = ln.SpikingNetwork(**{name: EXTENDED[name]}), np.arange(0.0, 2.0, 0.5)
    assert model.extensions == (name,)
    for call in (
        lambda: model.dynamics(None, n=None),
        lambda: ln.solve_limit(model, times, engine="jax", closure="joint"),
    ):
        with pytest.raises(ln.InputError, match=f"`{'engine' if name == 'synapse' else name}`|`{name}`"):
            call()


def test_fields_that_depend_on_each_other_are_replaced_together():
    model = ln.SpikingNetwork().replace(threshold=-50.0, reset=-65.0, **{"strength[e,i]": 3.0})
    assert float(model.threshold) == -50.0
    assert float(model.strength[0, 1]) == 3.0
    with pytest.raises(ln.InputError, match="`threshold` must be greater than 0"):
        ln.SpikingNetwork().replace(threshold=-50.0)
    with pytest.raises(ln.InputError, match="Unknown parameter `treshold`"):
        ln.SpikingNetwork().replace(treshold=-50.0)
