"""Functions of x written as a formula, such as "x / sqrt(1 + x**2)": a small grammar, nothing that runs code.

A formula is numbers, x, pi, + - * / ** with brackets, and the functions of `FUNCTIONS`; everything else is refused.
"""

import ast
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from largen.checks import InputError, nearest

FUNCTIONS: dict[str, int] = {
    "abs": 1, "atan": 1, "cos": 1, "cosh": 1, "erf": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "logistic": 1,
    "max": 2, "min": 2, "probit": 1, "relu": 1, "sin": 1, "sinh": 1, "softplus": 1, "sqrt": 1, "tanh": 1,
}  # fmt: skip
"""Names of the functions that a formula may use, with their number of arguments."""

_LONGEST, _MOST_PARTS = 300, 100
_STATES = np.concatenate([np.linspace(-20.0, 20.0, 161), [-1e-3, 1e-3]])
_OPERATORS: dict[type, tuple[str, str]] = {
    ast.Add: ("add", "{} + {}"),
    ast.Sub: ("subtract", "{} - {}"),
    ast.Mult: ("multiply", r"{} \, {}"),
    ast.Div: ("divide", r"\frac{{{}}}{{{}}}"),
    ast.Pow: ("power", "{{{}}}^{{{}}}"),
}
_LATEX = {"abs": r"\left|{}\right|", "exp": "e^{{{}}}", "sqrt": r"\sqrt{{{}}}", "probit": r"\Phi({})",
          "relu": r"\max({}, 0)", "max": r"\max({}, {})", "min": r"\min({}, {})", "atan": r"\arctan({})"}  # fmt: skip
_KNOWN_TO_LATEX = ("cos", "cosh", "log", "sin", "sinh", "tanh")


@functools.lru_cache(maxsize=128)
def parse(text: str, name: str = "formula") -> ast.expr:
    """Parse a formula of x.

    Args:
        text: The formula.
        name: The argument that it is, for messages.

    Raises:
        InputError: It is none, holds anything but the grammar, does not depend on x, or is not finite.
    """
    if len(text) > _LONGEST:
        raise InputError(f"Argument `{name}` must be a formula of at most {_LONGEST} characters, but has {len(text)}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(
            f"Argument `{name}` must be a formula of x, such as 'x / sqrt(1 + x**2)', but is {text!r}."
        ) from error
    parts = list(ast.walk(tree))
    if sum(isinstance(part, ast.expr) for part in parts) > _MOST_PARTS:
        raise InputError(
            f"Argument `{name}` must be a formula of at most {_MOST_PARTS} parts. Write a function instead."
        )
    _check(tree, text, name)
    if not any(isinstance(part, ast.Name) and part.id == "x" for part in parts):
        raise InputError(f"Argument `{name}` must be a formula of x, but {text!r} does not hold x.")
    with np.errstate(all="ignore"):
        values = np.broadcast_to(_evaluate(tree, _NUMPY, _STATES), _STATES.shape)
    if not np.all(np.isfinite(values)):
        where = _STATES[~np.isfinite(values)]
        where = where[np.argmin(np.abs(where))]
        raise InputError(f"Argument `{name}` must be finite at every x, but {text!r} is not at x = {where:g}.")
    return tree


def _check(tree: ast.expr, text: str, name: str) -> None:
    """Refuse every part that is not of the grammar."""
    remedy = f" A formula may hold numbers, x, pi, + - * / ** and {', '.join(FUNCTIONS)}."

    def refuse(what: str, near: str = "") -> InputError:
        return InputError(f"Argument `{name}` must be a formula of x, but {text!r} holds {what}.{near}{remedy}")

    if isinstance(tree, ast.Constant):
        value: Any = tree.value
        if type(value) not in (int, float) or not math.isfinite(float(min(abs(value), 10**300))):
            raise refuse(repr(tree.value))
    elif isinstance(tree, ast.Name):
        if tree.id not in ("x", "pi"):
            raise refuse(f"the name {tree.id!r}", nearest(tree.id, ("x", "pi", *FUNCTIONS)))
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.UAdd | ast.USub):
        _check(tree.operand, text, name)
    elif isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        _check(tree.left, text, name)
        _check(tree.right, text, name)
    elif isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        if tree.func.id not in FUNCTIONS:
            raise refuse(f"the function {tree.func.id!r}", nearest(tree.func.id, FUNCTIONS))
        if len(tree.args) != FUNCTIONS[tree.func.id]:
            raise refuse(f"{tree.func.id} with {len(tree.args)} arguments instead of {FUNCTIONS[tree.func.id]}")
        for part in tree.args:
            _check(part, text, name)
    else:
        raise refuse(f"{ast.unparse(tree)!r}")


