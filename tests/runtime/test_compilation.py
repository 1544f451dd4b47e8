"""Compiled programs are kept between processes, and the user's own settings are kept."""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import layout
from largen.commands import main
from largen.runtime import compilation
from largen.runtime.compilation import keep_compiled_programs

PROGRAM = """
from largen.runtime.compilation import keep_compiled_programs
keep_compiled_programs()
import equinox as eqx, jax, jax.numpy as jnp
jax.jit(lambda x: eqx.error_if(jnp.linalg.solve(x, x), x[0, 0] < 0, "negative"))(jnp.eye(3)).block_until_ready()
"""


def test_a_program_with_a_run_time_check_is_kept_on_disk(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "EQX_"))}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("largen/jax-*/jit__lambda*"))


def test_settings_of_the_user_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("EQX_ON_ERROR", "raise")
    keep_compiled_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
    assert os.environ["EQX_ON_ERROR"] == "raise"


def test_a_message_while_kernels_are_compiled_and_none_when_they_are_loaded(tmp_path):
    program = """
from largen.runtime.compilation import announce_compilation
announce_compilation()
from largen.numerics.alias import bits_for
print(bits_for(5), bits_for(9))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [run.stderr.count("Compiling") for run in runs] == [1, 0], runs[1].stderr
    assert runs[0].stdout == runs[1].stdout != ""


CONTAINER = """
import os, sys, tempfile, warnings
from numba.core import caching
all_locators = getattr(caching, "CacheImpl", None) or caching._CacheImpl
all_locators._locator_classes = all_locators._locator_classes[:1]  # the package and the home cannot be written
if sys.argv[1] == "nowhere":
    tempfile.tempdir = "/nonexistent"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from largen.numerics import compiled
    from largen.numerics.bivariate import njit
    import largen.systems.rate.recursion
notes = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
print(len(notes), compiled.KEPT, os.path.isdir(os.environ.get("NUMBA_CACHE_DIR", "")), notes[0], flush=True)
def add(x): return x + 1
assert njit(cache=True)(add)(1) == 2
print(os.environ.get("NUMBA_CACHE_DIR", ""))
"""


@pytest.mark.parametrize("where", ["temporary", pytest.param("nowhere", marks=pytest.mark.long)])
def test_kernels_compile_where_neither_package_nor_home_can_be_written_and_a_note_says_so(where, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    temporary, script = tmp_path / "temporary", tmp_path / "script.py"
    temporary.mkdir()
    script.write_text(CONTAINER)
    environment |= {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), where]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, folder = done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    if where == "temporary":
        assert first.startswith("1 True True ")
        assert "NUMBA_CACHE_DIR" in first
        assert folder.startswith(str(temporary))
    else:
        assert first.startswith("1 False False ")
        assert "kept nowhere" in first
    assert os.listdir(temporary) == []


def test_a_home_that_is_not_there_is_no_error(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    keep_compiled_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    from largen.explorer.store import writable_folder

    with pytest.warns(RuntimeWarning, match="cannot be written: set XDG_CACHE_HOME"):
        assert writable_folder().is_dir()


def test_a_kept_program_that_a_killed_process_left_half_written_is_removed(tmp_path, monkeypatch, capsys):
    """By the next command that cannot read it, without a word; the others stay."""
    whole = zlib.compress(os.urandom(1000))
    for name, content in {"whole": whole, "half": whole[:500], "empty": b""}.items():
        (tmp_path / f"jit_{name}-cache").write_bytes(content)
    (tmp_path / "notes.txt").write_text("of somebody else")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    words = f"{compilation.UNREADABLE} for 'jit_half': error: incomplete or truncated stream"
    main._show_warning(words)
    assert sorted(os.listdir(tmp_path)) == ["jit_whole-cache", "notes.txt"]
    assert capsys.readouterr().err == ""


USER = """
from largen.numerics.compiled import kernel
from {folder}.parts import FACTOR, shifted

@kernel
def scaled(x):
    return FACTOR * shifted(x)

print(scaled(2.0))
"""
PARTS = """
from largen.numerics.compiled import kernel

FACTOR = {factor}

@kernel
def shifted(x):
    return x + {shift}
"""


def test_a_kernel_is_compiled_again_when_a_file_that_it_imports_has_changed(tmp_path):
    """Its own file stays: the parts' function changes, then the constant; Numba alone would load what it has."""
    package = tmp_path / "changed"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "user.py").write_text(USER.format(folder="changed"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    seen = []
    for factor, shift in ((3.0, 1.0), (3.0, 5.0), (10.0, 5.0), (10.0, 5.0)):
        (package / "parts.py").write_text(PARTS.format(factor=factor, shift=shift))
        command = [sys.executable, "-c", "import changed.user as u; print(sum(u.scaled.stats.cache_hits.values()))"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        seen.append(done.stdout.split())
    assert seen == [["9.0", "0"], ["21.0", "0"], ["70.0", "0"], ["70.0", "1"]]


def test_a_kernel_is_compiled_again_when_the_class_of_its_argument_has_moved(tmp_path):
    package = tmp_path / "moved"
    package.mkdir()
    (package / "__init__.py").touch()
    pair = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: float\n    b: float\n"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    program = "import moved.user as u; print(u.total(u.Pair(1.0, 2.0)), sum(u.total.stats.cache_hits.values()))"
    seen = []
    for here, away in (("first", "second"), ("second", "first"), (None, None)):
        if here is not None:
            (package / f"{here}.py").write_text(pair)
            (package / f"{away}.py").write_text("")
            (package / "user.py").write_text(
                "from largen.numerics.compiled import kernel\n"
                f"from moved.{here} import Pair\n\n@kernel\ndef total(x):\n    return x.a + x.b\n"
            )
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        seen.append(done.stdout.split())
    assert seen == [["3.0", "0"], ["3.0", "0"], ["3.0", "1"]]


def test_kernels_are_built_from_their_own_folder_and_numerics_only():
    """What decides when they are compiled again; `checks` and `runtime` serve the code around them."""
    root = Path(layout.__file__).parents[1] / "src" / "largen"
    arrows, files = layout.graph(root), layout.modules(root)
    for name, path in files.items():
        if re.search(r"^@(kernel|entry|part|inlined|njit)\b", path.read_text(), re.MULTILINE):
            home = ".".join(name.split(".")[: 2 if name.startswith("systems.") else 1])
            foreign = {
                other
                for other in arrows[name]
                if other.split(".")[0] not in ("numerics", "checks", "runtime")
                and not f"{other}.".startswith(f"{home}.")
            }
            assert not foreign, f"{name} imports {sorted(foreign)}"
