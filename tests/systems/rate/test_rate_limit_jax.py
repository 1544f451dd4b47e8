"""The JAX engine against the production engine, and its derivatives against differences."""

import equinox as eqx
import jax
import numpy as np
import pytest

from largen.checks import InputError
from largen.simulation import solve_limit
from largen.systems.rate import RateNetwork, TableKernel, UncorrelatedKernel, limit_jax

TABLE = TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]])


@pytest.mark.parametrize(
    ("model", "terms"),
    [
        (RateNetwork(), 512),
        (RateNetwork(activation="tanh", kernel=TABLE), 512),
        (RateNetwork(activation="logistic", kernel=UncorrelatedKernel(2.0)), 256),
    ],
)
def test_two_engines_agree(model, terms):
    limit = solve_limit(model, np.arange(9.0))
    with jax.enable_x64(True):
        found = limit_jax.Solution(
            *(np.asarray(part) for part in jax.jit(lambda: limit_jax.moments(model, 9, terms=terms))())
        )
    assert found.tail < 1e-11
    np.testing.assert_allclose(found.mean, limit["mean"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.covariance, limit["covariance"], rtol=0, atol=1e-11)


NAMES = ("kernel.variance", "kernel.post", "kernel.pre", "gain", "noise", "mean_weight", "gamma", "initial_mean")


def test_gradients_agree_with_differences():
    model = RateNetwork(activation="logistic")

    def last(values):
        changed = model
        for name, value in zip(NAMES, values, strict=True):
            changed = eqx_replace(changed, name, value)
        covariance = limit_jax.moments(changed, 6, terms=48, nodes=481).covariance
        return covariance[0, -1, -1] + 2.0 * covariance[1, -1, -2]

    with jax.enable_x64(True):
        slopes = [float(x) for x in jax.jit(jax.grad(last))([float(model.value(name)) for name in NAMES])]
    for name, slope in zip(NAMES, slopes, strict=True):
        value = float(model.value(name))
        high, low = (
            solve_limit(model.replace(**{name: value + h}), np.arange(6.0))["covariance"].values for h in (1e-5, -1e-5)
        )
        difference = (high - low) / 2e-5
        assert abs(slope - (difference[0, -1, -1] + 2.0 * difference[1, -1, -2])) < 1e-6 * (1 + abs(slope)), name


def eqx_replace(model, name, value):
    """Replace one number by a traced one."""
    where = name.split(".")

    def leaf(m):
        for part in where:
            m = getattr(m, part)
        return m

    return eqx.tree_at(leaf, model, value)


def test_vmap_over_the_gain():
    model = RateNetwork(activation="tanh", kernel=UncorrelatedKernel(1.0))
    gains = np.array([0.5, 1.0, 1.5])
    with jax.enable_x64(True):
        many = jax.vmap(lambda g: limit_jax.moments(eqx_replace(model, "gain", g), 5).covariance[0, -1, -1])(
            gains
        ).tolist()
    for gain, value in zip(gains, many, strict=True):
        one = solve_limit(model.replace(gain=gain), np.arange(5.0))["covariance"].values[0, -1, -1]
        assert abs(one - value) < 1e-11


@pytest.mark.long
def test_continuous_time_and_its_gradient():
    model, times = RateNetwork.diffusion(), np.array([0.0, 0.5, 1.2])
    limit = solve_limit(model, times)

    def last(tau):
        found = limit_jax.moments(eqx_replace(model, "tau", tau), times, terms=64, nodes=481, step=0.05, sweeps=25)
        return found.covariance[0, -1, -1], found

    with jax.enable_x64(True):
        (value, found), slope = jax.jit(jax.value_and_grad(last, has_aux=True))(0.5)
        found = limit_jax.Solution(*(np.asarray(part) for part in found))
        value, slope = float(value), float(slope)
    assert found.change < 1e-12
    assert found.tail < 1e-9
    np.testing.assert_allclose(found.mean, limit["mean"], rtol=0, atol=2e-7)
    np.testing.assert_allclose(found.covariance, limit["covariance"], rtol=0, atol=2e-7)
    assert value == found.covariance[0, -1, -1]
    high, low = (float(solve_limit(model.replace(tau=0.5 + h), times)["covariance"][0, -1, -1]) for h in (1e-4, -1e-4))
    assert abs(slope - (high - low) / 2e-4) < 2e-6


def test_single_precision_is_refused():
    with pytest.raises(InputError, match=r"wrap the call in `with jax\.enable_x64"):
        limit_jax.moments(RateNetwork(), 4)
