"""Models of populations whose numbers are known from elsewhere."""

import numpy as np

import largen as ln


def transient():
    """Two populations, rank one, thresholds correlated with the loadings, noise and an oscillating input."""
    return ln.RatePopulations(
        fractions=(0.7, 0.3),
        tau=(1.0, 0.6),
        weight_variance=((1.96, 1.0), (1.44, 0.64)),
        mean_weight=((0.8, -1.5), (1.2, -0.9)),
        low_rank=ln.LowRank(
            ((1.0,), (0.4,)), ((1.2,), (-0.6,)), (((0.4, 0.2), (0.2, 0.6)), ((0.3, -0.1), (-0.1, 0.4)))
        ),
        threshold_mean=(0.2, -0.1),
        threshold_variance=(0.09, 0.04),
        threshold_covariance=((0.1, 0.15), (0.0, 0.1)),
        initial_mean=(0.5, 0.1),
        initial_variance=(0.3, 0.2),
        noise=(0.3, 0.2),
        input=sine,
    )


def sine(t):
    """Common input of `transient`."""
    return np.array([0.8, -0.4]) * np.sin(2.0 * t)


def scs(g, **changes):
    """One population of independent weights of variance g^2/N, tanh, no thresholds."""
    return ln.RatePopulations.chaotic().replace(weight_variance=((g**2,),), **changes)


def rank_one(strength, g=2.0, **changes):
    """Rank one plus random: mean of m is the strength M, of n is 1."""
    low_rank = ln.LowRank(((strength,),), ((1.0,),))
    return ln.RatePopulations.rank_one().replace(weight_variance=((g**2,),), low_rank=low_rank, **changes)
