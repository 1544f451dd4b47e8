"""Damaged results are refused with one message that names the file; what killed processes left is removed."""

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import largen as ln
from largen.io import folders
from largen.io.atomic import being_written, write_atomically
from largen.io.checksums import checksum
from toy import Toy

TIMES = np.arange(0.0, 1.0, 0.25)
FORMATS = ("nc", "zarr")


@pytest.fixture(scope="module")
def network():
    return ln.simulate(Toy(), np.linspace(0, 5, 600), n=50, realisations=2)


def files_of(path):
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def outcome(path, network):
    """Whether `load` refuses, gives a note, or says nothing; never other numbers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = ln.load(path)
        except ln.InputError as error:
            return "refused" if path.name in str(error) else "refused without a name"
    assert found.identical(network)
    return "note" if any(issubclass(warning.category, ln.Unverified) for warning in caught) else "nothing"


def damage(path, draw):
    """Flip a bit, cut a piece off, remove or exchange files."""
    kind = draw.choice(["flip", "flip", "cut", "remove", "swap"])
    files = files_of(path)
    file = draw.choice(files)
    content = bytearray(file.read_bytes())
    if kind == "remove" and len(files) > 1:
        file.unlink()
    elif kind == "swap" and len(files) > 1:
        other = draw.choice([one for one in files if one.read_bytes() != bytes(content)])
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_flip_cut_loss_and_exchange_of_bytes_is_noticed(suffix, network, tmp_path):
    whole = ln.save(network, tmp_path / f"whole.{suffix}")
    draw, found = random.Random(1), []
    for number in range(60):
        hurt = tmp_path / f"{number}.{suffix}"
        (shutil.copytree if whole.is_dir() else shutil.copy)(whole, hurt)
        damage(hurt, draw)
        found.append(outcome(hurt, network))
    assert "nothing" not in found
    assert found.count("refused") > 50


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_result_that_another_program_wrote_again_is_verified_by_its_content(suffix, network, tmp_path):
    path = ln.save(network, tmp_path / f"x.{suffix}")
    engine = "zarr" if suffix == "zarr" else "h5netcdf"
    again = tmp_path / f"again.{suffix}"
    for shift in (0.0, 1e-12):
        with xr.open_dataset(path, engine=engine, decode_times=False) as opened:
            changed = opened.load()
        for variable in changed.variables.values():
            variable.encoding = {}
        changed["mean"][0, 0, 0] += shift
        shutil.rmtree(again, ignore_errors=True)
        changed.to_zarr(again, zarr_format=2) if suffix == "zarr" else changed.to_netcdf(again, engine=engine)
        assert outcome(again, network) == ("refused" if shift else "note")


def test_the_checksum_sees_names_dims_types_values_and_attributes(network):
    changes = [
        network.rename({"mean": "rate"}),
        network.transpose("time", ...),
        network.astype(np.float32),
        network.assign_coords(population=["a", "c"]),
        network.assign(extra=1.0),
        network.assign_coords(extra=1.0),
        network.assign_attrs(seed=1),
        network.drop_attrs(deep=False),
        network.assign(mean=network["mean"].assign_attrs(units="V")),
        network.assign(mean=-network["mean"]),
    ]
    found = {checksum(changed) for changed in (network, *changes)}
    assert len(found) == len(changes) + 1
    assert checksum(network.copy(deep=True)) == checksum(network)


def test_a_damaged_old_result_is_refused_or_noted_too(tmp_path):
    old = Path(__file__).parent.parent / "data" / "largen-0.1.0" / "rate-limit.nc"
    content, draw = old.read_bytes(), random.Random(2)
    for number in range(40):
        hurt = tmp_path / f"{number}.nc"
        hurt.write_bytes(content[: draw.randrange(len(content))])
        with pytest.raises(ln.InputError, match=rf"{number}\.nc.*damaged"):
            ln.load(hurt)


@pytest.mark.parametrize("given", ["", ".", "..", "/", "a\0b.nc", 3, None, b"x.nc"])
def test_what_cannot_name_a_file_is_refused_by_name(given, network):
    for call in (lambda: ln.save(network, given), lambda: ln.write_model(Toy(), given)):
        with pytest.raises(ln.InputError, match=r"Argument `path` must (name a file|be a path)"):
            call()


def test_a_folder_is_no_file_to_write(tmp_path, network):
    with pytest.raises(ln.InputError, match=r"must name a file, .* There is a folder of this name"):
        ln.save(network, tmp_path)


def test_the_home_folder_is_written_out_in_every_path(tmp_path, network, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ln.save(network, "~/x.nc") == tmp_path / "x.nc"
    assert ln.load("~/x.nc").identical(network)
    assert ln.save(network, "~/x.zarr") == tmp_path / "x.zarr"
    assert ln.write_model(ln.RateNetwork(), "~/model.yaml") == tmp_path / "model.yaml"
    assert ln.read_model("~/model.yaml").reference_size is None
    ln.sweep(ln.BalancedNetwork(), ln.Grid({"drive[e]": [0.5]}), times=TIMES, store="~/sweep.nc")
    assert {"x.nc", "x.zarr", "model.yaml", "sweep.nc", "sweep.nc.tasks"} == set(os.listdir(tmp_path))
    with pytest.raises(ln.InputError, match="must name an existing file"):
        ln.load("~nosuchuser/x.nc")


KILLED = """
import os, signal, sys
from pathlib import Path
from largen.io.atomic import being_written
with being_written(Path(sys.argv[1]), folder=sys.argv[2] == "zarr") as aside:
    (aside / "half" if aside.is_dir() else aside).write_bytes(b"half")
    if sys.argv[3] == "wait":
        print("ready", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(suffix, tmp_path, network):
    path = tmp_path / f"x.{suffix}"
    command = [sys.executable, "-c", KILLED, str(path), suffix]
    subprocess.run([*command, "now"], check=False)
    assert len(os.listdir(tmp_path)) == 1
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, "wait"], **pipes) as living:
        living.stdout.readline()
        ln.save(network, path)
        assert len(os.listdir(tmp_path)) == 2
        living.stdin.close()
    ln.save(network, path)
    assert os.listdir(tmp_path) == [path.name]


