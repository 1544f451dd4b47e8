"""The file of a recording that a reader gives to a page: what is in it is compared, and nothing else is read."""

import base64
import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import largen as ln
from largen.checks import InputError
from largen.explorer.jobs import Jobs
from largen.explorer.page import Page
from largen.explorer.recording_file import FIELDS, LARGEST, options_of, recording_in
from largen.io.model_files import read_model
from largen.io.results import netcdf_image

WORDS = {
    "sizes": "e=30 i=10",
    "t_start": "0",
    "t_stop": "900",
    "stretch": "300",
    "unit": "ms",
    "step": " ",
    "trials": "",
}
NWB = Path(__file__).parents[1] / "data" / "recording.nwb"


def encoded(image):
    return base64.b64encode(image).decode()


@pytest.fixture(scope="module")
def model():
    return read_model("gamma")


@pytest.fixture(scope="module")
def spikes():
    """Times, neurons and populations of Poisson neurons."""
    rng = np.random.default_rng(3)
    neuron = np.repeat(np.arange(40), 20)
    return rng.uniform(0, 900, len(neuron)), neuron, np.where(neuron < 30, "e", "i")


@pytest.fixture(scope="module")
def images(spikes):
    """The same spikes as CSV and as NPZ."""
    rows = "".join(
        f"{time!r},{neuron},{label}\n" for time, neuron, label in zip(*map(np.ndarray.tolist, spikes), strict=True)
    )
    made = io.BytesIO()
    np.savez(made, time=spikes[0], neuron=spikes[1], population=spikes[2])
    return {"spikes.csv": ("time,neuron,population\n" + rows).encode(), "spikes.npz": made.getvalue()}


@pytest.mark.parametrize("name", ["spikes.csv", "spikes.npz"])
def test_a_table_is_read_as_read_recording_reads_it(name, images, spikes, model, tmp_path):
    found = recording_in(encoded(images[name]), name, WORDS, model)
    (tmp_path / name).write_bytes(images[name])
    want = ln.read_recording(
        tmp_path / name, sizes={"e": 30, "i": 10}, t_start=0.0, t_stop=900.0, stretch=300.0, unit="ms"
    )
    assert found.runs.identical(want)
    assert recording_in(encoded(images[name]), f"../[a]*{name}", WORDS, model).name == f"..__a__{name}"  # never a path
    assert found.statistics["rate[e]"].value == pytest.approx(
        want["rate"].sel(population="e")[..., 751:].mean().item(), rel=1e-9
    )


def test_what_largen_wrote_is_read_and_needs_no_words(images, model):
    runs = recording_in(encoded(images["spikes.npz"]), "x.npz", WORDS, model).runs
    image = netcdf_image(runs).getvalue()
    assert recording_in(encoded(image), "x.nc", {}, model).runs.identical(runs)
    with pytest.raises(InputError, match="say itself what it holds"):
        recording_in(encoded(image), "x.nc", WORDS, model)


def test_an_nwb_file_is_read():
    words = {"populations": "cell_type", "trials": "trials", "stretch": "450"}
    want = ln.read_recording(NWB, populations="cell_type", trials="trials", stretch=450)
    model = read_model("gamma").replace(names=tuple(want["population"].values.tolist()))
    assert recording_in(encoded(NWB.read_bytes()), "recording.nwb", words, model).runs.identical(want)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"t_stop": "soon"}, "Box `t_stop` must be a number such as 2000, but is 'soon'"),
        ({"realisations": "4.5"}, "Box `realisations` must be a number"),
        ({"sizes": "e"}, "Box `sizes` must look like e=300"),
        ({"populations": "e=1-3 i=x"}, "must be ids such as 1-300"),
        ({"sizes": "e=1 e=2"}, "must be given once"),
    ],
)
def test_words_that_mean_nothing_name_their_box(words, message):
    with pytest.raises(InputError, match=message):
        options_of(words)


