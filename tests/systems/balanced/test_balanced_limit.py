"""The balanced limit: worked numbers, two routes, refusals, events, derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import ndtr

from largen.checks import InputError, LimitError
from largen.parameters import TimeSeries
from largen.simulation import solve_limit
from largen.systems.balanced import BalancedNetwork, CustomGain, Logistic, Probit, limit, limit_equations, manifold

S1 = BalancedNetwork.rank_one()
S3 = BalancedNetwork.off_manifold()
TIMES = np.linspace(0.0, 50.0, 21)


def three_populations():
    """Rank 3 of 3, unequal fractions and time constants, logistic and probit gains."""
    coupling, sign, share = np.array(((1.0, 2.0, 0.5), (1.2, 1.8, 0.9), (0.7, 0.3, 1.1))), (1, -1, -1), (0.5, 0.3, 0.2)
    rates = np.array([0.5, 0.7, 0.6])
    return BalancedNetwork(
        coupling=coupling,
        sign=sign,
        tau=(1.0, 0.7, 1.6),
        gain=(Logistic(1.5, 2.0, 0.5), Probit(2.0, 1.5, 0.3), Logistic(1.8, 1.0, 0.2)),
        drive=-(coupling * sign * share * 3) @ rates,
        input=(0.1, -0.2, 0.3),
        initial_mean=(0.0, 0.0, 0.0),
        initial_variance=(0.2, 0.6, 0.4),
        fractions=share,
    )


def rank_one_unequal():
    """Rank 1, unequal rows and time constants, logistic gains."""
    return BalancedNetwork(
        coupling=((1.0, 1.3), (0.8, 1.04)),
        tau=(1.0, 1.7),
        gain=(Logistic(1.0, 3.0, 0.2), Logistic(2.0, 4.0, 0.5)),
        drive=(0.2, 0.16),
        input=(0.4, 0.2),
        initial_mean=(0.3, 0.3),
        initial_variance=(0.3, 0.2),
        noise=(0.1, 0.3),
    )


def solve(model, times=TIMES, rtol=1e-12, atol=1e-12, **options):
    return limit.solve(model, times, rtol=rtol, atol=atol, **options)


def test_worked_numbers_rank_one():
    values = solve(S1).values
    np.testing.assert_allclose(values["mean"][:, 0], (-0.19763375058, -0.29763375058), atol=1e-11)
    np.testing.assert_allclose(values["mean"][:, -1], (0.3185045686, -0.1814954314), atol=1e-10)
    np.testing.assert_allclose(values["variance"][:, -1], 0.5380625320, atol=1e-10)
    np.testing.assert_allclose(values["fast_eigenvalues_real"][:, -1], -0.41718, atol=5e-6)
    assert np.all(values["third_cumulant"] == 0)


@pytest.mark.parametrize("route", ["explicit", "reduced"])
def test_worked_numbers_full_rank(route):
    values = solve(S3, route=route).values
    np.testing.assert_allclose(values["mean"][:, 0], (-0.29738905865, -0.38931547183), atol=1e-11)
    np.testing.assert_allclose(values["mean"][:, -1], (-0.5735178741, -0.5278504981), atol=1e-10)
    np.testing.assert_allclose(values["variance"][:, -1], (1.175, 1.062), atol=1e-10)
    np.testing.assert_allclose(values["rate"][:, -1], (0.35, 0.5), atol=1e-11)
    np.testing.assert_allclose(values["fast_eigenvalues_real"][:, -1], -0.31037, atol=5e-6)
    np.testing.assert_allclose(values["fast_eigenvalues_imag"][:, -1], (0.01988, -0.01988), atol=5e-6)


@pytest.mark.parametrize("model", [S3, pytest.param(three_populations(), marks=pytest.mark.long)], ids=["two", "three"])
def test_two_routes_agree(model):
    explicit, reduced = solve(model, route="explicit"), solve(model, route="reduced")
    assert explicit.status == reduced.status == "completed"
    for name in ("mean", "variance", "rate"):
        np.testing.assert_allclose(explicit.values[name], reduced.values[name], atol=1e-10, err_msg=name)
    assert reduced.attrs["max_imbalance"] < 1e-10


def test_rank_one_against_an_independent_solver():
    """The constraint F_e = F_i (S1) solved for v_i, and a scalar ODE for v_e - v_i with K, by scipy."""
    gains = [
        lambda v, k: ndtr((v - 0.2) / np.sqrt(1 + k)),
        lambda v, k: 2.5 * ndtr(1.5 * (v - 0.6) / np.sqrt(1 + 2.25 * k)),
    ]

    def mean_e(gap, k):
        return brentq(lambda v: gains[0](v, k[0]) - gains[1](v - gap, k[1]), -20, 20, xtol=1e-14, rtol=1e-14)

    def field(time, y):
        k = y[1:]
        rate = gains[0](mean_e(y[0], k), k[0])
        return np.concatenate([[-y[0] + 0.5], -2 * k + 2 * rate])

    times = np.linspace(0, 5, 21)
    path = solve_ivp(field, (0, 5), [0.1, 0.5, 0.3], t_eval=times, rtol=1e-12, atol=1e-13, method="DOP853")
    mean = np.array([mean_e(gap, k) for gap, *k in path.y.T])
    values = solve(S1, times).values
    np.testing.assert_allclose(values["mean"], [mean, mean - path.y[0]], atol=1e-10)
    np.testing.assert_allclose(values["variance"], path.y[1:], atol=1e-10)


@pytest.mark.parametrize("model", [S1, rank_one_unequal()], ids=["S1", "logistic"])
def test_balance_and_its_derivative_hold_along_the_solution(model):
    result = solve(model, np.linspace(0, 10, 21))
    assert result.attrs["max_imbalance"] < 1e-10
    with jax.enable_x64(True):
        structure = manifold.structure(model)
        parts = manifold.balance(model, structure.columns)

        def imbalance(v, k):
            tilde = manifold.coordinates(parts.basis, jnp.asarray(model.drive))
            return parts.conditions @ manifold.rates(model.gain, v, k, structure.nodes) + tilde

        def both(v, k):
            return jax.jvp(imbalance, (v, k), limit_equations.rhs(0.0, (v, k), (model, parts, structure.nodes)))

        along = jax.jit(jax.vmap(both))(result.values["mean"].T, result.values["variance"].T)
        np.testing.assert_allclose(along, 0, atol=1e-10)


def test_no_coupling_is_linear():
    model = BalancedNetwork(
        coupling=np.zeros((2, 2)), drive=(0.0, 0.0), tau=(1.0, 2.0), input=(0.3, -0.1), noise=(0.5, 0.2)
    )
    result = solve(model, np.linspace(0, 4, 21), rtol=1e-11)
    times, tau = np.linspace(0, 4, 21), np.array([[1.0], [2.0]])
    start, power = model.initial_mean[:, None], np.array([[0.25], [0.04]])
    m = np.array([[0.3], [-0.1]])
    np.testing.assert_allclose(result.values["mean"], m * tau + (start - m * tau) * np.exp(-times / tau), atol=1e-9)
    final = 0.5 * tau * power
    k = final + (model.initial_variance[:, None] - final) * np.exp(-2 * times / tau)
    np.testing.assert_allclose(result.values["variance"], k, atol=1e-9)
    assert result.values["fast_eigenvalues_real"].shape == (0, 21)


class Wave(eqx.Module):
    """S3's drive times 1 + sine sin(3t), and a step at time 1.05; its numbers are leaves: one compilation for all."""

    sine: np.ndarray
    step: np.ndarray

    def __call__(self, t):
        return (1.0 + self.sine * jnp.sin(3.0 * t) + jnp.where(t > 1.05, self.step, 0.0)) * jnp.array([0.65, 0.48])


