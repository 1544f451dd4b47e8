"""The spiking network: its discrete laws, closed forms, an independent simulator, the published table, bytes.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.systems.spiking import SpikingNetwork, kernel, network, tables

FALSE_ALARM = 1e-6


def simulate(model, times, *, seed=0, record=(), dt=0.1, tick=lambda fraction: None):
    return network.run(model, times, rng=lambda *names: stream(seed, *names), record=record, tick=tick, dt=dt)


def grid(duration, every=0.1):
    return np.arange(round(duration / every) + 1) * every


def chi_square(sample, law):
    """p-value of a sample of whole numbers against a scipy law; cells with fewer than 10 expected are merged."""
    values = np.arange(sample.min(), sample.max() + 1)
    edges = values[:-1][np.diff(np.floor(law.cdf(values) * sample.size / 10)) >= 1] + 0.5
    edges = np.concatenate([[-0.5], edges, [np.inf]])
    expected = sample.size * np.diff(np.concatenate([[0.0], law.cdf(edges[1:-1]), [1.0]]))
    edges, expected = edges[np.concatenate([[True], expected > 0])], expected[expected > 0]
    seen = np.histogram(np.minimum(sample, 1e15), bins=np.minimum(edges, 1e16))[0]
    return stats.chisquare(seen, expected).pvalue


def differ(a, b):
    """Smallest p-value of Welch's t-test over the columns of two samples (row: independent repetition)."""
    return float(np.min(stats.ttest_ind(a, b, axis=0, equal_var=False).pvalue))


# Discrete laws --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.5), (7, 1e-9), (7, 1 - 1e-9), (30, 0.8), (400, 0.03), (100_000, 0.8), (3_000_000, 0.31)]
)
def test_binomial_table_is_the_cdf(n, p):
    first, cdf = tables.binomial(n, p)
    exact = stats.binom(n, p).cdf(first + np.arange(cdf.size))
    np.testing.assert_allclose(cdf, exact, atol=2e-12)
    assert first + cdf.size - 1 <= n
    assert stats.binom(n, p).cdf(first - 1) < 1e-16
    assert cdf[-1] == 1.0


@pytest.mark.parametrize("mean", [0.0, 1e-12, 0.07, 3.0, 250.0, 7_000.0])
def test_poisson_table_is_the_cdf(mean):
    first, cdf = tables.poisson(mean)
    np.testing.assert_allclose(cdf, stats.poisson(mean).cdf(first + np.arange(cdf.size)), atol=2e-13)
    assert first == 0 or stats.poisson(mean).cdf(first - 1) < 1e-16


def one_population(size, **fields):
    fields = {"strength": [[0.0]], "probability": [[0.5]], "decay": [[1.4]]} | fields
    return SpikingNetwork(size=[size], inhibitory=[False], external_rate=[7.0], **fields)


def released(h, decay, size=100_000, seed=1):
    constants, rows = network._constants(one_population(size, decay=[[decay]]), 0.1)
    state = network._rest(constants)
    state.pending[...] = h
    kernel._release(constants, state, rows, np.random.default_rng(seed))
    return h - state.pending[0]


@pytest.mark.parametrize(("h", "decay"), [(1, 1.4), (23, 4.5), (255, 1.4), (256, 1.4), (5000, 1.4), (70_000, 4.5)])
def test_release_is_poisson(h, decay):
    law = stats.poisson(h * 0.1 / decay)
    got = released(h, decay)
    if h == 1:  # one pending spike: released or not
        assert stats.binomtest(int(got.sum()), got.size, 1 - law.pmf(0)).pvalue > FALSE_ALARM
    else:
        assert chi_square(got, law) > FALSE_ALARM


def test_release_without_tables_is_the_same_law(monkeypatch):
    monkeypatch.setattr(network, "_TABLES", 0.0)
    assert chi_square(released(300, 1.4), stats.poisson(300 * 0.1 / 1.4)) > FALSE_ALARM


