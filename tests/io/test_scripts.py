"""Scripts of other simulators and files of XPPAUT: the limit's right-hand side, and what cannot be said is refused."""

import ast
import math
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import largen as ln
from largen.io.model_files import read_model
from largen.systems.balanced import limit_equations, manifold

# XPPAUT --------------------------------------------------------------------------------------------------------------


def evaluate(text, state):
    """The right-hand side that an .ode file says, by Python's own arithmetic."""
    known = {"exp": math.exp, "sqrt": math.sqrt, "erf": math.erf}
    change = {}
    for line in text.splitlines():
        name, equals, formula = line.partition("=")
        if line.startswith(("#", "@", "init", "aux", "done")) or not equals:
            continue
        name = re.sub(r"^(par|number) ", "", name)
        value = eval(formula.replace("^", "**"), {"__builtins__": {}}, known | state)
        (change if name.endswith("'") else known)[name.removesuffix("'")] = value
    return change


def first_state(text):
    return {key: float(value) for key, value in re.findall(r"^init (\w+)=(.*)$", text, re.M)}


MODELS = {
    "full rank": lambda: read_model("balanced"),
    "shared": lambda: read_model("shared"),
    "two times": lambda: read_model("folded"),
    "rank one": lambda: read_model("rank_one"),
    "unequal, with noise": lambda: ln.BalancedNetwork(fractions=(0.7, 0.3), noise=(0.3, 0.1), input=(0.1, -0.2)),
    "one population": lambda: ln.BalancedNetwork(
        coupling=((1.5,),), sign=(-1,), tau=2.0, gain=(ln.Probit(2.0, 1.2, 0.3),), drive=(0.8,), input=(0.1,),
        initial_mean=(0.0,), initial_variance=(0.4,),
    ),
}  # fmt: skip


QUICK = ("full rank", "rank one")


@pytest.mark.parametrize("name", [k if k in QUICK else pytest.param(k, marks=pytest.mark.long) for k in MODELS])
def test_the_right_hand_side_of_an_ode_file_is_that_of_the_limit(name):
    model = MODELS[name]()
    text = ln.to_xppauto(model)
    count = len(model.gain)
    rng = np.random.default_rng(7)
    start = first_state(text)
    v0 = np.array([start[f"v{a}"] for a in range(1, count + 1)])
    with jax.enable_x64(True):
        form = manifold.structure(model)
        args = (model, manifold.balance(model, form.columns), form.nodes)
        for off in (0.0, 0.0, 0.1, 0.3):  # on the manifold and beside it
            v = v0 + off * rng.standard_normal(count)
            k = np.asarray(model.initial_variance) * (1.0 + rng.random(count) * (off > 0))
            state = {f"v{a + 1}": v[a] for a in range(count)} | {f"k{a + 1}": k[a] for a in range(count)}
            change = evaluate(text, state)
            dv, dk = limit_equations.rhs(0.0, (v, k), args)
            for a in range(count):
                assert change[f"v{a + 1}"] == pytest.approx(float(dv[a]), rel=1e-9, abs=1e-10)
                assert change[f"k{a + 1}"] == pytest.approx(float(dk[a]), rel=1e-9, abs=1e-10)
        at_start = manifold.rates(model.gain, v0, np.asarray(model.initial_variance), form.nodes)
        strong = manifold.coordinates(args[1].basis, np.asarray(model.drive))
        np.testing.assert_allclose(args[1].conditions @ at_start + strong, 0.0, atol=1e-9)


def test_a_wrong_number_in_an_ode_file_is_noticed():
    text = ln.to_xppauto(read_model("balanced"))
    state = first_state(text) | {"v1": 0.1}
    wrong = text.replace("par theta2=0.3", "par theta2=0.31")
    assert wrong != text
    assert evaluate(wrong, state)["v2"] != pytest.approx(evaluate(text, state)["v2"], rel=1e-6)


# Scripts -------------------------------------------------------------------------------------------------------------

QUENCHED = {"connectivity": "quenched"}
SAID = {
    "gamma": ("brian2", lambda: ln.SpikingNetwork()),
    "kicks": ("brian2", lambda: ln.SpikingNetwork.kicks()),
    "sheet_mean": ("brian2", lambda: ln.SpikingNetwork.sheet_mean()),
    "gamma, quenched": ("brian2", lambda: ln.SpikingNetwork(**QUENCHED)),
    "brunel": ("both", lambda: ln.SpikingNetwork.brunel(n_e=400).replace(**QUENCHED)),
    "microcircuit": ("both", lambda: ln.SpikingNetwork.microcircuit(scale=0.02)),
}


