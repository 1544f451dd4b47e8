"""The view of eigenvalues, and latent variables of all networks."""

import numpy as np
import pytest
import xarray as xr

from largen.explorer.views_eigenvalues import JacobianPlane
from largen.explorer.views_plane import Curves
from largen.system import pictures
from largen.systems.rate.populations.pictures import VIEWS


def spectrum(centre, radius, boundary, n=3, **more):
    """A disc of eigenvalues with one outlier pair."""
    real, imag = np.linspace(centre - 2, centre + 2, 121), np.linspace(-2, 2, 121)
    away = np.abs(real[:, None] + 1j * imag - centre)
    with np.errstate(divide="ignore"):
        variables = {"radius": (("real", "imag"), (radius / away) ** 2)}
    variables |= {"eigenvalue_real": ("neuron", np.arange(float(n))), "eigenvalue_imag": ("neuron", np.zeros(n))}
    variables |= {"outlier_real": ("outlier", [0.3, 0.3]), "outlier_imag": ("outlier", [0.1, -0.1])}
    variables["bulk_edge"] = ((), centre + radius)
    attrs = {"n": n, "stability": "unstable", "boundary": boundary, **more}
    return xr.Dataset(variables, {"real": real, "imag": imag}, attrs)


@pytest.mark.parametrize(("centre", "boundary"), [(-1.0, "imaginary axis"), (0.2, "unit circle")])
def test_the_edge_is_where_the_spectral_radius_is_one(centre, boundary):
    view = JacobianPlane.of(None, pictures.Eigenvalues("title", len))
    assert view.question is len
    view.show_answer(spectrum(centre, 0.8, boundary), "")
    xs, ys = view.sources["bulk"].data["xs"], view.sources["bulk"].data["ys"]
    assert len(xs) == 1
    np.testing.assert_allclose(np.abs(np.array(xs[0]) - centre + 1j * np.array(ys[0])), 0.8, atol=1e-3)
    line = np.array(view.sources["boundary"].data["xs"][0]) + 1j * np.array(view.sources["boundary"].data["ys"][0])
    np.testing.assert_allclose(np.abs(line) if boundary == "unit circle" else line.real + 1.0, 1.0)
    np.testing.assert_array_equal(view.sources["network"].data["x"], [0, 1, 2])
    edge = f"{centre + 0.8:.4g}"
    assert view.said.object.startswith(f"The static state is unstable; bulk edge {edge}, outliers 0.3+0.1j, 0.3-0.1j.")
    assert "one network of 3 neurons" in view.said.object
    view.show_answer(None, "No static state <b>.")
    assert all(len(next(iter(source.data.values()))) == 0 for source in view.sources.values())
    assert view.said.object == "No static state <b>."


def test_a_prediction_without_a_network_says_why():
    view = JacobianPlane.of(None, pictures.Eigenvalues("title", len))
    view.show_answer(spectrum(-1.0, 1.2, "imaginary axis", n=0, note="It does not rest."), "")
    assert view.said.object.endswith("the prediction and no network. It does not rest.")
    assert not next(item for item, of in view._items if of == "network").visible


def test_latent_variables_of_every_network_are_drawn():
    time = np.arange(4.0)
    limit = xr.Dataset({"latent": (("rank", "time"), [time])}, {"time": time, "rank": [0]})
    runs = [limit.expand_dims("realisation") + k for k in (1, 2)]
    picture = VIEWS["Latent"][0]
    view = Curves.of(limit, picture)
    view.draw(limit, runs)
    np.testing.assert_array_equal(view.sources["limitrank 0"].data["y"], time)
    assert view.sources["networkrank 0"].data["ys"] == [(time + k).tolist() for k in (1, 2)]
    first = Curves.of(limit, picture._replace(every=False))
    first.draw(limit, runs)
    np.testing.assert_array_equal(first.sources["networkrank 0"].data["y"], time + 1)
    first.draw(limit, [])
    assert len(first.sources["networkrank 0"].data["y"]) == 0
