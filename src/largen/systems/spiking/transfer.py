"""Exact transfer of a voltage bin's density through one Euler step with Gaussian noise.

In a bin of width w only the number of neurons and their mean potential are known. `reconstruct` puts a density
there; the step shifts and stretches it and adds a normal variable; `moments` gives the exact mass, first moment and
density of the result below an edge. All potentials are relative to the centre of the source bin, so that nothing
large cancels.

Source: CLWTX 2024 (arXiv 2411.14801) for the uniform density; the linear density, the stretch and the moments of
pending spikes are largen's own.
"""

import math

import numpy as np
from numba import njit

REACH = 7.5
"""Normal tails beyond this many standard deviations (3e-14) count as 0."""


@njit(cache=True, error_model="numpy")
def reconstruct(mean, width, uniform, narrowest):
    """Density in a bin from its mean, relative to the centre of the bin.

    The density is (1 + tilt (x - mid)) / length on (left, left + length), mid being the middle of that interval;
    it has the given mean exactly. `linear` fills the bin as long as it is positive, then becomes a triangle at the
    nearer edge; `uniform` (the paper) touches the nearer edge. A support is never shorter than `narrowest`, and
    then may leave the bin by less than that.

    Returns:
        left, length, tilt.
    """
    to_edge = 0.5 * width - abs(mean)
    if uniform:
        length = max(2.0 * to_edge, narrowest)
        return mean - 0.5 * length, length, 0.0
    if abs(mean) <= width / 6.0:
        return -0.5 * width, width, 12.0 * mean / (width * width)
    length = max(3.0 * to_edge, narrowest)
    if mean < 0.0:
        return mean - length / 3.0, length, -2.0 / length
    return mean - 2.0 * length / 3.0, length, 2.0 / length


# 2^r = sum of r^q (log 2)^q / q!, to 1e-17 on (-1/2, 1/2), and whole powers of 2 from -64 to 0.
E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12, E13 = (math.log(2.0) ** q / math.factorial(q) for q in range(1, 14))
POWERS = 2.0 ** np.arange(-64.0, 1.0)


@njit(cache=True, error_model="numpy")
def _exp_half_square(x):
    """exp(-x^2/2) for 0 <= x <= 9."""
    power = -0.5 / math.log(2.0) * x * x
    whole = np.rint(power)
    r = power - whole
    series = E6 + r * (E7 + r * (E8 + r * (E9 + r * (E10 + r * (E11 + r * (E12 + r * E13))))))
    series = 1.0 + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * series)))))
    return series * POWERS[np.int64(whole) + 64]


@njit(cache=True, error_model="numpy")
def normal_pairs(z, count, cdf, pdf):
    """Fill the normal distribution function and density at z[:count]; absolute error below 1e-15.

    The tail is Hart's rational function 5666 times the density (G. West, Better approximations to cumulative normal
    functions, Wilmott 2005). No branch and no call, so that the loop becomes vector instructions: 3 ns a pair.
    """
    for i in range(count):
        x = min(abs(z[i]), 9.0)
        bell = _exp_half_square(x)
        above = ((3.52624965998911e-2 * x + 0.700383064443688) * x + 6.37396220353165) * x + 33.912866078383
        above = ((above * x + 112.079291497871) * x + 221.213596169931) * x + 220.206867912376
        below = ((8.83883476483184e-2 * x + 1.75566716318264) * x + 16.064177579207) * x + 86.7807322029461
        below = (((below * x + 296.564248779674) * x + 637.333633378831) * x + 793.826512519948) * x
        tail = bell * above / (below + 440.413735824752)
        cdf[i] = 1.0 - tail if z[i] > 0.0 else tail
        pdf[i] = 0.3989422804014327 * bell


