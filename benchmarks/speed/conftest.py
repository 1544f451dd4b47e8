"""One table for all benchmarks: each adds lines to a section, the end of the session writes them."""

import os
from functools import partial
from pathlib import Path

import pytest
from report import CORES, Table, machine


def pytest_addoption(parser):
    group = parser.getgroup("speed")
    group.addoption("--fast", action="store_true", help="leave out what is marked slow")
    group.addoption("--brian", help="a Python with Brian2")
    group.addoption("--nest", help="a Python with NEST")
    group.addoption("--out", help="where to write the table")
    group.addoption("--keep", help="where the lines are kept between runs in parts")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out with --fast")
    os.sched_setaffinity(0, {max(CORES)})  # JAX would take all cores, and its CPU time with them
    config.speed = Table()
    kept = config.getoption("--keep")
    if kept and Path(kept).exists():
        config.speed.read(kept)
    config.speed.machines.append(machine())


def pytest_collection_modifyitems(config, items):
    if config.getoption("--fast"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_runtest_setup(item):
    item.config.speed.begin(item.nodeid)


def pytest_runtest_teardown(item):
    if kept := item.config.getoption("--keep"):
        item.config.speed.keep(kept)
    if out := item.config.getoption("--out"):
        item.config.speed.write(out)


@pytest.fixture
def fast(request):
    return request.config.getoption("--fast")


@pytest.fixture
def add(request):
    """Add a line to a section of the table: add(section, column=value, ...)."""
    return partial(request.config.speed.add, request.node.nodeid)


@pytest.fixture
def point(request):
    """Add a point of a growth curve: point(panel, label, x, y)."""
    return partial(request.config.speed.point, request.node.nodeid)


@pytest.fixture
def least(benchmark, fast):
    """Least CPU time of several calls, the first of them not counted."""

    def run(function, *arguments, rounds=8):
        benchmark.pedantic(function, args=arguments, rounds=2 if fast else rounds, warmup_rounds=1)
        return benchmark.stats.stats.min

    return run
