"""What arrives in a step, and whether as Gaussian noise or kick by kick (numba).

A class of synapses brings k spikes to a neuron, with mean m and variance (1 - q) m: q = p where each spike reaches a
neuron with probability p, q = m/K where K inputs are drawn, 0 for Poisson arrivals. Small kicks s add their mean and
variance to V. Inhibition that is a conductance multiplies V - V_I by (1 - u)^k, u = s/(M - V_I), with the moments

    E (1 - u)^k = (1 - q u)^(m/q),   E (1 - u)^2k = (1 - q [1 - (1 - u)^2])^(m/q)       (q -> 0: exp(-m u) ...)  (S28)

of a binomial k. Kicks that are larger than a bin and than two standard deviations of all that arrives are taken one by
one instead: the neurons that receive k of them are moved by k s with the binomial probability of k.
"""

import numpy as np

from largen.numerics.compiled import inlined, part

LARGE = 2.0
"""Kicks larger than this many standard deviations of what arrives are no Gaussian noise."""
TAIL = 1e-9
"""Probability beyond which more kicks in one step are counted as the largest number."""
_THIN = 1e-9

# The numbers that a step needs of a population, in work.total's order.
DRIFT, NOISE, FIRST, SECOND = range(4)


@part
def gather(layout, state, work):
    """Mean and variance of the arrivals of every class, from the spikes sent so many steps ago."""
    slots, clock = state.sent.shape[1], state.clock[0]
    for j in range(len(layout.source)):
        mean = variance = 0.0
        for d in range(layout.shares.shape[1]):
            share = layout.shares[j, d]
            if share > 0.0:
                one = layout.inputs[j] * share * state.sent[layout.source[j], (clock - d - 1) % slots]
                mean += one
                variance += one * (1.0 - layout.chance[j] - one / layout.degree[j])
        work.mean_of[j] = mean
        work.variance_of[j] = max(variance, 0.0) if mean >= 0.0 else variance


@inlined
def _moment(mean, thinning, u):
    """E (1 - u)^k of (S28)."""
    return np.exp(mean / thinning * np.log1p(-thinning * u)) if thinning > _THIN else np.exp(-mean * u)


@inlined
def _combine(work, count, mean, thinning, shift, pull, variance):
    """The jumps so far, each with every number of large kicks of one more class; returns how many, or 0 if too many."""
    jumps, more, made = work.jumps, work.more, 0
    chance = np.exp(mean / thinning * np.log1p(-thinning)) if thinning > _THIN else np.exp(-mean)
    left, k = 1.0, 0
    while True:
        following = chance * (mean - thinning * k) / ((k + 1.0) * (1.0 - thinning))
        last = left - chance < TAIL or following <= 0.0
        if made + count > len(more):
            return 0
        for i in range(count):
            more[made, 0] = jumps[i, 0] * (1.0 - pull) ** k
            more[made, 1] = jumps[i, 1] + (0.0 if pull > 0.0 else k * shift)
            more[made, 2] = jumps[i, 2] + k * variance
            more[made, 3] = jumps[i, 3] * (left if last else chance)
            made += 1
        left -= chance
        chance = following
        k += 1
        if last:
            break
    for i in range(made):
        for c in range(4):
            jumps[i, c] = more[i, c]
    return made


@part
def _spread_of_all(layout, work, a, base):
    """Standard deviation of all that a neuron of population a receives."""
    variance = base
    for j in range(layout.classes[a], layout.classes[a + 1]):
        variance += layout.weight[j] ** 2 * (work.variance_of[j] + layout.spread[j] * work.mean_of[j])
    return np.sqrt(variance)


@part
def take(layout, work, a, rate, sd, out):
    """Sort what arrives at population a into moments of small kicks and jumps by large ones.

    Args:
        layout: Constants.
        work: Its `jumps` are written.
        a: The population.
        rate: External kicks per ms.
        sd: White noise (unit/root ms).
        out: DRIFT and NOISE, mean and variance of what V gains after inhibition; FIRST and SECOND, the moments of the
            factor of V - V_I.

    Returns:
        Number of jumps.
    """
    jumps, kick = work.jumps, layout.kick[a]
    jumps[0, 0], jumps[0, 1], jumps[0, 2], jumps[0, 3] = 1.0, 0.0, 0.0, 1.0
    count, noise = 1, sd * sd * layout.noise[a]
    outside = 0.0 if layout.diffuse[a] else rate * layout.dt
    if layout.diffuse[a]:
        noise += kick * kick * rate * layout.noise[a] * layout.unit[a] ** 2
    out[DRIFT], out[FIRST], out[SECOND] = 0.0, 1.0, 1.0
    whole = _spread_of_all(layout, work, a, noise + kick * kick * outside)
    size = abs(kick)
    if outside > 0.0 and layout.poisson and size > 1.0 and size > LARGE * whole:
        made = 0 if layout.gaussian else _combine(work, count, outside, 0.0, kick, 0.0, 0.0)
        count, outside = (made, 0.0) if made > 0 else (count, outside)
        work.coarse[0] += int(made == 0)
    out[DRIFT] += kick * outside
    noise += kick * kick * outside
    for j in range(layout.classes[a], layout.classes[a + 1]):
        arrived, weight, pull = work.mean_of[j], layout.weight[j], layout.pull[j]
        if arrived <= 0.0:
            continue
        thinning, size = max(1.0 - work.variance_of[j] / arrived, 0.0), abs(weight)
        own = weight * weight * layout.spread[j]
        if size > 1.0 and size > LARGE * whole and thinning < 1.0:
            made = 0 if layout.gaussian else _combine(work, count, arrived, thinning, weight, pull, own)
            work.coarse[0] += int(made == 0)
            if made > 0:
                count = made
                continue
        if pull > 0.0:
            twice = _moment(arrived, thinning, pull * (2.0 - pull)) + arrived * layout.spread[j] * pull * pull
            out[FIRST] *= _moment(arrived, thinning, pull)
            out[SECOND] *= twice
        else:
            out[DRIFT] += weight * arrived
            noise += weight * weight * work.variance_of[j] + own * arrived
    out[NOISE] = noise
    return count
