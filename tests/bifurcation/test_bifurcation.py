"""`follow`, `limit_cycle` and `fixed_points`: normal forms through the public functions, orbits, both models."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot
from largen.analysis import Flow, Map
from largen.commands.main import main
from largen.numerics.continuation.kinds import SpecialKind
from largen.numerics.lyapunov import runge_kutta

PITCHFORK = Flow(lambda x, q: q["mu"] * x - x**3, [0.0], {"mu": -1.0})


def brusselator(x, q):
    return jnp.array([1 - (q["b"] + 1) * x[0] + x[0] ** 2 * x[1], q["b"] * x[0] - x[0] ** 2 * x[1]])


def specials(diagram):
    return list(zip(diagram["special_kind"].values.tolist(), diagram["special_parameter"].values, strict=True))


def test_a_pitchfork_is_switched_in_both_directions():
    diagram = analysis.follow(PITCHFORK, "mu", to=1.0)
    assert [kind for kind, _ in specials(diagram)] == ["branch_point"]
    assert diagram.sizes["branch"] == 3
    ends = sorted(
        float(diagram["state"].values[np.flatnonzero(diagram["on_branch"].values == k)[-1], 0]) for k in range(3)
    )
    np.testing.assert_allclose(ends, [-1, 0, 1], atol=1e-8)
    regular = diagram.isel(point=np.setdiff1d(np.arange(diagram.sizes["point"]), diagram["special_point"].values))
    middle = (regular["on_branch"] == 0) & (regular["parameter"] > 0)
    np.testing.assert_array_equal(regular["stable"].values, ~middle.values)
    assert set(diagram["special_meaning"].values) == {SpecialKind.BRANCH_POINT.meaning}


def test_the_logistic_map_doubles_twice_and_its_orbits_are_exact():
    diagram = analysis.follow(Map(lambda x, q: q["r"] * x * (1 - x), [0.4], {"r": 1.5}), "r", to=3.5)
    found = dict(specials(diagram)[::-1])
    assert [kind for kind, _ in specials(diagram)] == ["period_doubling"] * 2
    np.testing.assert_allclose(diagram["special_parameter"].values, [3.0, 1.0 + np.sqrt(6.0)], atol=1e-6)
    assert found
    two = diagram.isel(point=diagram["on_branch"].values == 1)
    r = two["parameter"].values
    spread = np.sqrt((r - 3) * (r + 1)) / r
    np.testing.assert_allclose((two["state_high"] - two["state_low"]).values[:, 0], spread, atol=1e-7)
    assert set(two["period"].values) == {2.0}


@pytest.mark.long
def test_brusselator_from_its_hopf_point_agrees_with_integration():
    flow = Flow(brusselator, [1.0, 1.0], {"b": 1.5})
    diagram = analysis.follow(flow, "b", to=3.0, largest_step=0.08)
    kinds = specials(diagram)
    assert kinds[0][0] == "hopf"
    assert kinds[0][1] == pytest.approx(2.0, abs=1e-6)
    assert float(diagram["special_frequency"].values[0]) == pytest.approx(1 / (2 * np.pi), abs=1e-7)
    last = diagram.isel(point=-1)
    assert float(last["parameter"]) == pytest.approx(3.0)
    assert bool(last["stable"])
    x, period = last["unknowns"].values, float(last["period"])
    back = scipy.integrate.solve_ivp(
        lambda t, y: np.asarray(brusselator(y, {"b": 3.0})), (0, period), x, rtol=1e-10, atol=1e-12, method="DOP853"
    )
    np.testing.assert_allclose(back.y[:, -1], x, atol=3e-5)
    # The multiplier is the exponential of the mean divergence (Liouville).
    divergence = np.interp(
        np.linspace(0, period, 4001), back.t, -(3.0 + 1) + 2 * back.y[0] * back.y[1] - back.y[0] ** 2
    )
    assert float(last["eigenvalue_real"][0]) == pytest.approx(
        np.exp(np.trapezoid(divergence, dx=period / 4000)), rel=0.05
    )
    assert abs(float(last["trivial_multiplier_real"][0]) - 1) < 1e-4


def morris_lecar(x, q):
    v, w = x
    m = 0.5 * (1 + jnp.tanh((v + 1.2) / 18))
    end, rate = 0.5 * (1 + jnp.tanh((v - 2) / 30)), jnp.cosh((v - 2) / 60)
    current = q["i"] - 2 * (v + 60) - 4.4 * m * (v - 120) - 8 * w * (v + 84)
    return jnp.array([current / 20, 0.04 * rate * (end - w)])


@pytest.mark.long
def test_a_morris_lecar_orbit_is_found_and_followed():
    # Hopf set (Rinzel & Ermentrout 1989): the stationary state loses stability at I = 93.86 and regains it at 212.
    flow = Flow(morris_lecar, [-26.0, 0.13], {"i": 150.0}, components=("v", "w"), scale=[60.0, 1.0], time_unit="ms")
    orbit = analysis.limit_cycle(flow, settle=500.0, window=200.0)
    times = np.linspace(0, float(orbit["period"]), 200)
    path = scipy.integrate.solve_ivp(
        lambda t, y: np.asarray(morris_lecar(y, {"i": 150.0})), (0, times[-1]), orbit["unknowns"].values[0],
        t_eval=times, rtol=1e-9, atol=1e-10,
    ).y  # fmt: skip
    np.testing.assert_allclose(path[:, -1], path[:, 0], atol=5e-3)
    assert bool(orbit["stable"])
    diagram = analysis.follow(flow, "i", to=230.0, cycles=False)
    assert specials(diagram)[0][0] == "hopf"
    assert 200 < specials(diagram)[0][1] < 220


def turning(x, q, dt):
    """The exact flow of r' = mu r - r^3, theta' = 2 pi: period 1 whatever dt, radius sqrt(mu)."""
    grown = jnp.exp(2 * q["mu"] * dt)
    factor = jnp.sqrt(grown / (1 + (x @ x) * (grown - 1) / q["mu"]))
    c, s = jnp.cos(2 * jnp.pi * dt), jnp.sin(2 * jnp.pi * dt)
    return factor * jnp.array([c * x[0] - s * x[1], s * x[0] + c * x[1]])


@pytest.mark.long
def test_a_step_of_a_flow_is_followed_as_a_flow():
    system = Map(turning, [0.7, 0.1], {"mu": 0.5}, dt=0.013)
    orbit = analysis.limit_cycle(system, settle=20.0, window=3.0)
    assert float(orbit["period"]) == pytest.approx(1.0, abs=1e-6)
    assert float(orbit["multiplier_real"][0]) == pytest.approx(np.exp(-1.0), abs=1e-6)
    assert float(orbit["trivial_multiplier"]) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(orbit["unknowns"].values, axis=1), np.sqrt(0.5), atol=1e-6)
    diagram = analysis.follow(system, "mu", to=1.0, start=orbit)
    radius = np.linalg.norm(diagram["unknowns"].values, axis=1)
    np.testing.assert_allclose(radius, np.sqrt(diagram["parameter"].values), atol=1e-5)
    # Downwards the branch ends at the Hopf point.
    diagram = analysis.follow(system, "mu", to=-0.2, start=orbit)
    assert "ends at a Hopf point" in str(diagram["branch_ending"].values[0])
    with pytest.raises(ln.LimitError, match=r"could not be started: Newton's method left a residual of .* iterations"):
        analysis.follow(system, "mu", to=1.0, start=orbit.assign(period=orbit["period"] * 1.4))


def bent(x, q, dt):
    """A Runge-Kutta step of r' = mu r + r^3 - r^5, theta' = 2 pi r^2: orbits r^2 = (1 ± sqrt(1 + 4 mu)) / 2."""

    def field(y):
        square = y @ y
        return (q["mu"] + square - square**2) * y + 2 * jnp.pi * square * jnp.array([-y[1], y[0]])

    return runge_kutta(lambda y, _: field(y), dt)(x, None)


@pytest.mark.long
def test_a_fold_of_a_steps_orbits_is_where_their_multiplier_passes_one():
    # T = 1 / r^2 goes from .83 to 3: the number of steps per period changes all along the branch.
    system = Map(bent, [1.1, 0.0], {"mu": 0.25}, dt=0.02)
    orbit = analysis.limit_cycle(system, settle=20.0, window=3.0)
    assert float(orbit["period"]) == pytest.approx(2 / (1 + np.sqrt(2.0)), abs=1e-4)
    diagram = analysis.follow(system, "mu", to=-0.3, start=orbit, within=(-0.3, 0.3), points=40, largest_step=0.1)
    assert specials(diagram)[0] == ("fold_of_cycles", pytest.approx(-0.25, abs=1e-4))
    assert float(diagram["special_period"][0]) == pytest.approx(2.0, abs=0.01)
    assert set(kind for kind, _ in specials(diagram)) == {"fold_of_cycles"}
    square = np.sum(diagram["unknowns"].values ** 2, axis=1)
    np.testing.assert_allclose(square**2 - square, diagram["parameter"].values, atol=2e-4)
    unstable = np.diff(diagram["stable"].values.astype(int))
    assert np.sum(np.abs(unstable)) == 1


@pytest.mark.parametrize(
    "dt", [pytest.param(0.02, marks=pytest.mark.long), 0.0205, pytest.param(0.021, marks=pytest.mark.long)]
)
def test_a_fold_is_located_for_the_number_of_steps_that_suits_its_period(dt):
    # Euler steps of r' = mu r + r^3 - r^5, theta' = 2 pi r^2. With k of them per period an orbit turns by 2 pi / k in
    # each: mu = s^2 - s - 2 pi s tan(pi / k), s = r^2, T = k sin(2 pi / k) / (2 pi s). Its multiplier is 1 where
    # s = 1/2 + pi tan(2 pi / k); with one step more per period that is elsewhere by 4e-3 in mu and 1/2 dt in T.
    def euler(x, q, dt):
        square = x @ x
        turn = 2 * jnp.pi * square * jnp.array([-x[1], x[0]])
        return x + dt * ((q["mu"] + square - square**2) * x + turn)

    system = Map(euler, [1.1, 0.0], {"mu": 0.25}, dt=dt)
    orbit = analysis.limit_cycle(system, settle=20.0, window=3.0)
    diagram = analysis.follow(system, "mu", to=-0.5, start=orbit, within=(-0.5, 0.3), points=40, largest_step=0.1)
    assert [kind for kind, _ in specials(diagram)] == ["fold_of_cycles"]
    (mu,), (period,) = diagram["special_parameter"].values, diagram["special_period"].values
    count = round(period / dt)
    s = 0.5 + np.pi * np.tan(2 * np.pi / count)
    assert mu == pytest.approx(s**2 - s - 2 * np.pi * s * np.tan(np.pi / count), abs=1e-6)
    assert period == pytest.approx(count * np.sin(2 * np.pi / count) / (2 * np.pi * s), abs=1e-6)


def twisted(x, q):
    """x and y turn in time 1; (u, v) = a (cos, sin) of half the angle with a' = mu a - a^3: for mu > 0 of period 2."""
    shrinking, (u, v) = 1 - x[0] ** 2 - x[1] ** 2, x[2:]
    near, far = 0.5 * ((1 + x[0]) * u + x[1] * v), 0.5 * (x[1] * u + (1 - x[0]) * v)
    square = u**2 + v**2
    turn = [x[0] * shrinking - 2 * jnp.pi * x[1], 2 * jnp.pi * x[0] + x[1] * shrinking]
    kept = [(q["mu"] + 2.0) * part - 2.0 * w - square * w for part, w in ((near, u), (far, v))]
    return jnp.array([*turn, kept[0] - jnp.pi * v, kept[1] + jnp.pi * u])


