"""Everything printed in the README works as printed (its shell commands run in .ci/run, read from the README)."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_python_block_runs_as_printed(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, cwd=tmp_path, timeout=600
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"\d+ of \d+ within tolerance", done.stdout)


def test_ci_runs_the_commands_of_the_readme():
    text = README.read_text()
    for name in ("run", "test"):
        found = re.search(rf"<!-- command: {name} -->\n```sh\n(.+)\n```", text)
        assert found, name
        assert "\n" not in found.group(1)
    assert "command_of run" in (README.parent / ".ci" / "run").read_text()


def test_links_resolve():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
