"""A second route to the limit of populations: the whole horizon at once, iterated, with dense matrices.

Filters are matrices, lags on the ring are explicit, and expectations are Mehler series from Gauss-Hermite coefficients;
nothing is shared with the forward recursion but the formulas.
"""

import math

import numpy as np
from scipy import special

FUNCTIONS = {"tanh": np.tanh, "probit": special.ndtr, "logistic": special.expit, "relu": lambda x: np.maximum(x, 0.0)}


def trapezoid_filter(tau, times):
    """L[t, u] of int_0^t exp(-(t-u)/tau) h(u) du for h linear between equally spaced times."""
    h, z = times[1] - times[0], (times[1] - times[0]) / tau
    e = math.exp(-z)
    now, then = tau * ((1 - e) / z - e), tau * (1 - (1 - e) / z)
    matrix = np.zeros((len(times), len(times)))
    for t in range(1, len(times)):
        matrix[t] = e * matrix[t - 1]
        matrix[t, t - 1] += now
        matrix[t, t] += then
    return matrix, h


def map_filter(gamma, count):
    """L[t, u] of sum_{u < t} gamma^(t-1-u) h(u)."""
    t, u = np.indices((count, count))
    return np.where(u < t, gamma ** np.maximum(t - 1 - u, 0.0), 0.0)


class Picard:
    """The limit on a grid of times.

    Args:
        filters: L by population, shape (population, time, time).
        start: Decay of the initial state, shape (population, time).
        noise: Covariance of the state under its own noise, shape (population, time, time).
        kernel: Function (a, b, k, l) to Lambda_ab(k, l), and the sum over all l as kernel(a, b, k, None).
        lags: Largest lag on the ring that is kept.
    """

    def __init__(self, fractions, filters, start, noise, mean_weight, kernel, lags, mean, covariance, right_mean, right,
                 drive, signals, functions, initial_mean, initial_variance, terms=48):  # fmt: skip
        self.__dict__.update(locals())
        nodes, weights = np.polynomial.hermite_e.hermegauss(180)
        self.nodes, self.weights = nodes, weights / weights.sum()
        rows = [np.ones_like(nodes), nodes]
        for n in range(1, terms):
            rows.append((nodes * rows[n] - math.sqrt(n) * rows[n - 1]) / math.sqrt(n + 1))
        self.hermite = np.array(rows)

    def solve(self, sweeps):
        count, times = len(self.fractions), self.filters.shape[1]
        rank = self.right_mean.shape[1]
        width = 2 * self.lags + 1
        m = self.initial_mean[:, None] * self.start
        latent = np.zeros((rank, times))
        own = np.array([self.initial_variance[a] * np.outer(self.start[a], self.start[a]) for a in range(count)])
        both = np.zeros((2, count, width, times, times))
        both[0, :, self.lags] = own + self.noise
        for _ in range(sweeps):
            a_n = np.zeros((count, len(self.hermite), times))
            own_variance = np.zeros((count, times))
            for b in range(count):
                sd = np.sqrt(np.einsum("tt->t", both[0, b, self.lags]))
                values = self.functions[b](m[b] + sd * self.nodes[:, None])
                a_n[b] = self.hermite @ (self.weights[:, None] * values)
                own_variance[b] = self.weights @ values**2 - a_n[b, 0] ** 2
            rates = a_n[:, 0]
            known = np.concatenate([latent, np.ones((1, times)), self.signals])
            v = np.einsum("atu,du->adt", self.filters, known)
            sd = np.sqrt(np.array([np.diagonal(both[0, b, self.lags]) for b in range(count)]))
            slopes = np.divide(a_n[:, 1], sd, out=np.zeros_like(sd), where=sd > 0)
            new_latent = np.einsum(
                "a,art->rt",
                self.fractions,
                self.right_mean[:, :, None] * rates[:, None]
                + np.einsum("ard,adt->art", self.right, v) * slopes[:, None],
            )
            outside = self.mean_weight @ rates + np.einsum("ad,dt->at", self.mean, known) + self.drive
            new_m = self.initial_mean[:, None] * self.start + np.einsum("atu,au->at", self.filters, outside)
            new = np.zeros_like(both)
            for law in range(2):
                pairs = np.array(
                    [[self._pairs(a_n[b], both[law, b, l], sd[b]) for l in range(width)]
                     for b in range(count)]
                )  # fmt: skip
                if law == 0:  # at equal times of one neuron the series is cut too early
                    for b in range(count):
                        np.fill_diagonal(pairs[b, self.lags], own_variance[b])
                for a in range(count):
                    for k in range(-self.lags, self.lags + 1):
                        source = np.zeros((times, times))
                        for b in range(count):
                            for l in range(-self.lags, self.lags + 1):
                                source += self.kernel(a, b, k, l) * pairs[b, l + self.lags]
                            source += self.kernel(a, b, k, None) * np.outer(rates[b], rates[b])
                        new[law, a, k + self.lags] = self.filters[a] @ source @ self.filters[a].T
                    shared = v[a].T @ self.covariance[a] @ v[a]
                    new[law, a, self.lags] += shared + (own[a] + self.noise[a] if law == 0 else 0.0)
            m, latent, both = new_m, new_latent, new
        return m, rates, latent, both[0], both[1]

    def _pairs(self, a, covariance, sd):
        scale = np.outer(sd, sd)
        rho = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        out = np.zeros_like(rho)
        for n in range(self.terms, 0, -1):
            out = (out + np.outer(a[n], a[n])) * rho
        return out