@pytest.mark.long
@pytest.mark.parametrize("stepped", [pytest.param(False, marks=pytest.mark.long), True])
def test_an_orbit_of_two_turns_ends_where_they_become_one(stepped):
    begin, step = [1.0, 0.0, 0.7, 0.0], {"mu": 0.4}
    system = Flow(twisted, begin, step)
    if stepped:
        system = Map(lambda x, q, dt: runge_kutta(lambda y, _: twisted(y, q), dt)(x, None), begin, step, dt=0.0211)
    orbit = analysis.limit_cycle(system, start=begin, settle=20.0, window=5.0)
    assert float(orbit["period"]) == pytest.approx(2.0, abs=1e-3)
    diagram = analysis.follow(system, "mu", to=-0.4, start=orbit, largest_step=0.1, switch=False)
    assert "rejoins the primary branch" in str(diagram["branch_ending"].values[0])
    assert float(diagram["parameter"][-1]) == pytest.approx(0.0, abs=0.02)
    size = np.linalg.norm(diagram["unknowns"].values[:, 2:4], axis=1)
    np.testing.assert_allclose(size**2, diagram["parameter"].values, atol=1e-3)


@pytest.mark.long
def test_orbits_are_switched_where_they_branch():
    def f(x, q):  # x and y turn on the unit circle; z has a pitchfork
        shrinking = 1 - x[0] ** 2 - x[1] ** 2
        turn = jnp.array([x[0] * shrinking - 2 * x[1], 2 * x[0] + x[1] * shrinking])
        return jnp.append(turn, q["mu"] * x[2] - x[2] ** 3)

    flow = Flow(f, [1.0, 0.0, 0.0], {"mu": -0.5})
    orbit = analysis.limit_cycle(flow, start=[1.0, 0.0, 0.0], settle=5.0, window=10.0)
    diagram = analysis.follow(flow, "mu", to=0.5, start=orbit, largest_step=0.2)
    assert specials(diagram)[0] == ("branch_point", pytest.approx(0.0, abs=1e-6))
    ends = [diagram.isel(point=np.flatnonzero(diagram["on_branch"].values == k)[-1]) for k in range(3)]
    np.testing.assert_allclose(sorted(float(end["state"][2]) for end in ends), [-(0.5**0.5), 0, 0.5**0.5], atol=1e-6)
    assert [bool(end["stable"]) for end in ends] == [False, True, True]


