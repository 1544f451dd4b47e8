"""Kernels and their averages over patches: sums, spectra, clipping, worked numbers, messages."""

import numpy as np
import pytest

import largen as ln
from largen.checks import InputError
from largen.space import patches as averages
from largen.space.patches import patch_probability, patch_profile, spectrum, warn_of_wide_patches

SHEET = 10**0.5
RADIAL = {
    "gaussian": ln.GaussianKernel(0.17),
    "gaussian_cut": ln.GaussianKernel(0.2, cutoff=2.5),
    "exponential": ln.ExponentialKernel(0.11),
    "exponential_cut": ln.ExponentialKernel(0.4, cutoff=3),
    "box": ln.BoxKernel(0.3),
}


def ramp(distance):
    """A user's kernel, with a kink and a jump."""
    return 2.0 + np.abs(distance - 0.1)


RADIAL["custom"] = ln.CustomKernel(ramp, cutoff=0.35)


@pytest.mark.parametrize("name", RADIAL)
def test_a_density_has_integral_one_on_the_line_and_in_the_plane(name):
    kernel = RADIAL[name]
    for dimensions in (1, 2):
        reach = kernel.reach(dimensions)
        r = (np.arange(1_000_000) + 0.5) * reach / 1_000_000  # the midpoint rule
        measure = 2.0 if dimensions == 1 else 2.0 * np.pi * r
        whole = float(np.sum(kernel.density(r, dimensions) * measure)) * reach / 1_000_000
        assert whole == pytest.approx(1.0, abs=3e-8)


@pytest.mark.parametrize("name", RADIAL)
def test_an_average_on_a_ring_is_that_of_the_double_integral(name):
    kernel, ring = RADIAL[name], ln.Ring(5, length=1.3)
    found = averages._by_quadrature(kernel, ring, None)[0]
    rough = name == "custom"  # where its kink is nobody knows
    assert found.mean() == pytest.approx(1.0, abs=3e-5 if rough else 3e-13)  # before any rescaling
    count = 200
    x, w = ((np.arange(count) + 0.5) / count - 0.5) * ring.sides[0], np.full(count, 1.0 / count)
    for offset in (0, 1, 2):
        pairs = offset * ring.sides[0] + x[:, None] - x
        brute = w @ kernel.profile(ring, pairs[..., None]) @ w
        assert found[offset] == pytest.approx(brute, abs=1e-3 if name == "gaussian" else 0.02)


def test_the_gaussian_in_closed_form_is_the_quadrature():
    kernel = ln.GaussianKernel(0.17)
    for space in (ln.Ring(7, 1.3), ln.Torus((5, 4), (1.3, 0.9)), ln.Ring(64, 1.0), ln.Ring(1), ln.Ring(2, 0.2)):
        whole, cut = averages._by_quadrature(kernel, space, None)
        assert np.abs(whole - patch_profile(kernel, space)).max() < 1e-11 * whole.max()
        assert np.array_equal(whole, cut)


def khat(kernel, q, dimensions):
    """Fourier transforms in closed form, of kernels without a cutoff."""
    s = float(kernel.width)
    if isinstance(kernel, ln.GaussianKernel):
        return np.exp(-0.5 * (q * s) ** 2)
    return (1.0 + (q * s) ** 2) ** (-(dimensions + 1) / 2)


@pytest.mark.parametrize(
    ("kernel", "patches", "aliases", "error"),
    [
        (ln.GaussianKernel(0.1), 7, 8, 1e-12),
        (ln.GaussianKernel(0.03), 24, 8, 1e-12),
        (ln.GaussianKernel(0.4), 5, 4, 1e-12),
        (ln.ExponentialKernel(0.1), 8, 4000, 1e-12),
    ],
)
def test_the_spectrum_on_a_ring_is_the_sum_over_aliases(kernel, patches, aliases, error):
    ring = ln.Ring(patches, length=1.0)
    w, k = ring.sides[0], ring.modes()[:, 0]
    found = spectrum(patch_profile(kernel, ring)) / patches
    q = 2.0 * np.pi * (k[:, None] + patches * np.arange(-aliases, aliases + 1))
    theory = np.sum(khat(kernel, q, 1) * np.sinc(q * w / (2.0 * np.pi)) ** 2, axis=1)
    assert np.abs(found - theory).max() < error


