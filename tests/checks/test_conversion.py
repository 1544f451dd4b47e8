"""Numbers as users have them: with units, labels and masks, of other kinds, and too large."""

import datetime
import decimal
import fractions

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import largen as ln
from largen.checks import increasing_times, integer, one_of, real, seed_number, shown

quantities = pytest.importorskip("quantities")
SECONDS = quantities.s

IN_SECONDS = {
    "quantities": np.arange(3) * SECONDS,
    "a list of quantities": [0 * SECONDS, 1000 * quantities.ms, 2 * SECONDS],
    "timedelta": [datetime.timedelta(seconds=k) for k in range(3)],
    "timedelta64": np.arange(3).astype("timedelta64[s]"),
    "timedelta64 of nanoseconds": (np.arange(3) * 10**9).astype("timedelta64[ns]"),
    "a series of timedelta": pd.Series(pd.to_timedelta([0, 1, 2], unit="s")),
    "an index of timedelta": pd.to_timedelta([0, 1, 2], unit="s"),
    "a DataArray in s": xr.DataArray([0.0, 1.0, 2.0], dims="time", attrs={"units": "s"}),
    "microseconds": np.arange(3) * 1e6 * quantities.us,
}
PLAIN = {
    "a range": range(3),
    "unsigned bytes": np.arange(3, dtype=np.uint8),
    "float16": np.arange(3, dtype=np.float16),
    "JAX": jnp.arange(3),
    "pandas": pd.Series([0, 1, 2]),
    "a coordinate": xr.DataArray([0.0, 1.0, 2.0], dims="time", coords={"time": [0.0, 1.0, 2.0]}, attrs={"units": "ms"}),
    "fractions": [fractions.Fraction(0), decimal.Decimal(1), 2],
    "a mask that hides nothing": np.ma.array([0, 1, 2]),
    "a pure number": np.arange(3) * quantities.dimensionless,
}
WRONG = {
    "another dimension": (np.arange(3) * quantities.mV, "must be convertible to ms"),
    "raw counts of no unit": (np.arange(3).astype("timedelta64"), "unit of fixed length"),
    "months": (np.arange(3).astype("timedelta64[M]"), "unit of fixed length"),
    "no time": ([datetime.timedelta(0), pd.NaT], "must hold numbers"),
    "dates": (np.arange(3).astype("datetime64[s]"), "time since the start, in ms"),
    "a date": (datetime.datetime(2020, 1, 1), "must hold numbers"),
    "other units of a DataArray": (xr.DataArray([0.0, 1.0], dims="t", attrs={"units": "Hz"}), "must be in ms"),
    "labels": (pd.Series([0.0, 1.0], index=["a", "b"]), "must have no labels"),
    "a mask": (np.ma.array([0, 1, 2], mask=[0, 1, 0]), "no masked entries"),
    "a masked entry": ([0.0, np.ma.masked], "no masked entries"),
    "complex": (np.array([0, 1 + 1j]), "must be real"),
    "truth values": ([False, True], "must be a number"),
    "a truth value among numbers": ([0.0, True], "throughout"),
    "text": (["0", "1"], "must hold numbers"),
    "bytes": (b"01", "must hold numbers"),
    "None": (None, "must hold numbers"),
    "a hole": ([0.0, None], "must hold numbers"),
    "nan": ([0.0, np.nan], "must be finite"),
    "missing of pandas": (pd.array([0, None], dtype="Int64"), "must be finite"),
    "infinity": ([0.0, np.inf], "must be finite"),
    "too large": ([0, 10**400], "must be at most 1.8e"),
    "a mapping": ({0: 1}, "must hold numbers"),
    "a set": ({0, 1}, "must hold numbers"),
    "rows of different length": ([[0.0], [1.0, 2.0]], "rows of equal length"),
    "a Dataset": (xr.Dataset({"a": ("t", [0.0, 1.0])}), "must be numbers"),
}


def nested(depth):
    found = [1.0]
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("kind", list(IN_SECONDS))
def test_times_with_a_unit_are_converted(kind):
    np.testing.assert_allclose(increasing_times("times", IN_SECONDS[kind], unit="ms"), [0.0, 1000.0, 2000.0])


