"""Speed of populations of rate neurons on one core: the theories, the limit in time, a network's step.

What:     CPU seconds, the least of several calls after one that compiles; growth of the limit in time with the number
          of populations and the rank of the weights.
Run time: about 3 minutes for both parts.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/populations.py times|growth
"""

import sys
from pathlib import Path

import numpy as np
from timing import best

import largen as ln

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from rate_populations import TRANSIENT, one_population, structured
from study import Results, main

from largen.systems.rate.populations import stationary
from largen.systems.rate.populations.dimension import of_regime


def times(results: Results, small: bool) -> None:
    """Every theory once, and a network of 2000 neurons with a tangent vector per unit of time."""
    table = results.table("times", "what", ("CPU s", ".3f"))
    default, chaotic = ln.RatePopulations(), one_population(1.5)
    still = structured(0.5, 1.2, 1.0, ((0.3, 0.2), (0.2, 0.3)))
    quiet = default.replace(mean_weight=np.zeros((2, 2)), threshold_mean=0.0, threshold_variance=0.0)
    regimes = [stationary.solve(model, rtol=1e-8) for model in (one_population(3.0), quiet)]
    steps = np.linspace(0.0, 4.0, 81)
    rows = [
        ("stationary, one population, g = 1.5, rtol 1e-8", lambda: chaotic.stationary()),
        ("stationary and exponent, two populations", lambda: default.lyapunov_exponent()),
        ("static states and stability, rank one", lambda: still.static_states(count=4)),
        ("dimension, one population, g = 3, its stationary regime known", lambda: of_regime(regimes[0])),
        ("dimension, two populations, likewise", lambda: of_regime(regimes[1])),
        ("with noise, g = 2", lambda: one_population(2.0, noise=0.5).stationary()),
        ("limit in time, 2 populations, rank 1, 81 times, rtol 1e-5",
         lambda: ln.solve_limit(TRANSIENT, steps, lags=0, rtol=1e-5, atol=1e-7)),
    ]  # fmt: skip
    for name, call in rows[-1:] if small else rows:
        table.add(name, best(call, rounds=1 if small else 3))
    n, span = (60, 1.0) if small else (2000, 20.0)

    def network(stop):
        return best(
            lambda: ln.simulate(
                chaotic, np.array([0.0, stop]), n=n, realisations=1, replicas=1, lags=0, record="lyapunov"
            ),
            rounds=1 if small else 2,
        )

    table.add(f"network of {n} with tangent vector, per unit of time", (network(2.0 * span) - network(span)) / span)


def growth(results: Results, small: bool) -> None:
    """The limit in time against the number of populations and the rank, 41 times to 2 tau, rtol 1e-5."""
    table = results.table("growth", "populations", "rank", ("CPU s", ".3f"))
    steps = np.linspace(0.0, 2.0, 5 if small else 41)
    cases = [(1, 0), (2, 0)] if small else [(1, 0), (2, 0), (4, 0), (8, 0), (2, 1), (2, 2), (2, 4), (8, 4)]
    for count, rank in cases:
        low_rank = None
        if rank:
            low_rank = ln.LowRank(np.full((count, rank), 0.5), np.full((count, rank), 0.5),
                                  np.tile(0.2 * np.eye(2 * rank), (count, 1, 1)))  # fmt: skip
        model = ln.RatePopulations(
            fractions=np.full(count, 1.0 / count), tau=1.0, weight_variance=np.full((count, count), 2.25 / count),
            mean_weight=np.zeros((count, count)), low_rank=low_rank, threshold_mean=0.1, threshold_variance=0.1,
        )  # fmt: skip
        seconds = best(lambda model=model: ln.solve_limit(model, steps, lags=0, rtol=1e-5, atol=1e-7),
                       rounds=1 if small else 3)  # fmt: skip
        table.add(count, rank, seconds)


PARTS = (times, growth)

if __name__ == "__main__":
    main(PARTS, __doc__)
