"""The model of populations: fields, names, files, refusals."""

import numpy as np
import pytest

import largen as ln
from largen.parameters.plain import from_plain, to_plain
from systems.rate.populations.cases import transient

PLAIN = ln.UncorrelatedKernel(1.0)
BAD = ln.TableKernel(((0.9, 0.9, 0.9), (0.9, 1.0, 0.9), (0.9, 0.9, 0.9)))
TWO = ln.LowRank(((1.0,), (1.0,)), ((1.0,), (1.0,)))


@pytest.mark.parametrize("preset", ln.RatePopulations.presets)
def test_a_preset_is_read_back_from_its_file(preset, tmp_path):
    model = getattr(ln.RatePopulations, preset)()
    ln.write_model(model, tmp_path / "model.yaml")
    assert to_plain(ln.read_model(tmp_path / "model.yaml")) == to_plain(model)


def test_every_kind_of_part_is_read_back():
    signals = ln.TimeSeries((0.0, 1.0), ((0.0,), (1.0,)))
    patterns = ln.Patterns(((0.1,), (0.2,)), (((0.3,),), ((0.4,),)), np.zeros((2, 1, 3)), signals)
    model = transient().replace(
        patterns=patterns, input=signals_of_two(), labels=("a", "b"), activation=("relu", "erf")
    )
    assert to_plain(from_plain(ln.RatePopulations, to_plain(model))) == to_plain(model)


def signals_of_two():
    return ln.TimeSeries((0.0, 1.0), ((0.0, 0.0), (1.0, 2.0)))


def test_blocks_and_populations_have_names():
    model = ln.RatePopulations.correlated_blocks()
    changed = model.replace(**{"kernels[a,b].post": 0.25, "activation[b]": "erf", "noise[a]": 0.1})
    assert float(changed.value("kernels[a,b].post")) == 0.25
    assert float(changed.value("kernels[b,a].post")) == -0.4
    assert changed.activation == ("probit", "erf")
    assert model.locate("kernels[a,b].post").steps == ("kernels", 0, 1, "post")
    assert ln.RatePopulations().replace(**{"activation[i]": "erf"}).activation == ("tanh", "erf")


def test_the_default_is_excitation_and_inhibition_and_kernels_replace_its_variances():
    assert np.array_equal(ln.RatePopulations().weight_variance, [[2.56, 4.0], [1.96, 1.44]])
    model = ln.RatePopulations(kernels=((PLAIN, PLAIN), (PLAIN, PLAIN)))
    assert model.weight_variance is None
    assert model.populations == ("e", "i")
    assert ln.RatePopulations.chaotic().populations == ("p1",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ("a", "a")}, "`labels` must differ from each other"),
        ({"labels": ("a", "b,c")}, "`labels` must be made of letters"),
        ({"fractions": (0.5, 0.4)}, "`fractions` must add up to 1"),
        ({"activation": ("tanh", "foo")}, r"`activation\[i\]` must be one of"),
        ({"activation": ("tanh",)}, "`activation` must have 2 entries"),
        ({"weight_variance": ((1.0, 1.0), (-1.0, 1.0))}, r"`weight_variance\[i,e\]` must be at least 0"),
        ({"kernels": ((PLAIN, PLAIN), (BAD, PLAIN))}, r"`kernels\[i,e\]` must be positive definite"),
        ({"kernels": ((PLAIN, PLAIN),)}, "`kernels` must have 2 entries"),
        ({"kernels": 1}, "`kernels` must be a tuple"),
        ({"kernels": ((PLAIN, PLAIN),) * 2, "weight_variance": np.ones((2, 2))}, "exclude each other"),
        ({"low_rank": ln.LowRank()}, r"`low_rank.left_mean` must have one row per population \(2\)"),
        (
            {"low_rank": ln.LowRank(TWO.left_mean, TWO.right_mean, np.array([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]))},
            r"`low_rank.covariance` must make the covariance of population i positive semi-definite",
        ),
        ({"threshold_covariance": np.ones((2, 2))}, r"`threshold_covariance` must have shape \(2, 0\)"),
        ({"low_rank": TWO, "threshold_covariance": ((0.1, 0.0), (0.0, 0.0))}, "joint covariance of .* of population e"),
        ({"tua": 1.0}, "Unknown parameter `tua`. Did you mean `tau`?"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(given, message):
    with pytest.raises(ln.InputError, match=message):
        ln.RatePopulations(**given)


def test_a_ring_that_is_too_small_names_the_block():
    kernels = ((PLAIN, ln.TableKernel()), (PLAIN, PLAIN))
    with pytest.raises(ln.InputError, match=r"source of `kernels\[e,i\]` at least 3 neurons"):
        ln.RatePopulations(kernels=kernels).sizes(10)
    negative = ((PLAIN, PLAIN), (ln.SeparableKernel(1.0, -0.9, 0.0), PLAIN))
    with pytest.raises(ln.InputError, match=r"`kernels\[i,e\]` must be positive definite on rings of 3 and 12"):
        ln.RatePopulations(kernels=negative).sizes(15)


def test_the_equations_hold_the_models_numbers():
    text = ln.equations(transient())
    for part in (r"1.96\,\delta_{k0}", r"\kappa_{1}", "0.7", r"\mathcal{N}(0.2,\ 0.09)", r"m^{1} \kappa_{1}", "I_"):
        assert part in text
    assert r"(-0.4)^{|k|}\,(0.3)^{|l|}" in ln.equations(ln.RatePopulations.correlated_blocks())
    with pytest.raises(ln.InputError, match="those of the limit"):
        ln.equations(transient(), n=100)


def test_a_formula_is_an_activation_everywhere(tmp_path, capsys, monkeypatch):
    from largen.commands.main import main

    model = ln.RatePopulations(activation=("x / sqrt(1 + x**2)", "tanh"), dynamics="discrete")
    assert ln.read_model(ln.write_model(model, tmp_path / "m.yaml")) == model
    assert r"\frac{x}{\sqrt{1 + {x}^{2}}}" in ln.equations(model)
    assert r"\frac{2\,x}{1" in ln.equations(ln.RateNetwork(activation="x / (1 + abs(x))", gain=2.0))
    known, named = (
        model.replace(activation=kinds) for kinds in (("tanh(x)", "1 / (1 + exp(-x))"), ("tanh", "logistic"))
    )
    for run in (lambda m: ln.solve_limit(m, np.arange(3.0)), lambda m: ln.simulate(m, np.arange(3.0), n=50, seed=1)):
        one, two = run(known), run(named)
        for name in ("mean", "covariance"):
            assert one[name].values == pytest.approx(two[name].values, abs=1e-10), name
    monkeypatch.chdir(tmp_path)
    assert main(["equations", "m.yaml", "--set", "activation=x / sqrt(1 + x**2)"]) == 0
    assert main(["equations", "m.yaml", "--set", "activation=open(x)"]) == 2
    assert "the function 'open'" in capsys.readouterr().err
    with pytest.raises(ln.InputError, match=r"`activation\[i\]` must be a formula of x"):
        model.replace(activation=("tanh", "x.real"))
    with pytest.raises(ln.InputError, match=r"`activation` must be one of 'logistic'.* or a formula such as"):
        ln.RateNetwork(activation="relu")
