"""Model files: an exact round trip, and hostile or mistaken files refused with a message."""

import equinox as eqx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import largen as ln
from largen.io.model_files import examples, read_file, time_grid


@settings(max_examples=30)
@given(
    rate=st.floats(0, 1e9, allow_nan=False),
    tau=st.floats(1e-300, 1e300),
    p=st.floats(0, 1),
    refractory=st.sampled_from(["exponential", "fixed"]),
)
def test_the_round_trip_is_exact(tmp_path_factory, rate, tau, p, refractory):
    model = ln.SpikingNetwork(
        external_rate=(rate, 7.0), membrane_time=tau, probability=((p, 0.8), (0.8, 0.8)), refractory=refractory
    )
    path = tmp_path_factory.mktemp("models") / "m.yaml"
    again = ln.read_model(ln.write_model(model, path))
    assert eqx.tree_equal(again, model)


@pytest.mark.parametrize("name", list(examples()))
def test_examples_are_the_presets(name):
    model, run = read_file(name)
    assert eqx.tree_equal(model, getattr(type(model), name)())
    assert run.times is not None


BAD = {
    "not yaml: [": "not a YAML file of plain values",
    "[1, 2]": "hold a mapping",
    "system: spikin\n": "Did you mean `spiking`",
    "system: spiking\nparameter: {}\n": "Did you mean `parameters`",
    "system: spiking\nparameters: {stregth: 1}\n": "Did you mean `strength`",
    "system: spiking\nparameters: {size: [0, 3]}\n": r"`size\[e\]` must be at least 1",
    "system: spiking\nparameters: {external_rate: .nan}\n": "must be a number, but is nan",
    "system: spiking\nparameters: {external_rate: [1, 2, 3]}\n": "must have shape",
    "system: spiking\nparameters: {external_rate: 'os:system'}\n": "importing it runs code",
    "system: spiking\nparameters: {strength: 'os:system'}\n": "must not be the text",
    "system: spiking\nparameters: {external_rate: {kind: Popen}}\n": "must have a `kind` among TimeSeries",
    "system: spiking\nparameters: 3\n": "`parameters` must be a mapping",
    "system: spiking\nrun: {n: -3}\n": "`run.n` is wrong",
    "system: spiking\nrun: {tmies: 3}\n": "Did you mean `times`",
    "system: spiking\nrun: {times: {start: 0, stop: 1, step: 0}}\n": "`run.times",
    "system: spiking\nrun: {times: {start: 0, stop: 1.0e+30, step: 1}}\n": "at most 10 million times",
    "system: spiking\nsystem: spiking\n": "must appear once, but appears twice",
    "system: !!python/object/apply:os.system ['true']\n": "not a YAML file of plain values",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n": "aliases",
}


@pytest.mark.parametrize("text", list(BAD))
def test_a_bad_file_gives_one_message(tmp_path, text):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ln.InputError, match=BAD[text]) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_too_large(tmp_path):
    with pytest.raises(ln.InputError, match="Did you mean `gamma`"):
        ln.read_model("gama")
    (tmp_path / "big.yaml").write_text("#" * 2_000_000)
    with pytest.raises(ln.InputError, match="at most 1000000 bytes"):
        ln.read_model(tmp_path / "big.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ln.InputError, match="cannot be read as text"):
        ln.read_model(tmp_path / "binary.yaml")


def test_a_function_without_a_name_is_not_written(tmp_path):
    model = ln.SpikingNetwork(external_rate=lambda time: np.ones(2))
    with pytest.raises(ln.InputError, match="`external_rate` must be an importable function"):
        ln.write_model(model, tmp_path / "m.yaml")
    assert not list(tmp_path.iterdir())


def test_numbers_as_people_write_them(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("system: spiking\nparameters: {external_rate: 1e1, membrane_time: .inf}\n")
    model = ln.read_model(path)
    assert model.external_rate == 10.0
    assert np.isinf(model.membrane_time)


def test_time_grid_has_no_accumulated_rounding():
    times = time_grid(0.0, 1000.0, 0.1)
    assert len(times) == 10001
    assert times[3] == 0.3
    assert times[-1] == 1000.0
    with pytest.raises(ln.InputError, match="be beyond the start"):
        time_grid(1.0, 0.0, 0.1)
