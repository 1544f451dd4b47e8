"""The spiking reduction: bins, chain, many populations, the JAX engine with its derivative."""

import numpy as np
import pytest
from networks import clocked
from report import JAX, POPULATIONS, REDUCTION

from largen.systems.spiking.channels import build_layout
from largen.systems.spiking.limit import solve
from largen.systems.spiking.markov import new_state, new_work, run_steps
from largen.systems.spiking.model import SpikingNetwork

slow = pytest.mark.slow
GROWTH = "populations P: CPU s per biological second"
CASES = {
    "joint, w = 4": ({"bin_width": 4.0}, 0.05),
    "joint, w = 10": ({"bin_width": 10.0}, 0.025),
    "joint, w = 4, constant in a bin": ({"bin_width": 4.0, "linear_in_bin": False}, None),
    "joint, w = 2, constant in a bin": ({"bin_width": 2.0, "linear_in_bin": False}, None),
    "white, w = 4": ({"bin_width": 4.0, "closure": "white"}, None),
    "paper, w = 4": ({"bin_width": 4.0, "closure": "paper"}, None),
    "chain, w = 4": ({"bin_width": 4.0, "finite_size": True}, 0.08),
    "chain, w = 10": ({"bin_width": 10.0, "finite_size": True}, None),
}


def many(populations):
    """The default network cut into equal populations, densely coupled."""
    owner = np.arange(populations) % 2
    grid = np.ix_(owner, owner)
    base = SpikingNetwork()
    fields = {name: np.array(getattr(base, name))[grid] for name in ("probability", "decay")}
    return SpikingNetwork(
        size=np.array((300, 100))[owner],
        inhibitory=owner == 1,
        strength=np.array(base.strength)[grid] * 2.0 / populations,
        external_rate=7.0,
        **fields,
    )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow if "," in n[8:] or "paper" in n or "white" in n else ()) for n in CASES]
)
def test_one_network(name, least, add, fast):
    options, target = CASES[name]
    duration = 500.0 if fast else 2000.0

    def run(end):
        solve(SpikingNetwork(), np.array([0.0, end]), **options)

    run(10.0)
    start = min(clocked(run, 10.0) for _ in range(5))
    seconds = (least(run, 10.0 + duration) - start) / duration * 1e3
    add(REDUCTION, case=name, measured=seconds, target=target)


@pytest.mark.parametrize(
    "count", [2, 8, pytest.param(32, marks=slow), *(pytest.param(c, marks=slow) for c in (128, 256))]
)
def test_populations(count, least, add, point):
    layout, edges = build_layout(many(count), 0.1, 4.0)
    populations, bins = len(layout.size), len(edges) - 1
    state, work = new_state(layout, bins), new_work(layout, bins)
    outputs = (np.zeros((populations, 2)), np.zeros((populations, populations, 2)))
    unused = (np.zeros((populations, bins, 0)), np.zeros((populations, 0)))
    steps = max(150, 10_000 // count)

    def run():
        run_steps(layout, state, work, np.full((1, populations), 7.0), np.array([0, steps]), *outputs, *unused)

    seconds = least(run) / steps * 1e4
    add(POPULATIONS, populations=count, measured=seconds, target=8.0 if count == 256 else None)
    point(GROWTH, "dense", count, seconds)


@slow
@pytest.mark.parametrize(
    ("width", "sets", "target"), [(4.0, 1, None), (4.0, 64, 0.15), (10.0, 1, None), (10.0, 64, 0.05)]
)
def test_jax(width, sets, target, least, add):
    import jax
    import jax.numpy as jnp

    from largen.systems.spiking import markov_jax

    base, duration = SpikingNetwork(), 50.0
    with jax.enable_x64(True):

        def rates(strength):
            if sets == 1:
                changed = base.replace(strength=strength * base.strength)
                return markov_jax.rates(changed, duration=duration, bin_width=width)
            varied = {"strength[e,e]": strength * np.linspace(0.8, 1.05, sets)}
            return markov_jax.rates(base, sets=varied, duration=duration, bin_width=width)

        one, found = jnp.ones(()), []
        for function in (jax.jit(rates), jax.jit(lambda s: jax.jvp(rates, (s,), (jnp.ones(()),)))):

            def run(function=function):
                jax.block_until_ready(function(one))

            first = clocked(run)
            found.append((run, first, min(clocked(run) for _ in range(2))))
        (value, _, quick), (tangent, _, _) = found
        seconds = least(value, rounds=4)
        pairs = [(clocked(value), clocked(tangent)) for _ in range(6)]  # in turn: the machine's speed drifts
        ratio = min(pair[1] for pair in pairs) / min(pair[0] for pair in pairs)
        add(
            JAX,
            case=f"w = {width:g}",
            sets=sets,
            value=seconds / (sets * duration * 1e-3),
            target=target,
            **{
                "derivative over value": ratio,
                "target ": 3,
                "compiling value": found[0][1] - quick,
                "compiling derivative": found[1][1] - found[1][2],
                "target  ": 10,
            },
        )


@slow
def test_jax_many_populations(least, add):
    import jax

    from largen.systems.spiking import markov_jax

    with jax.enable_x64(True):
        function = jax.jit(lambda: markov_jax.rates(many(256), duration=4.0, bin_width=4.0))
        seconds = least(lambda: jax.block_until_ready(function()), rounds=3)
    add(POPULATIONS, populations="256, JAX", measured=seconds / 4e-3)
