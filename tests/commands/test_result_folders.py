"""A results folder is complete and of one run, or the old one, whatever stops a command."""

import os
from pathlib import Path

import pytest

from largen.checks import InputError, Stopped
from largen.commands.main import main
from largen.commands.output import RESULT_FILES, results_folder

RUN = ["run", "correlated", "--times", "0:2:1", "--n", "20", "--realisations", "3"]


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(out, overwrite=False, **files):
    with results_folder(out, "model", overwrite) as results:
        for name, text in files.items():
            (results.folder / name.replace("_", ".")).write_text(text)
    return results.path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "result"
    assert main([*RUN, "--out", str(folder)]) == 0
    return folder


def test_a_run_done_again_has_the_same_bytes_and_no_other_files(finished, capsys):
    before = tree(finished)
    assert set(before) <= RESULT_FILES
    assert main([*RUN, "--out", str(finished), "--overwrite"]) == 0
    assert tree(finished) == before
    assert os.listdir(finished.parent) == ["result"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("Argument `x` must be 1."), MemoryError()])
def test_what_stops_a_command_leaves_the_old_results_and_keeps_what_had_finished(error, tmp_path):
    out = written(tmp_path / "out", report_json="old", finite_nc="old")

    def stopped():
        with results_folder(out, "model", True) as results:
            (results.folder / "report.json").write_text("new")
            raise error

    expected = MemoryError if isinstance(error, MemoryError) else (InputError, Stopped)
    with pytest.raises(expected) as caught:
        stopped()
    assert isinstance(error, MemoryError) or "is in `" in str(caught.value)
    assert tree(tmp_path) == {"out/report.json": b"old", "out/finite.nc": b"old", "out.stopped/report.json": b"new"}
    written(out, True, report_json="newer")
    assert tree(tmp_path) == {"out/report.json": b"newer"}


def test_nothing_is_left_of_a_command_that_had_not_finished_anything(tmp_path):
    with pytest.raises(InputError), results_folder(tmp_path / "a" / "b", "model", False):
        raise InputError("Argument `x` must be 1.")
    assert os.listdir(tmp_path) == []


def test_files_of_the_users_own_stay_when_results_are_replaced(tmp_path):
    out = written(tmp_path / "out", finite_nc="old", report_json="old")
    (out / "notes.txt").write_text("mine")
    (out / "scripts").mkdir()
    (out / "scripts" / "report.json").write_text("mine")
    written(out, True, report_json="new")
    assert tree(tmp_path) == {
        "out/report.json": b"new", "out/notes.txt": b"mine", "out/scripts/report.json": b"mine",
    }  # fmt: skip


def test_results_go_where_a_link_points(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big", target_is_directory=True)
    written(tmp_path / "out", report_json="new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "big" / "report.json").read_text() == "new"


def test_two_runs_at_once_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with results_folder(None, "model", False) as one, results_folder(None, "model", False) as two:
        for results in (one, two):
            (results.folder / "report.json").write_text(results.path.name)
    found = tree(tmp_path / "largen-results")
    assert found == {"model/report.json": b"model", "model-2/report.json": b"model-2"}


def test_a_folder_that_another_run_filled_meanwhile_is_not_written_over(tmp_path):
    def overtaken():
        with results_folder(tmp_path / "out", "model", False) as results:
            (results.folder / "report.json").write_text("second")
            written(tmp_path / "out", report_json="first")

    with pytest.raises(InputError, match=r"filled by another run meanwhile.*out\.stopped"):
        overtaken()
    assert tree(tmp_path) == {"out/report.json": b"first", "out.stopped/report.json": b"second"}


@pytest.mark.parametrize("out", [".", "..", "/", "file"])
def test_a_place_that_cannot_be_exchanged_is_refused_before_any_work(out, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    place = tmp_path / out if out == "file" else Path(out)
    with pytest.raises(InputError, match="`out` must"), results_folder(place, "m", True):
        pytest.fail("work began")


def test_the_home_folder_is_written_out_in_the_options_of_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([*RUN, "--out", "~/result"]) == 0
    assert main(["limit", "correlated", "--times", "0:2:1", "--out", "~/limit.nc"]) == 0
    assert main(["compare", "~/result/network.nc", "~/result/limit.nc", "-o", "~/report.nc"]) == 0
    assert {"result", "limit.nc", "report.nc"} <= set(os.listdir(tmp_path))