class Shifted:
    """A fold whose place depends on an option, as that of a discretised limit does."""

    def dynamics(self, parameter, *, n=None, width=0.0):
        return Flow(lambda x, q: q["mu"] - 0.5 * width**2 - x * x, [1.0], {"mu": 1.0}).dynamics(parameter, n=n)


def test_refinement_reports_how_far_special_points_move():
    diagram = analysis.follow(Shifted(), "mu", to=-1.0, within=(-1.0, 1.0), width=0.4, refine={"width": 0.2})
    assert specials(diagram) == [("fold", pytest.approx(0.08, abs=1e-6))]
    assert diagram["special_shift_width"].values == pytest.approx([-0.06], abs=1e-6)
    assert "width = 0.2" in diagram["special_shift_width"].attrs["long_name"]


@pytest.mark.long
def test_the_folded_balanced_network_oscillates_at_finite_size():
    model = ln.BalancedNetwork.folded()
    orbit = analysis.limit_cycle(model, n=2000)
    assert float(orbit["period"]) == pytest.approx(2.43, abs=0.005)
    assert bool(orbit["stable"])
    with pytest.raises(ln.InputError, match="stationary states only"):
        analysis.limit_cycle(model)


@pytest.mark.long
def test_balanced_stationary_branches_pass_a_fold_of_the_manifold():
    model = ln.BalancedNetwork.folded()
    diagram = analysis.follow(model, "gain[e].threshold", to=1.4)
    kinds = dict(specials(diagram))
    assert set(kinds) == {"manifold_fold", "hopf"}
    # There the derivative of the balance condition along the coupling's range vanishes: Q^T D R = 0.
    at = model.replace(**{"gain[e].threshold": kinds["manifold_fold"]})
    fast = at.fixed_points().fast
    assert np.min(np.abs(fast)) < 1e-5
    ends = diagram["fast_eigenvalue_real"].values[:, 0]
    assert ends[0] * ends[-1] < 0
    with pytest.raises(ln.InputError, match=r"drive\*"):
        analysis.follow(model, "drive[e]", to=0.6)


