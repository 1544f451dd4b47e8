"""What a newcomer sees: help at once, a model's values as a person writes them, errors as `0.123 ± 0.004`."""

import subprocess
import sys

import pytest

import largen as ln
from largen.commands.main import COMMANDS, main
from largen.commands.tables import plus_minus

HEAVY = ("jax", "numba", "xarray", "matplotlib", "scipy", "equinox", "diffrax")


@pytest.mark.parametrize("arguments", [["-h"], ["--version"], ["run", "-h"], ["--show-completion"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from largen.commands.main import main
try:
    main({arguments})
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning:typer", "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("command", sorted(command.__name__ for command in COMMANDS))
def test_h_and_help_are_the_same(command, capsys):
    assert main([command, "-h"]) == 0
    short = capsys.readouterr().out
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out == short
    assert "Usage:" in short


@pytest.mark.parametrize("name", ["gamma", "balanced", "correlated"])
def test_show_is_narrow_and_says_what_each_parameter_means(name, capsys):
    assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    joined = " ".join(out.split())
    assert "e+0" not in joined
    assert "e-0" not in joined
    for word in ("Membrane", "> 0") if name == "gamma" else ("> 0",):
        assert word in joined
    if name == "gamma":
        assert "0.8" in joined
        assert "[0.8, 0.8]" not in joined
        assert "4 ms" in joined
    if name == "balanced":
        assert "gain[e].slope" in joined


def test_a_model_shows_its_values():
    text = repr(ln.SpikingNetwork(probability=((0.65, 0.65), (0.65, 0.65))))
    assert "probability=0.65," in text
    assert "strength=[[0.95, 2.71], [1.25, 2.45]]" in text
    assert repr(ln.Probit(slope=2.0)) == "Probit(maximum=1, slope=2, threshold=0)"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.12345, 0.0041, "0.1235 ± 0.0041"),
        (123.4, 12.3, "123 ± 12"),
        (-0.0001, 0.01, "0.000 ± 0.010"),
        (47.14, None, "47.14"),
        (1.0, 0.0, "1"),
        (1.0, float("inf"), "1"),
        (1.5e-12, 2e-14, "1.5e-12 ± 2e-14"),
    ],
)
def test_a_value_with_its_error(value, error, text):
    assert plus_minus(value, error) == text