def test_only_files_of_the_very_same_name_are_removed(tmp_path, network):
    strangers = [".x.nc.part", ".y.nc.abcdefgh.part", ".x.nc.abcdefgh.part.txt", ".x.nc.two words.part"]
    for name in strangers:
        (tmp_path / name).write_bytes(b"")
    ln.save(network, tmp_path / "x.nc")
    assert sorted(os.listdir(tmp_path)) == sorted([*strangers, "x.nc"])


@pytest.mark.parametrize(("crashed", "left"), [("between the renames", "old"), ("before the old one went", "new")])
def test_an_exchange_of_folders_that_a_crash_interrupted_is_mended_by_the_next_start(crashed, left, tmp_path):
    path, old = tmp_path / "result", tmp_path / ".result.old"
    new = tmp_path / ".result.abcdefgh.part" if crashed == "between the renames" else path
    for folder in (old, new):
        folder.mkdir()
    for name in ("ours", "gone", "notes.txt"):
        (old / name).write_text("old")
    (new / "ours").write_text("new")
    folders.mend(path, lambda name: name != "notes.txt")
    assert os.listdir(tmp_path) == ["result"]
    assert (path / "ours").read_text() == left
    assert (path / "gone").exists() == (left == "old")
    assert (path / "notes.txt").read_text() == "old"


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    path, rename = tmp_path / "result", os.rename
    path.mkdir()
    (path / "x").write_text("old")

    def failing(source, target):
        if str(source).endswith(".part"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with being_written(path, folder=True) as aside, pytest.raises(OSError, match="No space left"):
        folders.exchange(aside, path)
    assert os.listdir(tmp_path) == ["result"]
    assert (path / "x").read_text() == "old"


def test_a_file_is_written_whole_while_others_write_it_too(tmp_path):
    script = (
        "import sys; from pathlib import Path; from largen.io.atomic import write_atomically\n"
        "for _ in range(100): write_atomically(Path(sys.argv[1]), lambda aside: aside.write_text(sys.argv[2] * 1000))"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "x.txt")]
    writers = [subprocess.Popen([*words, letter]) for letter in "abc"]
    for writer in writers:
        assert writer.wait() == 0
    assert (tmp_path / "x.txt").read_text() in {letter * 1000 for letter in "abc"}
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_list_of_a_stores_files_can_be_checked_by_other_programs(tmp_path, network):
    store = ln.save(network, tmp_path / "x.zarr")
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum here")
    assert subprocess.run([program, "--check", "--quiet", "checksums.sha256"], cwd=store).returncode == 0
    assert json.loads((store / ".zattrs").read_text())["checksum"] == f"sha256:{checksum(network)}"


def test_a_text_file_is_written_where_a_link_to_nowhere_stood(tmp_path):
    (tmp_path / "x.txt").symlink_to(tmp_path / "nowhere")
    write_atomically(tmp_path / "x.txt", lambda aside: aside.write_text("new"))
    assert (tmp_path / "x.txt").read_text() == "new"