def test_chi_square_catches_a_planted_bias():
    assert chi_square(released(300, 1.4), stats.poisson(300 * 0.1 / 1.42)) < FALSE_ALARM


def test_release_never_leaves_fewer_than_none():
    got = released(3, 0.02)  # Poisson(15) of 3
    assert got.max() == 3
    assert got.min() >= 0


@pytest.mark.parametrize(("fired", "p"), [(1, 0.8), (30, 0.8), (60_000, 0.3)])
def test_arrivals_are_binomial(fired, p):
    constants, _ = network._constants(one_population(100_000, probability=[[p]]), 0.1)
    state = network._rest(constants)
    state.fired_to[1] = fired
    kernel._arrive_annealed(constants, state, np.random.default_rng(2))
    if fired == 1:
        assert stats.binomtest(int(state.pending.sum()), state.pending.size, p).pvalue > FALSE_ALARM
    else:
        assert chi_square(state.pending[0], stats.binom(fired, p)) > FALSE_ALARM


def test_exponential_refractory_period_is_geometric():
    rng = np.random.default_rng(3)
    steps = np.array([kernel._refractory_steps(40.0, False, rng) for _ in range(50_000)])
    assert chi_square(steps, stats.geom(1 - np.exp(-1 / 40.0), loc=-1)) > FALSE_ALARM


# Closed forms ---------------------------------------------------------------------------------------------------


def test_voltage_without_coupling_is_gaussian():
    """V after k steps: mean and variance of the AR(1) recursion, with and without leak (chi-square, mean z)."""
    for membrane in (np.inf, 20.0):
        count = 60  # populations of 10 recorded neurons
        zero = np.zeros((count, count))
        model = SpikingNetwork(
            size=[10] * count, inhibitory=[False] * count, strength=zero, probability=zero, decay=zero + 1.0,
            external_rate=7.0, membrane_time=membrane, threshold=1e6,
        )  # fmt: skip
        voltage = simulate(model, np.array([0.0, 10.0]), record=("voltage",), seed=4).values["voltage"][:, -1]
        keep = 1 - 0.1 / membrane
        unit = 1.0 if np.isinf(membrane) else 1 / membrane
        powers = keep ** np.arange(100)
        mean, variance = 0.7 * unit * powers.sum(), 0.7 * unit**2 * (powers**2).sum()
        z = (voltage.mean() - mean) / np.sqrt(variance / voltage.size)
        assert abs(z) < stats.norm.isf(FALSE_ALARM / 2)
        spread = np.sum((voltage - voltage.mean()) ** 2) / variance
        low, high = stats.chi2(voltage.size - 1).ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2])
        assert low < spread < high
        assert stats.kstest((voltage - mean) / np.sqrt(variance), "norm").pvalue > FALSE_ALARM


def test_pending_spikes_without_coupling_follow_the_spikes():
    """Given the spikes, E[H] obeys m += -m dt/tau + p nf; Var[H] is at most m, so the mean has se sqrt(m/N)."""
    model = one_population(4000, decay=[[60.0]], probability=[[0.02]])
    values = simulate(model, grid(200.0), seed=5).values
    spikes = np.rint(values["rate"][0] * 4000 * 1e-4)
    mean = np.zeros(spikes.size)
    for k in range(1, spikes.size):
        mean[k] = mean[k - 1] * (1 - 0.1 / 60.0) + 0.02 * spikes[k]
    seen = values["pending"][0, 0]
    assert mean[-1] > 100  # where releasing more than is pending does not happen
    for k in (1500, -1):
        assert abs(seen[k] - mean[k]) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(mean[k] / 4000)


def test_certain_neuron_spikes_like_a_clock():
    """A strong drive has no noise to speak of: 101 steps of 1e7 (+-3200) pass 1.005e9, then 40 steps of waiting."""
    model = one_population(1, refractory="fixed", refractory_time=4.0, threshold=1.005e9).replace(external_rate=1e8)
    spikes = simulate(model, grid(60.0), record=("spikes",), seed=6).values["spike_time"]
    np.testing.assert_allclose(spikes, 10.1 + (10.1 + 4.0) * np.arange(4), atol=1e-6)


