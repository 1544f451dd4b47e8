"""Which points a sweep visits, and the models there."""

import json
from pathlib import Path

import numpy as np
import pytest

import largen as ln
from largen.datasets import SOURCES
from largen.parameters.plain import to_plain
from largen.sweeps.family import Family
from largen.sweeps.points import MOST_POINTS, from_plain

MODEL = ln.BalancedNetwork(fractions=(0.5, 0.5))


def test_a_grid_has_every_combination_and_its_last_parameter_is_fastest():
    table = ln.Grid({"tau[e]": [1.0, 2.0], "synapses": ["independent", "shared"], "sign[i]": [-1]}).table(MODEL)
    assert table.shape == (2, 2, 1)
    assert table.dims == ("tau[e]", "synapses", "sign[i]")
    assert table.values(1) == (1.0, "shared", -1)
    assert [table.values(k)[0] for k in range(len(table))] == [1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize("kind", [ln.Random, ln.Sobol])
def test_a_sample_lies_in_its_box_and_only_grows(kind):
    ranges = {"tau[e]": (0.1, 10.0, "log"), "drive[i]": (-1.0, 1.0)}
    few, many = (kind(ranges, count=count, seed=3).table(MODEL) for count in (20, 64))
    for name, a, b in zip(few.names, few.columns, many.columns, strict=True):
        np.testing.assert_array_equal(a, b[:20])
        low, high = ranges[name][:2]
        assert np.all((b >= low) & (b <= high))
    assert not np.array_equal(many.columns[1], kind(ranges, count=64, seed=4).table(MODEL).columns[1])
    # Half of a logarithmic range lies below its geometric mean: 32 ± 16, four standard deviations and more.
    assert abs(int(np.sum(many.columns[0] < 1.0)) - 32) <= 16


def test_sobol_points_are_balanced():
    column = ln.Sobol({"tau[e]": (0.0, 1.0)}, count=64).table(MODEL).columns[0]
    assert sorted(np.floor(64 * column).tolist()) == list(range(64))


def test_whole_numbers_are_drawn_evenly_with_both_ends():
    column = ln.Sobol({"size[e]": (1, 4)}, count=64).table(ln.SpikingNetwork()).columns[0]
    assert column.dtype == np.int64
    assert np.bincount(column).tolist() == [0, 16, 16, 16, 16]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ln.Grid({"tua[e]": [1.0]}), "Did you mean `tau`"),
        (lambda: ln.Grid({"../../etc/passwd": [1.0]}), "must look like"),
        (lambda: ln.Grid({"tau": [1.0], "tau[e]": [2.0]}), "overlap"),
        (lambda: ln.Grid({"tau[e]": []}), "must have a list of values"),
        (lambda: ln.Grid({"tau[e]": "abc"}), "must have a list of values"),
        (lambda: ln.Grid({"tau[e]": [1.0, 1.0]}), "each value once"),
        (lambda: ln.Grid({"tau[e]": [1.0, np.nan]}), "finite"),
        (lambda: ln.Grid({"drive": [(0.1, 0.2)]}), r"such as `drive\[e\]`"),
        (lambda: ln.Grid({}), "at least one parameter"),
        (lambda: ln.Grid({"tau[e]": range(2000), "tau[i]": range(2000)}), f"at most {MOST_POINTS} points"),
        (lambda: ln.Random({"tau[e]": (1, 2)}, count=10**12), f"at most {MOST_POINTS} points"),
        (lambda: ln.Random({"tau[e]": (2, 1)}, count=3), "low < high"),
        (lambda: ln.Random({"tau[e]": (0, 1, "log")}, count=3), "positive low"),
        (lambda: ln.Sobol({"tau[e]": 3}, count=3), "must have"),
        (lambda: from_plain({"kind": "grid", "values": {"tau[e]": {"start": 0, "stop": 1, "count": 10**15}}}), "most"),
        (lambda: from_plain({"kind": "grid", "values": {"tau[e]": {"start": 0, "count": 3}}}), "stop"),
        (lambda: from_plain({"kind": "pickle"}), "grid, random, sobol"),
        (lambda: from_plain({"kind": "sobol", "ranges": {"tau[e]": [1, 2]}}), "count"),
        (lambda: from_plain([1]), "mapping"),
    ],
)
def test_what_cannot_be_swept_gives_one_message(make, message):
    with pytest.raises(ln.InputError, match=message):
        make().table(MODEL)


def test_a_family_is_replace_and_its_text_is_the_whole_model():
    names = ("coupling[e,i]", "gain[e].slope", "tau[e]", "sign[e]", "synapses")
    values = (2.1, 1, 3.0, 1, "shared")
    for count in (4, 5):  # without and with a parameter that is no number
        family = Family(MODEL, names[:count])
        there = MODEL.replace(**dict(zip(names[:count], values, strict=False)))
        assert to_plain(family.at(values[:count])) == to_plain(there)
        assert json.loads(family.text(values[:count])) == to_plain(there)
    again = Family(there, ("tau[i]",))
    assert again.text((1.0,)) == family.text(values), "a point's name does not depend on what is swept"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("coupling[e,i]", -1.0, r"`coupling\[e,i\]` must be at least 0, but is -1"),
        ("gain[i].slope", 0.0, "`slope` must be greater than 0"),
        ("sign[e]", 0, "made of"),
        ("sign[e]", 0.5, "`sign` must"),
        ("fractions[e]", 0.7, "add up to 1"),
        ("tau[e]", "long", "one number"),
        ("synapses", 3.0, "must be one of"),
    ],
)
def test_a_family_checks_as_replace_does(name, value, message):
    for change in (Family(MODEL, (name,)).at, lambda values: MODEL.replace(**{name: values[0]})):
        with pytest.raises(ln.InputError, match=message):
            change((value,))


def test_every_source_of_a_task_exists():
    root = Path(ln.__file__).parent
    assert all((root / name).is_dir() or (root / f"{name}.py").is_file() for name in SOURCES)
