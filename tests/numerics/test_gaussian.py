"""Gaussian expectations: against closed forms and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import factorial, ndtr

from largen.checks import InputError
from largen.numerics.gaussian import expectation, hermite_coefficients, node_count, trapezoid


@pytest.mark.parametrize("steepness", [0.1, 1.0, 3.0, 7.0, 15.0, 40.0])
def test_probit_has_its_closed_form(steepness):
    nodes = node_count(4 / np.sqrt(2 * np.pi) * steepness)
    means = np.linspace(-3, 3, 13)
    with jax.enable_x64(True):
        found = expectation(lambda x: jax.scipy.special.ndtr(steepness * x), means, np.ones(13), nodes)
    np.testing.assert_allclose(found, ndtr(steepness * means / np.sqrt(1 + steepness**2)), rtol=0, atol=1e-15)


def test_weights_add_up_and_moments_are_gaussian():
    xi, weights = trapezoid(193)
    moments = [np.sum(weights * xi**p) for p in range(9)]
    np.testing.assert_allclose(moments, [1, 0, 1, 0, 3, 0, 15, 0, 105], atol=1e-12)


def test_step_follows_the_rule():
    for steepness in (0.0, 1.5, 1.6, 10.0, 100.0):
        assert 19 / (node_count(steepness) - 1) <= min(0.1, 0.25 / (1 + steepness))
    with pytest.raises(InputError, match="too steep"):
        node_count(1e9)
    with pytest.raises(InputError, match="too steep"):
        node_count(np.nan)


def test_derivatives_of_any_order_and_at_variance_zero():
    with jax.enable_x64(True):

        def value(v, k, rate):
            return expectation(lambda x: jnp.exp(rate * x), v, k, 385)

        def exact(v, k, rate):
            return jnp.exp(rate * v + 0.5 * rate**2 * k)

        for k in (0.0, 0.7):
            at = (jnp.array(0.3), jnp.array(k))
            for orders in ((0,), (1,), (0, 0, 0), (0, 1), (1, 1)):
                f, g = (lambda v, k: value(v, k, 0.9)), (lambda v, k: exact(v, k, 0.9))
                for order in orders:
                    f, g = jax.grad(f, order), jax.grad(g, order)
                np.testing.assert_allclose(f(*at), g(*at), rtol=1e-12)


def test_gradient_with_respect_to_parameters_of_the_function():
    with jax.enable_x64(True):
        power = jax.tree_util.Partial(lambda rate, x: jnp.exp(rate * x))

        def value(rate):
            return expectation(jax.tree_util.Partial(power.func, rate), jnp.array(0.3), jnp.array(0.7), 193)

        np.testing.assert_allclose(
            jax.grad(value)(0.9), (0.3 + 0.9 * 0.7) * np.exp(0.9 * 0.3 + 0.5 * 0.81 * 0.7), rtol=1e-12
        )


def test_hermite_coefficients_of_an_exponential():
    # E exp(s xi) He_j(xi) = s^j exp(s^2/2)
    found = hermite_coefficients(np.exp, 0.2, 0.49, 385, 12)
    j = np.arange(13)
    np.testing.assert_allclose(found, np.exp(0.2 + 0.245) * 0.7**j / np.sqrt(factorial(j)), rtol=1e-11, atol=2e-11)
