"""Stationary states of the quadrature along a parameter: special points, and how far orders, width and step move them.

What:     `closure="quadrature"` of the network of Chang et al. in p_ei, and of a sparse network with leak in its drive:
          the branch of stationary states, its Hopf points and folds, at several orders, cells and steps, beside
          `closure="joint"`. Curves are kept in ~/.cache/largen/diagrams under the state of the code that made them.
Source:   the parameter set of Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801).
Run time: (one core) 10 to 60 CPU minutes a part: the orders decide.
Command:  OPENBLAS_NUM_THREADS=1 python validation/quadrature_diagrams.py p_ei drive
"""

from typing import Any

from diagrams import keep_compiled, kept, printed, tabulate
from study import Results, main

import largen as ln
from largen import analysis

# Parameters -----------------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {"closure": "quadrature", "orders": (1, 2), "bin_width": 10.0, "dt": 0.1}
VARIANTS: dict[str, dict[str, Any]] = {
    "orders (1, 2), width 10": {},
    "orders (1, 1)": {"orders": (1, 1)},
    "orders (2, 2)": {"orders": (2, 2)},
    "width 6.25": {"bin_width": 6.25},
    "dt 0.05": {"dt": 0.05},
}
SMALL: dict[str, dict[str, Any]] = {"orders (0, 1), width 20": {"orders": (0, 1), "bin_width": 20.0}}

# Problem --------------------------------------------------------------------------------------------------------


def sparse():
    """60 and 20 inputs with leak, in 40 000 neurons."""
    return ln.SpikingNetwork(
        size=(30_000, 10_000), strength=((3.0, 9.0), (5.0, 10.0)), probability=((0.002, 0.002), (0.002, 0.002)),
        decay=((3.0, 10.0), (3.0, 10.0)), external_rate=100.0, membrane_time=20.0, refractory_time=2.0,
    )  # fmt: skip


def branch(model, parameter, to, options):
    """The branch of stationary states from the model to a value of its parameter."""

    def make():
        return analysis.follow(model, parameter, to=to, cycles=False, switch=False, each=printed, **options)

    return kept((model.value(parameter), parameter, to, repr(model), sorted(options.items())), make)


# Run ------------------------------------------------------------------------------------------------------------


def p_ei(results: Results, small: bool) -> None:
    """From p_ei 1 down to 0.45, the network of Chang et al."""
    _every(results, small, ln.SpikingNetwork(probability=((0.8, 1.0), (0.8, 0.8))), "probability[e,i]", 0.45)


def drive(results: Results, small: bool) -> None:
    """The sparse network, from a drive of 100 kicks per ms up to 130."""
    _every(results, small, sparse(), "external_rate", 130.0)


def _every(results: Results, small: bool, model: Any, parameter: str, to: float) -> None:
    keep_compiled()
    more = {"points": 2 if small else 80, "largest_step": 0.05, "tolerance": 1e-5}
    parts = [
        (name, branch(model, parameter, to, BASE | changes | more))
        for name, changes in (SMALL if small else VARIANTS).items()
    ]
    if not small:
        joint = {"closure": "joint", "bin_width": 4.0, "dt": 0.1}
        parts.append(("joint, width 4", branch(model, parameter, to, joint | more)))
    tabulate(results, parts)


PARTS = (p_ei, drive)

if __name__ == "__main__":
    main(PARTS, __doc__)
