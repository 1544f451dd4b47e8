"""The balanced limit as an .ode file of XPPAUT, from which AUTO can follow its states (Ermentrout 2002).

Of full rank the balance conditions pin every rate, F(v, K) = f = -A^-1 h, and with K moving the means follow from
d(F - f)/dt = -(F - f)/min(tau):

    dv_a/dt = -[F''_a (dK_a/dt)/2 + (F_a - f_a)/min(tau)] / F'_a,    F'' = dF'/dv = 2 dF/dK.

Of rank 1, A = r q^T, one combination is pinned and dv/dt = -v/tau + m - r lambda, with lambda as in eq. B9 of
docs/balanced.md. Of probit gains F, F' and F'' are in closed form (eq. B3). Checked against `limit_equations.rhs`.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

import largen
from largen.checks import InputError, LimitError
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import Probit

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


def write(model: "BalancedNetwork", n: int | None) -> str:
    """Write the file.

    Raises:
        InputError: The limit has what the file cannot say.
        LimitError: The model's start leads to no balanced state.
    """
    _require(model, n)
    count = len(model.gain)
    with jax.enable_x64(True):
        structure = manifold.structure(model)
        rank = len(structure.columns)
        full = rank == count
        if (full and count > 2) or (not full and rank != 1):
            raise InputError(
                f"The file for XPPAUT cannot say this limit: its coupling has rank {rank} of {count} populations. It "
                "says rank 1, and full rank of one or two populations."
            )
        parts = manifold.balance(model, structure.columns)
        start = manifold.project(model, structure, model.initial_mean, model.initial_variance, 0.0)
        strong = np.asarray(manifold.coordinates(parts.basis, jnp.asarray(model.drive)))
        if int(start.code) != manifold.Outcome.FOUND:
            raise LimitError("The model's start leads to no balanced state, so that there is no limit to write.")
        mean = np.asarray(start.mean)
        basis, conditions = np.asarray(parts.basis), np.asarray(parts.conditions)
        share = np.asarray(manifold.shares(model))
    index = range(1, count + 1)
    lines = _head(model)
    lines += _parameters(model, share)
    lines += _pinned(model) if full else _combination(basis[:, 0], conditions[0], float(strong[0]))
    for a in index:
        lines += [
            f"b{a}=slope{a}/sqrt(1+slope{a}^2*k{a})",
            f"z{a}=b{a}*(v{a}-theta{a})",
            f"f{a}=max{a}*0.5*(1+erf(z{a}/sqrt(2)))",
            f"d{a}=max{a}*b{a}*exp(-0.5*z{a}^2)/sqrt(2*pi)",
            f"s{a}=-b{a}*z{a}*d{a}",
        ]
    for a in index:
        change = "".join(f"+share{b}*alpha{a}{b}^2*f{b}" for b in index) if model.synapses == "independent" else ""
        lines.append(f"g{a}=-2*k{a}/tau{a}{change}+sigma{a}^2")
    fastest = int(np.argmin(np.broadcast_to(model.tau, count))) + 1
    if full:
        lines += [f"v{a}'=-(0.5*s{a}*g{a}+(f{a}-pin{a})/tau{fastest})/d{a}" for a in index]
    else:
        lines.append("low=" + "+".join(f"q{a}*d{a}*r{a}" for a in index))
        moved = "+".join(f"q{a}*(d{a}*(-v{a}/tau{a}+m{a})+0.5*s{a}*g{a})" for a in index)
        off = "+".join(f"q{a}*f{a}" for a in index)
        lines.append(f"mult=({moved}+({off}+strong)/tau{fastest})/low")
        lines += [f"v{a}'=-v{a}/tau{a}+m{a}-r{a}*mult" for a in index]
    lines += [f"k{a}'=g{a}" for a in index]
    lines += [f"init v{a}={float(mean[a - 1])!r}" for a in index]
    lines += [f"init k{a}={float(model.initial_variance[a - 1])!r}" for a in index]
    lines += [f"aux rate{a}=f{a}" for a in index]
    lines += ["@ total=20, dt=0.005, meth=cvode, toler=1e-9, atoler=1e-11, bound=1000", "done"]
    return "\n".join(lines) + "\n"


def _require(model: "BalancedNetwork", n: int | None) -> None:
    """Refuse what the file cannot say."""
    reasons = {}
    if n is not None:
        reasons["n"] = "the equations of a finite size"
    if not all(isinstance(gain, Probit) for gain in model.gain):
        reasons["gain"] = "gains other than Probit, whose mean rate has no closed form"
    for name in ("drive", "input"):
        if callable(getattr(model, name)):
            reasons[name] = "a drive that varies in time"
    if reasons:
        listed = "; ".join(f"{why} (`{name}`)" for name, why in reasons.items())
        raise InputError(f"The file for XPPAUT cannot say this limit: it has {listed}. Change these, or use largen.")


def _head(model: "BalancedNetwork") -> list[str]:
    labels = ", ".join(f"{a} is {label}" for a, label in enumerate(model.populations, 1))
    return [
        f"# The limit of a balanced network, written by largen {largen.__version__}",
        f"# Populations: {labels}. v: means, k: variances of the states, f: rates (auxiliary: rate).",
        "# Time is in the unit of tau. The start lies on the balanced manifold.",
    ]


def _parameters(model: "BalancedNetwork", share: np.ndarray) -> list[str]:
    """The model's numbers, as XPPAUT's parameters."""
    count = len(model.gain)
    index = range(1, count + 1)
    columns = {
        "tau": np.broadcast_to(model.tau, count), "sigma": np.broadcast_to(model.noise, count), "share": share,
        "m": model.input, "h": model.drive, "max": [gain.maximum for gain in model.gain],
        "slope": [gain.slope for gain in model.gain], "theta": [gain.threshold for gain in model.gain],
    }  # fmt: skip
    lines = [f"par {name}{a}={float(values[a - 1])!r}" for name, values in columns.items() for a in index]
    lines += [f"par alpha{a}{b}={float(model.coupling[a - 1, b - 1])!r}" for a in index for b in index]
    return [*lines, f"number pi={np.pi!r}"]


def _pinned(model: "BalancedNetwork") -> list[str]:
    """The rates that full rank pins, -A^-1 h, by Cramer's rule; A_ab = s_b alpha_ab q_b."""
    index = range(1, len(model.gain) + 1)
    sign = ["-" if flag < 0 else "" for flag in model.sign]
    lines = [f"a{a}{b}={sign[b - 1]}share{b}*alpha{a}{b}" for a in index for b in index]
    if len(model.gain) == 1:
        return [*lines, "pin1=-h1/a11"]
    return [*lines, "det=a11*a22-a12*a21", "pin1=-(h1*a22-h2*a12)/det", "pin2=-(h2*a11-h1*a21)/det"]


def _combination(basis: np.ndarray, conditions: np.ndarray, strong: float) -> list[str]:
    """The one combination that rank 1 pins: r and q of A = r q^T, and what the drive is in r."""
    lines = [f"par r{a}={float(value)!r}" for a, value in enumerate(basis, 1)]
    lines += [f"par q{a}={float(value)!r}" for a, value in enumerate(conditions, 1)]
    return [*lines, f"par strong={strong!r}"]
