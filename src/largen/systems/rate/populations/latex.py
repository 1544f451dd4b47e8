"""The limit's equations of a network of populations as LaTeX with a model's own numbers."""

from typing import TYPE_CHECKING, Any

from largen.checks import InputError
from largen.numerics.latex import aligned, number, signed, total
from largen.systems.rate import activations
from largen.systems.rate.kernels import SeparableKernel, TableKernel
from largen.systems.rate.populations.numbers import Numbers, is_independent, kernels_of, spread, variance_of

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations


def write(model: "RatePopulations", n: int | None) -> str:
    """Write the limit (eqs. P4 to P8 of docs/rate-populations.md), one block of rows a population.

    Raises:
        InputError: A finite n.
    """
    if n is not None:
        raise InputError("The equations of the rate_populations system are those of the limit. Leave out `n`.")
    numbers, labels = Numbers.of(model), model.populations
    rows: list[tuple[str, ...]] = []
    for a, label in enumerate(labels):
        rows += _population(model, numbers, labels, a, rf"\mathrm{{{label}}}")
    for r in range(numbers.loadings.rank):
        terms = [rf"\mathrm{{E}}[n^{{{r + 1}}} \phi(x)]_{{\mathrm{{{label}}}}}" for label in labels]
        rows.append((rf"\kappa_{{{r + 1}}}", total([float(f) for f in numbers.fractions], terms)))
    return aligned(rows)


def _population(model: Any, numbers: Numbers, labels: tuple[str, ...], a: int, name: str) -> list[tuple[str, ...]]:
    x, drive = f"x_{{{name}}}", rf"\eta_{{{name}}}"
    decay, noise = float(numbers.decay[a]), float(numbers.noise[a])
    loadings = numbers.loadings
    outside = (
        [rf"m^{{{r + 1}}} \kappa_{{{r + 1}}}" for r in range(loadings.rank)]
        + [f"h_{{{name}}}"]
        + ([rf"I_{{{name}}}(t)"] if model.input is not None else [])
        + [f"w^{{{p + 1}}} s_{{{p + 1}}}(t)" for p in range(loadings.patterns)]
    )
    inputs = " + ".join([drive, *outside])
    if numbers.discrete:
        right = total([decay, 1.0, noise], [f"{x}(t)", inputs, rf"\xi_{{{name}}}"])
        rows: list[tuple[str, ...]] = [(f"{x}(t+1)", right)]
    else:
        white = "" if noise == 0.0 else rf"{signed(noise)}\,dW_{{{name}}}"
        rows = [(f"d{x}", rf"\left(-{number(1.0 / decay)}\,{x} + {inputs}\right)dt{white}")]
    rates = [rf"\mathrm{{E}}\,\phi_{{\mathrm{{{label}}}}}" for label in labels]
    rows.append((rf"\mathrm{{E}}\,{drive}", total([float(value) for value in numbers.mean_weight[a]], rates)))
    sums = [_block(kernel, rf"\mathrm{{{label}}}") for kernel, label in zip(kernels_of(model)[a], labels, strict=True)]
    sums = [part for part in sums if part] or ["0"]
    rows.append((rf"\mathrm{{cov}}({drive}^0(s), {drive}^k(t))", " + ".join(sums)))
    count = len(labels)
    kinds = model.activation if isinstance(model.activation, tuple) else (model.activation,) * count
    rows.append(
        (rf"\phi_{{{name}}}(x)", activations.latex(kinds[a], total([float(spread(model.gain, count)[a])], ["x"])))
    )
    at = loadings.rank
    mean, variance = float(loadings.mean[a, at]), float(loadings.covariance[a, at, at])
    rows.append((f"h_{{{name}}}", *_normal(mean, variance)))
    rows.append((f"{x}(0)", *_normal(float(numbers.initial_mean[a]), float(numbers.initial_variance[a]))))
    return rows


def _block(kernel: Any, source: str) -> str:
    variance = variance_of(kernel)
    if is_independent(kernel):
        if variance == 0.0:
            return ""
        return rf"{number(variance)}\,\delta_{{k0}}\,\mathrm{{E}}[\phi_{{{source}}}(s)\,\phi_{{{source}}}(t)]"
    moment = rf"\mathrm{{E}}[\phi^0_{{{source}}}(s)\,\phi^l_{{{source}}}(t)]"
    if isinstance(kernel, SeparableKernel):
        post, pre = (rf"({number(rho)})^{{|{k}|}}" for rho, k in ((kernel.post, "k"), (kernel.pre, "l")))
        return rf"{number(variance)}\sum_l {post}\,{pre}\,{moment}"
    assert isinstance(kernel, TableKernel)
    lines = r" \\ ".join(" & ".join(number(x) for x in row) for row in kernel.values)
    return rf"\sum_l \begin{{pmatrix}}{lines}\end{{pmatrix}}_{{kl}}{moment}"


def _normal(mean: float, variance: float) -> tuple[str, ...]:
    if variance == 0.0:
        return (number(mean),)
    return rf"\mathcal{{N}}({number(mean)},\ {number(variance)})", r"\sim"
