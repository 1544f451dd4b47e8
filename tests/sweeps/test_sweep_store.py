"""What a sweep keeps: whole files or none, never read when damaged, never unpickled; the lock."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import largen as ln
from largen.sweeps.store import Block, Damaged, Status, Store, Variable, decode, encode

KEY = "0" * 32
BLOCK = Block(
    (Status.COMPLETED, Status.FAILED),
    ("", "It broke: é."),
    {
        "limit_rate": Variable(("population",), np.array([[1.0, np.inf], [np.nan, -0.0]]), {"units": "Hz"}),
        "compare_verdict": Variable((), np.array(["agrees", ""]), {}),
    },
    {"population": Variable(("population",), np.array(["e", "i"]), {})},
)


class Bomb:
    """An object that would write a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_what_is_written_is_read():
    data = encode(KEY, BLOCK)
    found = decode(KEY, data)
    assert found.status == BLOCK.status
    assert found.message == BLOCK.message
    for name, variable in BLOCK.variables.items():
        assert found.variables[name].dims == variable.dims
        np.testing.assert_array_equal(found.variables[name].data, variable.data)
    assert encode(KEY, found) == data


def test_any_cut_and_any_changed_byte_is_noticed():
    data = encode(KEY, BLOCK)
    for end in range(len(data)):
        with pytest.raises(Damaged):
            decode(KEY, data[:end])
    for k in range(len(data)):
        with pytest.raises(Damaged):
            decode(KEY, data[:k] + bytes([data[k] ^ 1]) + data[k + 1 :])
    with pytest.raises(Damaged, match="another task"):
        decode("1" * 32, data)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "|O8"},
        {"shape": [-1, 2]},
        {"shape": [10**9, 10**9]},
        {"shape": "x"},
        {"dims": 3},
        {"attrs": 1.0},
        {"words": {"a": 1}},
    ],
)
def test_a_forged_file_with_a_right_checksum_can_only_hold_numbers_and_words(change):
    data = encode(KEY, BLOCK)
    body = data[len(b"largen sweep task 1\n") + 32 :]
    length = int.from_bytes(body[:8], "little")
    header = json.loads(body[8 : 8 + length])
    header["variables"]["limit_rate"] |= change
    text = json.dumps(header).encode()
    forged = len(text).to_bytes(8, "little") + text + body[8 + length :]
    digest = hashlib.blake2b(forged, digest_size=32).digest()
    with pytest.raises(Damaged):
        decode(KEY, b"largen sweep task 1\n" + digest + forged)


def test_a_pickle_in_a_task_s_place_is_never_opened(tmp_path):
    store = Store(tmp_path / "s.zarr")
    with store.locked():
        for data in (pickle.dumps(Bomb(tmp_path / "boom")), b"", b"\0" * 100, b"PK\x03\x04"):
            store.file(KEY).write_bytes(data)
            assert store.read(KEY) is None
        assert not (tmp_path / "boom").exists()
        store.write(KEY, encode(KEY, BLOCK))
        assert store.read(KEY) is not None


def test_one_sweep_at_a_time_and_no_stale_lock(tmp_path):
    store = Store(tmp_path / "s.nc")
    code = f"""
import sys, time
from largen.sweeps.store import Store
with Store({str(store.path)!r}).locked():
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        assert f"process {other.pid} on" in store.busy()
        with pytest.raises(ln.InputError, match=f"in use by another sweep .process {other.pid} on"), store.locked():
            pass
        (store.folder / ".x.task.abc.part").write_bytes(b"half")
        other.kill()  # the lock dies with it, though its file still names it
    assert store.busy() == ""
    with store.locked():
        assert f"process {os.getpid()}" in (store.folder / "lock").read_text()
        assert not list(store.folder.glob(".*.part"))
    assert (store.folder / "lock").read_bytes() == b""


@pytest.mark.parametrize("name", ["/proc/sweep.zarr", "file/sweep.zarr", "sweep.pkl", "sweep"])
def test_a_place_that_cannot_hold_a_store_gives_a_message(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(ln.InputError, match=r"must (be in a folder that can be written|end in .zarr)"):
        Store(tmp_path / name).locked().__enter__()


def test_another_s_data_are_never_written_over(tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(ln.InputError, match="already exists, but is not the result of a sweep"):
        Store(tmp_path / "mine.zarr").locked().__enter__()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"about": {}}', '{"about": {}, "tasks": 3}', "[" * 100_000])
def test_a_damaged_record_counts_as_none(tmp_path, text):
    store = Store(tmp_path / "s.nc")
    with store.locked():
        (store.folder / "sweep.json").write_text(text)
        assert store.record() == {}


def test_a_forged_record_names_no_file_outside(tmp_path):
    from largen.sweeps import status

    store = Store(tmp_path / "s.nc")
    with store.locked():
        store.keep_record({"about": {}, "tasks": [["../../../etc/passwd", 1]]})
    with pytest.raises(ln.InputError, match="not one that largen wrote"):
        status(store.path)
