"""Speed and memory of the balanced system: its largest network, and its limit.

Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273).
Run time: about 3 CPU minutes, of which `large` takes nearly all.
Command:  python benchmarks/balanced.py large|limit
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from memory import peak
from timing import best, clocked

import largen as ln
from largen import BalancedNetwork
from largen.systems.balanced import limit_equations, manifold

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main


def large(results: Results, small: bool) -> None:
    """CPU time and memory of tau-leaping over a horizon of 0.01 (S3, projected start)."""
    table = results.table(
        "large", "N", ("step", ".3g"), ("CPU s", ".0f"), ("ns a neuron and step", ".0f"),
        ("peak RSS of the process, MB", ".0f"), ("of which before the run", ".0f"),
    )  # fmt: skip
    model, times = BalancedNetwork.balanced(), np.array([0.0, 0.01])
    ln.simulate(model, times, n=1000, method="tau_leap")
    for n, options in ((20_000, {}),) if small else ((1_000_000, {}), (10_000_000, {"dt": 1e-4})):
        before, found = peak(), []
        seconds = clocked(
            lambda n=n, options=options, found=found: found.append(
                ln.simulate(model, times, n=n, seed=1, method="tau_leap", **options)
            )
        )
        step = found[0].attrs["largest_step"]
        cost = 1e9 * seconds / (n * round(0.01 / step))
        table.add(n, step, seconds, cost, 1000 * peak(), 1000 * before)


def limit(results: Results, small: bool) -> None:
    """CPU time of one limit on [0, 50], and of 1000 parameter sets in one vmap, after compilation."""
    table = results.table("limit", "set", "route", ("one limit, ms", ".2f"), ("1000 parameter sets, s", ".3f"))
    times = np.linspace(0.0, 50.0, 21)
    cases = [("S1", BalancedNetwork.rank_one(), "reduced")]
    if not small:
        cases += [("S3", BalancedNetwork.off_manifold(), route) for route in ("explicit", "reduced")]
    for name, model, route in cases:
        with jax.enable_x64(True):
            structure = manifold.structure(model)

            def one(value, model=model, structure=structure, route=route):
                changed = model.replace(**{"gain[i].threshold": value})
                return limit_equations.trajectory(changed, times, structure=structure, route=route).mean

            value = jnp.asarray(model.gain[1].threshold)
            spread = value + jnp.linspace(-0.05, 0.05, 10 if small else 1000)
            single, many = eqx.filter_jit(one), eqx.filter_jit(jax.vmap(one))
            table.add(name, route, 1e3 * best(single, value), best(many, spread))


PARTS = (large, limit)

if __name__ == "__main__":
    main(PARTS, __doc__)
