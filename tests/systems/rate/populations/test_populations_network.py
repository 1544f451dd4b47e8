"""The finite network of populations: exact pieces by brute force, and draws against the limit."""

import numpy as np
import pytest
from scipy import integrate, stats

import largen as ln
from largen.numerics.streams import stream
from largen.systems.rate.populations.network import Network
from largen.systems.rate.populations.weights import draw
from systems.rate.populations.cases import transient

FALSE_ALARM = 1e-6


def streams(seed):
    return lambda *names: stream(seed, *names)


def test_weights_of_a_block_have_the_covariance_of_their_kernel_on_unequal_rings():
    table = ln.TableKernel(((0.0, 0.1, 0.2), (0.3, 1.0, 0.3), (0.2, 0.1, 0.0)))
    kernels = ((ln.SeparableKernel(1.2, 0.5, -0.4), table), (ln.UncorrelatedKernel(0.7), ln.UncorrelatedKernel(0.0)))
    model = ln.RatePopulations(fractions=(0.6, 0.4), kernels=kernels, mean_weight=((1.0, -2.0), (0.0, 0.0)))
    sizes = np.array([6, 4])
    draws = np.array([draw(model, sizes, streams(k)) for k in range(1500)])
    assert np.all(draws[:, 6:, 6:] == 0.0)
    blocks = {(0, 0): draws[:, :6, :6], (0, 1): draws[:, :6, 6:], (1, 0): draws[:, 6:, :6]}
    checks = 0
    for (a, b), block in blocks.items():
        z = block.mean((0,)) - model.mean_weight[a, b] / sizes[b]
        assert np.abs(z).max() < 6 * block.std() / np.sqrt(len(block))
        block = block - model.mean_weight[a, b] / sizes[b]
        for k in range(sizes[a]):
            for l in range(sizes[b]):
                found = np.mean(block * np.roll(block, (-k, -l), (1, 2)), axis=(1, 2)) * sizes[b]
                wanted = on_torus(kernels[a][b], k, l, sizes[a], sizes[b])
                assert abs(found.mean() - wanted) < 6 * found.std() / np.sqrt(len(found)), (a, b, k, l)
                checks += 1
    assert checks * 2 * stats.norm.sf(6) < FALSE_ALARM


def on_torus(kernel, k, l, post, pre):
    """Lambda by distance around two rings; a separable kernel is cut at half of each, tables hold both signs."""
    if isinstance(kernel, ln.UncorrelatedKernel):
        return float(kernel.variance) * (k == l == 0)
    if isinstance(kernel, ln.SeparableKernel):
        return float(kernel.variance * kernel.post ** min(k, post - k) * kernel.pre ** min(l, pre - l))
    k, l = (k + 1) % post - 1, (l + 1) % pre - 1
    return float(kernel.values[k + 1, l + 1]) if max(abs(k), abs(l)) <= 1 else 0.0


def test_one_network_is_the_solution_of_its_own_equations():
    model = transient().replace(noise=0.0)
    found = ln.simulate(model, [0.0, 1.0, 2.0], n=40, seed=3, record="state", method="rk4", dt=0.02, replicas=1, lags=0)
    network = Network(model, 40, lambda *names: stream(3, "n", 40, "realisation", 0, *names), np.float64)
    m, h, n = network.loadings.T
    weights = network.weights + np.outer(m, n) / 40
    tau = np.array([1.0, 0.6])[network.of]

    def rhs(t, x):
        return -x / tau + weights @ np.tanh(x) + h + np.array([0.8, -0.4])[network.of] * np.sin(2 * t)

    exact = integrate.solve_ivp(rhs, (0, 2), found["state"].values[0, :, 0], t_eval=[0, 1, 2], rtol=1e-10, atol=1e-12).y
    assert found["state"].values[0] == pytest.approx(exact, abs=1e-7)
    assert found["latent"].values[0, 0] == pytest.approx(n @ np.tanh(exact) / 40, abs=1e-7)
    e = network.of == 0
    assert found["mean"].values[0] == pytest.approx(np.array([exact[e].mean(0), exact[~e].mean(0)]), abs=1e-7)
    assert found["rate"].values[0, 1] == pytest.approx(np.tanh(exact[~e]).mean(0), abs=1e-7)
    heun = ln.simulate(
        model, [0.0, 1.0, 2.0], n=40, seed=3, record="state", method="heun", dt=0.005, replicas=1, lags=0
    )
    assert heun["state"].values[0] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("method", ["map", "rk4", "heun"])
def test_the_exponent_is_the_growth_of_a_small_difference(method):
    model = ln.RatePopulations(weight_variance=((6.0, 4.0), (3.0, 5.0)), activation=("tanh", "erf"), gamma=0.3)
    times = np.arange(21.0) if method == "map" else np.linspace(0.0, 12.0, 13)
    model = model.replace(dynamics="discrete" if method == "map" else "continuous")
    found = ln.simulate(model, times, n=60, seed=5, record="lyapunov", method=method, replicas=1, lags=0)
    network = Network(model, 60, lambda *names: stream(5, "n", 60, "realisation", 0, *names), np.float64)
    rng = lambda *names: stream(5, "n", 60, "realisation", 0, *names)  # noqa: E731
    x, tangent = rng("initial", 0).standard_normal(60), rng("tangent").standard_normal(60)
    both = np.stack([x, x + 1e-7 * tangent / np.linalg.norm(tangent)], axis=1)
    logs, size = [0.0], np.log(1e-7)
    for gap in np.diff(times):
        both = advance(network, model, both, method, gap)
        logs.append(np.log(np.linalg.norm(both[:, 1] - both[:, 0])) - size)
        both[:, 1] = both[:, 0] + 1e-7 * (both[:, 1] - both[:, 0]) / np.linalg.norm(both[:, 1] - both[:, 0])
        logs[-1] += logs[-2]
    first = 4 if method == "map" else 3  # the first output after a fifth of the run
    wanted = (logs[-1] - logs[first]) / (times[-1] - times[first])
    assert float(found["lyapunov"][0, -1]) == pytest.approx(wanted, abs=1e-4)


