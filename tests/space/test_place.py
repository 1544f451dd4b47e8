"""Functions of place: averages over patches against closed forms, and what is refused."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from largen.checks import InputError
from largen.space import Ring, Torus, place


def test_averages_over_patches_are_those_of_a_cosine():
    """sinc of half a patch times the value at its centre."""
    ring, sheet = Ring(5, 2.0), Torus((4, 3), (1.0, 1.5))
    factor = np.sin(np.pi / 5) / (np.pi / 5)
    exact = 1.0 + factor * np.cos(np.pi * ring.centres()[:, 0])
    found = place.over_patches("drive", lambda x: 1.0 + np.cos(np.pi * x), 2, ring)(0.0)
    np.testing.assert_allclose(found, [exact, exact], rtol=1e-6)

    def moving(x, y, t):
        return jnp.stack([x + t, x * y])

    found = place.over_patches("drive", moving, 2, sheet)(3.0)
    x, y = sheet.centres().T
    np.testing.assert_allclose(found, [x + 3.0, x * y], rtol=1e-6)


def test_values_at_positions_are_those_of_the_function():
    position = np.random.default_rng(1).random((7, 2))
    found = place.at_positions("drive", lambda x, y: x - y, 1, position)(0.0)
    np.testing.assert_allclose(found[0], position[:, 0] - position[:, 1], rtol=1e-12)


def test_place_is_told_from_time_by_the_first_argument():
    assert place.of_place(lambda x, y, t: x)
    assert place.of_place(lambda x: x)
    assert not place.of_place(lambda t: t)
    assert not place.of_place(np.cos)
    assert not place.of_place(3.0)
    assert place.of_place(functools.partial(lambda x, y, width: x, width=2.0))


@pytest.mark.parametrize(
    ("function", "space", "message"),
    [
        (lambda x, y: x, Ring(3), r"`drive` must be a function of \(x\) or \(x, t\) on a ring, but is one of \(x, y\)"),
        (lambda x: x, Torus(3), r"must be a function of \(x, y\) or \(x, y, t\) on a sheet"),
        (lambda x, t: x, None, "must be a function of time without `space`"),
    ],
)
def test_functions_of_other_arguments_are_refused(function, space, message):
    with pytest.raises(InputError, match=message):
        place.check("drive", function, space)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.zeros(3), r"`drive` must return one value per place, shape \(12,\)"),
        (lambda x: np.where(x > 0.5, np.nan, 1.0), "`drive` must be finite everywhere"),
    ],
)
def test_wrong_values_are_refused(function, message):
    with pytest.raises(InputError, match=message):
        place.over_patches("drive", function, 2, Ring(3))
