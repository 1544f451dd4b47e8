"""Exit statuses: a reader that goes away, a full disk behind standard output, a folder that cannot be written."""

import os
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