@pytest.mark.long
def test_spiking_stationary_states_and_their_hopf_point():
    # The upper Hopf point of p_ei (docs/bifurcation.md): .88455 at w = 4, without slopes within a bin.
    model = ln.SpikingNetwork.asynchronous().replace(**{"probability[e,i]": 0.87})
    options = {"linear_in_bin": False, "bin_width": 4.0}
    points = []
    diagram = analysis.follow(
        model, "probability[e,i]", to=0.9, cycles=False, first_step=0.3, largest_step=0.5, each=points.append, **options
    )
    assert diagram["special_kind"].values.tolist() == ["hopf"]
    assert float(diagram["special_parameter"][0]) == pytest.approx(0.88455, abs=5e-5)
    assert float(diagram["special_frequency"][0]) == pytest.approx(76.51, abs=0.02)
    stable = diagram["stable"].values
    assert not stable[0]
    assert stable[-1]
    assert len(points) == diagram.sizes["point"]
    json.dumps(points, allow_nan=False)
    assert diagram["rate"].attrs["units"] == "Hz"
    figure = Figure()
    network = ln.simulate(model, np.arange(0.0, 100.0, 1.0), realisations=2, seed=1)
    axes = plot.bifurcation(diagram, ax=figure.subplots(), component="i", networks={0.87: network})
    assert axes.get_xlabel() == "probability[e,i]"