def _evaluate(tree: Any, library: Any, x: Any) -> Any:
    """The value at x with the functions of a library."""
    if isinstance(tree, ast.Constant):
        value: Any = tree.value
        return float(min(value, 10.0**300))
    if isinstance(tree, ast.Name):
        return x if tree.id == "x" else math.pi
    if isinstance(tree, ast.UnaryOp):
        operand = _evaluate(tree.operand, library, x)
        return -operand if isinstance(tree.op, ast.USub) else operand
    if isinstance(tree, ast.BinOp):
        left, right = (_evaluate(part, library, x) for part in (tree.left, tree.right))
        return getattr(library, _OPERATORS[type(tree.op)][0])(left, right)
    return getattr(library, tree.func.id)(*(_evaluate(part, library, x) for part in tree.args))


class _Numpy:
    """The functions of a formula in NumPy."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from scipy import special

        own: dict[str, Any] = {
            "atan": np.arctan,
            "erf": special.erf,
            "logistic": special.expit,
            "max": np.maximum,
            "min": np.minimum,
            "probit": special.ndtr,
            "relu": lambda x: np.maximum(x, 0.0),
            "softplus": lambda x: np.logaddexp(x, 0.0),
        }
        return own[name] if name in own else getattr(np, name)


class _Jax:
    """The functions of a formula in JAX."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        import jax
        import jax.numpy as jnp

        own: dict[str, Any] = {
            "atan": jnp.arctan,
            "erf": jax.scipy.special.erf,
            "logistic": jax.nn.sigmoid,
            "max": jnp.maximum,
            "min": jnp.minimum,
            "power": _power,
            "probit": jax.scipy.special.ndtr,
            "relu": jax.nn.relu,
            "softplus": jax.nn.softplus,
        }
        return own[name] if name in own else getattr(jnp, name)


def _power(base: Any, exponent: Any) -> Any:
    """An integer as exponent stays one, so that the derivative at 0 is finite."""
    import jax.numpy as jnp

    whole = isinstance(exponent, float) and exponent.is_integer() and abs(exponent) < 100
    return base ** int(exponent) if whole else jnp.power(base, exponent)


_NUMPY, _JAX = _Numpy(), _Jax()


def numpy_function(text: str) -> Callable[[np.ndarray], np.ndarray]:
    """The formula as a function of an array, in the precision of the array."""
    tree = parse(text)

    def function(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        with np.errstate(all="ignore"):
            return np.broadcast_to(_evaluate(tree, _NUMPY, x), x.shape).astype(x.dtype)

    return function


@functools.lru_cache(maxsize=128)
def jax_function(text: str) -> Callable[[Any], Any]:
    """The formula as a JAX function."""
    tree = parse(text)
    return lambda x: _evaluate(tree, _JAX, x)


def latex(text: str, inside: str) -> str:
    """The formula as LaTeX, with `inside` for x."""
    return _written(parse(text), inside)[0]


def _written(tree: Any, inside: str) -> tuple[str, int]:
    """LaTeX and how strongly it binds: 0 sum, 1 product or sign, 2 power, 3 atom."""
    if isinstance(tree, ast.Constant):
        return f"{tree.value:g}", 3
    if isinstance(tree, ast.Name):
        return (inside, 3 if inside.isalnum() else 1) if tree.id == "x" else (r"\pi", 3)
    if isinstance(tree, ast.UnaryOp):
        text, binds = _written(tree.operand, inside)
        return ("-" if isinstance(tree.op, ast.USub) else "") + (text if binds > 0 else f"({text})"), 1
    if isinstance(tree, ast.BinOp):
        binds = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.Div: 3, ast.Pow: 2}[type(tree.op)]
        parts = []
        for k, part in enumerate((tree.left, tree.right)):
            text, own = _written(part, inside)
            needed = {ast.Div: 0, ast.Pow: 3 - 3 * k, ast.Sub: k}.get(type(tree.op), binds)
            parts.append(text if own >= needed else f"({text})")
        return _OPERATORS[type(tree.op)][1].format(*parts), binds
    name, given = tree.func.id, [_written(part, inside)[0] for part in tree.args]
    if name in _LATEX:
        return _LATEX[name].format(*given), 2 if name == "exp" else 3
    return rf"\{name}({given[0]})" if name in _KNOWN_TO_LATEX else rf"\mathrm{{{name}}}({given[0]})", 3
