"""Whatever is given for any argument: a value, or one message; never an error of another kind.

Derandomised, so that the same inputs are tried every time.
"""

import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import largen as ln
from largen import analysis
from largen.io.plain_files import parse_plain
from largen.parameters import parameters
from toy import Toy

TIMES = np.arange(0.0, 1.0, 0.25)
STEPS = np.arange(3.0)

NUMBERS = st.one_of(
    st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from([2**31, 2**53 + 1, 2**64, 10**400, 1e300, 5e-324])
)
VALUES = (

        None, True, "", "x", "yes", "tau[e]", "a\0b", "é" * 300, b"x", 1j, object(), object, len, Ellipsis, slice(1),
        pd.NaT, pd.NA, pd.Series([1.0, 2.0], index=["i", "e"]), pd.Timedelta("1s"), datetime.timedelta(seconds=1),
        datetime.date(2020, 1, 1), np.datetime64("2020"), np.timedelta64(5, "s"), np.array([1j, 2]),
        np.array(["a", "b"]), np.array([None, 1]), np.ma.array([1.0, 2.0], mask=[0, 1]), np.zeros((0,)),
        np.zeros((2, 2)), np.array(3), np.longdouble(1), np.float16(1), np.uint64(2**64 - 1), xr.DataArray([1.0, 2.0]),
        xr.Dataset(), ln.SpikingNetwork(), ln.Probit(),
)  # fmt: skip
OTHERS = st.integers(0, len(VALUES) - 1).map(VALUES.__getitem__)
LEAVES = st.one_of(NUMBERS, OTHERS)
ANYTHING = st.one_of(
    LEAVES, st.lists(LEAVES, max_size=3), st.lists(st.lists(NUMBERS, max_size=2), max_size=3),
    st.dictionaries(st.sampled_from(["e", "i", "kind", "a"]), LEAVES, max_size=2), st.tuples(NUMBERS, NUMBERS),
)  # fmt: skip


def assert_value_or_message(function, *arguments, **options):
    """A value, or one message of one line; any other exception fails the test."""
    try:
        function(*arguments, **options)
    except (ln.InputError, ln.LimitError) as error:
        message = str(error)
        assert 10 < len(message) < 700
        assert "\n" not in message


def many(examples):
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


MODELS = (
    ln.SpikingNetwork, ln.BalancedNetwork, ln.RateNetwork, ln.Probit, ln.Logistic, ln.CustomGain, ln.SeparableKernel,
    ln.TableKernel, ln.UncorrelatedKernel, ln.TimeSeries,
)  # fmt: skip
FIELDS = [(cls, name) for cls in MODELS for name in parameters(cls)]


@many(250)
@given(field=st.sampled_from(FIELDS), value=ANYTHING)
def test_any_value_of_any_parameter(field, value):
    cls, name = field
    assert_value_or_message(lambda: repr(cls(**{name: value})))


NAMES = [
    "tau",
    "tau[e]",
    "coupling[e,i]",
    "gain[e].slope",
    "gain[e]",
    "drive",
    "synapses",
    "x",
    "tau[",
    "gain[9].slope",
]


@many(120)
@given(name=st.sampled_from(NAMES), value=ANYTHING)
def test_any_value_of_any_name_in_replace(name, value):
    assert_value_or_message(ln.BalancedNetwork().replace, **{name: value})


@pytest.fixture(scope="module")
def made():
    network, limit = ln.simulate(Toy(), TIMES, n=20, realisations=3), ln.solve_limit(Toy(), TIMES)
    rate = ln.RateNetwork()
    return {"network": network, "limit": limit, "rate": ln.simulate(rate, STEPS, n=30, realisations=2, replicas=2)}


def calls(made):
    """Functions with arguments that they take, each of which is replaced in turn."""
    quick = {"n": 20, "realisations": 1, "seed": 1, "method": None, "record": (), "progress": None, "workers": 1}
    return [
        (ln.simulate, {"system": Toy(), "times": TIMES} | quick),
        (ln.simulate, {"system": ln.RateNetwork(), "times": STEPS, "lags": 1, "replicas": 1, "dt": None} | quick),
        (ln.solve_limit, {"system": Toy(), "times": TIMES, "n": None, "rtol": 1e-6, "atol": 1e-6, "strict": True}),
        (ln.solve_limit, {"system": ln.RateNetwork(), "times": STEPS, "lags": 1, "method": "recursion", "step": None}),
        (
            ln.compare,
            {"network": made["network"], "limit": made["limit"], "finite": None, "level": 0.1, "strict": True},
        ),
        (ln.convergence, {"system": Toy(), "times": TIMES, "n": [20, 40], "realisations": 2, "observable": None}),
        (
            lambda **given: ln.convergence(Toy(), TIMES, n=[20, 40], realisations=2, **given),
            {"tolerance": None, "scale": None, "finished": None},
        ),
        (ln.Grid, {"values": {"tau[e]": [1.0, 2.0]}}),
        (lambda given: ln.Grid({"tau[e]": given}), {"given": [1.0, 2.0]}),
        (ln.Random, {"ranges": {"tau[e]": (1.0, 2.0)}, "count": 2, "seed": 0}),
        (
            lambda low, high, scale: ln.Sobol({"tau[e]": (low, high, scale)}, 2),
            {"low": 1.0, "high": 2.0, "scale": "log"},
        ),
        (ln.read_model, {"path": "gamma"}),
        (ln.equations, {"model": ln.BalancedNetwork(), "n": None}),
        (ln.load, {"path": "nosuch.nc"}),
        (analysis.correlation_against_lag, {"dataset": made["rate"], "time": None}),
        (analysis.summary, {"dataset": made["network"], "start": None, "self_count": "included"}),
        (analysis.asynchrony, {"networks": made["network"], "start": None, "seed": 0}),
        (analysis.metastability, {"runs": made["network"], "thresholds": None, "gap": None}),
        (ln.to_neo, {"network": made["network"]}),
    ]


SLOTS = [
    (k, name)
    for k, (_, arguments) in enumerate(calls({"network": None, "limit": None, "rate": None}))
    for name in arguments
]


@many(150)
@given(slot=st.sampled_from(SLOTS), value=ANYTHING)
def test_any_argument_of_public_functions(made, slot, value):
    position, name = slot
    function, arguments = calls(made)[position]
    assert_value_or_message(function, **(arguments | {name: value}))


@many(250)
@given(text=st.text(st.sampled_from("{}[]:,-?&*!|>'\"%@` \n\t#019eE.+xyn~"), max_size=20))
def test_any_text_is_plain_data_or_one_message(text):
    assert_value_or_message(parse_plain, text)
