"""Colours that carry meaning are told apart by the colour-blind, and lines by more than their colour.

Source: Machado, Oliveira & Fernandes 2009, IEEE Trans. Vis. Comput. Graph. 15:1291, severity 1; distances are CIE76.
"""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import largen as ln
from largen import plot
from largen.plot.common import EXCITATORY, INHIBITORY, colours, line_styles

SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
LEAST = 15.0
"""Smallest distance of two colours of one picture; 2.3 is just noticeable."""


def lab(colour, sight):
    """CIE L*a*b* of a colour as it is seen, white point D65."""
    given = np.array(to_rgb(colour))
    linear = SIGHT[sight] @ np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    x = to_xyz @ np.clip(linear, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(palette):
    """Smallest distance of two different colours over all kinds of sight, and which they are."""
    return min(
        (float(np.linalg.norm(lab(a, sight) - lab(b, sight))), sight, a, b)
        for sight in SIGHT
        for a, b in itertools.combinations(sorted({mpl.colors.to_hex(colour) for colour in palette}), 2)
    )


def faults(ax):
    """Pairs of named lines of one picture that are told apart by too little."""
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    for a, b in itertools.combinations(lines, 2):
        if mpl.colors.same_color(a.get_color(), b.get_color()):
            continue
        distance = closest([a.get_color(), b.get_color()])[0]
        shape = [(x.get_linestyle(), x._dash_pattern, x.get_marker(), x.get_linewidth()) for x in (a, b)]
        if distance < LEAST or shape[0] == shape[1]:
            yield a.get_label(), b.get_label(), distance


def test_the_distance_is_that_of_the_books():
    assert closest(["#000000", "#ffffff"])[0] == pytest.approx(100, abs=0.01)
    red_green = closest(["#d62728", "#2ca02c"])  # matplotlib's own
    assert red_green[1] != "normal"
    assert red_green[0] < np.linalg.norm(lab("#d62728", "normal") - lab("#2ca02c", "normal")) / 2


def test_red_and_green_lines_of_one_style_are_found():
    ax = Figure().subplots()
    ax.plot([0, 1], label="a", color="#B07030")
    ax.plot([1, 0], label="b", color="#708030")
    assert len(list(faults(ax))) == 1
    ax.lines[1].set(linestyle="--", color="#0072B2")
    assert not list(faults(ax))


def test_populations_differ_by_colour_and_style():
    labels = ["e", "e2", "i", "i2"]
    assert closest([*EXCITATORY, *INHIBITORY])[0] >= LEAST
    assert len(set(colours(labels).values())) == len(set(line_styles(labels).values())) == 4


def pictures():
    times = np.round(np.arange(1001) * 0.1, 9)
    spiking = ln.SpikingNetwork()
    runs = {"network": ln.simulate(spiking, times, realisations=2, seed=1), "limit": ln.solve_limit(spiking, times)}
    yield plot.bands(runs["network"], runs["limit"], "rate", finite=runs["limit"], ax=Figure().subplots())
    yield plot.orbit({name: ln.analysis.orbit(run) for name, run in runs.items()}, ax=Figure().subplots())
    rate = ln.RateNetwork()
    network = ln.simulate(rate, np.arange(4.0), n=40, realisations=4, replicas=2, seed=1)
    yield plot.against_lag(network, ln.solve_limit(rate, np.arange(4.0)), ax=Figure().subplots())
    states = {"state": ["quiet", "bursting"], "duration": [1.0, 2.0, 4.0]}
    lasting = (("state", "duration"), [[1.0, 0.5, 0.1], [1.0, 0.7, 0.3]])
    found = xr.Dataset(
        {"dwell": ("state", [2.0, 3.0]), "dwell_se": ("state", [0.1, 0.1]), "survival": lasting}, coords=states
    )
    yield plot.dwell_times(found, ax=Figure().subplots())
    swept = xr.Dataset(
        {"y": (("x", "case"), np.arange(8.0).reshape(2, 4)), "status": ("x", ["completed"] * 2)},
        coords={"x": [0.0, 1.0], "case": list("abcd")},
    )
    yield plot.map(swept, "y", ax=Figure().subplots())


def test_lines_of_a_picture_differ_by_colour_and_style():
    for ax in pictures():
        assert len([line for line in ax.lines if not line.get_label().startswith("_")]) >= 2
        assert not list(faults(ax))


@pytest.mark.parametrize("name", ["viridis"])
@pytest.mark.parametrize("sight", SIGHT)
def test_a_scale_of_one_direction_only_gets_lighter(name, sight):
    lightness = [lab(colour, sight)[0] for colour in mpl.colormaps[name](np.linspace(0, 1, 32))[:, :3]]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("sight", SIGHT)
def test_a_scale_of_two_directions_has_two_ends(sight):
    low, middle, high = (lab(mpl.colormaps["RdBu_r"](x)[:3], sight) for x in (0.0, 0.5, 1.0))
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations((low, middle, high), 2)) > 2 * LEAST


def test_inhibition_has_its_colours_however_it_is_called():
    found = colours(["E", "I", "L4E", "L4I", "i2", "e_i"])
    assert [label for label, colour in found.items() if colour in INHIBITORY] == ["I", "L4I", "i2"]