@pytest.mark.long
def test_moving_drive_against_pinned_rates():
    """Full rank: F = -A^(-1) h(t) is pinned at every time, whatever the history."""
    model = S3.replace(drive=Wave(np.array(0.1), np.array(0.0)))
    times = np.linspace(0, 5, 21)
    result = solve(model, times)
    a = np.array([[1.0, -2.0], [1.2, -1.8]])
    pinned = -np.linalg.solve(a, np.array([[0.65], [0.48]]) * (1 + 0.1 * np.sin(3 * times)))
    np.testing.assert_allclose(result.values["rate"], pinned, atol=1e-10)
    series = np.linspace(0, 5, 6)
    model = S3.replace(drive=TimeSeries(series, np.array([[0.65, 0.48]]) * (1 + 0.1 * np.cos(series))[:, None]))
    result = solve(model, times)
    pinned = -np.linalg.solve(a, np.array([[0.65], [0.48]]) * np.interp(times, series, 1 + 0.1 * np.cos(series)))
    np.testing.assert_allclose(result.values["rate"], pinned, atol=1e-10)


@pytest.mark.long
def test_jumping_drive_is_refused():
    model = S3.replace(drive=Wave(np.array(0.0), np.array(0.1)))
    with pytest.raises(LimitError, match="continuous"):
        solve(model, np.linspace(0, 2, 21), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (BalancedNetwork.saddle(), "escapes.*a saddle: its fast eigenvalues are 0.51"),
        (S1.replace(drive=(0.2, 0.3)), "outside the range"),
        (S1.replace(**{"coupling[e,e]": 1.1}), "no balanced limit"),
        (S3.replace(drive=(0.65, 3.0)), "must lie between 0 and"),
        (
            BalancedNetwork(
                coupling=np.ones((2, 2)),
                gain=(Probit(1.0, 1.0, 0.2), Probit(1.0, 1.0, 0.2)),
                drive=(0.0, 0.0),
                initial_mean=(0.1, 0.1),
                initial_variance=(0.3, 0.3),
            ),
            "no deterministic limit",
        ),
    ],
    ids=["saddle", "range", "rank", "rates", "symmetric"],
)
def test_refusals(model, message):
    with pytest.raises(LimitError, match=message):
        solve_limit(model, np.linspace(0, 1, 21))


