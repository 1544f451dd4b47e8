"""The reduction's slowest mode against the delay equation of Brunel's network, extrapolated to continuous time."""

import numpy as np
import pytest

from spiking_delay_roots import DelayEquation, LinearStep, in_units, secant


@pytest.mark.long
@pytest.mark.parametrize(
    ("g", "eta", "expected", "at_tenth"),
    [
        (8.0, 2.0, (-40.7, 143.9), (-110.4, 148.8)),
        (6.0, 4.0, (51.5, 190.2), (-11.2, 199.3)),  # unstable: an oscillation grows, in steps of 0.1 ms it does not
        (5.0, 4.0, (-32.1, 180.3), (-102.1, 184.1)),
    ],
)
def test_the_slowest_mode_of_brunels_network_is_the_root_of_its_delay_equation(g, eta, expected, at_tenth):
    root = secant(DelayEquation(g, eta).residual, complex(1e-3 * expected[0], 2e-3 * np.pi * expected[1]))
    np.testing.assert_allclose(in_units(root), expected, atol=0.5)
    steps, found, near = [0.1, 0.05, 0.025, 0.0125], [], root
    for dt in steps:
        near = secant(LinearStep(g, eta, dt).residual, near)
        found.append(in_units(near))
    # Four steps, four terms in the root of dt: the threshold is looked at in steps only, an error of that order.
    at_zero = np.polynomial.polynomial.polyfit(np.sqrt(steps), np.array(found), 3)[0]
    np.testing.assert_allclose(at_zero - in_units(root), 0.0, atol=0.8)
    np.testing.assert_allclose(found[0], at_tenth, atol=0.5)  # at a fixed step the growth is off by far more
