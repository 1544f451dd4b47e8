"""The limit equations written a second time, as plainly as possible: explicit lags, matrices, Owen's T, double sums."""

import numpy as np
from scipy import special


def probit_product(a, b, r):
    """P(X <= a, Y <= b) for standard Gaussians of correlation r, by Owen's T (a, b not zero)."""
    s = np.sqrt(1 - r * r)
    h = special.owens_t(a, (b - r * a) / (a * s)) + special.owens_t(b, (a - r * b) / (b * s))
    return 0.5 * (special.ndtr(a) + special.ndtr(b)) - h - np.where(a * b < 0, 0.5, 0.0)


def tensor_product(function, nodes=401, reach=11.0):
    """E f(x) f(y) by a tensor of trapezoidal rules; returns a function of two means, two variances, covariance."""
    z = np.linspace(-reach, reach, nodes)
    w = np.exp(-0.5 * z * z)
    w /= w.sum()

    def product(ms, mt, vs, vt, c):
        if vs == 0 or vt == 0:
            r = 0.0
        else:
            r = np.clip(c / np.sqrt(vs * vt), -1, 1)
        x = ms + np.sqrt(vs) * z[:, None]
        y = mt + np.sqrt(vt) * (r * z[:, None] + np.sqrt(1 - r * r) * z[None, :])
        return float(w @ (function(x) * function(y)) @ w)

    return product


def probit_bivariate(ms, mt, vs, vt, c):
    """E Phi(x) Phi(y)."""
    a, b = ms / np.sqrt(1 + vs), mt / np.sqrt(1 + vt)
    return float(probit_product(a, b, c / np.sqrt((1 + vs) * (1 + vt))))


def discrete(steps, kernel, product, mean_rate, lags, *, gamma, jbar, theta, s_theta2, sigma, mu0, v0):
    """Means, C^k and Q^k for k = 0..lags after `steps` steps; kernel(k, l) for any lags, |l| cut at `lags`.

    The row sum over all l is taken from kernel(k, None).
    """
    T = steps
    ks = np.arange(lags + 1)
    m = np.zeros(T + 1)
    m[0] = mu0
    C = np.zeros((2, lags + 1, T + 1, T + 1))
    C[0, 0, 0, 0] = v0
    K = np.zeros((2, lags + 1, T + 1, T + 1))
    for t in range(T + 1):
        for w in range(2):
            M = np.zeros((lags + 1, t + 1))
            for l in ks:
                for s in range(t + 1):
                    ef = mean_rate(m[s], C[0, 0, s, s]) * mean_rate(m[t], C[0, 0, t, t])
                    M[l, s] = product(m[s], m[t], C[0, 0, s, s], C[0, 0, t, t], C[w, l, s, t]) - ef
            for k in ks:
                for s in range(t + 1):
                    ef = mean_rate(m[s], C[0, 0, s, s]) * mean_rate(m[t], C[0, 0, t, t])
                    value = sum((1 if l == 0 else 2) * kernel(k, l) * M[l, s] for l in ks) + kernel(k, None) * ef
                    K[w, k, s, t] = K[w, k, t, s] = value + (s_theta2 if k == 0 else 0.0)
        if t == T:
            break
        # U_{t+1} = gamma^{t+1} U_0 + sum_u gamma^{t-u} H_u + noise: the covariance as a double sum
        g = np.array([[gamma ** (a - 1 - u) if u < a else 0.0 for u in range(t + 1)] for a in range(t + 2)])
        start = np.array([gamma**a for a in range(t + 2)]) if gamma else np.eye(t + 2)[0]
        for w in range(2):
            for k in ks:
                new = g @ K[w, k, : t + 1, : t + 1] @ g.T
                if k == 0 and w == 0:
                    new = new + v0 * np.outer(start, start) + sigma**2 * g @ g.T
                C[w, k, : t + 2, : t + 2] = new
        m[t + 1] = gamma * m[t] + jbar * mean_rate(m[t], C[0, 0, t, t]) + theta
    return m, C[0], C[1]
