"""The external drive on the step grid."""

import jax.numpy as jnp
import numpy as np
import pytest

from largen.checks import InputError
from largen.systems.spiking.drive import sample_drive


def test_drive_is_sampled_at_the_start_of_each_step():
    rates = sample_drive(lambda t: jnp.stack([t, 2.0 * t]), 5.0, 3, 0.5, 2)
    np.testing.assert_allclose(rates, [[5.0, 10.0], [5.5, 11.0], [6.0, 12.0]])
    np.testing.assert_array_equal(sample_drive(np.array([1.0, 2.0]), 0.0, 9, 0.1, 2), [[1.0, 2.0]])
    np.testing.assert_array_equal(
        sample_drive(lambda t: [t, 1.0] if t > 0.05 else [3.0, 1.0], 0.0, 2, 0.1, 2), [[3, 1], [0.1, 1]]
    )


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (lambda t: jnp.array([1.0, jnp.nan]), "finite"),
        (lambda t: np.array([1.0, 0.05 - float(t)]), "at least 0"),
        (lambda t: jnp.ones(3), "one number per population"),
        (np.ones(3), "one number per population"),
    ],
)
def test_drive_errors(rate, message):
    with pytest.raises(InputError, match=message):
        sample_drive(rate, 0.0, 3, 0.1, 2)