@pytest.mark.parametrize("kind", [kind for kind in IN_SECONDS])
def test_times_with_a_unit_are_refused_where_the_model_has_none(kind):
    with pytest.raises(ln.InputError, match="`times` must be a pure number"):
        increasing_times("times", IN_SECONDS[kind], unit="")


@pytest.mark.parametrize("kind", list(PLAIN))
def test_plain_numbers_of_any_kind_are_taken(kind):
    unit = "ms" if kind == "a coordinate" else ""
    np.testing.assert_array_equal(increasing_times("times", PLAIN[kind], unit=unit), [0.0, 1.0, 2.0])


@pytest.mark.parametrize("kind", list(WRONG))
def test_what_is_no_real_number_is_refused_by_name(kind):
    value, message = WRONG[kind]
    with pytest.raises(ln.InputError, match=message) as caught:
        increasing_times("times", value, unit="ms")
    assert "`times`" in str(caught.value)
    assert len(str(caught.value)) < 350


def test_lists_within_lists_without_end_are_refused():
    with pytest.raises(ln.InputError, match="lists within lists"):
        increasing_times("times", nested(10_000))


def test_quantities_of_pint_are_converted():
    pint = pytest.importorskip("pint")
    units = pint.UnitRegistry()
    assert real("dt", 0.2 * units.s, unit="ms") == pytest.approx(200.0)
    np.testing.assert_allclose(increasing_times("times", np.arange(3) * units.s, unit="ms"), [0.0, 1e3, 2e3])
    with pytest.raises(ln.InputError, match="convertible to ms"):
        real("dt", 0.2 * units.volt, unit="ms")


@pytest.mark.parametrize(
    "value", [5, np.int8(5), np.uint64(5), 5.0, np.array(5), jnp.array(5), 5 * quantities.dimensionless]
)
def test_a_count_is_any_integer(value):
    assert integer("n", value, low=1) == 5


@pytest.mark.parametrize(
    "value",
    [5.5, "5", True, np.True_, None, [5], 5j, np.nan, np.inf, 2**64, 10**5000, 1e300, 5 * SECONDS, pd.Timedelta("5s")],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_count_is_refused(value):
    with pytest.raises(ln.InputError, match="Argument `n` must be") as caught:
        integer("n", value, low=1)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("seed", [0, 2**63, np.uint64(2**64 - 1), 2**64, np.random.SeedSequence(1).entropy, 10**4000])
def test_any_non_negative_integer_is_a_seed(seed):
    assert seed_number("seed", seed) == int(seed)


def test_a_value_is_shown_in_one_short_line():
    for value in (10**10000, list(range(10**6)), "x" * 10**6, np.zeros(10**6), {10**9000: 1}, nested(500)):
        assert len(shown(value)) <= 80


def test_words_are_compared_as_words():
    assert one_of("x", np.str_("a"), ("a", "b")) == "a"
    assert one_of("x", np.int64(1), (1, 2)) == 1
    for value in (["a"], np.array(["a", "b"]), True, None, {"a": 1}):
        with pytest.raises(ln.InputError, match="must be one of"):
            one_of("x", value, ("a", 1))


# Models ----------------------------------------------------------------------------------------------------------


def test_parameters_with_a_unit_are_converted():
    model = ln.SpikingNetwork(refractory_time=0.002 * SECONDS, external_rate=np.array([7000, 8000]) / SECONDS)
    assert model.refractory_time == pytest.approx(2.0)
    np.testing.assert_allclose(model.external_rate, [7.0, 8.0])
    assert model.replace(**{"decay[e,i]": datetime.timedelta(seconds=0.003)}).value("decay[e,i]") == pytest.approx(3.0)
    with pytest.raises(ln.InputError, match="`refractory_time` must be convertible to ms"):
        ln.SpikingNetwork(refractory_time=2 * quantities.mV)
    with pytest.raises(ln.InputError, match="`threshold` must be a pure number"):
        ln.SpikingNetwork(threshold=2 * quantities.mV)
    with pytest.raises(ln.InputError, match="`tau` must be a pure number"):
        ln.BalancedNetwork(tau=2 * quantities.ms)


def test_a_step_with_a_unit_is_converted():
    model, times = ln.SpikingNetwork(size=(30, 10)), np.arange(3) * quantities.ms
    plain = ln.simulate(model, np.arange(3.0), dt=0.2)
    assert ln.simulate(model, times, dt=200 * quantities.us).identical(plain)
    limit = ln.solve_limit(model, times, dt=datetime.timedelta(microseconds=200), bin_width=10.0)
    assert limit.identical(ln.solve_limit(model, np.arange(3.0), dt=0.2, bin_width=10.0))


def test_labels_put_values_in_the_order_of_the_populations():
    model = ln.SpikingNetwork()
    turned = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["i", "e"], columns=["i", "e"])
    expected = [[4.0, 3.0], [2.0, 1.0]]
    assert model.replace(decay=turned).decay.tolist() == expected
    across = xr.DataArray(
        turned.T.values, dims=("source", "population"), coords={"population": ["i", "e"], "source": ["i", "e"]}
    )
    assert model.replace(decay=across).decay.tolist() == expected
    assert model.replace(external_rate=pd.Series({"i": 8.0, "e": 7.0})).external_rate.tolist() == [7.0, 8.0]
    with pytest.raises(ln.InputError, match="must have the labels e, i"):
        model.replace(external_rate=pd.Series({"i": 8.0, "x": 7.0}))
    with pytest.raises(ln.InputError, match="must have no labels"):
        ln.SpikingNetwork(decay=turned)
    with pytest.raises(ln.InputError, match="must have the dims"):
        model.replace(decay=xr.DataArray(turned.values, dims=("population", "time")))