def test_what_cannot_be_followed_is_refused_with_a_message():
    spiking = ln.SpikingNetwork()
    for call, match in (
        (lambda: analysis.follow(spiking, "probability", to=0.9), "must name one number"),
        (lambda: analysis.follow(spiking, "probability[e,i]", to=1.5), "within the bounds"),
        (lambda: analysis.follow(spiking, "size[e]", to=500.0), "be an entry of"),
        (lambda: analysis.follow(PITCHFORK, "nu", to=1.0), "Unknown parameter `nu`"),
        (lambda: analysis.follow(PITCHFORK, "mu", to=1.0, n=3), "no number of neurons"),
        (lambda: analysis.follow(ln.RateNetwork(), "g", to=2.0), "have equations to follow"),
        (lambda: analysis.follow(PITCHFORK, "mu", to=1.0, within=(-0.5, 2.0)), "`within`"),
    ):
        with pytest.raises(ln.InputError, match=match):
            call()
    nowhere = Flow(lambda x, q: 1 + x * x + 0 * q["a"], [0.3], {"a": 0.0})
    with pytest.raises(ln.LimitError, match="No stationary state"):
        analysis.follow(nowhere, "a", to=1.0)
    with pytest.raises(ln.LimitError, match="comes to rest"):
        analysis.limit_cycle(Flow(lambda x, q: -x, [1.0, 1.0], {"a": 0.0}), settle=60.0)
    jump = Flow(lambda x, q: jnp.where(q["a"] < 0.5, q["a"] - x, q["a"] + 1.0 - x), [0.0], {"a": 0.0})
    ending = str(analysis.follow(jump, "a", to=1.0, smallest_step=1e-3)["branch_ending"].values[0])
    assert "could not be followed beyond 0.49" in ending
    assert "smallest_step" in ending
    turned = Flow(lambda x, q: jnp.where(q["a"] < 0, -x, x), [0.0], {"a": -0.95})
    diagram = analysis.follow(turned, "a", to=1.0)
    assert specials(diagram) == [("not_smooth", pytest.approx(0.0, abs=1e-6))]
    assert "not smooth" in str(diagram["special_meaning"].values[0])


def test_the_command_line_keeps_points_diagram_and_figure(tmp_path, capsys):
    folder = tmp_path / "found"
    arguments = ["bifurcation", "folded", "--parameter", "gain[e].threshold", "--to", "1.4", "--out", str(folder)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in found["special"]} == {"manifold_fold", "hopf"}
    lines = (folder / "points.jsonl").read_text().splitlines()
    assert len(lines) == sum(branch["points"] for branch in found["branches"])
    assert ln.load(folder / "diagram.nc").sizes["point"] == len(lines)
    assert (folder / "diagram.png").stat().st_size > 5000
    assert main([*arguments]) == 2
    assert "already holds results" in capsys.readouterr().err


