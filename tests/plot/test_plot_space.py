"""Pictures of rings and sheets: what they show is in the Dataset, and their messages."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

import largen as ln
from largen.checks import InputError


def made(shape, lengths, steps=6):
    values = np.random.default_rng(2).random((2, 2, int(np.prod(shape)), steps))
    dims = ("realisation", "population", "patch", "time")
    coords = {"population": ["e", "i"], "time": ("time", np.arange(float(steps)), {"units": "ms", "long_name": "time"})}
    space = ln.Torus(shape, lengths) if len(shape) > 1 else ln.Ring(shape[0], lengths[0])
    for name, column in zip("xy", space.centres().T, strict=False):
        coords[name] = ("patch", column)
    attrs = {"system": "balanced", "kind": "network"}
    note = {"units": "Hz", "long_name": "rate of a patch"}
    return xr.Dataset({"patch_rate": (dims, values, note)}, coords, attrs)


def test_a_sheet_is_drawn_with_x_to_the_right():
    run = made((4, 3), (2.0, 1.0))
    ax = Figure().subplots()
    ln.plot.activity_map(run, ax=ax, population="i", time=2.5)
    shown = np.asarray(ax.collections[0].get_array()).reshape(3, 4)
    assert np.allclose(shown, run["patch_rate"].values[0, 1, :, 3].reshape(4, 3).T)
    assert ax.get_xlim() == (0.0, 2.0)
    mean = Figure().subplots()
    ln.plot.activity_map(run, ax=mean)
    wanted = run["patch_rate"].values[0, 0, :, 1:].mean(-1).reshape(4, 3).T
    assert np.allclose(np.asarray(mean.collections[0].get_array()).reshape(3, 4), wanted)


@pytest.mark.parametrize(
    ("system", "name", "titles"),
    [
        ("spiking", "patch_rate", ["e, network", "e, theory at this n", "e, limit"]),
        ("balanced", "patch_mean", ["e, limit", "e, network"]),
    ],
)
def test_the_page_of_a_run_shows_its_activity_by_place(system, name, titles):
    network = made([5], [1.0], steps=30).rename(patch_rate=name)
    network["rate"] = network[name].mean("patch").assign_attrs(network[name].attrs)
    network.attrs |= {"system": system, "n": 10, "sizes": [6, 4]}
    limit = network.isel(realisation=0).assign_attrs(kind="limit")
    figure = ln.plot.overview(network, limit, finite=limit if system == "spiking" else None)
    maps = [ax for ax in figure.axes if ax.get_title(loc="left") in titles]
    assert [ax.get_title(loc="left") for ax in maps] == titles
    shown = np.asarray(maps[0].collections[0].get_array()).reshape(5, -1)
    wanted = (network if system == "spiking" else limit)[name].values[(0, 0) if system == "spiking" else 0]
    assert np.allclose(shown, wanted[:, -shown.shape[1] :])


def test_a_ring_is_drawn_against_time():
    ax = Figure().subplots()
    ln.plot.activity_map(made([5], [1.0]), ax=ax)
    assert ax.get_xlim() == (0.0, 5.0)
    assert ax.get_ylim() == (0.0, 1.0)


@pytest.mark.parametrize(("shape", "lengths"), [((4, 3), (2.0, 1.0)), ([5], [1.0])])
def test_a_movie_has_a_frame_for_every_bin_and_says_how_far_it_is(shape, lengths, tmp_path):
    seen = []
    path = ln.plot.movie(made(shape, lengths), tmp_path / "run.gif", progress=seen.append)
    with Image.open(path) as picture:
        assert picture.n_frames == 5
    assert seen[-1] == 1.0
    assert len(seen) >= 2


def test_a_dispersion_relation_has_the_power_on_top():
    mode, branch = np.arange(4), 3
    growth = -np.add.outer(mode, np.arange(branch)).astype(float)
    frequency = np.where(mode[:, None] == 1, 2.0, np.zeros((4, branch)))
    relation = xr.Dataset(
        {
            "growth": (("mode", "branch"), growth),
            "frequency": (("mode", "branch"), frequency),
            "waves": (("mode", "axis"), mode[:, None]),
        }
    )
    power = ln.analysis.spectrum(made((8,), (1.0,), 40))
    ax = Figure().subplots()
    ln.plot.dispersion(relation, ax=ax, power=power)
    assert ax.lines[0].get_ydata().tolist() == growth[:, 0].tolist()
    assert ax.lines[2].get_xdata().tolist() == [1.0]  # oscillating: open
    assert ax.lines[2].get_markerfacecolor() == "white"


def test_what_cannot_be_drawn_is_refused(tmp_path, monkeypatch):
    run, ax = made((4, 3), (2.0, 1.0)), Figure().subplots()
    for wanted, message in (
        ({"population": "x"}, "population"), ({"time": 99.0}, "lie in"), ({"quantity": "patch_mean"}, "patch_mean"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            ln.plot.activity_map(run, ax=ax, **wanted)
    with pytest.raises(InputError, match=r"\.gif"):
        ln.plot.movie(run, tmp_path / "run.avi")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="ffmpeg"):
        ln.plot.movie(run, tmp_path / "run.mp4")


def test_a_raster_of_a_sheet_is_ordered_by_place_and_shows_neurons_of_every_patch():
    run = made((3, 2), (3.0, 2.0))
    sizes = np.array([[4, 6, 5, 5, 7, 3], [2, 2, 2, 2, 2, 2]])
    run = run.assign_coords(patch_size=(("population", "patch"), sizes))
    neuron = np.concatenate([np.arange(30), np.arange(12)])
    owner = np.repeat([0, 1], [30, 12])
    patch = np.concatenate([np.repeat(np.arange(6), row) for row in sizes])
    spikes = {"time": 0.1 * np.arange(42), "population": owner, "neuron": neuron, "realisation": 0 * owner}
    run = run.assign({f"spike_{name}": ("spike", values) for name, values in spikes.items()})
    run = run.assign_coords(realisation=[0, 1])
    run.attrs |= {"sizes": sizes.sum(1), "populations": "e, i"}

    def rows(**options):
        lines = ln.plot.raster(run, ax=Figure().subplots(), **options).lines
        return [np.stack([line.get_xdata(), line.get_ydata()]) for line in lines]

    for order, key in (("x", lambda p: (p // 2, p % 2)), ("y", lambda p: (p % 2, p // 2))):
        first, second = rows(order=order)
        path = sorted(range(42), key=lambda s: (owner[s], key(patch[s]), neuron[s]))
        wanted = {round(0.1 * s, 6): row for row, s in enumerate(path)}
        found = {round(t, 6): row for t, row in zip(*np.concatenate([first, second], axis=1), strict=True)}
        assert found == wanted
    first, second = rows(most=21)
    assert (first.shape[1], second.shape[1]) == (15, 6)
    assert sorted(first[1]) == list(range(15))
    assert np.bincount(patch[np.rint(first[0] * 10).astype(int)], minlength=6).tolist() == [2, 3, 3, 2, 4, 1]
    assert np.array_equal(rows(order="number")[0][1], np.arange(30))
    with pytest.raises(InputError, match="`order` must be"):
        rows(order="z")
    part = run.isel(patch=[0, 1])
    with pytest.raises(InputError, match="hold every patch"):
        ln.plot.raster(part, ax=Figure().subplots(), order="x")
    assert ln.plot.raster(part, ax=Figure().subplots()).get_ylabel() == "neurons"