# An independent simulator ---------------------------------------------------------------------------------------


def reference(model, duration, realisations, seed):
    """The network in NumPy, all realisations side by side; mean rates and mean pending, shape (realisation, ...)."""
    rng, dt = np.random.default_rng(seed), 0.1
    owner = np.repeat(np.arange(len(model.size)), model.size)
    decay, p = model.decay[owner], model.probability[owner]  # (neuron, source)
    kick = model.strength[owner] / decay
    leak = 1 / np.broadcast_to(model.membrane_time, len(model.size))[owner]
    unit = np.where(leak > 0, leak, 1.0)
    v, h = np.zeros((realisations, owner.size)), np.zeros((realisations, owner.size, len(model.size)), int)
    free_at = np.zeros((realisations, owner.size), int)
    spikes, pending = np.zeros((realisations, len(model.size))), 0.0
    steps = round(duration / dt)
    for step in range(steps):
        drive = model.external_rate(step * dt) if callable(model.external_rate) else model.external_rate
        drive = np.broadcast_to(drive, len(model.size))[owner]
        current = np.where(model.inhibitory, 0.0, kick * h).sum(2)
        inhibition = np.where(model.inhibitory, kick * h, 0.0).sum(2)
        g = (v - model.reversal) / (model.threshold - model.reversal)
        kicks = rng.normal(drive * dt, np.sqrt(drive * dt), v.shape) * unit
        free = step >= free_at
        v = np.where(free, v + dt * (current - g * inhibition - v * leak) + kicks, 0.0)
        fired = v > model.threshold
        v[fired] = 0.0
        mean = np.broadcast_to(model.refractory_time, len(model.size))[owner] / dt
        wait = np.rint(mean) if model.refractory == "fixed" else rng.geometric(1 - np.exp(-1 / mean), v.shape) - 1
        free_at = np.where(fired, step + 1 + wait, free_at).astype(int)
        count = np.stack([fired[:, owner == b].sum(1) for b in range(len(model.size))], axis=1)
        h = np.maximum(h - rng.poisson(h * dt / decay), 0) + rng.binomial(count[:, None, :], p)
        spikes += count
        pending = pending + h.mean(1) / steps
    return np.concatenate([spikes / model.size / duration * 1000, pending], axis=1)


def measured(model, duration, realisations):
    rows = []
    for seed in range(realisations):
        values = simulate(model, grid(duration), seed=seed).values
        weight = model.size / model.size.sum()
        pending = (values["pending"][:, :, 1:].mean(2) * weight[:, None]).sum(0)
        rows.append(np.concatenate([values["rate"][:, 1:].mean(1), pending]))
    return np.array(rows)


def swinging(time):
    return np.array([7.0, 5.0, 6.0]) * (1.0 + 0.5 * np.sin(0.2 * time))


