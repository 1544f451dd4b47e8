"""Values as a person writes them."""

import equinox as eqx
import numpy as np
import pytest

import largen as ln
from largen.parameters.text import written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([0.65, 0.65]), "0.65"),
        (np.array([[0.8, 0.5], [1.0, 0.0]]), "[[0.8, 0.5], [1, 0]]"),
        (np.array(1e-5), "1e-5"),
        (np.array(1e22), "1e22"),
        (np.array(np.inf), "inf"),
        (np.array(0.1) + 0.2, "0.3"),
        (np.array([False, True]), "[False, True]"),
        (np.arange(100.0), "100 numbers from 0 to 99"),
        ("annealed", "annealed"),
        (np.mean, "numpy:mean"),
    ],
)
def test_written(value, text):
    assert written(value) == text


def test_a_traced_value_has_a_shape():
    said = []
    eqx.filter_jit(lambda model: said.append(repr(model.kernel)))(ln.read_model("correlated"))
    assert said == ["SeparableKernel(variance=float32[], post=float32[], pre=float32[])"]