def test_every_box_is_an_argument_and_empty_ones_say_nothing():
    assert options_of({field.name: "  " for field in FIELDS} | {"origin": "x"}) == {}
    found = options_of({"populations": "e=1-3 i=5,7", "realisations": "4", "inhibitory": "i", "step": "0.5"})
    assert found == {
        "populations": {"e": range(1, 4), "i": [5, 7]},
        "realisations": 4,
        "inhibitory": ["i"],
        "step": 0.5,
    }


def hdf5(fill):
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file.attrs["nwb_version"] = "2.6"
        fill(file.create_group("units"))
    return made.getvalue()


def linked(units):
    units["spike_times"] = h5py.ExternalLink("/etc/other.h5", "a")


def outside(units):
    units.create_dataset("spike_times", (5,), "u1", external=[("/etc/passwd", 0, 5)])


def virtual(units):
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "a", (5,))
    units.create_virtual_dataset("spike_times", layout)


def swollen(units):
    units.create_dataset("spike_times", (10**9,), "f8", chunks=True, compression="gzip")


def round_and_round(units):
    for k in range(8):
        units[f"again{k}"] = units


def bomb():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file, file.open("time.npy", "w", force_zip64=True) as one:
        for _ in range(1050):
            one.write(bytes(1_000_000))
    return made.getvalue()


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        (lambda: hdf5(linked), "x.nwb", "must hold its own data"),
        (lambda: hdf5(outside), "x.nwb", "must hold its own data"),
        (lambda: hdf5(virtual), "x.nc", "must hold its own data"),
        (lambda: hdf5(swollen), "x.nwb", "must have at most 1000000000 bytes"),
        (lambda: hdf5(round_and_round), "x.nwb", "must have sorted spikes"),
        (bomb, "x.npz", "must have at most 1000000000 bytes"),
        (lambda: b"nothing", "x.nwb", "no HDF5 file that can be read"),
        (lambda: b"nothing", "x.npz", "no table that can be read"),
        (lambda: b"a,b\n1,2\n", "x.csv", "must have one column of the time"),
        (lambda: b"nothing", "x.exe", "must end in"),
        (lambda: b"nothing", "x", "must end in"),
    ],
)  # fmt: skip
def test_a_hostile_file_gives_a_sentence_without_paths_of_the_server(image, name, message, model):
    with pytest.raises(InputError, match=message) as caught:
        recording_in(encoded(image()), name, {}, model)
    assert "largen-recording" not in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_a_recording_is_shown_replaced_and_taken_away(images, model):
    page = Page("gamma", model, Jobs())
    file = page.recording_file
    assert not page.beside.pane.visible
    assert not file.upload.there
    file.take({"name": "spikes.csv", "content": encoded(images["spikes.csv"]), "words": WORDS})
    assert file.words.object.startswith("spikes.csv is compared"), file.words.object
    assert (page.beside.pane.visible, file.upload.there) == (True, True)
    shown = page.stage.tabs["Rates"][0].sources["recordinge"].data
    assert len(shown["y"]) > 10
    assert page.stage.box.objects == page.stage._panes["Rates"]
    page.stage.tab.value = "Spectra"
    assert len(page.stage.tabs["Spectra"][0].sources["recordingi"].data["y"])
    before = page.beside.recording
    file.take({"name": "spikes.csv", "content": encoded(images["spikes.csv"]), "words": {"t_stop": "x"}})
    assert "Not compared. Box `t_stop`" in file.words.object
    assert page.beside.recording is before
    for said in (
        {"content": "!!", "name": "a.csv"},
        {"fault": "x" * 500},
        {"content": "A" * (2 * LARGEST), "name": 3},
        {},
    ):
        file.take(said)
        assert len(file.words.object) <= 200
        assert page.beside.recording is before
    file.take({"away": True})
    assert (page.beside.pane.visible, file.upload.there, page.beside.html()) == (False, False, "")
    assert "recordinge" not in page.stage.tabs["Spectra"][0].sources
    page.close()


def test_a_page_of_another_system_says_that_the_recording_is_of_another(images):
    page = Page("correlated", read_model("correlated"), Jobs())
    page.recording_file.take({"name": "a.csv", "content": encoded(images["spikes.csv"]), "words": WORDS})
    assert "must be of the rate system" in page.recording_file.words.object
    assert page.beside.recording is None
