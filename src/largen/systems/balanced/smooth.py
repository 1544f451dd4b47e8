"""The balanced limit, or the finite-size equations, as one differentiable function of the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np

from largen.checks import InputError
from largen.numerics import ode
from largen.system import AbstractSmoothLimit
from largen.systems.balanced import finite_size, limit_equations, manifold

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


class SmoothLimit(AbstractSmoothLimit):
    """See `prepare`.

    Attributes:
        times: Output times, shape (time,).
        sizes: Neurons of each population, or None for the limit.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        structure: Rank and quadrature, which are held fixed.
        route: "explicit" or "reduced".
        free_coupling: Whether the coupling may vary: always at finite n, in the limit at full rank.
    """

    times: Any
    sizes: Any
    rtol: Any
    atol: Any
    structure: manifold.Structure = eqx.field(static=True)
    route: str = eqx.field(static=True)
    free_coupling: bool = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Means, variances and rates; third cumulants at finite n, where they are not 0."""
        return ("mean", "variance", "rate") + (() if self.sizes is None else ("third_cumulant",))

    @property
    def fixed(self) -> Mapping[str, str]:
        """What the rank of the coupling holds fixed."""
        if self.free_coupling:
            return {}
        reason = "the coupling is not of full rank, so that almost any change leaves no limit (fit at finite n instead)"
        return dict.fromkeys(("coupling", "fractions", "drive"), reason)

    def __call__(self, model: "BalancedNetwork") -> tuple[dict[str, jax.Array], jax.Array]:
        """Observables, shape (population, time), and whether the solution lasts to the end."""
        if self.sizes is None:
            found = limit_equations.trajectory(
                model,
                self.times,
                rtol=self.rtol,
                atol=self.atol,
                structure=self.structure,
                route=self.route,
                derivative="forward",
            )
            values = {"mean": found.mean.T, "variance": found.variance.T, "rate": found.rate.T}
            return values, found.code == limit_equations.Outcome.COMPLETED
        path, rate = finite_size.trajectory(
            model,
            self.times,
            self.sizes,
            rtol=self.rtol,
            atol=self.atol,
            nodes=self.structure.nodes,
            derivative="forward",
        )
        v, k, kappa = path.values
        values = {"mean": v.T, "variance": k.T, "rate": rate.T, "third_cumulant": kappa.T}
        return values, path.code == ode.Outcome.COMPLETED


def prepare(
    model: "BalancedNetwork",
    times: np.ndarray,
    *,
    n: int | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    route: str = "auto",
) -> SmoothLimit:
    """Fix what does not vary (sizes, rank, quadrature, route) from one model.

    Args:
        model: A BalancedNetwork.
        times: Output times, shape (time,).
        n: Total number of neurons for the finite-size equations, or None for the limit.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        route: Of the limit: "reduced", "explicit" or "auto"; see `limit_equations.trajectory`.

    Raises:
        InputError: A finite n with shared synapses.
    """
    if n is not None and model.synapses != "independent":
        raise InputError(
            "Argument `n` must be None for a network with shared synapses: its finite-size equations are not known."
        )
    structure = manifold.structure(model)
    return SmoothLimit(
        times,
        None if n is None else model.sizes(n).astype(np.float64),
        np.array(rtol),
        np.array(atol),
        structure,
        "reduced" if n is not None else limit_equations.choose_route(model, structure, route),
        n is not None or len(structure.columns) == len(model.gain),
    )
