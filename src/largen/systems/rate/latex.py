"""The thermodynamic limit's equations as LaTeX with a model's own numbers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError
from largen.numerics.latex import aligned, number, over, signed, total
from largen.systems.rate import activations
from largen.systems.rate.kernels import SeparableKernel, TableKernel, UncorrelatedKernel

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork


def write(model: "RateNetwork", n: int | None) -> str:
    """Write the limit (eqs. R1, R2, R4, R5 of docs/rate.md): a Gaussian field on the ring, driven by one of its law.

    Raises:
        InputError: A finite n: the law of n neurons has no closed equations.
    """
    if n is not None:
        raise InputError(
            "The equations of the rate system are those of the limit: the law of n neurons is sampled. Leave out `n`."
        )
    mean = total([float(model.mean_weight)], [r"\mathrm{E}\,f(U_t)"])
    rows: list[tuple[str, ...]] = [_dynamics(model)]
    rows += [
        (r"\mathrm{E}\,\Gamma^j_t", mean),
        (
            r"\mathrm{cov}(\Gamma^0_s, \Gamma^k_t)",
            r"\sum_l \Lambda(k,l)\,\mathrm{E}\left[f(U^0_s)\,f(U^l_t)\right]",
        ),
        (r"\Lambda(k,l)", _kernel(model.kernel)),
        ("f(x)", activations.latex(model.activation, total([float(model.gain)], ["x"]))),
        (r"\theta^j", *_normal(model.threshold_mean, model.threshold_variance)),
        ("U^j_0", *_normal(model.initial_mean, model.initial_variance)),
    ]
    return aligned(rows)


def _dynamics(model: "RateNetwork") -> tuple[str, str]:
    noise = float(model.noise)
    if model.dynamics == "discrete":
        symbols = ["U^j_t", r"\Gamma^j_t", r"\theta^j", "B^j_t"]
        return "U^j_{t+1}", total([float(model.gamma), 1.0, 1.0, noise], symbols)
    leak = over("U^j_t", model.tau) if float(model.tau) >= 1 else rf"{number(1.0 / float(model.tau))}\,U^j_t"
    white = "" if noise == 0 else rf"{signed(noise)}\,dW^j_t"
    return "dU^j_t", rf"\left(-{leak} + \Gamma^j_t + \theta^j\right)dt{white}"


def _normal(mean: Any, variance: Any) -> tuple[str, ...]:
    if float(variance) == 0:
        return (number(mean),)
    return rf"\mathcal{{N}}({number(mean)},\ {number(variance)})", r"\sim"


def _kernel(kernel: SeparableKernel | TableKernel | UncorrelatedKernel) -> str:
    if isinstance(kernel, SeparableKernel):
        post, pre = (rf"({number(rho)})^{{|{k}|}}" for rho, k in ((kernel.post, "k"), (kernel.pre, "l")))
        return rf"{number(kernel.variance)}\;{post}\,{pre}"
    if isinstance(kernel, TableKernel):
        table = np.asarray(kernel.values)
        lines = r" \\ ".join(" & ".join(number(x) for x in row) for row in table)
        return rf"\begin{{pmatrix}}{lines}\end{{pmatrix}}_{{kl}}\ \text{{(centre: }}k=l=0\text{{)}}"
    return rf"{number(kernel.variance)}\,\delta_{{k0}}\,\delta_{{l0}}"