# Degenerate states ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rhs", "state", "root"),
    [
        (lambda x, q: -(x**3), [0.0], [0.0]),
        (lambda x, q: -(x**3), [1.0], [0.0]),
        (lambda x, q: (x - 0.3) ** 2, [1.0], [0.3]),
        (lambda x, q: 1e9 * (x - 1.0) ** 5, [3.0], [1.0]),
        (lambda x, q: jnp.array([-x[0] + x[1] ** 2, -(x[1] ** 3)]), [0.5, 0.5], [0.0, 0.0]),
        (lambda x, q: jnp.array([0.0 * x[0], -x[1]]), [0.5, 0.0], [0.5, 0.0]),
    ],
)
def test_degenerate_states_are_kept_and_said_to_be(rhs, state, root):
    found = analysis.fixed_points(analysis.Flow(rhs, state, {}))
    np.testing.assert_allclose(found["unknowns"][0], root, atol=1e-5)
    assert found["degenerate"].values.tolist() == [True]
    assert found["stable"].values.tolist() == [False]
    assert found.attrs["status"].startswith("state 0: degenerate, for an eigenvalue is 0")


def test_weak_but_simple_states_are_not_called_degenerate():
    slow = analysis.fixed_points(analysis.Flow(lambda x, q: -1e-12 * x, [1.0], {}))
    assert not slow["degenerate"].any()
    assert slow["stable"].all()
    assert slow.attrs["status"] == "completed"
    image = analysis.fixed_points(analysis.Map(lambda x, q: x - x**3, [0.5], {}))
    assert "a multiplier is 1" in image.attrs["status"]


@pytest.mark.parametrize(
    ("rhs", "start", "words"),
    [
        (lambda x, q: 1.0 + x**2, None, "does not converge from the state from which the search starts; there may"),
        (lambda x, q: 1.0 + x**2, [0.0], "from the state given as `start`; there may be none near. Give another"),
        (lambda x, q: 1.0 + x**2, [[0.0], [2.0]], "from any of the 2 states given as `start`"),
        (lambda x, q: jnp.log(x), [-1.0], "the right-hand side is not finite at the state given as `start`"),
        (lambda x, q: jnp.sqrt(jnp.abs(x)), [0.0], "have no derivative there"),
    ],
)
def test_why_no_stationary_state_was_found(rhs, start, words):
    with pytest.raises(ln.LimitError, match=re.escape(words)):
        analysis.fixed_points(analysis.Flow(rhs, [0.5], {}), start=start)


@pytest.mark.long
@pytest.mark.parametrize(
    ("strength", "probability"),
    [(0.0, 0.0), pytest.param(0.0, 0.5, marks=pytest.mark.long), pytest.param(1.0, 0.0, marks=pytest.mark.long)],
)
def test_a_population_without_synapses_rests_where_its_limit_does(strength, probability):
    """Size 400, drive 7: each neuron alone; 54.54 Hz also of the limit run for a second."""
    parameters = {"size": [400], "inhibitory": [False], "decay": [[1.0]], "external_rate": [7.0]}
    model = ln.SpikingNetwork(strength=[[strength]], probability=[[probability]], **parameters)
    found = analysis.fixed_points(model)
    assert float(found["rate"][0, 0]) == pytest.approx(54.5397, abs=1e-3)
    assert found["stable"].all()


# Oscillators ----------------------------------------------------------------------------------------------------


def oscillator(x, q):
    """x'' = -x - damping x' + mu (1 - x^2) x'."""
    return jnp.array([x[1], q["mu"] * (1 - x[0] ** 2) * x[1] - x[0] - q["damping"] * x[1]])


def oscillating(mu=0.0, damping=0.0):
    """All share one compiled program."""
    return Flow(oscillator, [2.0, 0.0], {"mu": mu, "damping": damping})


