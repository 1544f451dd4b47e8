"""Settings shared by all tests."""

import signal
import sys
from pathlib import Path

import hypothesis
import matplotlib as mpl
import pytest

from largen.runtime.compilation import keep_compiled_programs

keep_compiled_programs()  # before JAX is imported: the workers of one run, and later runs, share what one compiled
mpl.use("Agg")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background ignores Ctrl-C, as its commands would
hypothesis.settings.register_profile("largen", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("largen")

MAPS = Path("/proc/self/maps")
MOST_MAPS = 30_000
"""Linux gives a process 65 530 pieces of memory, every program compiled by JAX holds some, and one too many crashes."""


@pytest.fixture(autouse=True)
def ctrl_c_acts_as_before():
    """No test leaves Ctrl-C otherwise than it was; Panel's server, for one, takes it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="module")
def few_compiled_programs():
    """Give back the programs compiled for a file of tests before the process has too many."""
    yield
    if "jax" in sys.modules and MAPS.exists() and len(MAPS.read_bytes().splitlines()) > MOST_MAPS:
        sys.modules["jax"].clear_caches()


def pytest_collection_modifyitems(items):
    """Spiking networks first, balanced ones last, and in the middle what needs neither."""
    folders = [Path("systems/spiking"), *map(Path, ("comparison", "statistics", "space", "sweeps", "plot", "io"))]
    late = [Path("systems/balanced"), *map(Path, ("systems/rate", "bifurcation", "fitting", "explorer", "commands"))]

    def place(item):
        folder = item.path.relative_to(Path(__file__).parent).parent
        first = next((k for k, one in enumerate(folders) if folder.is_relative_to(one)), len(folders))
        last = next((k for k, one in enumerate(late) if folder.is_relative_to(one)), len(late))
        return first, -last

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Workers in turn begin at either end, so that two of them do not compile the same kernels at the same time."""
    from xdist.scheduler import LoadFileScheduling

    class FromBothEnds(LoadFileScheduling):
        def _assign_work_unit(self, node):
            if self.nodes.index(node) % 2:
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    return FromBothEnds(config, log) if config.getoption("dist") == "loadfile" else None
