"""Values at the command line: zero is a value, words are words, memory and time are said before a run."""

import pytest

from largen.commands.main import main


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run correlated -n 0", "`n` must be at least 1, but is 0"),
        ("run correlated -r 0", "`realisations` must be at least 1, but is 0"),
        ("simulate correlated -r 0", "`realisations` must be at least 1, but is 0"),
        ("simulate gamma -w 0", "`workers` must be at least 1, but is 0"),
        ("limit gamma -n 0", "`n` must be at least 1, but is 0"),
        ("convergence balanced -n 0,100", "`n` must be at least 1, but is 0"),
        ("convergence balanced -r 0", "`realisations` must be at least 1, but is 0"),
        ("simulate gamma --seed -1", "`seed` must be at least 0, but is -1"),
        ("limit gamma --set membrane_time=yes", "`membrane_time` must hold numbers, but is 'yes'"),
        ("limit gamma --set refractory_time=1:30", "`refractory_time` must hold numbers, but is '1:30'"),
        ("limit gamma --set refractory_time=1 --set refractory_time=2", "must be given once"),
        ("limit gamma --option linear_in_bin=yes", "`linear_in_bin` must be True or False, but is 'yes'"),
        ("limit gamma --times 0:1:yes", "--times must look like START:STOP:STEP"),
        ("simulate correlated -r 100000000", "What fits: "),
        ("simulate balanced -n 400 -r 1 --times 0:1:.5 --set initial_mean=[-1e300,0]", "`initial_mean[e]` = -1e+300"),
    ],
)
def test_a_wrong_value_is_one_line_and_status_2(line, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    lines = captured.err.strip().splitlines()  # before the message, a slow machine may say what takes so long
    assert lines[-1].startswith("largen: ")
    assert not any(line.startswith(("largen: ", "Traceback", " ")) for line in lines[:-1])
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_memory_and_time_are_said_before_a_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "correlated", "-n", "40", "-r", "2", "--times", "0:3:1"]) == 0
    assert "Simulating 2 networks of 40 neurons (about " in capsys.readouterr().err
