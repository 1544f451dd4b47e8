"""Derivatives of the reductions that JAX does not have: by central differences, of fixed bins, cells and orders."""

import jax
import numpy as np
import pytest

import largen as ln
from largen.systems.spiking import differences
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.smooth import SmoothLimit, prepare, window_of

CURRENTS = ln.SpikingNetwork(
    names=("E", "I"), size=(800, 200), inhibitory=(False, True), strength=((0.15, 0.75), (0.15, 0.75)),
    synapse="exponential", inhibition="current", decay=((5.0, 5.0), (5.0, 5.0)), in_degree=((80, 20), (80, 20)),
    delay=1.5, membrane_time=20.0, threshold=20.0, reset=10.0, refractory_time=2.0, refractory="fixed",
    external="poisson", external_strength=0.15, external_decay=5.0, external_rate=8.0,
)  # fmt: skip
TIMES = np.arange(1501) * 0.1
COARSE = {"orders": (6, 0), "bin_width": 2.0}


def along(limit, model, name, index):
    """An observable and its derivative by one entry of a field, both as the fit gets them."""

    def rates(value):
        whole = np.array(getattr(model, name), float)
        moved = jax.numpy.asarray(whole).at[index].set(value)
        values, good = limit(tree_with(model, name, moved))
        order = [name for name in ("rate", "synchrony", "gamma_frequency") if name in values]
        return jax.numpy.where(good, jax.numpy.hstack([values[name] for name in order]), np.nan)

    value = jax.numpy.asarray(np.asarray(getattr(model, name), float)[index])
    return jax.jvp(rates, (value,), (jax.numpy.ones_like(value),))


def tree_with(model, name, value):
    import equinox as eqx

    return eqx.tree_at(lambda m: getattr(m, name), model, value)


def test_counts_are_those_of_solve_limit_and_derivatives_those_of_wider_differences_of_it():
    """The statistic is checked by another one: rates with Hann's window from the Dataset, of fourth order."""
    limit = CURRENTS.smooth(TIMES, **COARSE)
    first = limit.window.first
    hann = np.sin(np.pi * (np.arange(1500 - first) + 0.5) / (1500 - first)) ** 2

    def rate(strength):
        moved = CURRENTS.replace(**{"strength[E,I]": strength})
        found = ln.solve_limit(moved, TIMES, closure="quadrature", error=False, **COARSE)["rate"].values
        return found[:, 1 + first :] @ hann / hann.sum()

    with jax.enable_x64(True):
        value, slope = along(limit, CURRENTS, "strength", (0, 1))
    near, far = (rate(0.75 + h) - rate(0.75 - h) for h in (1e-3, 2e-3))
    np.testing.assert_allclose(value[:2], rate(0.75), rtol=1e-6)  # cells that reach lower, and hold a bit more
    np.testing.assert_allclose(slope[:2], (8.0 * near - far) / 12e-3, rtol=1e-5)


def test_networks_of_chang_are_fitted_by_differences_of_what_solve_limit_gives():
    """As above; and the JAX program, whose compilation takes longer than the fit, is asked for by name only."""
    model = ln.SpikingNetwork()
    limit = model.smooth(TIMES, bin_width=10.0, derivatives="differences")
    first = limit.window.first
    hann = np.sin(np.pi * (np.arange(1500 - first) + 0.5) / (1500 - first)) ** 2

    def rate(strength):
        moved = model.replace(**{"strength[e,i]": strength})
        return ln.solve_limit(moved, TIMES, bin_width=10.0)["rate"].values[:, 1 + first :] @ hann / hann.sum()

    with jax.enable_x64(True):
        value, slope = along(limit, model, "strength", (0, 1))
    near, far = (rate(2.71 + h) - rate(2.71 - h) for h in (4e-7, 8e-7))  # farther away are kinks
    np.testing.assert_allclose(value[:2], rate(2.71), rtol=1e-9)
    np.testing.assert_allclose(slope[:2], (8.0 * near - far) / 4.8e-6, rtol=1e-6)
    assert isinstance(model.smooth(TIMES, bin_width=10.0), SmoothLimit)
    with pytest.raises(ln.InputError, match="`derivatives` must be 'differences' for this network"):
        CURRENTS.smooth(TIMES, derivatives="exact", **COARSE)
    for name, reason in (("threshold", "it is an edge"), ("adaptation_step", "this limit does not have it")):
        with pytest.raises(ln.InputError, match=f"cannot be free, because {reason}"):
            ln.fit(model, {"rate": (np.full(2, 50.0), 0.1)}, free=name, times=TIMES, bin_width=10.0)


def test_at_a_bound_a_difference_is_taken_on_one_side():
    limit = ln.SpikingNetwork(reversal=0.0).smooth(TIMES, bin_width=10.0, derivatives="differences")
    numbers = {name: np.asarray(getattr(limit.reduction.model, name), float) for name in limit.reduction.names}
    assert np.isnan(limit.reduction.counts(numbers | {"reversal": np.array(1e-3)})).all()  # at most the reset

    def mean(value):
        return limit.reduction.counts(numbers | {"reversal": np.array(value)})[500:].mean(0)

    slope = limit.reduction.change(numbers, {"reversal": np.array(1.0)})[500:].mean(0)
    near, far = mean(-1e-4), mean(-2e-4)
    np.testing.assert_allclose(slope, (3.0 * mean(0.0) - 4.0 * near + far) / 2e-4, rtol=1e-3)