def test_start_on_the_unstable_sheet_is_refused():
    model = BalancedNetwork.folded()
    state = model.fixed_points()
    assert state.fast.real > 0
    with pytest.raises(LimitError, match="unstable"):
        solve_limit(
            model.replace(initial_mean=state.mean[0], initial_variance=state.variance[0]), np.linspace(0, 1, 21)
        )


def test_loss_of_stability_in_time():
    model = BalancedNetwork.unstable()
    times = np.linspace(0, 2, 21)
    stops = [solve(model, times, route=route).stopped_at for route in ("explicit", "reduced")]
    np.testing.assert_allclose(stops[0], stops[1], rtol=1e-9)
    # By hand: trace of A D with the pinned rates (0.4, 0.82) and the relaxing variances.
    from scipy.special import ndtri

    def trace(t):
        final = 0.5 * np.array([3.5**2 * 0.4 + 4 * 0.82, 4 * 0.4 + 0.82])
        k = final + (np.array([8, 0.02]) - final) * np.exp(-2 * t)
        slope = np.array([4.0, 0.6]) / np.sqrt(1 + np.array([16.0, 0.36]) * k)
        z = ndtri([0.4, 0.82 / 3])
        d = np.array([1.0, 3.0]) * slope * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return 3.5 * d[0] - d[1]

    np.testing.assert_allclose(stops[0], brentq(trace, 0.01, 1.0, xtol=1e-14), rtol=1e-10)
    with pytest.raises(LimitError, match=r"lost its stability at time 0\.327") as caught:
        solve_limit(model, times)
    np.testing.assert_allclose(caught.value.t, stops[0], rtol=1e-6)
    cut = solve_limit(model, times, strict=False)
    np.testing.assert_allclose(cut.time.values[-1], 0.3)
    assert "lost its stability" in cut.attrs["status"]
    assert cut.identical(caught.value.partial)


def test_fold_in_time():
    model = BalancedNetwork.folded()
    coarse, fine = (solve(model, np.linspace(0, 5, 21), rtol=tol, atol=tol) for tol in (1e-8, 1e-12))
    assert "folds at time 1.3468" in fine.status
    np.testing.assert_allclose(coarse.stopped_at, fine.stopped_at, rtol=1e-6)
    assert -0.06 < fine.values["fast_eigenvalues_real"][0, -1] < 0


