"""Exit statuses: a reader that goes away, a full disk behind standard output, a folder that cannot be written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LARGEN = f"{sys.executable} -m largen"


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("examples | true", 0, ""),
        pytest.param("examples --json | head -c 1", 0, "{", marks=pytest.mark.long),
        ("examples > /dev/full", 2, "No space left on device"),
        ("frobnicate 2>&1 | true", 2, ""),
        pytest.param("examples 2> /dev/full > /dev/full", 2, "", marks=pytest.mark.long),
    ],
)
def test_a_pipe_that_breaks_is_no_error_and_a_full_disk_is(line, status, words):
    script = f"{LARGEN} {line}; exit ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == status, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert len(done.stderr.splitlines()) == (1 if words.startswith("No space") else 0)


def test_the_statuses_are_documented():
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    for status in ("0", "1", "2", "129, 130, 143", "137"):
        assert f"\n| {status} |" in page


WAITING = """
import importlib.abc, signal, sys, time

# A shell starts what runs in its background with these signals ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

class Waiting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            print("here", flush=True)
            for _ in range(600):  # Python answers a signal that comes just before a sleep only when the sleep is over.
                time.sleep(0.1)

sys.meta_path.insert(0, Waiting())
"""


@pytest.mark.parametrize(
    ("module", "number", "status"),
    [
        ("largen.commands.main", signal.SIGINT, 130),
        ("numpy", signal.SIGTERM, 143),
        ("largen.runtime.compilation", signal.SIGHUP, 129),
        ("jax", signal.SIGINT, 130),
    ],
)
def test_a_signal_before_the_command_has_begun_gives_one_line_and_its_status(tmp_path, module, number, status):
    """While the command imports what it needs; at each of four places, the last of them inside the command."""
    (tmp_path / "sitecustomize.py").write_text(WAITING.format(module=module))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    words, pipe = [sys.executable, "-m", "largen", "show", "gamma"], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert said == "Stopped.\n"