@pytest.mark.parametrize(
    ("mu", "period"),
    [
        (10.0, 19.07836957),
        pytest.param(0.1, 6.28711127, marks=pytest.mark.long),
        pytest.param(1.0, 6.66328686, marks=pytest.mark.long),
        pytest.param(50.0, 82.5083338, marks=pytest.mark.long),
    ],
)
def test_relaxation_oscillations_have_their_periods(mu, period):
    """Van der Pol: 19.07837 at mu = 10 and 6.6632868593 at 1 (Andersen & Geer 1982); the others by two solvers."""
    orbit = analysis.limit_cycle(oscillating(mu))
    assert float(orbit["period"]) == pytest.approx(period, rel=2e-8)
    assert float(orbit["trivial_multiplier"]) == pytest.approx(1.0, abs=1e-5)
    assert bool(orbit["stable"])
    assert float(orbit["state_high"][0]) == pytest.approx(2.0, abs=0.03)


def test_what_is_no_orbit_is_told_from_one():
    for damping in (0.01, 1e-4):
        with pytest.raises(ln.LimitError, match="no orbit: the limit spirals into a stationary state, with turns of 6"):
            analysis.limit_cycle(oscillating(damping=damping))
    with pytest.raises(ln.LimitError, match="is not isolated: a second multiplier is 1 to rounding"):
        analysis.limit_cycle(oscillating())


@pytest.mark.long
def test_a_branch_into_relaxation_gets_the_intervals_that_it_needs():
    diagram = analysis.follow(oscillating(1.0), "mu", to=12.0, start=analysis.limit_cycle(oscillating(1.0)), points=200)
    assert float(diagram["period"][-1]) == pytest.approx(22.1582215, rel=1e-7)
    stiff = analysis.limit_cycle(oscillating(10.0))
    onward = analysis.follow(oscillating(10.0), "mu", to=11.0, start=stiff, largest_step=0.2)
    assert float(onward["period"][-1]) == pytest.approx(20.6143097, rel=1e-7)


# Pairs within a step --------------------------------------------------------------------------------------------


def spiral(x, q):
    """A state that is unstable where (p - centre)^2 < width^2."""
    growth, square = q["width"] ** 2 - (q["p"] - q["centre"]) ** 2, x @ x
    return jnp.array([(growth - square) * x[0] - x[1], x[0] + (growth - square) * x[1]])


@pytest.mark.parametrize(("centre", "width"), [(0.0, 0.01), (0.013, 0.001), (-0.37, 0.01), (0.5, 0.001)])
def test_two_hopf_points_within_a_step_are_found(centre, width):
    flow = Flow(spiral, [0.0, 0.0], {"p": -1.0, "centre": centre, "width": width})
    diagram = analysis.follow(flow, "p", to=1.0, cycles=False)
    assert [kind for kind, _ in specials(diagram)] == ["hopf", "hopf"]
    np.testing.assert_allclose(diagram["special_parameter"], [centre - width, centre + width], atol=1e-6)
    assert diagram.attrs["resolution"] == pytest.approx(0.08)
    assert "at most 0.08 apart in p" in diagram.attrs["searched"]


@pytest.mark.parametrize(
    ("system", "kind", "where"),
    [
        (Flow(lambda x, q: q["p"] + 0.01 * x - x**3, [-1.0], {"p": -1.0}), "fold", 2 * (0.01 / 3) ** 1.5),
        (Flow(lambda x, q: x * (1e-4 - q["p"] ** 2 - x), [0.0], {"p": -1.0}), "branch_point", -0.01),
        (Map(lambda x, q: x**3 - (1 + 1e-4 - q["p"] ** 2) * x, [0.0], {"p": -1.0}), "period_doubling", -0.01),
    ],
)
def test_two_special_points_within_a_step_are_found(system, kind, where):
    diagram = analysis.follow(system, "p", to=1.0, cycles=False, switch=False)
    assert [name for name, _ in specials(diagram)] == [kind, kind]
    np.testing.assert_allclose(diagram["special_parameter"], [where, -where], atol=1e-6)


def test_nothing_is_found_where_nothing_is():
    flow = Flow(lambda x, q: x * (-1e-4 - q["p"] ** 2 - x**2), [0.0], {"p": -1.0})
    assert analysis.follow(flow, "p", to=1.0).sizes.get("special", 0) == 0