@pytest.mark.parametrize("name", SAID)
def test_a_script_holds_the_numbers_of_the_model(name):
    which, made = SAID[name]
    model = made()
    for write in (ln.to_brian2, ln.to_nest)[: 2 if which == "both" else 1]:
        tree = ast.parse(write(model, duration=200, seed=3))
        given = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    given[node.targets[0].id] = ast.literal_eval(node.value)
                except ValueError:  # not a literal
                    continue
        numbers = SimpleNamespace(**given)
        assert numbers.names == list(model.populations)
        assert numbers.size == np.asarray(model.size).tolist()
        assert numbers.inhibitory == [bool(flag) for flag in model.inhibitory]
        np.testing.assert_array_equal(numbers.threshold, np.broadcast_to(model.threshold, len(model.size)))
        if model.synapse == "exponential":
            signed = np.where(model.inhibitory, -1.0, 1.0) * model.strength
            factor = 1.0 / 250.0 if write is ln.to_brian2 else 1.0
            np.testing.assert_allclose(numbers.weight, signed * factor)
            assert numbers.synapses == np.asarray(model.synapses).tolist()
        elif model.synapse == "delta":
            np.testing.assert_allclose(numbers.weight, np.where(model.inhibitory, -1.0, 1.0) * model.strength)
            assert numbers.in_degree == np.broadcast_to(model.in_degree, (2, 2)).tolist()
        else:
            np.testing.assert_allclose(numbers.strength, model.strength)


def test_a_script_of_another_size_is_that_of_the_scaled_model():
    assert ln.to_brian2(ln.SpikingNetwork(), n=800) == ln.to_brian2(ln.SpikingNetwork().scaled(800))


REFUSED = {
    "pending in NEST": (ln.to_nest, lambda: ln.SpikingNetwork(), r"pending synapses.*\(`synapse`\).*\(`inhibition`\)"),
    "annealed in NEST": (ln.to_nest, lambda: ln.SpikingNetwork.brunel(), "say connectivity='quenched'"),
    "annealed in-degrees": (ln.to_brian2, lambda: ln.SpikingNetwork.brunel(), r"\(`in_degree`\)"),
    "adaptation": (ln.to_brian2, lambda: ln.SpikingNetwork(adaptation_step=0.1), r"adaptation \(`adaptation_step`\)"),
    "a drive in time": (
        ln.to_brian2,
        lambda: ln.SpikingNetwork(external_rate=ln.TimeSeries((0.0, 5.0), ((7.0, 7.0), (8.0, 8.0)))),
        "a drive that varies in time",
    ),
    "balanced in Brian2": (
        ln.to_brian2,
        lambda: ln.BalancedNetwork(),
        "balanced system has no script for 'brian2'",
    ),
    "spiking in XPPAUT": (ln.to_xppauto, lambda: ln.SpikingNetwork(), "no script for 'xppauto'"),
    "a ring in XPPAUT": (ln.to_xppauto, lambda: ln.BalancedNetwork.ring(), "`space` must be None"),
    "a ring in Brian2": (ln.to_brian2, lambda: ln.SpikingNetwork.ring(), "`space`"),
    "logistic in XPPAUT": (
        ln.to_xppauto,
        lambda: ln.BalancedNetwork(gain=(ln.Logistic(1.5, 1.0, 0.5), ln.Probit(2.0, 1.5, 0.3))),
        "gains other than Probit",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_simulator_cannot_say_is_refused_by_its_field(what):
    write, made, message = REFUSED[what]
    with pytest.raises(ln.InputError, match=message):
        write(made())


def test_export_at_the_command_line_writes_what_the_functions_write(tmp_path, capsys):
    from largen.commands.main import main

    path = tmp_path / "gamma.py"
    assert main(["export", "gamma", "--to", "brian2", "--duration", "300", "--seed", "4", "-o", str(path)]) == 0
    assert path.read_text() == ln.to_brian2(ln.SpikingNetwork(), duration=300, seed=4)
    assert main(["export", "brunel", "--to", "nest", "--set", "connectivity=quenched"]) == 0
    assert "iaf_psc_delta" in capsys.readouterr().out
    assert main(["export", "balanced", "--to", "latex"]) == 0
    assert "aligned" in capsys.readouterr().out
    assert main(["export", "rank_one", "--to", "xppauto"]) == 0
    assert capsys.readouterr().out == ln.to_xppauto(read_model("rank_one"))
    for line, message in (
        ("gamma --to nest", "cannot say this network"),
        ("saddle --to xppauto", "no balanced state"),
        ("gamma --to matlab", "--to"),
        ("gamma --to latex --seed 2", "Option --seed goes with --to brian2"),
        ("balanced --to xppauto --duration 9", "Option --duration goes with --to brian2"),
        (f"gamma --to brian2 -o {path}", "already exists"),
    ):
        assert main(["export", *line.split()]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1
