"""Planes of two parameters and eigenvalues of drawn networks, with their pictures."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import largen as ln
from largen.systems.rate.populations.pictures import eigenvalues
from systems.rate.populations.cases import rank_one, scs

OUTLIER = rank_one(1.0, 0.5).replace(low_rank=ln.LowRank(((1.2,),), ((1.0,),), (((0.3, 0.2), (0.2, 0.3)),)))


def test_a_plane_has_the_phases_of_rank_one_plus_random():
    plane = rank_one(1.0).phases({"weight_variance[p1,p1]": [0.25, 4.0], "low_rank.left_mean*": [0.5, 3.2]})
    assert plane["phase"].values.tolist() == [["quiet", "structured"], ["chaotic", "structured"]]
    assert float(plane["exponent"][1, 0]) == pytest.approx(0.11245811, abs=1e-4)
    assert float(plane["exponent"][0, 0]) == pytest.approx(-0.5, abs=1e-4)  # edge of the bulk at g = 0.5
    assert np.all(plane["static"].values == [[True, True], [False, True]])
    ax = Figure().subplots()
    ln.plot.phases(plane, ax=ax)
    assert ax.get_xlabel() == "weight_variance[p1,p1]"
    lost = scs(1.5, activation="linear").phases({"weight_variance*": [1.0], "gain": [1.0]})
    assert np.isnan(lost["exponent"].values).all()
    assert "grows without bound" in str(lost["message"].values[0, 0])
    ln.plot.phases(lost, ax=ax)
    with pytest.raises(ln.InputError, match="name two parameters"):
        scs(1.5).phases({"gain": [1.0]})
    with pytest.raises(ln.InputError, match=r"model\.phases"):
        ln.plot.phases(lost[["static"]], ax=ax)


def test_eigenvalues_of_a_network_fill_the_bulk_and_one_is_the_outlier():
    found = OUTLIER.jacobian(n=200, seed=1)
    edge = float(found["bulk_edge"])
    values = found["eigenvalue_real"].values + 1j * found["eigenvalue_imag"].values
    radius = edge + 1.0  # of a disc around -1
    outside = values[np.abs(values + 1.0) > 1.4 * radius]
    assert len(outside) == 1
    assert outside[0].real == pytest.approx(float(found["outlier_real"][0]), abs=0.25)
    inside = np.abs(values + 1.0)[np.abs(values + 1.0) <= 1.4 * radius]
    assert 0.9 * radius < inside.max()
    assert np.mean(inside < radius / 2.0) > 0.25  # denser than uniform in the middle: slopes differ between neurons
    at_edge = found["radius"].sel(real=edge, imag=0.0, method="nearest")
    assert float(at_edge) == pytest.approx(1.0, abs=0.2)
    ax = Figure().subplots()
    ln.plot.jacobian(found, ax=ax)
    assert len(ax.get_legend().get_texts()) == 3


def test_where_a_network_does_not_rest_the_prediction_alone_is_drawn_and_holds_all_of_the_bulk():
    found = eigenvalues(ln.RatePopulations(), None)
    assert "does not come to rest" in found.attrs["note"]
    assert found.attrs["stability"] == "unstable"
    assert found.sizes["neuron"] == 0
    radius, edge = found["radius"], float(found["bulk_edge"])
    assert edge > 0.0
    assert float(radius.interp(real=edge, imag=0.0)) == pytest.approx(1.0, abs=0.02)
    border = [radius.isel({dim: end}) for dim in ("real", "imag") for end in (0, -1)]
    assert max(float(side.max()) for side in border) < 1.0
    assert np.all(found["outlier_real"].values <= float(found["real"].max()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scs(0.5, noise=0.1).jacobian(n=60), "`noise` must be 0"),
        (lambda: scs(0.5, input=ln.TimeSeries((0.0, 1.0), ((0.0,), (1.0,)))).jacobian(n=60), "constant in time"),
        (lambda: scs(0.5).jacobian(n=1), "`n` must be at least 2"),
    ],
)
def test_what_has_no_eigenvalues_is_refused(call, message):
    with pytest.raises((ln.InputError, ln.LimitError), match=message):
        call()
