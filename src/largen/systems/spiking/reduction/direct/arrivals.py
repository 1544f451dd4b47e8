"""What arrives in a step, and whether as Gaussian noise, as a pair of jumps, or kick by kick (numba).

A class of synapses brings k spikes to a neuron, with mean m and variance v = (1 - q) m: q = p where each spike reaches
a neuron with probability p, q = m/K where K inputs are drawn, 0 for Poisson arrivals. Small kicks s add their mean and
variance to V. Inhibition that is a conductance multiplies V - V_I by (1 - u)^k, u = s/(M - V_I), with the moments

    E (1 - u)^k = (1 - q u)^(m/q),   E (1 - u)^2k = (1 - q [1 - (1 - u)^2])^(m/q)       (q -> 0: exp(-m u) ...)  (S28)

of a binomial k. What that leaves out is the skewness of k. It matters where a kick is not small against the standard
deviation D of a potential without threshold, whatever the step: from `SKEWED` D on (times the class's share of the
variance) the neurons are moved by one of three numbers of kicks instead, the nodes of Gauss's rule for the law of k,

    y^3 - (t^2 + b1 + b2) y + t (b1 - b2) = 0,   k = m + t + y,   t = 1 - 2q,   b1 = v,   b2 = 2v - 2q (1 - q),  (S29)

which have its moments up to the fifth. Kicks that are larger than a bin and than two standard deviations of all that
arrives in the step are taken one by one: k of them with the binomial probability of k. So the step decides how finely
the law of k is taken, but not whether its skewness is kept.
"""

import numpy as np

from largen.numerics.compiled import inlined, part
from largen.systems.spiking.reduction.patches import gather_patches

LARGE = 2.0
"""Kicks larger than this many standard deviations of what arrives are no Gaussian noise."""
TAIL = 1e-9
"""Probability beyond which more kicks in one step are counted as the largest number."""
SKEWED = 0.02
"""Kicks from this part of the potential's standard deviation on bring their skewness too."""
_THIN = 1e-9

# The numbers that a step needs of a population, in work.total's order.
DRIFT, NOISE, FIRST, SECOND = range(4)


@part
def gather(layout, state, work):
    """Mean and variance of the arrivals of every class, from the spikes sent so many steps ago."""
    slots, clock = state.sent.shape[1], state.clock[0]
    if layout.patches.count > 0:
        gather_patches(layout.patches, state.sent, clock, work.mean_of, work.variance_of)
        return
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


@part
def gather_alike(layout, state, work):
    """As `gather`; what does the same as an earlier class of the same target is counted with that."""
    gather(layout, state, work)
    for j in range(len(layout.source)):
        first = layout.alike[j]
        if first != j:
            work.mean_of[first] += work.mean_of[j]
            work.variance_of[first] += work.variance_of[j]
            work.mean_of[j] = work.variance_of[j] = 0.0


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


@inlined
def node(mean, q, index):
    """Node and weight of (S29), Gauss's rule of three points for a binomial number of kicks, or a Poisson one (q = 0).

    Its Jacobi matrix has a_k = m + k (1 - 2q) on the diagonal and b_k = k (1 - q) (m - (k - 1) q) beside it (Golub &
    Welsch, Math. Comp. 23 (1969); Krawtchouk's and Charlier's polynomials); its characteristic polynomial is solved by
    Viete's formula.
    """
    t, b1, b2 = 1.0 - 2.0 * q, (1.0 - q) * mean, max(2.0 * (1.0 - q) * (mean - q), 0.0)
    # With y = x - m - t: y^3 - (t^2 + b1 + b2) y + t (b1 - b2) = 0.
    third = (t * t + b1 + b2) / 3.0
    y = 2.0 * np.sqrt(third)
    y *= np.cos((np.arccos(min(max(0.5 * t * (b2 - b1) / third**1.5, -1.0), 1.0)) - 2.0 * np.pi * index) / 3.0)
    x = y + t
    second = x * (x - t) - b1
    weight = 1.0 / (1.0 + x * x / b1 + (second * second / (b1 * b2) if b2 > 0.0 else 0.0))
    return max(x + mean, 0.0), weight


