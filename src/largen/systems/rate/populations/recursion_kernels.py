"""Compiled steps of the recursion: every function does one row of one time, for all populations or fields at once."""

import math

import numpy as np

from largen.numerics.compiled import njit


@njit(cache=True, error_model="numpy")
def set_linear(decay, now, nxt, t, first, last, first_latent, last_latent, mean, filtered):
    """Means and filtered latent variables at t + 1 from drives and latent variables at t and t + 1.

    Returns:
        The largest change of a mean, and the largest mean.
    """
    change, size = 0.0, 0.0
    for a in range(mean.shape[0]):
        e, p, q = decay[a, t], now[a, t], nxt[a, t]
        value = e * mean[a, t] + p * first[a] + q * last[a]
        change = max(change, abs(value - mean[a, t + 1]))
        size = max(size, abs(value))
        mean[a, t + 1] = value
        for r in range(first_latent.size):
            filtered[a, r, t + 1] = e * filtered[a, r, t] + p * first_latent[r] + q * last_latent[r]
    return change, size


@njit(cache=True, error_model="numpy")
def filter_known(decay, now, nxt, known, rank, filtered):
    """Set the filtered 1 and signals, which come after the filtered latent variables, at all times."""
    for a in range(filtered.shape[0]):
        for k in range(known.shape[0]):
            for t in range(filtered.shape[2] - 1):
                value = now[a, t] * known[k, t] + nxt[a, t] * known[k, t + 1]
                filtered[a, rank + k, t + 1] = decay[a, t] * filtered[a, rank + k, t] + value


@njit(cache=True, error_model="numpy")
def start_private(decay, noise, initial, out):
    """Set a population's covariance from its initial variance and its noise, both triangles, shape (point, point)."""
    out[0, 0] = initial
    for t in range(decay.size):
        for s in range(t + 1):
            out[t + 1, s] = decay[t] * out[t, s]
            out[s, t + 1] = out[t + 1, s]
        out[t + 1, t + 1] = decay[t] ** 2 * out[t, t] + noise[t]


@njit(cache=True, error_model="numpy")
def variances(at_zero, covariance, private, t):
    """Variances of the states at a time, shape (population,)."""
    out = np.empty(at_zero.shape[0])
    for a in range(at_zero.shape[0]):
        value = private[a, t, t]
        for f in range(at_zero.shape[1]):
            if at_zero[a, f] != 0.0:
                value += at_zero[a, f] * covariance[0, f, t, t]
        out[a] = value
    return out


@njit(cache=True, error_model="numpy")
def drive(fractions, mean_weight, left, right_mean, right, filtered, rate, slope, outside, t, latent):
    """Set the latent variables at a time (eq. P6), and return the drive of the means, shape (population,)."""
    count, rank = right_mean.shape
    for r in range(rank):
        value = 0.0
        for a in range(count):
            stein = 0.0
            for d in range(filtered.shape[1]):
                stein += right[a, r, d] * filtered[a, d, t]
            value += fractions[a] * (right_mean[a, r] * rate[a, t] + stein * slope[a, t])
        latent[r, t] = value
    drive = np.empty(count)
    for a in range(count):
        value = outside[a, t]
        for b in range(count):
            value += mean_weight[a, b] * rate[b, t]
        for r in range(rank):
            value += left[a, r] * latent[r, t]
        drive[a] = value
    return drive


@njit(cache=True, error_model="numpy")
def correlations(reads, covariance, own, shared, variance, t):
    """Correlation of each law's series at (t, s), shape (2 series, t + 1); 0 where a variance is 0.

    Args:
        reads: Combinations of fields, shape (series, field).
        covariance: Covariance of the fields, shape (2, field, point, point).
        own: Covariance at lag 0 without coupling, shape (point, point).
        shared: The part of it that two replicas share, likewise.
        variance: Variance of the state, shape (point,).
        t: The later time.
    """
    series, fields = reads.shape
    r = np.zeros((2 * series, t + 1))
    inverse = np.zeros(t + 1)
    for s in range(t + 1):
        scale = math.sqrt(variance[s] * variance[t])
        inverse[s] = 1.0 / scale if scale > 0.0 else 0.0
    for law in range(2):
        for i in range(series):
            row = r[law * series + i]
            for f in range(fields):
                if reads[i, f] != 0.0:
                    for s in range(t + 1):
                        row[s] += reads[i, f] * covariance[law, f, t, s]
            if i == 0:
                part = own if law == 0 else shared
                for s in range(t + 1):
                    row[s] += part[t, s]
            for s in range(t + 1):
                row[s] = min(max(row[s] * inverse[s], -1.0), 1.0)
    r[0, t] = 0.0  # no series: the variance itself
    return r