@pytest.mark.parametrize(
    "value",
    ["7", True, 7j, None, np.nan, np.ma.array([7.0, 7.0], mask=[1, 0]), [[7.0], [7.0, 7.0]], [7.0, True], {"e": 7.0}],
)
def test_a_parameter_that_is_no_number_is_refused_by_name(value):
    for make in (
        lambda: ln.SpikingNetwork(external_rate=value),
        lambda: ln.SpikingNetwork().replace(external_rate=value),
    ):
        with pytest.raises(ln.InputError, match=r"`external_rate(\[\w\])?`"):
            make()


def test_one_entry_keeps_the_precision_of_the_others():
    model = ln.BalancedNetwork(coupling=((0.1, 0.2), (0.3, 0.7)))
    for two in (2.0, jnp.array(2.0), np.float32(2.0), np.array(2)):
        assert model.replace(**{"coupling[e,i]": two}).coupling.tolist() == [[0.1, 2.0], [0.3, 0.7]]


def test_sizes_cannot_overflow():
    for size in ((2**62, 2**62), (1e300, 1), (10**30, 1)):
        with pytest.raises(ln.InputError, match="`size` must"):
            ln.SpikingNetwork(size=size)


def test_a_model_loses_no_field():
    model = ln.SpikingNetwork()
    with pytest.raises(AttributeError, match="cannot delete field 'decay'"):
        del model.decay
    assert model == ln.SpikingNetwork()


@pytest.mark.parametrize(
    "change",
    [
        lambda: ln.RateNetwork(activation=["tanh"]),
        lambda: ln.RateNetwork(activation=np.array(["tanh", "erf"])),
        lambda: ln.SpikingNetwork(connectivity=["annealed"]),
        lambda: ln.TimeSeries(times=None, values=None),
        lambda: ln.TimeSeries(times=[], values=[]),
        lambda: ln.CustomGain(None),
        lambda: ln.BalancedNetwork().value(None),
        lambda: ln.BalancedNetwork().value("gain.slope"),
        lambda: ln.BalancedNetwork().value("tau.slope"),
        lambda: ln.RateNetwork(kernel=ln.TableKernel()).value("kernel.values[9,9]"),
        lambda: ln.RateNetwork(kernel=ln.TableKernel()).replace(**{"kernel.values[9,9]": 1.0}),
    ],
)
def test_values_of_the_wrong_kind_are_one_message(change):
    with pytest.raises(ln.InputError):
        change()