@pytest.mark.long
def test_derivatives_through_projection_and_solution():
    times = np.linspace(0, 1.5, 4)
    structure = manifold.structure(S1)

    def final(theta, derivative="reverse"):
        model = S1.replace(**{"gain[i].threshold": theta[0], "input[e]": theta[1], "initial_mean[e]": theta[2]})
        path = limit_equations.trajectory(
            model, times, rtol=1e-10, atol=1e-10, structure=structure, derivative=derivative
        )
        return path.mean[-1, 0] + path.variance[-1, 1]

    theta = np.array([0.6, 0.6, 0.4])
    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(final))
        found = both(theta)[1]
        np.testing.assert_allclose(jax.jit(jax.jacfwd(lambda x: final(x, "forward")))(theta), found, rtol=1e-6)
        step = 1e-5 * np.eye(3)
        expected = [(both(theta + d)[0] - both(theta - d)[0]) / 2e-5 for d in step]
        np.testing.assert_allclose(found, expected, rtol=2e-7)
        assert np.all(np.abs(np.asarray(found)) > 1e-3)


@pytest.mark.long
def test_many_models_at_once_match_one_by_one():
    times = np.linspace(0, 5, 21)
    thetas = np.linspace(0.3, 0.7, 3)
    structure = manifold.structure(S3)

    def one(theta):
        model = S3.replace(**{"gain[e].threshold": theta})
        return limit_equations.trajectory(model, times, structure=structure, route="reduced").mean

    with jax.enable_x64(True):
        together = np.asarray(jax.jit(jax.vmap(one))(thetas))
    single = [
        solve(S3.replace(**{"gain[e].threshold": t}), times, 1e-8, 1e-10, route="reduced").values["mean"].T
        for t in thetas
    ]
    np.testing.assert_allclose(together, single, atol=1e-8)


def test_new_numbers_compile_nothing(monkeypatch):
    solve(S1)
    before = limit._trajectory._cached._cache_size()
    solve(S1.replace(input=(0.5, 0.2), tau=(1.0, 1.1), **{"gain[e].slope": 1.2}), rtol=1e-9)
    solve(S1, np.linspace(0.0, 40.0, 21))
    assert limit._trajectory._cached._cache_size() == before


def test_single_precision_and_traced_structure_are_refused():
    with pytest.raises(InputError, match="double precision"):
        limit_equations.trajectory(S1, TIMES)
    with jax.enable_x64(True), pytest.raises(InputError, match="structure"):
        jax.jit(lambda t: limit_equations.trajectory(S1.replace(**{"gain[e].threshold": t}), TIMES).mean)(0.2)
    with pytest.raises(InputError, match="'explicit'"):
        solve(S1, route="explicit")


@pytest.mark.long
def test_a_users_gain_is_the_gain_it_copies():
    """By quadrature and the general route, against the closed form."""
    copy = CustomGain(lambda x: 1.5 * jax.scipy.special.ndtr(x - 0.5), maximum=1.5, steepest=0.6)
    custom = S3.replace(**{"gain[e]": copy})
    times = np.linspace(0, 5, 21)
    np.testing.assert_allclose(solve(custom, times).values["mean"], solve(S3, times).values["mean"], atol=1e-10)


@pytest.mark.long
def test_shared_synapses_lose_their_variance():
    times = np.linspace(0, 3, 21)
    model = BalancedNetwork.shared()
    k = solve(model, times).values["variance"]
    np.testing.assert_allclose(k, np.array([[0.2], [0.6]]) * np.exp(-2 * times), atol=1e-11)
    with jax.enable_x64(True):
        structure = manifold.structure(model)
        args = (model, manifold.balance(model, structure.columns), structure.nodes)
        change = limit_equations.rhs(0.0, (jnp.array([-0.2, -0.3]), jnp.array([0.2, 0.6])), args)[1]
        np.testing.assert_allclose(change, (-0.4, -1.2), atol=1e-15)
