"""Files: whole or not at all, and the same when read back."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import largen as ln
from largen.io import atomic
from toy import Toy

TIMES = np.arange(0.0, 1.0, 0.25)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**40), realisations=st.integers(1, 3), n=st.integers(2, 10**6))
def test_load_gives_back_what_was_saved(tmp_path_factory, seed, realisations, n):
    path = tmp_path_factory.mktemp("files") / "x.nc"
    network = ln.simulate(Toy(), TIMES, n=n, realisations=realisations, seed=seed)
    for dataset in (network, ln.solve_limit(Toy(), TIMES), ln.solve_limit(Toy(), TIMES, n=n)):
        ln.save(dataset, path)
        again = ln.load(path)
        assert again.identical(dataset)
        assert list(again.data_vars) == list(dataset.data_vars)


def test_one_population_survives_too(tmp_path):
    network = ln.simulate(Toy(start=(1.0,), tau=(1.0,)), TIMES, n=50)
    assert ln.load(ln.save(network, tmp_path / "x.nc")).identical(network)


def test_reports_and_studies_survive_too(tmp_path):
    model = Toy()
    report = ln.compare(ln.simulate(model, TIMES, n=50, realisations=4), ln.solve_limit(model, TIMES))
    study = ln.convergence(model, TIMES, n=[50, 100], realisations=4)
    for dataset in (report, study):
        assert ln.load(ln.save(dataset, tmp_path / "x.nc")).identical(dataset)


def test_an_old_file_survives_a_failed_save(tmp_path, monkeypatch):
    old = ln.solve_limit(Toy(), TIMES)
    path = ln.save(old, tmp_path / "x.nc")

    def disk_full(self, data):
        with open(self, "wb") as file:
            file.write(b"half a file")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", disk_full)
        with pytest.raises(ln.InputError, match="No space left on device"):
            ln.save(ln.solve_limit(Toy(), TIMES, n=10), path)
    assert ln.load(path).identical(old)
    assert os.listdir(tmp_path) == ["x.nc"]


def test_a_folder_that_is_missing_or_locked_gives_a_message(tmp_path):
    limit = ln.solve_limit(Toy(), TIMES)
    with pytest.raises(ln.InputError, match="Make the folder first"):
        ln.save(limit, tmp_path / "no" / "x.nc")
    with pytest.raises(ln.InputError, match="name an existing file"):
        ln.load(tmp_path / "no.nc")
    (tmp_path / "bad.nc").write_bytes(b"not a netCDF file")
    with pytest.raises(ln.InputError, match="not a netCDF file"):
        ln.load(tmp_path / "bad.nc")


def test_nan_never_leaves_silently():
    class Broken(Toy):
        def limit(self, times, **options):
            good = super().limit(times, n=None, rtol=1e-8, atol=1e-8)
            return good._replace(values={"mean": good.values["mean"] * np.nan})

    with pytest.raises(FloatingPointError, match="Observable `mean` is not finite"):
        ln.solve_limit(Broken(), TIMES)


def test_files_keep_the_permissions_a_user_expects(tmp_path):
    umask = os.umask(0o022)
    os.umask(umask)
    path = ln.save(ln.solve_limit(Toy(), TIMES), tmp_path / "x.nc")
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert atomic.umask() == umask