def test_the_spectrum_on_a_sheet_is_the_sum_over_aliases():
    kernel, sheet = ln.GaussianKernel(0.15), ln.Torus((6, 5), (1.0, 0.8))
    found = spectrum(patch_profile(kernel, sheet)) / sheet.count
    parts = []
    for m, length, w in zip(sheet.shape, sheet.lengths, sheet.sides, strict=True):
        q = 2.0 * np.pi / length * (np.rint(np.fft.fftfreq(m, 1 / m))[:, None] + m * np.arange(-9, 10))
        parts.append(np.sum(khat(kernel, q, 1) * np.sinc(q * w / (2.0 * np.pi)) ** 2, axis=1))
    assert np.abs(found - np.multiply.outer(*parts)).max() < 1e-12


@pytest.mark.parametrize("space", [ln.Ring(9, 1.5), ln.Torus((5, 4), (1.5, 1.2)), ln.Torus(1), ln.Ring(2)])
@pytest.mark.parametrize("name", RADIAL)
def test_the_in_degree_is_kept_and_offsets_mirror(name, space):
    values = patch_probability(RADIAL[name], space, 0.03).values
    assert values.mean() == pytest.approx(0.03, rel=1e-14)
    mirrored = values[np.ix_(*[-np.arange(m) % m for m in space.shape])]
    assert np.array_equal(values, mirrored)


def test_the_numbers_of_a_sheet_of_forty_thousand_neurons():
    # i -> e of width 0.1 cut at 3: the variance of the in-degree by patches a side, and one Fourier multiplier.
    variances = {}
    for side in (5, 7, 11, 20):
        p = patch_probability(ln.GaussianKernel(0.1, cutoff=3), ln.Torus(side, SHEET), 0.002).values
        variances[side] = float(np.sum(p * (1.0 - p)) * 10_000 / side**2)
        if side == 11:
            assert np.fft.fft2(p)[1, 0].real * 10_000 / 121 == pytest.approx(19.135, abs=5e-4)
    assert variances == pytest.approx({5: 19.40, 7: 19.05, 11: 18.45, 20: 17.70}, abs=6e-3)
    neurons = 10_000 * _plane_integral(lambda p: p * (1.0 - p)) / SHEET**2
    assert neurons == pytest.approx(16.745, abs=2e-2)


def _plane_integral(function):
    kernel = ln.GaussianKernel(0.1, cutoff=3)
    r = np.linspace(0.0, 0.3, 20_001)
    p = 0.002 * SHEET**2 * kernel.density(r, 2)
    return np.trapezoid(2.0 * np.pi * r * function(p), r)


def test_centre_to_centre_distances_are_no_average():
    p = patch_probability(ln.GaussianKernel(0.1, cutoff=3), ln.Torus(11, SHEET), 0.002).values
    at_centre = 0.002 * ln.GaussianKernel(0.1, cutoff=3).profile(ln.Torus(11, SHEET), np.zeros((1, 2)))[0]
    assert at_centre == pytest.approx(0.322, abs=5e-4)
    assert p[0, 0] == pytest.approx(0.128, abs=5e-4)


def test_clipping_is_point_by_point_and_before_the_average():
    kernel, ring, p = ln.GaussianKernel(0.1), ln.Ring(8), 0.3
    found = patch_probability(kernel, ring, p, clip=True)
    d = (np.arange(400_000) + 0.5) / 400_000
    kept = np.minimum(1.0, p * kernel.profile(ring, d[:, None])).mean()
    assert found.values.mean() == pytest.approx(kept, rel=1e-9)
    assert found.clipped == pytest.approx(1.0 - kept / p, rel=1e-8)
    assert found.values.max() <= 1.0
    with pytest.raises(InputError, match=r"`kernel\[e,i\]` must be wide enough .* asks for 1.2 .* clip=True"):
        patch_probability(kernel, ring, p, name="kernel[e,i]")
    little = patch_probability(kernel, ring, 0.255)
    assert 0.0 < little.clipped < 0.01


