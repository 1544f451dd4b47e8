"""Rings and sheets: sizes, the order of patches, labels, waves, messages."""

import numpy as np
import pytest

import largen as ln
from largen.checks import InputError


def test_patches_of_a_sheet_are_in_c_order():
    sheet = ln.Torus((3, 2), length=(6.0, 1.0))
    assert (sheet.shape, sheet.count, sheet.volume) == ((3, 2), 6, 6.0)
    assert sheet.sides.tolist() == [2.0, 0.5]
    assert sheet.centres().tolist() == [[1, 0.25], [1, 0.75], [3, 0.25], [3, 0.75], [5, 0.25], [5, 0.75]]
    assert sheet.label("e", 3) == "e(1,1)"
    assert [sheet.patch(label) for label in sheet.labels(("e", "i"))] == [(a, x) for a in "ei" for x in range(6)]
    assert ln.Torus(3).shape == (3, 3)


def test_indices_of_labels_count_modulo_the_patches():
    assert ln.Torus((3, 2)).patch("L23E(-1, 5)") == ("L23E", 5)
    assert ln.Ring(8).patch("e(9)") == ("e", 1)
    assert ln.Ring(8).label("i", 7) == "i(7)"


@pytest.mark.parametrize(
    ("label", "message"),
    [("e", r"named like `e\(3,7\)`"), ("e(1)", "has 2 indices, but `e"), ("e(x,1)", "named like"), (3, "named like")],
)
def test_a_wrong_label_is_refused(label, message):
    with pytest.raises(InputError, match=message):
        ln.Torus(4).patch(label)


def test_modes_are_those_of_the_fft_and_waves_have_one_of_them():
    sheet = ln.Torus((5, 4))
    power = np.abs(np.fft.fft2(sheet.wave((1, -2)).reshape(5, 4)))
    k = sheet.modes()[np.flatnonzero(power.ravel() > 1e-9)]
    assert {tuple(mode) for mode in k.tolist()} == {
        (1, -2),
        (-1, -2),
    }  # two waves around four patches: k and -k are one
    assert ln.Ring(4).wave(2).tolist() == pytest.approx([1, -1, 1, -1])
    assert ln.Torus(4).mode(1) == (1, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ln.Ring(0), "`patches` must be at least 1"),
        (lambda: ln.Ring((3, 4)), "patches"),
        (lambda: ln.Torus((3, 4, 5)), "`patches` must be one number or 2 numbers"),
        (lambda: ln.Torus(4, length=-1.0), "`length` must be greater than 0"),
        (lambda: ln.Ring(4, images="all"), "`images` must be one of"),
        (lambda: ln.Ring(8).mode(5), "at most half of the 8 patches"),
        (lambda: ln.Ring(8).mode(1.5), "be an integer"),
        (lambda: ln.Torus(8).mode((1, 2, 3)), "a pair of integers"),
    ],
)
def test_bad_geometry_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
