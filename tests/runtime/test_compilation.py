"""Compiled programs are kept between processes, and the user's own settings are kept."""

import os
import subprocess
import sys

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