CASES = {
    "defaults": SpikingNetwork(),
    "alone": SpikingNetwork(strength=np.zeros((2, 2)), external_rate=[12.0, 9.0]),
    "leaky, fixed": SpikingNetwork.leaky().replace(refractory="fixed", refractory_time=[3.0, 2.0]),
    "three": SpikingNetwork(
        size=[40, 30, 20],
        inhibitory=[False, True, False],
        strength=[[5.0, 9.0, 4.0], [4.0, 8.0, 3.0], [0.0, 9.0, 5.0]],
        probability=[[0.8, 0.5, 1.0], [0.3, 0.8, 0.0], [0.7, 1.0, 0.5]],
        decay=[[1.4, 4.5, 2.0], [1.2, 4.5, 1.2], [0.5, 8.0, 0.05]],
        external_rate=swinging,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_law_of_an_independent_simulator(case):
    model = CASES[case]
    assert differ(reference(model, 150.0, 16, seed=7), measured(model, 150.0, 40)) > FALSE_ALARM


def test_comparison_catches_a_planted_bias():
    changed = SpikingNetwork().replace(**{"strength[e,e]": 0.95 * 1.03})
    assert differ(measured(SpikingNetwork(), 150.0, 40), measured(changed, 150.0, 40)) < FALSE_ALARM


# The table of the spec ------------------------------------------------------------------------------------------

TABLE = [  # network N = 400 annealed, 10 seeds x 5 s: changes, E rate, its standard error, I rate
    ({}, 47.28, 0.03, 65.88),
    ({"strength[e,e]": 1.05}, 62.32, 0.10, 74.20),
    ({"probability[e,i]": 0.5}, 107.0, 0.17, 112.3),
    ({"probability[e,i]": 1.0}, 11.02, 0.03, 38.68),
    ({"external_rate": 4.0}, 27.47, 0.05, 40.87),
    ({"decay[e,e]": 2.0}, 40.81, 0.05, 68.36),
]


def batches(model, seeds, duration, length=200.0, skip=200.0):
    """Mean rates over batches of `length` ms, from `skip` on, shape (batch, population)."""
    rows = []
    for seed in seeds:
        rate = simulate(model, grid(duration, length), seed=seed).values["rate"]
        rows.append(rate[:, 1 + int(skip / length) :].T)
    return np.concatenate(rows)


@pytest.mark.parametrize(("changes", "e", "se", "i"), TABLE)
def test_rates_of_the_published_table(changes, e, se, i):
    """Four seeds of 2 s: batch means of 200 ms, Student's t, the table's own error added."""
    rates = batches(SpikingNetwork().replace(**changes), range(4), 2000.0)
    own = rates.std(0, ddof=1) / np.sqrt(len(rates))
    limit = stats.t(len(rates) - 1).isf(FALSE_ALARM / 2)
    z = np.abs(rates.mean(0) - [e, i]) / np.sqrt(own**2 + se**2)
    assert np.all(z < limit), z


# Quenched graphs ------------------------------------------------------------------------------------------------


def quenched_state(model, seed=8):
    constants, _ = network._constants(model.replace(connectivity="quenched"), 0.1)
    state = network._rest(constants)
    kernel.draw_graph(constants, state.graph, 0, len(state.graph), np.random.default_rng(seed))
    bits = np.unpackbits(state.graph.view(np.uint8), axis=1, bitorder="little")
    return constants, state, bits[:, : len(state.graph)], bits[:, len(state.graph) :]


def test_graph_has_the_density_of_every_class():
    model = SpikingNetwork(probability=[[0.8, 0.3], [0.0, 1.0]])
    _, _, bits, rest = quenched_state(model)
    owner = np.repeat([0, 1], model.size)
    for a in range(2):
        for b in range(2):
            links = bits[np.ix_(owner == b, owner == a)]  # row: source
            assert stats.binomtest(int(links.sum()), links.size, model.probability[a, b]).pvalue > FALSE_ALARM
    assert not rest.any()
    assert bits.diagonal().any()  # self-links are kept


def test_quenched_spikes_arrive_along_the_graph():
    constants, state, bits, _ = quenched_state(SpikingNetwork())
    fired = np.array([3, 77, 299, 300, 399])
    state.fired[:5] = fired
    state.fired_to[:] = [0, 3, 5]
    kernel._arrive_quenched(constants, state)
    np.testing.assert_array_equal(state.pending[0], bits[fired[:3]].sum(0))
    np.testing.assert_array_equal(state.pending[1], bits[fired[3:]].sum(0))


def test_quenched_and_annealed_are_the_same_where_links_are_certain():
    model = SpikingNetwork(probability=[[1.0, 1.0], [1.0, 0.0]])
    annealed = simulate(model, grid(100.0), seed=9).values
    quenched = simulate(model.replace(connectivity="quenched"), grid(100.0), seed=9).values
    np.testing.assert_array_equal(annealed["rate"], quenched["rate"])
    np.testing.assert_array_equal(annealed["pending"], quenched["pending"])


def test_quenched_rates_agree_with_annealed_ones():
    """Six graphs; the scatter between graphs is about twice that of annealed seeds, so the graph is the unit."""
    annealed = np.array([batches(SpikingNetwork(), [s], 1200.0, 1000.0, 0.0)[0] for s in range(6)])
    model = SpikingNetwork(connectivity="quenched")
    quenched = np.array([batches(model, [s], 1200.0, 1000.0, 0.0)[0] for s in range(6)])
    assert differ(annealed, quenched) > FALSE_ALARM
    assert np.all(np.abs(annealed.mean(0) / quenched.mean(0) - 1) < 0.03)


# Bytes, symmetry, records ---------------------------------------------------------------------------------------


def same(a, b):
    assert a.values.keys() == b.values.keys()
    for name in a.values:
        assert a.values[name].tobytes() == b.values[name].tobytes(), name


@pytest.mark.parametrize("connectivity", ["annealed", "quenched"])
def test_equal_seeds_give_equal_bytes_whatever_the_chunks(connectivity, monkeypatch):
    model = SpikingNetwork(connectivity=connectivity, external_rate=lambda t: 7.0 + np.sin(t))
    first = simulate(model, grid(30.0), seed=10, record=network.RECORDABLE)
    same(first, simulate(model, grid(30.0), seed=10, record=network.RECORDABLE))
    monkeypatch.setattr(network, "_CHUNK", 400 * 7)
    monkeypatch.setattr(network, "_ROOM", 1)
    same(first, simulate(model, grid(30.0), seed=10, record=network.RECORDABLE))
    other = simulate(model, grid(30.0), seed=11)
    assert other.values["rate"].tobytes() != first.values["rate"].tobytes()


def test_recording_changes_nothing_and_coarse_samples_are_sums():
    model = SpikingNetwork()
    fine = simulate(model, grid(50.0), seed=12, record=network.RECORDABLE).values
    coarse = simulate(model, grid(50.0, 1.0), seed=12).values
    np.testing.assert_allclose(coarse["rate"][:, 1:], fine["rate"][:, 1:].reshape(2, 50, 10).mean(2), rtol=1e-12)
    np.testing.assert_array_equal(coarse["pending"], fine["pending"][:, :, ::10])
    late = simulate(model, 1000.0 + grid(50.0), seed=12).values
    np.testing.assert_array_equal(late["rate"], fine["rate"])


def test_records_agree_with_each_other():
    model = SpikingNetwork()
    times = grid(60.0)
    result = simulate(model, times, seed=13, record=network.RECORDABLE)
    values = result.values
    assert np.all(np.diff(values["spike_time"]) >= 0)
    assert values["spike_neuron"].dtype == np.int32
    for a, size in enumerate([300, 100]):
        mine = values["spike_population"] == a
        step = np.rint(values["spike_time"][mine] / 0.1).astype(int)
        counts = np.bincount(step, minlength=times.size)
        np.testing.assert_allclose(values["rate"][a], counts / size / 1e-4)
        assert 0 <= values["spike_neuron"][mine].min() <= values["spike_neuron"][mine].max() < size
    total = values["voltage_density"].sum(1) + values["refractory_fraction"]
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    assert result.coords["bin"][1][0] == -58.0
    assert result.coords["bin"][1][-1] == 98.0
    assert result.coords["neuron"][1].tolist() == [f"{p}{i}" for p in "ei" for i in range(10)]
    assert values["voltage"].shape == (20, times.size)
    assert values["voltage"].max() <= 100.0
    assert values["rate"][:, 0].tolist() == [0.0, 0.0]
    neuron = (values["spike_population"] == 1) & (values["spike_neuron"] == 3)
    step = np.rint(values["spike_time"][neuron] / 0.1).astype(int)
    assert step.size
    assert not values["voltage"][13, step].any()


def test_order_and_splitting_of_populations_do_not_matter():
    """E and I in the other order, and E split in two halves: the same law."""
    model = SpikingNetwork()
    turned = SpikingNetwork(
        size=model.size[::-1], inhibitory=model.inhibitory[::-1],
        **{k: getattr(model, k)[::-1, ::-1] for k in ("strength", "probability", "decay")},
    )  # fmt: skip
    index = np.array([0, 0, 1])
    halves = SpikingNetwork(
        size=[150, 150, 100], inhibitory=[False, False, True], external_rate=7.0,
        **{k: getattr(model, k)[np.ix_(index, index)] for k in ("strength", "probability", "decay")},
    )  # fmt: skip
    rates = batches(model, range(4), 1000.0)
    assert differ(rates, batches(turned, range(4), 1000.0)[:, ::-1]) > FALSE_ALARM
    split = batches(halves, range(4), 1000.0)
    assert differ(rates, np.stack([split[:, :2].mean(1), split[:, 2]], axis=1)) > FALSE_ALARM
    assert stats.ttest_rel(split[:, 0], split[:, 1]).pvalue > FALSE_ALARM


def test_scaled_network_of_4000_keeps_the_scaling():
    """Strengths times 400/n: the mean pending spikes grow like n, the rates stay near."""
    small = simulate(SpikingNetwork(), grid(200.0, 1.0), seed=14).values
    large = simulate(SpikingNetwork().scaled(4000), grid(200.0, 1.0), seed=14).values
    ratio = large["pending"][:, :, 50:].mean(2) / small["pending"][:, :, 50:].mean(2)
    assert np.all((ratio > 8) & (ratio < 12))


# Plans and errors -----------------------------------------------------------------------------------------------


def test_plan_bounds_the_memory():
    model = SpikingNetwork()
    large = model.scaled(4_000_000)
    assert network.plan(large, grid(1.0), record=(), dt=0.1).bytes < 200 * 4_000_000
    for connectivity, record in (("annealed", ()), ("quenched", network.RECORDABLE)):
        case = model.scaled(3000).replace(connectivity=connectivity)
        simulate(case, grid(1.0), record=record)  # compile
        tracemalloc.start()
        simulate(case, grid(20.0), record=record)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < network.plan(case, grid(20.0), record=record, dt=0.1).bytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": np.array([0.0, 1.0, 1.25])}, r"times\[2\] - times\[0\] = 1.25 ms is 12.5 steps"),
        ({"record": ("spike",)}, "Did you mean `spikes`"),
        ({"dt": 0.0}, "`dt` must be greater than 0"),
        ({"dt": np.nan}, "`dt` must be a finite number"),
        ({"model": SpikingNetwork(membrane_time=0.05)}, "less than the membrane time constant"),
    ],
)
def test_bad_options_are_refused(change, words):
    model = change.pop("model", SpikingNetwork())
    options = {"times": grid(2.0), "record": (), "dt": 0.1} | change
    times = options.pop("times")
    with pytest.raises(InputError, match=words):
        network.plan(model, times, **options)
    with pytest.raises(InputError, match=words):
        simulate(model, times, **options)


def test_times_may_be_rounded_multiples_far_from_zero():
    times = 1e6 + np.arange(0.0, 50.0, 0.1)
    assert simulate(SpikingNetwork(), times).values["rate"].shape == (2, 500)


def test_too_many_pending_spikes_are_refused():
    state = network._rest(network._constants(one_population(10), 0.1)[0])
    state.pending[0, 3] = 2**31 - 5
    with pytest.raises(InputError, match="below 2\\^31"):
        network._check_room(state, 100)


def test_tick_reports_progress_and_may_stop(monkeypatch):
    monkeypatch.setattr(network, "_CHUNK", 400 * 50)
    seen = []
    simulate(SpikingNetwork(), grid(20.0), tick=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SpikingNetwork(), grid(20.0), tick=stop)