@njit(cache=True, error_model="numpy")
def add(sums, mix, total, rate, t, out):
    """Add mix of the series plus the means' product times the row sum, to out, shape (2, field, >= t + 1)."""
    fields, series = mix.shape
    for law in range(2):
        for f in range(fields):
            row = out[law, f]
            if total[f] != 0.0:
                for s in range(t + 1):
                    row[s] += total[f] * rate[s] * rate[t]
            for i in range(series):
                if mix[f, i] != 0.0:
                    for s in range(t + 1):
                        row[s] += mix[f, i] * sums[law * series + i, s]


@njit(cache=True, error_model="numpy")
def own(filtered, loadings, base, t, shared, private):
    """Covariance at (t, s), s <= t, of the loadings' part and of all that is not driven.

    Args:
        filtered: V, shape (population, driving, point).
        loadings: Covariance of the driving loadings, shape (population, driving, driving).
        base: Covariance from initial state and noise, shape (population, point, point).
        t: The later time.
        shared: Filled, likewise.
        private: Filled, likewise.
    """
    for a in range(filtered.shape[0]):
        for s in range(t + 1):
            shared[a, t, s] = 0.0
        for d in range(filtered.shape[1]):
            weight = 0.0
            for e in range(filtered.shape[1]):
                weight += loadings[a, d, e] * filtered[a, e, t]
            if weight != 0.0:
                for s in range(t + 1):
                    shared[a, t, s] += weight * filtered[a, d, s]
        for s in range(t + 1):
            private[a, t, s] = base[a, t, s] + shared[a, t, s]


@njit(cache=True, error_model="numpy")
def respond(source_next, decay, now, nxt, target, t, response_out):
    """cov(state at s, input at t + 1) for all laws and fields.

    Args:
        source_next: Input covariance at (t + 1, s), shape (law, field, >= t + 2).
        decay: e, shape (population, point - 1).
        now: p, likewise.
        nxt: q, likewise.
        target: Population of a field, shape (field,).
        t: The time.
        response_out: Shape (law, field, >= t + 2).
    """
    for law in range(source_next.shape[0]):
        for f in range(source_next.shape[1]):
            a, value = target[f], 0.0
            response_out[law, f, 0] = 0.0
            for s in range(t + 1):
                value = (
                    decay[a, s] * value + now[a, s] * source_next[law, f, s] + nxt[a, s] * source_next[law, f, s + 1]
                )
                response_out[law, f, s + 1] = value


@njit(cache=True, error_model="numpy")
def guess(source, before, earlier, t, out):
    """Input covariance at (t + 1, s) from those at (t, s), (t - 1, s) and (t - 2, s): a parabola where they are."""
    for law in range(source.shape[0]):
        for f in range(source.shape[1]):
            now, last, first = source[law, f], before[law, f], earlier[law, f]
            for s in range(t - 1):
                out[law, f, s] = 3.0 * (now[s] - last[s]) + first[s]
            if t > 0:
                out[law, f, t - 1] = 2.0 * now[t - 1] - last[t - 1]
                out[law, f, t] = now[t]
                out[law, f, t + 1] = 2.0 * now[t] - last[t - 1]
            else:
                out[law, f, 0], out[law, f, 1] = now[0], now[0]


@njit(cache=True, error_model="numpy")
def advance(covariance, response, source, source_next, response_next, decay, now, nxt, target, t):
    """One step of the covariances of all laws and fields; where q = 0 nothing of time t + 1 counts.

    Args:
        covariance: Shape (law, field, point, point), of which row t + 1 is set.
        response: cov(state at s, input at t), shape (law, field, >= t + 1).
        source: Input covariance at (t, s), likewise.
        source_next: Input covariance at (t + 1, s), shape (law, field, >= t + 2).
        response_next: cov(state at s, input at t + 1), likewise.
        decay: e, shape (population, point - 1).
        now: p, likewise.
        nxt: q, likewise.
        target: Population of a field, shape (field,).
        t: The time.

    Returns:
        The largest change of an entry that is set, and the largest entry.
    """
    change, size = 0.0, 0.0
    for law in range(covariance.shape[0]):
        for f in range(covariance.shape[1]):
            a, row, out = target[f], covariance[law, f, t], covariance[law, f, t + 1]
            e, p, q = decay[a, t], now[a, t], nxt[a, t]
            latest = e * response[law, f, t] + p * source[law, f, t]
            for s in range(t + 1):
                value = e * row[s] + p * response[law, f, s] + q * response_next[law, f, s]
                change = max(change, abs(value - out[s]))
                size = max(size, abs(value))
                out[s] = value
            if q != 0.0:
                latest += q * source_next[law, f, t]
            value = e * out[t] + p * latest
            if q != 0.0:
                value += q * response_next[law, f, t + 1]
            change = max(change, abs(value - out[t + 1]))
            size = max(size, abs(value))
            out[t + 1] = value
    return change, size