def test_a_fit_finds_the_parameters_of_a_network_of_exponential_synapses_and_reads_its_options():
    truth = CURRENTS.replace(**{"strength[E,I]": 0.8, "external_rate": 8.3})
    limit = truth.smooth(TIMES, **COARSE)
    with jax.enable_x64(True):
        values, good = limit(truth)
    assert good
    target = {name: (np.asarray(value), 1e-3 * np.asarray(value)) for name, value in values.items()}
    free = ["strength[E,I]", "external_rate"]
    found = ln.fit(CURRENTS, target, free=free, times=TIMES, check=False, starts=1, profile=False, **COARSE)
    np.testing.assert_allclose(found["value"], [0.8, 8.3], rtol=1e-5)
    assert found.attrs["verdict"] == "no misfit found"


def test_numbers_keep_their_double_precision_where_a_thread_has_it_not_enabled():
    """Callbacks run in any thread; here one of single precision asks for what the reduction was given."""
    seen = []

    def keep(numbers):
        with jax.enable_x64(False):
            seen.append(numbers["x"])
        return numbers["x"] / 3.0

    with jax.enable_x64(True):
        given = jax.numpy.asarray([np.pi, -1e-300, np.inf])
        found = jax.jit(lambda x: differences._on_host(keep, (3,), {"x": x}))(given)
        np.testing.assert_array_equal(np.asarray(found), np.array([np.pi, -1e-300, np.inf]) / 3.0)
    assert seen[0].dtype == np.float64
    assert seen[0].tolist() == [np.pi, -1e-300, np.inf]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("decay[E,E]", "synapses of one kind and decay time share"),
        ("delay", "it counts whole steps"),
        ("refractory_time", "it counts whole steps"),
        ("threshold", "it is an edge of the voltage bins"),
    ],
)
def test_what_decides_the_form_of_the_computation_cannot_be_free(name, reason):
    with pytest.raises(ln.InputError, match=f"cannot be free, because {reason}"):
        ln.fit(CURRENTS, {"rate": (np.full(2, 27.0), 0.1)}, free=name, times=TIMES, **COARSE)


def test_a_number_out_of_bounds_has_no_limit():
    limit = CURRENTS.smooth(TIMES, **COARSE)
    with jax.enable_x64(True):
        assert not limit(tree_with(CURRENTS, "membrane_time", np.array(-1.0)))[1]
        numbers = {name: getattr(CURRENTS, name) for name in limit.reduction.names} | {
            "external_rate": np.array(np.inf)
        }
        assert np.isnan(limit.reduction.change(numbers, {"external_rate": np.array(1.0)})).all()
        (value, slope) = along(limit, CURRENTS, "external_strength", ())
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.long
def test_derivatives_are_the_exact_ones_where_jax_has_them():
    """A network of Chang et al. by both engines; the only way to have both for one network."""
    model = ln.SpikingNetwork(
        size=(3000, 1000), strength=((0.5, 4.0), (0.8, 4.5)), probability=((0.03, 0.03), (0.03, 0.03)),
        decay=((3.0, 6.0), (3.0, 6.0)), external_rate=120.0, membrane_time=15.0, refractory_time=2.0,
    )  # fmt: skip
    chosen, times = Discretisation("quadrature", 12.5), np.arange(1001) * 0.1
    window = window_of(times, 0.1, 40.0, None)
    ours = differences.prepare(model, times, chosen, window, n=4000, gamma=None, orders=(1, 2))
    exact = prepare(model, times, chosen, start=40.0, orders=(1, 2))
    for name, index in (("strength", (0, 1)), ("decay", (1, 0)), ("external_rate", ()), ("reversal", ())):
        with jax.enable_x64(True):
            one, two = (along(limit, model, name, index) for limit in (ours, exact))
        np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
        np.testing.assert_allclose(one[1], two[1], rtol=1e-4, atol=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("closure", ["joint", "white"])
def test_derivatives_of_networks_of_chang_are_the_exact_ones(closure):
    """Rates, synchrony and gamma frequency by the numba and the JAX engine, at the defaults, which have a rhythm."""
    model, how = ln.SpikingNetwork(), {"bin_width": 10.0, "closure": closure, "gamma": 60.0}
    ours, exact = (model.smooth(TIMES, derivatives=kind, **how) for kind in ("differences", "exact"))
    for name, index in (("strength", (0, 1)), ("decay", (1, 0)), ("external_rate", ()), ("reversal", ())):
        with jax.enable_x64(True):
            one, two = (along(limit, model, name, index) for limit in (ours, exact))
        np.testing.assert_allclose(one[0], two[0], rtol=1e-9)
        np.testing.assert_allclose(one[1], two[1], rtol=1e-5, atol=1e-8)


@pytest.mark.long
def test_a_network_of_delta_synapses_is_fitted_too():
    """Brunel's, from rates and synchrony of the limit at other numbers."""
    model = ln.SpikingNetwork.brunel(n_e=800, J=0.2)
    truth = model.replace(external_rate=9.7, **{"strength[E,I]": 1.05})
    with jax.enable_x64(True):
        values, good = truth.smooth(TIMES)(truth)
    assert good
    target = {name: (np.asarray(value), 1e-3 * np.asarray(value)) for name, value in values.items()}
    free = ["strength[E,I]", "external_rate"]
    found = ln.fit(model, target, free=free, times=TIMES, check=False, starts=1, profile=False)
    np.testing.assert_allclose(found["value"], [1.05, 9.7], rtol=1e-4)
