"""Formulas of x: values, derivatives, LaTeX, and everything that is no formula."""

import jax
import numpy as np
import pytest

from largen.checks import InputError
from largen.numerics.expressions import FUNCTIONS, jax_function, latex, numpy_function, parse

X = np.linspace(-3.0, 3.0, 13)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x / (1 + abs(x))", X / (1 + np.abs(X))),
        ("tanh(x)**3 - 0.5*x", np.tanh(X) ** 3 - 0.5 * X),
        ("max(0, min(x, 1))", np.clip(X, 0, 1)),
        ("-2*atan(pi*x/2)/pi + exp(-x**2)", -2 * np.arctan(np.pi * X / 2) / np.pi + np.exp(-(X**2))),
        ("logistic(x) - 1/(1+exp(-x)) + softplus(x) - log1p(exp(x)) + x", X),
        ("relu(x) - 2**-3", np.maximum(X, 0) - 0.125),
        ("sqrt(x*x) + sinh(x) - cosh(x) + sin(x) + cos(x)", np.abs(X) - np.exp(-X) + np.sin(X) + np.cos(X)),
        ("erf(x) - 2*probit(sqrt(2)*x) + 1 + expm1(x) - exp(x) + log(1 + x**2)", np.log(1 + X**2) - 1.0),
    ],
)
def test_numpy_and_jax_give_the_formulas_values(text, values):
    assert numpy_function(text)(X) == pytest.approx(values, abs=1e-12)
    with jax.enable_x64(True):
        assert np.asarray(jax_function(text)(X)) == pytest.approx(values, abs=1e-12)
    assert numpy_function(text)(X.astype(np.float32)).dtype == np.float32


def test_a_power_has_a_finite_derivative_at_zero():
    with jax.enable_x64(True):
        assert float(jax.grad(jax_function("x**2 + 3*x"))(0.0)) == 3.0


def test_every_function_is_there():
    for name, count in FUNCTIONS.items():
        text = (
            f"{name}({', '.join(['1 + x**2'] * count)})"
            if name not in ("sinh", "cosh", "exp", "expm1")
            else f"{name}(x)"
        )
        assert np.all(np.isfinite(numpy_function(text)(X)))
        with jax.enable_x64(True):
            assert np.asarray(jax_function(text)(X)) == pytest.approx(numpy_function(text)(X), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "holds"),
        ("x.__class__", "holds 'x.__class__'"),
        ("(lambda x: x)(x)", "holds"),
        ("[x for x in (1, 2)]", "holds"),
        ("x if x > 0 else 0", "holds"),
        ("tanh(x, out=x)", "holds"),
        ("open(x)", "the function 'open'"),
        ("tanh(y)", "the name 'y'"),
        ("tanhh(x)", "Did you mean `tanh`"),
        ("max(x)", "max with 1 arguments instead of 2"),
        ("'a' * x", "holds 'a'"),
        ("x + 1j", "holds 1j"),
        ("x + True", "holds True"),
        ("x := 3", "must be a formula of x, such as"),
        ("x +", "must be a formula of x, such as"),
        ("x; x", "must be a formula of x, such as"),
        ("x" + "+x" * 200, "at most 300 characters"),
        ("x" + "+x" * 60, "at most 100 parts"),
        ("1 + 2", "does not hold x"),
        ("log(x)", "is not at x"),
        ("1 / x", "is not at x = 0"),
        ("exp(exp(x))", "is not at x"),
        ("x * 9**9**9**9**9", "is not at x"),
        ("x @ x", "holds 'x @ x'"),
        ("~x", "holds"),
        ("x // 2", "holds"),
    ],
)
def test_what_is_no_formula_is_refused(text, message):
    with pytest.raises(InputError, match="Argument `f` must be") as error:
        parse(text, "f")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x / (1 + abs(x))", r"\frac{x}{1 + \left|x\right|}"),
        ("(x + 1)**2 * 3", r"{(x + 1)}^{2} \, 3"),
        ("x - (1 - x)", "x - (1 - x)"),
        ("exp(-x)", "e^{-x}"),
        ("-(x + 1) * tanh(pi * x)", r"-(x + 1) \, \tanh(\pi \, x)"),
        ("logistic(x)", r"\mathrm{logistic}(x)"),
    ],
)
def test_formulas_are_written_as_latex(text, written):
    assert latex(text, "x") == written
