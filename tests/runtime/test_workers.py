"""Worker processes: started from any script, ended with their parent, one message when they cannot be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SIMULATE = """
import numpy as np, largen as ln
{model}
found = ln.simulate({name}(), np.linspace(0, 1, 5), n=10, realisations=2, workers=2)
same = ln.simulate({name}(), np.linspace(0, 1, 5), n=10, realisations=2)
print("the same:", found.identical(same))
"""
FROM_A_MODULE = SIMULATE.format(model="from toy import Toy", name="Toy")
OF_ITS_OWN = SIMULATE.format(model="from toy import Toy\nclass Mine(Toy): pass", name="Mine")


BOTH = [
    pytest.param(True, id="standard input"),
    pytest.param(False, id="no main guard", marks=pytest.mark.long),
]


def ran(script, tmp_path, standard_input):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    words, text = [sys.executable, "-"], script
    if not standard_input:
        file = tmp_path / "script.py"
        file.write_text(script)
        words, text = [sys.executable, str(file)], ""
    return subprocess.run(words, input=text, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("standard_input", BOTH)
def test_workers_need_no_main_guard_where_they_need_nothing_of_the_script(standard_input, tmp_path):
    done = ran(FROM_A_MODULE, tmp_path, standard_input)
    assert (done.returncode, done.stdout) == (0, "the same: True\n"), done.stderr


@pytest.mark.parametrize(
    ("standard_input", "remedy"),
    [
        pytest.param(True, "Save it as a module and import it", id="standard input", marks=pytest.mark.long),
        pytest.param(False, "below `if __name__ == '__main__':`", id="no main guard"),
    ],
)
def test_workers_that_would_need_the_script_are_refused_with_the_remedy(standard_input, remedy, tmp_path):
    done = ran(OF_ITS_OWN, tmp_path, standard_input)
    assert done.returncode == 1
    assert done.stderr.count("Error: Argument `workers` must be 1 here") == 1, done.stderr
    assert remedy in done.stderr.splitlines()[-1]
    assert "spawn_main" not in done.stderr


def test_a_function_that_cannot_be_sent_is_refused_before_workers_start():
    from largen.checks import InputError
    from largen.runtime.workers import run_tasks

    with pytest.raises(InputError, match=r"Argument `workers` must be 1 here.*Move the functions"):
        run_tasks(lambda: None, [(), ()], 2, lambda index, result: None)


def test_a_worker_that_dies_gives_one_message():
    from largen.checks import InputError
    from largen.runtime.workers import run_tasks

    with pytest.raises(InputError, match=r"Argument `workers` must be smaller here: a worker process died"):
        run_tasks(os._exit, [(9,), (9,)], 2, lambda index, result: None)


ENDLESS = ["simulate", "correlated", "--times", "0:100:1", "--n", "400", "--realisations", "2000", "--workers", "2"]


def descendants(pid):
    """Worker processes of a command."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(words[1]) == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("signals", "status"),
    [
        pytest.param([signal.SIGTERM], 143, id="SIGTERM"),
        pytest.param([signal.SIGINT, signal.SIGINT], 130, id="Ctrl-C twice", marks=pytest.mark.long),
        pytest.param([signal.SIGHUP], 129, id="SIGHUP", marks=pytest.mark.long),
        pytest.param([signal.SIGKILL], -9, id="SIGKILL", marks=pytest.mark.long),
    ],
)
def test_no_worker_outlives_its_command(signals, status, tmp_path):
    command = [sys.executable, "-m", "largen", *ENDLESS, "--out", str(tmp_path / "x.nc")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        workers = until(lambda: len(found := descendants(process.pid)) == 2 and found)
        assert workers, process.stderr.read()
        time.sleep(2.0)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.02)
        err = process.stderr.read()
        assert process.wait(60) == status, err
    assert until(lambda: not any(map(alive, workers)))
    assert "Traceback" not in err
    if status > 0:
        assert err.splitlines()[-1].startswith("Stopped.")
    assert set(os.listdir(tmp_path)) <= {"x.stopped.nc"}
