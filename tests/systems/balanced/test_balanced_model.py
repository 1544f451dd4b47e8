"""The balanced model: its table, sizes, gains, and what it refuses."""

import functools
import itertools

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from largen.checks import InputError
from largen.numerics.gaussian import node_count
from largen.parameters.plain import from_plain, to_plain
from largen.systems.balanced import BalancedNetwork, CustomGain, Logistic, Probit
from largen.systems.balanced.gains import AbstractGain

PRESETS = BalancedNetwork.presets


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_file(name):
    model = getattr(BalancedNetwork, name)()
    again = from_plain(BalancedNetwork, to_plain(model))
    assert to_plain(again) == to_plain(model)
    assert model.populations == ("e", "i")
    assert model.reference_size is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coupling": ((1.0, -2.0), (1.2, 1.8))}, r"`coupling\[e,i\]` must be at least 0, but is -2"),
        ({"coupling": ((1.0, 2.0, 1.0), (1.2, 1.8, 1.0))}, "`coupling` must have shape"),
        ({"sign": (1, 0)}, "`sign` must be made of"),
        ({"sign": (1, 2)}, "`sign"),
        ({"tau": (0.0, 1.0)}, r"`tau\[e\]` must be greater than 0"),
        ({"drive": (np.nan, 1.0)}, r"`drive\[e\]` must be a number"),
        ({"fractions": (0.5, 0.6)}, "`fractions` must add up to 1"),
        ({"initial_variance": (-0.1, 0.1)}, r"`initial_variance\[e\]` must be at least 0"),
        ({"gain": (Probit(), "sigmoid")}, "`gain` must be made of Logistic or Probit or CustomGain"),
        ({"gain": (Probit(),)}, "`gain` must have 2 entries"),
        ({"synapses": "private"}, "`synapses` must be one of"),
        ({"gain[e].slope": -1.0}, "`slope` must be greater than 0"),
        ({"gain[e].slop": 1.0}, "`slope`"),
    ],
)
def test_bad_fields(changes, message):
    with pytest.raises(InputError, match=message):
        BalancedNetwork().replace(**changes)


def test_values_by_name():
    model = BalancedNetwork()
    assert model.value("coupling[e,i]") == 2.0
    assert model.value("gain[i].threshold") == 0.3
    changed = model.replace(**{"coupling[i,e]": 1.5, "gain[e]": Logistic(1.0, 2.0, 0.1)})
    assert changed.value("coupling[i,e]") == 1.5
    assert isinstance(changed.gain[0], Logistic)


def test_populations_are_numbered():
    model = BalancedNetwork(
        coupling=np.ones((3, 3)),
        sign=(1, -1, -1),
        tau=1.0,
        gain=(Probit(), Probit(), Probit()),
        drive=(0.0, 0.0, 0.0),
        input=(0.0, 0.0, 0.0),
        initial_mean=(0.0, 0.0, 0.0),
        initial_variance=(1.0, 1.0, 1.0),
    )
    assert model.populations == ("e", "i1", "i2")
    assert model.sizes(10).tolist() == [4, 3, 3]


@given(st.integers(40, 10**7), st.floats(0.1, 0.9))
def test_sizes_add_up_and_follow_the_fractions(n, share):
    model = BalancedNetwork(fractions=(share, 1 - share))
    sizes = model.sizes(n)
    assert sizes.sum() == n
    assert np.all(np.abs(sizes - n * np.array([share, 1 - share])) < 1)


def test_too_few_neurons():
    with pytest.raises(InputError, match=r"at least three neurons.*At least 30 neurons"):
        BalancedNetwork(fractions=(0.9, 0.1)).sizes(20)


@eqx.filter_jit
def mean_rates(gain, v, variance, nodes, order, closed):
    rate = gain.mean_rate if closed else functools.partial(AbstractGain.mean_rate, gain)
    return jax.vmap(lambda v: rate(v, variance, nodes, order))(v)


@pytest.mark.parametrize("order", range(4))
def test_probit_two_ways(order):
    """Closed form and quadrature, values and three derivatives, up to slope sqrt(K) = 15."""
    v = np.linspace(-1.5, 2.0, 8)
    for slope, variance in itertools.product((0.1, 1.0, 6.0, 15.0), (0.0, 1e-6, 1.0)):
        gain = Probit(2.0, slope, 0.3)
        nodes = node_count(float(gain.steepness) * np.sqrt(variance))
        with jax.enable_x64(True):
            closed, summed = (mean_rates(gain, v, np.array(variance), nodes, order, closed) for closed in (True, False))
            assert closed.shape == (8,)
            np.testing.assert_allclose(closed, summed, rtol=0, atol=1e-14 * max(1, slope) ** order)


@eqx.filter_jit
def there_and_back(gain, rates, variance, nodes):
    v = jax.vmap(lambda rate: gain.inverse(rate, variance, nodes))(rates)
    return jax.vmap(lambda v: gain.mean_rate(v, variance, nodes))(v)


@pytest.mark.parametrize("gain", [Logistic(2.0, 0.5, 0.3), Logistic(2.0, 30.0, 0.3), Probit(2.0, 4.0, 0.3)])
def test_inverse(gain):
    rates = np.array([1e-6, 0.1, 1.0, 1.9, 2 - 1e-6])
    with jax.enable_x64(True):
        for variance in (0.0, 1e-4, 1.0, 30.0):
            np.testing.assert_allclose(there_and_back(gain, rates, np.array(variance), 6145), rates, atol=1e-13)


def test_custom_gain_holds_a_function():
    gain = CustomGain(jax.numpy.tanh, maximum=1.0, steepest=1.0)
    assert gain.steepness == 4.0
    with pytest.raises(InputError, match="`function` must be"):
        CustomGain(3.0)
