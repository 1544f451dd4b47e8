"""The parameter table: checks, names, changes, plain values."""

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import largen as ln
from largen.parameters import parameters
from largen.parameters.plain import from_plain, to_plain


def a_drive(time):
    """Return a drive that is importable by name."""
    return np.array([7.0, 7.0]) + 0.0 * time


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": ((1, -1), (1, 1))}, r"`strength\[e,i\]` must be at least 0, but is -1.0"),
        ({"strength": (1, 2, 3)}, r"must have shape \(2, 2\) \(population, source\), but has shape \(3,\)"),
        ({"probability": ((1, 2), (1, 1))}, r"`probability\[e,i\]` must be at most 1, but is 2.0"),
        ({"decay": ((1, 0), (1, 1))}, r"`decay\[e,i\]` must be greater than 0, but is 0.0"),
        ({"decay": ((1, np.inf), (1, 1))}, r"`decay\[e,i\]` must be finite"),
        ({"external_rate": np.nan}, "`external_rate` must be a number, but is nan"),
        ({"external_rate": "fast"}, "`external_rate` must hold numbers, but is 'fast'"),
        ({"connectivity": "quench"}, "Did you mean `quenched`"),
        ({"size": (2.5, 1)}, "`size` must hold integers"),
        ({"size": (0, 1)}, r"`size\[e\]` must be at least 1"),
        ({"inhibitory": (2, 0)}, "`inhibitory` must hold booleans"),
        ({"threshold": -1.0}, "`threshold` must be greater than 0"),
        ({"reversal": 5.0}, "`reversal` must be at most 0"),
        ({"strength": a_drive}, "`strength` must be a constant, but is the function"),
        ({"refractory_time": -4.0}, "`refractory_time` must be at least 0"),
    ],
)
def test_a_wrong_field_gives_one_message(arguments, message):
    with pytest.raises(ln.InputError, match=message):
        ln.SpikingNetwork(**arguments)


def test_parameters_by_name():
    model = ln.SpikingNetwork()
    assert model.value("probability[e,i]") == 0.8
    changed = model.replace(**{"probability[e,i]": 0.9, "refractory_time": 3.0})
    assert changed.value("probability[0,1]") == 0.9
    assert changed.value("refractory_time") == 3.0
    assert model.value("probability[e,i]") == 0.8, "a model never changes"
    with pytest.raises(ValueError, match="read-only"):
        model.strength[0, 0] = 3


def test_one_number_for_all_entries_can_be_read_and_changed_by_entry():
    model = ln.SpikingNetwork()
    assert model.value("refractory_time[e]") == 4.0
    assert model.replace(**{"refractory_time[i]": 3.0}).refractory_time.tolist() == [4.0, 3.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("probabilty[e,i]", "Did you mean `probability`"),
        ("probability[e]", "has 2 indices"),
        ("probability[e,x]", "Unknown source `x`"),
        ("probability[e,5]", "Unknown source `5`"),
        ("p r", "must look like"),
    ],
)
def test_a_wrong_name_gives_one_message(name, message):
    with pytest.raises(ln.InputError, match=message):
        ln.SpikingNetwork().replace(**{name: 0.5})
    with pytest.raises(ln.InputError, match=message):
        ln.SpikingNetwork().value(name)


numbers = st.floats(0, 1e6, allow_nan=False)


@given(
    strength=st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=2, max_size=2),
    membrane=st.one_of(st.just(np.inf), st.floats(1e-6, 1e6)),
    connectivity=st.sampled_from(["annealed", "quenched"]),
)
def test_plain_values_give_back_the_model(strength, membrane, connectivity):
    model = ln.SpikingNetwork(strength=strength, membrane_time=membrane, connectivity=connectivity)
    assert eqx.tree_equal(from_plain(ln.SpikingNetwork, to_plain(model)), model)


def test_time_series_and_functions_as_plain_values():
    series = ln.SpikingNetwork(external_rate=ln.TimeSeries((0.0, 1.0), ((1.0, 2.0), (3.0, 4.0))))
    assert eqx.tree_equal(from_plain(ln.SpikingNetwork, to_plain(series)), series)
    assert series.external_rate(0.5).tolist() == [2.0, 3.0]
    plain = to_plain(ln.SpikingNetwork(external_rate=a_drive))
    assert plain["external_rate"] == "test_system:a_drive"
    with pytest.raises(ln.InputError, match="importing it runs code"):
        from_plain(ln.SpikingNetwork, plain)
    assert from_plain(ln.SpikingNetwork, plain, functions=True).external_rate is a_drive
    with pytest.raises(ln.InputError, match="`external_rate` must be an importable function"):
        to_plain(ln.SpikingNetwork(external_rate=lambda time: np.ones(2)))


def test_other_numbers_do_not_recompile_and_gradients_pass_through():
    count = 0

    @eqx.filter_jit
    def total(model):
        nonlocal count
        count += 1
        return model.strength.sum() * model.replace(threshold=5.0).threshold

    with jax.enable_x64(True):
        model = ln.SpikingNetwork()
        first, second = total(model), total(model.replace(**{"strength[e,e]": 1.95}))
        slope = jax.grad(lambda x: model.replace(**{"strength[e,i]": x}).strength.sum())(3.0)
    assert count == 1
    assert float(second - first) == pytest.approx(5.0)
    assert float(slope) == 1.0


def test_scaled_keeps_the_split_and_the_mean_input():
    model = ln.SpikingNetwork()
    assert model.populations == ("e", "i")
    assert model.scaled(400) is model
    big = model.scaled(801)
    assert big.size.sum() == 801
    assert big.size.tolist() == [601, 200]
    np.testing.assert_allclose(big.strength * 801, model.strength * 400)
    with pytest.raises(ln.InputError, match="At least 4 neurons are needed"):
        model.scaled(1)
    three = ln.SpikingNetwork(
        size=(10, 10, 5),
        inhibitory=(False, False, True),
        **{name: np.ones((3, 3)) for name in ("strength", "probability", "decay")},
        external_rate=7.0,
    )
    assert three.populations == ("e1", "e2", "i")


def test_every_field_has_a_unit_bound_or_reason_and_a_meaning():
    for info in parameters(ln.SpikingNetwork).values():
        assert info.doc.endswith("."), info.name
