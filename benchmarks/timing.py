"""CPU times of calls."""

import time
from collections.abc import Callable
from typing import Any

import jax


def clocked(function: Callable, *arguments: Any) -> float:
    """CPU seconds of a call, whose JAX arrays are waited for."""
    began = time.process_time()
    jax.block_until_ready(function(*arguments))
    return time.process_time() - began


def best(function: Callable, *arguments: Any, rounds: int = 5) -> float:
    """Least CPU seconds of several calls, after one that compiles."""
    function(*arguments)
    return min(clocked(function, *arguments) for _ in range(rounds))


def in_turn(*functions: Callable, rounds: int = 12) -> list[float]:
    """Least CPU seconds of each of several functions, called in turn so that all meet the same load."""
    for function in functions:
        function()
    turns = [[clocked(function) for function in functions] for _ in range(rounds)]
    return [min(own) for own in zip(*turns, strict=True)]
