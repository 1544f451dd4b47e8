"""Model files: an exact round trip, and hostile or mistaken files refused with a message."""

import equinox as eqx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import largen as ln
from largen.io.model_files import examples, parse_model, read_file, time_grid
from largen.io.plain_files import parse_plain


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
    "system: spiking\nrun: {n: -3}\n": "`run.n` must be at least 1",
    "system: spiking\nrun: {tmies: 3}\n": "Did you mean `times`",
    "system: spiking\nrun: {times: {start: 0, stop: 1, step: 0}}\n": "`times.step` must be positive",
    "system: spiking\nrun: {times: {start: 0, stop: 1.0e+30, step: 1}}\n": "at most 10 million times",
    "system: spiking\nsystem: spiking\n": "must appear once, but appears twice",
    "system: !!python/object/apply:os.system ['true']\n": "YAML tags",
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


@pytest.mark.parametrize("word", ["yes", "no", "on", "1_000", "1:30", "2020-01-01", "0b11"])
def test_words_of_older_yaml_are_words_and_no_numbers(word):
    assert parse_plain(word) == word
    with pytest.raises(ln.InputError, match=r"`external_rate` must (hold numbers|not be the text)"):
        parse_model(f"system: spiking\nparameters: {{external_rate: {word}}}", "File `x`")


def test_numbers_of_yaml_1_2():
    text = "[1e3, 0x10, 0o17, 017, .5, -.inf, +3, 1.e2, true, ~, '1']"
    assert parse_plain(text) == [1000.0, 16, 15, 17, 0.5, -np.inf, 3, 100.0, True, None, "1"]
    assert parse_model("system: balanced\nrun: {n: 1e3, seed: 0x" + "f" * 40 + "}", "x")[1].n == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system: [balanced]", r"`system` must be one of .* but is \['balanced'\]"),
        ("system: balanced\nparameters: false", "`parameters` must be a mapping, but is False"),
        ("system: balanced\nrun: []", "`run` must be a mapping"),
        ("system: balanced\nparameters: {gain: [{kind: [Probit]}]}", "must have a `kind` among Logistic"),
        ("system: balanced\nparameters: {coupling: [[1.0, 2.0], [1.2]]}", "`coupling` must have rows of equal length"),
        ("system: spiking\nparameters: {size: [300, [100]]}", "`size` must have rows of equal length"),
        ("system: spiking\nparameters: {threshold: 0x" + "f" * 3000 + "}", "`threshold` must be at most 1.8e"),
        ("system: spiking\nparameters: {threshold: 0x" + "f" * 5000 + "}", "at most 4000 characters"),
        ("system: spiking\nparameters: {threshold: 1e400}", "at most 1.8e308"),
        ("system: spiking\nparameters: {threshold: !!float 3}", "YAML tags"),
        ("system: spiking\nparameters: {threshold: {a: 1}}", "`threshold` must be numbers"),
        ("system: spiking\nparameters: {[a]: 1}", "must be a word"),
        ("system: spiking\nrun: {n: true}", "`run.n` must be an integer, but is True"),
        ("system: spiking\nrun: {n: '400'}", "`run.n` must be an integer, but is '400'"),
        ("system: spiking\nrun: {times: {stop: .inf, step: 1}}", "`run.times.stop` must be a finite number"),
        ("system: spiking\nrun: {times: [0, yes]}", "`run.times` must hold numbers"),
        ('{"system": "spiking", "system": "rate"}', "must appear once"),
        ("--- a\n--- b", "several"),
    ],
)
def test_what_is_no_model_is_one_message(text, message):
    with pytest.raises(ln.InputError, match=message) as caught:
        parse_model(text, "File `x`")
    assert len(str(caught.value)) < 400
    assert ".." not in str(caught.value).replace("...", "")


@pytest.mark.parametrize(
    "text", ["[" * 10**5, "{" * 10**5, '{"a":' * 10**5, "[" * 50 + "]" * 50, "- " * 10**5, "[a: " * 10**4, "? " * 10**5]
)
def test_lists_within_lists_are_refused_at_once(text):
    with pytest.raises(ln.InputError, match=r"at most 32 deep|nesting depth"):
        parse_plain(text)


def test_json_with_tabs_is_read():
    assert parse_plain('{\n\t"a": [1, 2.5, Infinity],\n\t"b": null}') == {"a": [1, 2.5, np.inf], "b": None}


def test_many_keys_take_time_in_proportion():
    keys = 40_000
    assert len(parse_plain("\n".join(f"k{i}: {i}" for i in range(keys)))) == keys  # quadratic: half a minute


@pytest.mark.parametrize("path", [None, 3, b"gamma", "", "a\0b", ["gamma"], "."])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ln.InputError, match=r"`path` must be a path|There is no file"):
        ln.read_model(path)


@pytest.mark.parametrize("model", [None, ln.SpikingNetwork, "gamma"])
def test_what_is_no_model_is_not_written(model, tmp_path):
    with pytest.raises(ln.InputError, match="`model` must be a model"):
        ln.write_model(model, tmp_path / "m.yaml")


def test_any_integers_of_a_run_are_written(tmp_path):
    run = {"n": np.int64(400), "seed": 2**130, "times": {"stop": np.float32(2.0), "step": 1}}
    ln.write_model(ln.SpikingNetwork(), tmp_path / "m.yaml", run=run)
    found = read_file(tmp_path / "m.yaml")[1]
    assert (found.n, found.seed) == (400, 2**130)


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
