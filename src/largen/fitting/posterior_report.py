"""Draws of a posterior as a labelled Dataset, and as what ArviZ reads."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import dataset as checked
from largen.datasets import versions
from largen.fitting.priors import said
from largen.fitting.problem import End, Problem
from largen.fitting.quality import statistic_name
from largen.fitting.sampling import Draws
from largen.numerics.chains import effective_draws, r_hat
from largen.parameters.plain import to_plain

AGREE = 1.01
"""r-hat up to which chains agree. Source: Vehtari et al., Bayesian Analysis 16 (2021) 667, section 4."""
ENOUGH = 100
"""Effective draws a chain below which summaries are rough; same source."""


def label(
    problem: Problem, end: End, draws: Draws, mode: np.ndarray, priors: Sequence[Any], source: str, how: Any
) -> xr.Dataset:
    """Label draws; see `posterior`."""
    free, data = problem.free, problem.data
    value = draws.value
    flat = value.reshape(-1, value.shape[-1])
    hats = np.array([r_hat(value[..., k]) for k in range(value.shape[-1])])
    worth = np.array([effective_draws(value[..., k]) for k in range(value.shape[-1])])
    one, each = ("parameter",), ("chain", "draw")
    low, median, high = np.quantile(flat, [0.025, 0.5, 0.975], axis=0)
    error = np.full(len(data.value), np.nan) if data.error is None else data.error
    variables: dict[str, Any] = {
        "draw_value": ((*each, "parameter"), value, "parameters of each draw"),
        "mean": (one, flat.mean(0), "mean of the posterior"),
        "sd": (one, flat.std(0, ddof=1), "standard deviation of the posterior"),
        "median": (one, median, "median of the posterior"),
        "ci_low": (one, low, "lower end of the 95 % interval, equal tails"),
        "ci_high": (one, high, "upper end of the 95 % interval, equal tails"),
        "r_hat": (one, hats, "rank-normalised split r-hat"),
        "effective_draws": (one, worth, "independent draws that are worth as much"),
        "mode": (one, mode, "mode of the posterior in unbounded variables"),
        "log_density": (each, draws.log_density, "logarithm of the posterior in unbounded variables, and a constant"),
        "diverging": (each, draws.diverging.astype(np.int8), "1 where a trajectory diverged"),
        "tree_depth": (each, draws.depth.astype(np.int16), "doublings of the trajectory"),
        "acceptance": (each, draws.acceptance, "acceptance rate of the trajectory"),
        "energy": (each, draws.energy, "energy of the trajectory"),
        "step_size": (("chain",), draws.step_size, "step size in units of the posterior"),
        "target": (("datum",), data.value, "data"),
        "target_error": (("datum",), error, "standard error of the data"),
    }
    coords = {
        "parameter": list(free.names),
        "unit": ("parameter", list(free.units)),
        "prior": ("parameter", [said(prior) for prior in priors]),
        "datum": list(data.labels),
    }
    status, message = judge(draws, hats, worth)
    test = end.quality.test
    attrs: dict[str, Any] = {
        "kind": "posterior",
        "system": problem.model.system,
        "parameters": json.dumps(to_plain(free.put(problem.model, median), strict=False)),
        "status": status,
        "sampling": message,
        "verdict": end.quality.verdict.value,
        "fit_message": end.quality.message,
        "covariance": source,
        "seed": str(how.seed),
        "warmup": how.warmup,
        "sampler": "NUTS (BlackJAX)",
        "versions": versions(),
    }
    if not np.isnan(test.p_value):
        attrs |= {statistic_name(test): test.statistic, "p_value": test.p_value, "dof": test.dof}
    if problem.left_out:
        attrs["left_out"] = problem.left_out
    labelled = {name: (dims, found, {"long_name": text}) for name, (dims, found, text) in variables.items()}
    return xr.Dataset(labelled, coords, attrs)


def judge(draws: Draws, hats: np.ndarray, worth: np.ndarray) -> tuple[str, str]:
    """Whether the chains can be believed, in a word and in a sentence."""
    chains, count = draws.diverging.shape
    lost = int(np.sum(draws.diverging))
    worst, least = float(np.max(hats)), float(np.min(worth))
    agree = worst <= AGREE
    status = "chains agree" if agree else "chains do not agree"
    words = [
        f"{chains} chain{'s' if chains > 1 else ''} of {count} draws: r-hat at most {worst:.3f}, worth at least "
        f"{least:.0f} independent draws; {lost or 'no'} diverging trajector{'y' if lost == 1 else 'ies'}."
    ]
    if not agree:
        words.append(f"The chains do not agree (r-hat above {AGREE:g}): give more `warmup` and `draws`.")
    elif least < ENOUGH * chains:
        words.append(f"Fewer than {ENOUGH} independent draws a chain: intervals are rough; give more `draws`.")
    if lost:
        words.append(
            "Where trajectories diverge, the draws may miss a part of the posterior, such as the edge of where the "
            "limit exists: look where they are (`diverging`), and take narrower priors."
        )
    if chains == 1:
        words.append("One chain cannot show that others would agree with it.")
    return status, " ".join(words)


def to_arviz(posterior: xr.Dataset) -> Any:
    """A posterior as ArviZ reads it.

    Args:
        posterior: What `posterior` returned.

    Returns:
        An `xarray.DataTree` with groups posterior (one variable a parameter, dims chain and draw), sample_stats and
        observed_data; an `arviz.InferenceData` of the same where ArviZ before version 1 is installed.

    Raises:
        InputError: Not what `posterior` returned.
    """
    found = checked("posterior", posterior, kinds=("posterior",), dims=("chain", "draw"))
    count = {"chain": np.arange(found.sizes["chain"]), "draw": np.arange(found.sizes["draw"])}
    about = {key: found.attrs[key] for key in ("system", "sampling", "verdict", "fit_message", "sampler")}
    each = {
        name: (("chain", "draw"), found["draw_value"].sel(parameter=name).values, {"units": str(unit)})
        for name, unit in zip(found["parameter"].values.tolist(), found["unit"].values.tolist(), strict=True)
    }
    stats = {
        "lp": found["log_density"],
        "diverging": found["diverging"].astype(bool),
        "tree_depth": found["tree_depth"],
        "acceptance_rate": found["acceptance"],
        "energy": found["energy"],
    }
    groups = {
        "posterior": xr.Dataset(each, count, about),
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v.values) for k, v in stats.items()}, count),
        "observed_data": xr.Dataset({"target": ("datum", found["target"].values)}, {"datum": found["datum"].values}),
    }
    old = _old_arviz()
    if old is not None:
        return old.InferenceData(**groups)
    return xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


def _old_arviz() -> Any:
    """ArviZ if a version before 1 is installed."""
    try:
        import arviz  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return arviz if hasattr(arviz, "InferenceData") else None
