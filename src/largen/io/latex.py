"""The limit's equations as LaTeX text."""

from largen.checks import integer
from largen.system import AbstractSystem, require_model


class Equations(str):
    """LaTeX text that a notebook shows as mathematics."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self}$"


def equations(model: AbstractSystem, *, n: int | None = None) -> Equations:
    """Write the limit's equations as LaTeX, with the model's own numbers.

    Args:
        model: The model.
        n: Total number of neurons for the equations at that size, where there are any (balanced and spiking system).

    Returns:
        One `aligned` environment; a notebook shows it as mathematics.

    Raises:
        InputError: There are no such equations.
    """
    n = None if n is None else integer("n", n, low=1)
    require_model("model", model)
    if n is not None:
        model.sizes(n)
    return Equations(model.equations(n))