def test_clipping_on_a_sheet():
    kernel, sheet, p = ln.BoxKernel(0.3), ln.Torus(4), 0.5
    found = patch_probability(kernel, sheet, p, clip=True)
    assert found.values.mean() == pytest.approx(np.pi * 0.09, rel=1e-9)  # p min(1, 1/(pi s^2)) where d < s


def test_cosines_are_taken_at_the_centres_of_patches():
    kernel = ln.CosineKernel(0.3, 0.1)
    values = patch_profile(kernel, ln.Ring(8, 2.0))
    assert spectrum(values)[:4] / 8 == pytest.approx([1.0, 0.3, 0.1, 0.0], abs=1e-14)
    sheet = spectrum(patch_profile(kernel, ln.Torus((8, 6)))) / 48
    assert sheet[1, 2] == pytest.approx(0.03, abs=1e-14)


def test_a_wide_patch_is_warned_of_with_the_number_that_suffices():
    ring = ln.Ring(11, SHEET)
    with pytest.warns(UserWarning, match=r"widen `kernel\[e,i\]`.*138 %\. From 27 patches"):
        warn_of_wide_patches({"kernel[e,e]": ln.GaussianKernel(0.4), "kernel[e,i]": ln.GaussianKernel(0.1)}, ring)
    warn_of_wide_patches({"kernel": ln.GaussianKernel(0.1)}, ln.Ring(27, SHEET))
    warn_of_wide_patches({"kernel": ln.CosineKernel(0.1)}, ln.Ring(3))


@pytest.mark.parametrize(
    ("kernel", "space", "message"),
    [
        (ln.GaussianKernel(2.0), ln.Ring(8), r"`k\.width` must be at most the length 1 of the ring, but is 2\.0"),
        (ln.BoxKernel(1.5), ln.Torus(8, (2.0, 1.2)), r"at most the length 1\.2 of the sheet"),
        (ln.GaussianKernel(0.2), ln.Ring(8, images="nearest"), r"`space\.images` must be 'sum' for `k`.*reaches inf"),
        (ln.GaussianKernel(0.2, 3), ln.Ring(8, images="nearest"), r"reaches 0\.6 and so beyond half"),
        (ln.CosineKernel(0.2, 0.1), ln.Ring(4), r"`space\.patches` must be at least 5, to hold the 2 waves of `k`"),
    ],
)
def test_a_kernel_that_does_not_fit_is_refused(kernel, space, message):
    with pytest.raises(InputError, match=message):
        averages.check_kernels({"k": kernel}, space)
    averages.check_kernels({"k": ln.GaussianKernel(0.1, 3)}, ln.Ring(8, images="nearest"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ln.CosineKernel(0.6), "`amplitude` must keep the kernel from being negative, but is 0.6"),
        (lambda: ln.CosineKernel(0.1, amplitude=0.2), "left out"),
        (lambda: ln.GaussianKernel(0.0), "`width` must be greater than 0"),
        (lambda: ln.GaussianKernel(0.1, cutoff=-1), "`cutoff` must be greater than 0"),
        (lambda: ln.CustomKernel(ramp), "`cutoff` must be given"),
        (lambda: ln.CustomKernel("nowhere:f", cutoff=1).call(np.zeros(2)), "cannot be imported"),
        (lambda: ln.CustomKernel(lambda d: d - 1, cutoff=1).call(np.zeros(2)), "finite and not negative"),
        (lambda: ln.CustomKernel(lambda d: 1.0, cutoff=1).call(np.zeros(2)), "one value per distance"),
        (lambda: ln.CustomKernel(lambda d: 0.0 * d, cutoff=1).factor(1), "positive integral"),
    ],
)
def test_a_bad_kernel_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_custom_kernel_is_named_by_a_file():
    kernel = ln.CustomKernel(f"{ramp.__module__}:ramp", cutoff=0.35)
    assert kernel.factor(1) == ln.CustomKernel(ramp, cutoff=0.35).factor(1) == pytest.approx(1 / 1.47250, rel=1e-4)