@inlined
def _nodes(work, count, mean, q, shift, pull, own):
    """The jumps so far, each with the three numbers of kicks of (S29); returns how many, or 0 if too many."""
    if 3 * count > len(work.jumps):
        return 0
    jumps, total = work.jumps, 0.0
    for index in range(3):
        total += node(mean, q, index)[1]
    for i in range(count - 1, -1, -1):
        factor, by, variance, chance = jumps[i, 0], jumps[i, 1], jumps[i, 2], jumps[i, 3]
        for index in range(3):
            k, weight = node(mean, q, index)
            place = 3 * i + index
            jumps[place, 0] = factor * (1.0 - pull) ** k
            jumps[place, 1] = by + (0.0 if pull > 0.0 else k * shift)
            jumps[place, 2] = variance + k * own
            jumps[place, 3] = chance * weight / total
    return 3 * count


@inlined
def _is_skewed(layout, a, size, variance, whole, pull):
    """Whether a class of this variance brings kicks whose skewness matters; `whole`: variance of all that arrives.

    D^2 is the variance per ms times half the time in which the potential forgets; of one that does not, D is the span
    from reset to threshold.
    """
    rate = 1.0 / layout.relaxation[a] + pull / layout.dt
    span = float(layout.bins - layout.reset[a])
    free = min(np.sqrt(0.5 * whole / layout.dt / rate) if rate > 0.0 else span, span)
    return variance > 0.0 and size * variance > SKEWED * free * whole


@part
def _all(layout, work, a, base):
    """Variance of all that a neuron of population a receives in the step, and the pull of inhibition on it."""
    variance, pull = base, 0.0
    for j in range(layout.classes[a], layout.classes[a + 1]):
        variance += layout.weight[j] ** 2 * (work.variance_of[j] + layout.spread[j] * work.mean_of[j])
        pull += layout.pull[j] * work.mean_of[j]
    return variance, pull


@part
def _jump(layout, work, a, count, mean, variance, weight, pull, own, whole, pulled):
    """Put a class into the jumps if its kicks are large; returns how many jumps there are then, else 0."""
    if layout.gaussian:
        return 0
    size, thinning = abs(weight), max(1.0 - variance / mean, 0.0)
    if size > 1.0 and size * size > LARGE * LARGE * whole and thinning < 1.0:
        made = _combine(work, count, mean, thinning, weight, pull, own)
        work.coarse[0] += int(made == 0)
        return made
    if _is_skewed(layout, a, size, weight * weight * variance, whole, pulled):
        return _nodes(work, count, mean, thinning, weight, pull, own)
    return 0


@part
def take(layout, work, a, rate, sd, out):
    """Sort what arrives at population a into moments of small kicks and jumps by others.

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
    whole, pulled = _all(layout, work, a, noise + kick * kick * outside)
    if outside > 0.0 and layout.poisson:
        made = _jump(layout, work, a, count, outside, outside, kick, 0.0, 0.0, whole, pulled)
        count, outside = (made, 0.0) if made > 0 else (count, outside)
    out[DRIFT] += kick * outside
    noise += kick * kick * outside
    for j in range(layout.classes[a], layout.classes[a + 1]):
        arrived, variance, weight, pull = work.mean_of[j], work.variance_of[j], layout.weight[j], layout.pull[j]
        if arrived <= 0.0:
            continue
        own = weight * weight * layout.spread[j]
        made = _jump(layout, work, a, count, arrived, variance, weight, pull, own, whole, pulled)
        if made > 0:
            count = made
        elif pull > 0.0:
            thinning = max(1.0 - variance / arrived, 0.0)
            twice = _moment(arrived, thinning, pull * (2.0 - pull)) + arrived * layout.spread[j] * pull * pull
            out[FIRST] *= _moment(arrived, thinning, pull)
            out[SECOND] *= twice
        else:
            out[DRIFT] += weight * arrived
            noise += weight * weight * variance + own * arrived
    out[NOISE] = noise
    return count
