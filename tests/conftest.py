"""Settings shared by all tests."""

import sys
from pathlib import Path

import hypothesis
import matplotlib as mpl
import pytest

from largen.runtime.compilation import keep_compiled_programs

keep_compiled_programs()  # before JAX is imported: the workers of one run, and later runs, share what one compiled
mpl.use("Agg")
hypothesis.settings.register_profile("largen", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("largen")

MAPS = Path("/proc/self/maps")
MOST_MAPS = 30_000
"""Linux gives a process 65 530 pieces of memory, every program compiled by JAX holds some, and one too many crashes."""


@pytest.fixture(autouse=True, scope="module")
def few_compiled_programs():
    """Give back the programs compiled for a file of tests before the process has too many."""
    yield
    if "jax" in sys.modules and MAPS.exists() and len(MAPS.read_bytes().splitlines()) > MOST_MAPS:
        sys.modules["jax"].clear_caches()