@njit(cache=True, error_model="numpy")
def moments(edge, left, length, tilt, noise, za, zb, cdf_a, cdf_b, pdf_a, pdf_b):
    """Mass, first moment and density of V' = V + noise * normal below an edge, V with the given density.

    Args:
        edge: Edge l.
        left: Lower end a of the density of V.
        length: b - a.
        tilt: Slope of the density, relative to its mean value.
        noise: Standard deviation of the normal part.
        za: (l - a)/noise.
        zb: (l - b)/noise.
        cdf_a: Normal distribution function at za.
        cdf_b: Normal distribution function at zb.
        pdf_a: Normal density at za.
        pdf_b: Normal density at zb.

    Returns:
        G0 = P(V' < l), G1 = E[V'; V' < l], F = density of V' at l.
    """
    # Integrals of Phi, z Phi and z^2 Phi from zb to za.
    phi = pdf_a - pdf_b
    Phi = cdf_a - cdf_b
    z_Phi_a, z_Phi_b = za * cdf_a, zb * cdf_b
    i0 = (z_Phi_a + pdf_a) - (z_Phi_b + pdf_b)
    z2_a, z2_b = za * (z_Phi_a + pdf_a), zb * (z_Phi_b + pdf_b)
    i1 = 0.5 * ((z2_a - cdf_a) - (z2_b - cdf_b))
    i2 = ((za * z2_a + 2.0 * pdf_a) - (zb * z2_b + 2.0 * pdf_b)) / 3.0
    to_mid = edge - (left + 0.5 * length)
    s1 = noise * i1
    g0 = i0 + tilt * (to_mid * i0 - s1)
    g1 = edge * i0 - s1 - noise * Phi
    g1 += tilt * (to_mid * (edge * i0 - s1 - noise * Phi) - edge * s1 + noise * noise * (i2 - phi))
    f = Phi + tilt * (to_mid * Phi + noise * phi)
    return g0 * noise / length, g1 * noise / length, f / length


@njit(cache=True, error_model="numpy")
def second_moments(edge, left, length, tilt, noise, za, zb, cdf_a, cdf_b, pdf_a, pdf_b, g0, f):
    """Second moments of V and V' = V + noise * normal below an edge; arguments as for `moments`, and G0 and F.

    By E[e h(V')] = noise^2 E[h'(V')] for the normal part e, they need only E[V^2; V' < l] and E[V; V' = l].

    Returns:
        E[V^2; V' < l], E[V V'; V' < l], E[V'^2; V' < l].
    """
    # Integrals of z^q Phi (q = 0 ... 3) and of z^q phi (q = 0, 1, 2) from zb to za.
    u_a, u_b = za * cdf_a + pdf_a, zb * cdf_b + pdf_b
    z2_a, z2_b = za * za, zb * zb
    i0 = u_a - u_b
    i1 = 0.5 * ((za * u_a - cdf_a) - (zb * u_b - cdf_b))
    i2 = ((z2_a * u_a + 2.0 * pdf_a) - (z2_b * u_b + 2.0 * pdf_b)) / 3.0
    i3 = 0.25 * ((za * (z2_a * u_a + 3.0 * pdf_a) - 3.0 * cdf_a) - (zb * (z2_b * u_b + 3.0 * pdf_b) - 3.0 * cdf_b))
    j0 = cdf_a - cdf_b
    j1 = pdf_b - pdf_a
    j2 = j0 - (za * pdf_a - zb * pdf_b)
    # V = l - noise z, with density (flat - steep z) / length.
    flat = 1.0 + tilt * (edge - left - 0.5 * length)
    steep = tilt * noise
    square = edge * edge * (flat * i0 - steep * i1)
    square -= 2.0 * edge * noise * (flat * i1 - steep * i2)
    square += noise * noise * (flat * i2 - steep * i3)
    square *= noise / length
    at_edge = (edge * (flat * j0 - steep * j1) - noise * (flat * j1 - steep * j2)) / length
    product = square - noise * noise * at_edge
    return square, product, product + noise * noise * (g0 - edge * f)
