"""Numbers and sums as LaTeX, for the equations that a system writes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def number(value: Any) -> str:
    r"""A number with at most six digits, such as `0.65` or `1.2\times 10^{-7}`."""
    value = float(value)
    if not np.isfinite(value):
        return r"\infty" if value > 0 else r"-\infty"
    text = f"{value:.6g}"
    mantissa, e, power = text.partition("e")
    return rf"{mantissa}\times 10^{{{int(power)}}}" if e else text


def signed(value: Any) -> str:
    """A number with its sign, for a sum: ` + 0.65`."""
    value = float(value)
    return f" {'-' if value < 0 else '+'} {number(abs(value))}"


def total(coefficients: Iterable[Any], symbols: Sequence[str], constant: Any = 0.0) -> str:
    r"""A sum of terms without those that vanish, such as `F_e - 2\,F_i + 0.65`; `0` without any."""
    parts = []
    for coefficient, symbol in zip(coefficients, symbols, strict=True):
        coefficient = float(coefficient)
        if coefficient != 0:
            size = "" if abs(coefficient) == 1 else rf"{number(abs(coefficient))}\,"
            parts.append(("- " if coefficient < 0 else "+ ") + size + symbol)
    if isinstance(constant, str):
        parts.append(f"+ {constant}")
    elif float(constant) != 0:
        parts.append(signed(constant).strip())
    if not parts:
        return "0"
    text = " ".join(parts)
    return text.removeprefix("+ ") if text.startswith("+ ") else "-" + text.removeprefix("- ")


def over(symbol: str, value: Any) -> str:
    """A symbol divided by a number, without a division by 1."""
    return symbol if float(value) == 1 else rf"\frac{{{symbol}}}{{{number(value)}}}"


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Left and right sides in one `aligned` environment; a third entry stands for the sign of equality."""
    lines = []
    for left, right, *sign in rows:
        lines.append(f"  {left} &{sign[0] if sign else '='} {right}")
    body = " \\\\\n".join(lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"