def advance(network, model, x, method, gap):
    tau = np.array([1.0, 0.5])[network.of, None]

    def rhs(x):
        rates = x.copy()
        rates[network.of == 0] = np.tanh(x[network.of == 0])
        from scipy.special import erf

        rates[network.of == 1] = erf(x[network.of == 1])
        inputs = network.weights @ rates + network.loadings[:, :1]
        return 0.3 * x + inputs if method == "map" else inputs - x / tau

    if method == "map":
        return rhs(x)
    dt = 0.1 if method == "rk4" else 0.01
    for _ in range(round(gap / dt)):
        k1 = rhs(x)
        if method == "heun":
            x = x + dt / 2 * (k1 + rhs(x + dt * k1))
            continue
        k2 = rhs(x + dt / 2 * k1)
        k3 = rhs(x + dt / 2 * k2)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rhs(x + dt * k3))
    return x


def statistics(data):
    """End values by realisation, shape (realisation, statistic)."""
    parts = [data["mean"].isel(time=-1), data["rate"].isel(time=-1)]
    parts += [data[name].isel(time=-1, time_=-2) for name in ("covariance", "frozen_covariance")]
    parts += [data["latent"].isel(time=-1)] if "latent" in data else []
    return np.concatenate([part.values.reshape(len(part), -1) if "realisation" in part.dims
                           else part.values.reshape(1, -1) for part in parts], axis=1)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "times", "n", "draws", "options"),
    [
        (ln.RatePopulations.correlated_blocks(), np.arange(5.0), 300, 60, {}),
        (transient(), np.array([0.0, 1.0, 2.0]), 300, 50, {"dt": 0.05}),
    ],
    ids=["blocks", "transient"],
)
def test_networks_follow_their_limit(model, times, n, draws, options):
    network = ln.simulate(model, times, n=n, realisations=draws, seed=11, lags=1, **options)
    limit = ln.solve_limit(model, times, lags=1, rtol=1e-6)
    values, theory = statistics(network), statistics(limit)[0]
    z = (values.mean(0) - theory) / (values.std(0, ddof=1) / np.sqrt(draws))
    bound = stats.t.isf(FALSE_ALARM / (2 * len(z)), draws - 1)
    assert np.abs(z).max() < bound, z
    wrong = statistics(ln.solve_limit(model.replace(mean_weight=1.4 * model.mean_weight), times, lags=1, rtol=1e-6))[0]
    assert np.abs((values.mean(0) - wrong) / (values.std(0, ddof=1) / np.sqrt(draws))).max() > bound


def test_single_precision_is_the_same_network_to_rounding():
    one, two = (
        ln.simulate(ln.RatePopulations.rank_one(), [0.0, 1.0], n=200, seed=1, precision=p, lags=0) for p in
        ("float64", "float32")
    )  # fmt: skip
    assert two["mean"].values.dtype == np.float64
    assert float(two["latent"][0, 0, -1]) == pytest.approx(float(one["latent"][0, 0, -1]), abs=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "map"}, "must be 'rk4' or 'heun' in continuous time"),
        ({"weights": "drawn"}, "must be one of 'auto', 'explicit', 'integrated'"),
        ({"lags": 10}, "be less than half the smallest ring"),
        ({"dt": 0.4}, r"be at most min\(tau\)/2"),
        ({"record": "spikes"}, "must be one of 'state', 'lyapunov'"),
    ],
)
def test_options_that_the_network_cannot_honour_are_refused(options, message):
    with pytest.raises(ln.InputError, match=message):
        ln.simulate(ln.RatePopulations(), [0.0, 1.0], n=100, **options)


def test_noise_asks_for_heuns_method():
    with pytest.raises(ln.InputError, match="must be 'heun' with noise"):
        ln.simulate(ln.RatePopulations(noise=0.1), [0.0, 1.0], n=100, method="rk4")
    assert ln.simulate(ln.RatePopulations(noise=0.1), [0.0, 1.0], n=100).attrs["method"] == "heun"
    assert ln.simulate(ln.RatePopulations(), [0.0, 1.0], n=100).attrs["method"] == "rk4"


def test_the_exponent_by_automatic_differentiation_is_that_of_the_tangent_vector():
    model = ln.RatePopulations.rank_one().replace(weight_variance=((25.0,),), initial_mean=0.3)
    found = ln.analysis.lyapunov(model, duration=80.0, transient=20.0, n=120, seed=2, dt=0.1)
    run = ln.simulate(model, np.linspace(0, 100, 6), n=120, seed=2, record="lyapunov", dt=0.1, replicas=1, lags=0)
    assert float(found["exponent"][0, 0]) == pytest.approx(float(run["lyapunov"][0, -1]), abs=0.06)
    assert float(run["lyapunov"][0, -1]) > 0.1
    with pytest.raises(ln.InputError, match="`noise` must be 0"):
        ln.analysis.lyapunov(model.replace(noise=0.1), duration=20.0, n=50)
    with pytest.raises(ln.InputError, match="constant in time"):
        ln.analysis.lyapunov(transient().replace(noise=0.0), duration=20.0, n=50)
