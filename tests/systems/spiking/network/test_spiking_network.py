"""The spiking network: its discrete laws, closed forms, two independent simulators, the published table, bytes.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.numerics.xoshiro import lanes
from largen.systems.spiking import SpikingNetwork
from largen.systems.spiking.network import graph, tables
from largen.systems.spiking.network import run as network
from largen.systems.spiking.network import step as kernel
from largen.systems.spiking.time_step import release
from systems.spiking import plain_kernel

FALSE_ALARM = 1e-6


def simulate(model, times, *, seed=0, record=(), dt=0.1, tick=lambda fraction: None, graph="auto"):
    rng = lambda *names: stream(seed, *names)  # noqa: E731
    return network.run(model, times, rng=rng, record=record, tick=tick, dt=dt, graph=graph)


def grid(duration, every=0.1):
    return np.arange(round(duration / every) + 1) * every


def chi_square(sample, law):
    """p-value of a sample of integers against a scipy law; cells with fewer than 10 expected are merged."""
    values = np.arange(sample.min(), sample.max() + 1)
    edges = values[:-1][np.diff(np.floor(law.cdf(values) * sample.size / 10)) >= 1] + 0.5
    edges = np.concatenate([[-0.5], edges, [np.inf]])
    expected = sample.size * np.diff(np.concatenate([[0.0], law.cdf(edges[1:-1]), [1.0]]))
    edges, expected = edges[np.concatenate([[True], expected > 0])], expected[expected > 0]
    seen = np.histogram(np.minimum(sample, 1e15), bins=np.minimum(edges, 1e16))[0]
    return stats.chisquare(seen, expected).pvalue


def differ(a, b):
    """Smallest p-value of Welch's t-test over the columns of two samples (row: independent repetition)."""
    return float(np.nanmin(stats.ttest_ind(a, b, axis=0, equal_var=False).pvalue))  # a constant has no test


# Discrete laws --------------------------------------------------------------------------------------------------


def one_population(size, **fields):
    fields = {"strength": [[0.0]], "probability": [[0.5]], "decay": [[1.4]]} | fields
    return SpikingNetwork(size=[size], inhibitory=[False], external_rate=[7.0], **fields)


def alike(size, count, decay=1.4, p=0.5):
    """So many populations of a size that hear themselves alone."""
    own = np.eye(count)
    return SpikingNetwork(
        size=[size] * count, inhibitory=[False] * count, external_rate=7.0,
        strength=0 * own, probability=p * own, decay=0 * own + decay,
    )  # fmt: skip


def received(model, h=0, fired=0, seed=1, steps=0):
    """Pending spikes of all neurons before one step, or after it; h pending, so many fired of each."""
    rng = lambda *names: stream(seed, *names)  # noqa: E731
    world = network.at_rest(model, 0.1, rng, np.full((1, len(model.size)), 7.0))
    store = len(world.graph.stored) - 1
    if store > 0:
        graph.store_rows(world.graph, 0, store)
    state, edge = world.state, world.constants.edge
    for b in range(len(model.size)):
        state.pending[b, edge[b] : edge[b + 1]] = h
        state.reach[b, b] = (h, h * model.size[b])
        state.fired[b * fired : (b + 1) * fired] = np.arange(edge[b], edge[b] + fired)
        state.fired_to[b + 1] = (b + 1) * fired
    out = network._output(model, world.constants, np.arange(steps + 1), ())
    out.cursor[0] = 1
    kernel.advance(*world, np.full((1, len(model.size)), 7.0), out, 0, steps, not steps)
    values = [state.pending[b, edge[b] : edge[b + 1]] for b in range(len(model.size))]
    for b, value in enumerate(values):
        if not steps:
            assert state.reach[b, b].tolist() == [value.max(), value.sum()]
            assert out.pending[b, b, 0] == value.sum()
    return np.concatenate(values)


@pytest.mark.parametrize("size", [3000, 60_000])
@pytest.mark.parametrize(
    ("h", "decay"), [(1, 1.4), (23, 4.5), (511, 1.4), (512, 1.4), (5000, 1.4), (70_000, 4.5), (40, 0.05), (900, 0.2)]
)
def test_release_is_binomial(h, decay, size):
    law = stats.binom(h, -np.expm1(-0.1 / decay))
    got = h - received(alike(size, 120_000 // size, decay=decay), h, steps=1)
    if h == 1:  # one pending spike: released or not
        assert stats.binomtest(int(got.sum()), got.size, law.mean()).pvalue > FALSE_ALARM
    else:
        assert chi_square(got, law) > FALSE_ALARM


def test_release_from_small_rows_is_the_same_law(monkeypatch):
    monkeypatch.setattr(tables, "_ROOM", 1)  # two digits of 64 and 32: what is beyond takes several draws
    law = stats.binom(3000, -np.expm1(-0.1 / 1.4))
    assert chi_square(3000 - received(alike(3000, 40), 3000, steps=1), law) > FALSE_ALARM


def test_chi_square_catches_an_injected_bias():
    law = stats.binom(300, -np.expm1(-0.1 / 1.42))
    assert chi_square(300 - received(alike(3000, 40), 300, steps=1), law) < FALSE_ALARM


def test_a_synapse_of_no_duration_is_empty_after_a_step():
    assert not received(alike(3000, 10, decay=1e-5), 3, steps=1).any()
    assert not received(alike(3000, 10, decay=1e-300), 3, steps=1).any()


@pytest.mark.parametrize("share", [0.02, 0.5, 3.0, 40.0])
def test_lifetimes_are_truncated_exponentials(share):
    """Sums of 1, 5 and 40 lifetimes, given that they end within a step of `share` decay times."""
    words, q = lanes(stream(3, "lifetimes")), -np.expm1(-share)
    one = np.array([kernel.lifetimes(1, q, words) for _ in range(20_000)])
    law = stats.truncexpon(share)
    assert stats.kstest(one, law.cdf).pvalue > FALSE_ALARM
    for count in (5, 40):
        sums = np.array([kernel.lifetimes(count, q, words) for _ in range(20_000)])
        z = (sums.mean() - count * law.mean()) / (law.std() * np.sqrt(count / len(sums)))
        assert abs(z) < stats.norm.isf(FALSE_ALARM / 2)
        spread = sums.var() / (count * law.var()) - 1.0
        assert abs(spread) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(8.0 / len(sums))


@pytest.mark.parametrize("decay", [0.01, 0.09, 0.5, 4.0])
def test_a_spike_brings_its_charge_whatever_the_step(decay):
    """Mean and variance of the charge of one spike, an exponential number of mean 1, until nothing is pending.

    A release in a step of less than a tenth of the decay time has the mean length, which leaves out (dt/tau)^2/12.
    """
    spike = release(0.1, np.array(decay))
    rng = np.random.default_rng(5)
    words = lanes(stream(4, "lifetimes"))
    stays = rng.geometric(spike.probability, 20_000) - 1
    last = spike.leave
    if spike.stay > network.LONG_STEP:
        last = np.array([kernel.lifetimes(1, float(spike.probability), words) for _ in stays])
    charge = stays * spike.stay + last
    assert abs(charge.mean() - 1.0) < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(len(charge))
    assert abs(charge.var() - 1.0) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(8.0 / len(charge))
    acted = np.minimum(rng.exponential(size=200_000), spike.stay)
    assert acted.mean() == pytest.approx(float(spike.probability), rel=0.01)
    assert acted.var() == pytest.approx(float(spike.variance), rel=0.05)


@pytest.mark.parametrize(("fired", "p"), [(1, 0.8), (30, 0.8), (2500, 0.3)])
def test_arrivals_are_binomial(fired, p):
    got = received(alike(3000, 40, p=p), fired=fired)
    if fired == 1:
        assert stats.binomtest(int(got.sum()), got.size, p).pvalue > FALSE_ALARM
    else:
        assert chi_square(got, stats.binom(fired, p)) > FALSE_ALARM


@pytest.mark.parametrize(("fixed", "mean"), [(False, 40.0), (True, 39.6), (True, 40.0), (True, 0.2)])
def test_refractory_period(fixed, mean):
    words = lanes(stream(3, "refractory"))
    steps = np.array([kernel.refractory_steps(mean, fixed, words) for _ in range(50_000)])
    if fixed:
        assert set(steps.tolist()) <= {np.floor(mean), np.ceil(mean)}
        z = (steps.mean() - mean) / np.sqrt(max((mean % 1) * (1 - mean % 1), 1e-30) / len(steps))
        assert abs(z) < stats.norm.isf(FALSE_ALARM / 2)
    else:
        assert chi_square(steps, stats.geom(1 - np.exp(-1 / mean), loc=-1)) > FALSE_ALARM


# Closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_voltage_without_coupling_is_gaussian():
    """V after 10 ms: mean and variance of the Ornstein-Uhlenbeck process, with and without leak (chi-square, z)."""
    for membrane in (np.inf, 20.0):
        count = 60  # populations of 10 recorded neurons
        zero = np.zeros((count, count))
        model = SpikingNetwork(
            size=[10] * count, inhibitory=[False] * count, strength=zero, probability=zero, decay=zero + 1.0,
            external_rate=7.0, membrane_time=membrane, threshold=1e6,
        )  # fmt: skip
        voltage = simulate(model, np.array([0.0, 10.0]), record=("voltage",), seed=4).values["voltage"][:, -1]
        unit, mean, variance = 1.0, 70.0, 70.0
        if np.isfinite(membrane):
            unit = 1.0 / membrane
            mean, variance = -7.0 * np.expm1(-10.0 * unit), -3.5 * unit * np.expm1(-20.0 * unit)
        z = (voltage.mean() - mean) / np.sqrt(variance / voltage.size)
        assert abs(z) < stats.norm.isf(FALSE_ALARM / 2)
        spread = np.sum((voltage - voltage.mean()) ** 2) / variance
        low, high = stats.chi2(voltage.size - 1).ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2])
        assert low < spread < high
        assert stats.kstest((voltage - mean) / np.sqrt(variance), "norm").pvalue > FALSE_ALARM


def test_pending_spikes_without_coupling_follow_the_spikes():
    """Given the spikes, E[H] obeys m <- exp(-dt/tau) m + p nf; Var[H] is at most m, so the mean has se sqrt(m/N)."""
    model = one_population(4000, decay=[[60.0]], probability=[[0.02]])
    values = simulate(model, grid(200.0), seed=5).values
    spikes = np.rint(values["rate"][0] * 4000 * 1e-4)
    mean = np.zeros(spikes.size)
    for k in range(1, spikes.size):
        mean[k] = mean[k - 1] * np.exp(-0.1 / 60.0) + 0.02 * spikes[k]
    seen = values["pending"][0, 0]
    assert mean[-1] > 100
    for k in (1500, -1):
        assert abs(seen[k] - mean[k]) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(mean[k] / 4000)


def test_certain_neuron_spikes_like_a_clock():
    """A strong drive has no noise to speak of: 101 steps of 1e7 (±3200) pass 1.005e9, then 40 steps of waiting."""
    model = one_population(1, refractory="fixed", refractory_time=4.0, threshold=1.005e9).replace(external_rate=1e8)
    spikes = simulate(model, grid(60.0), record=("spikes",), seed=6).values["spike_time"]
    np.testing.assert_allclose(spikes, 10.1 + (10.1 + 4.0) * np.arange(4), atol=1e-6)


# An independent simulator ---------------------------------------------------------------------------------------


def reference(model, duration, realisations, seed):
    """The network in NumPy, all realisations side by side; mean rates and mean pending, shape (realisation, ...)."""
    rng, dt = np.random.default_rng(seed), 0.1
    owner = np.repeat(np.arange(len(model.size)), model.size)
    decay, p = model.decay[owner], model.probability[owner]  # (neuron, source)
    strength, eps = model.strength[owner], dt / decay
    leave = 1.0 - eps / np.expm1(eps)
    leak = 1 / np.broadcast_to(model.membrane_time, len(model.size))[owner]
    unit = np.where(leak > 0, leak, 1.0)
    v, h = np.zeros((realisations, owner.size)), np.zeros((realisations, owner.size, len(model.size)), int)
    free_at = np.zeros((realisations, owner.size), int)
    spikes, pending = np.zeros((realisations, len(model.size))), 0.0
    steps = round(duration / dt)
    for step in range(steps):
        drive = model.external_rate(step * dt) if callable(model.external_rate) else model.external_rate
        drive = np.broadcast_to(drive, len(model.size))[owner]
        gone = rng.binomial(h, -np.expm1(-eps))
        h = h - gone
        charge = strength * (eps * h + leave * gone)
        current = np.where(model.inhibitory, 0.0, charge).sum(2)
        pull = np.where(model.inhibitory, charge, 0.0).sum(2) / (model.threshold - model.reversal)
        kappa = np.maximum(pull + dt * leak, 1e-12)
        part, twice = -np.expm1(-kappa) / kappa, -np.expm1(-2 * kappa) / (2 * kappa)
        moved = part * (current - (v - model.reversal) * pull - v * dt * leak + drive * dt * unit)
        kicks = rng.normal(0.0, np.sqrt(drive * dt), v.shape) * unit * np.sqrt(twice)
        free = step >= free_at
        v = np.where(free, v + moved + kicks, 0.0)
        fired = v > model.threshold
        v[fired] = 0.0
        mean = np.broadcast_to(model.refractory_time, len(model.size))[owner] / dt
        wait = np.rint(mean) if model.refractory == "fixed" else rng.geometric(1 - np.exp(-1 / mean), v.shape) - 1
        free_at = np.where(fired, step + 1 + wait, free_at).astype(int)
        count = np.stack([fired[:, owner == b].sum(1) for b in range(len(model.size))], axis=1)
        h = h + rng.binomial(count[:, None, :], p)
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
        decay=[[1.4, 4.5, 2.0], [1.2, 4.5, 1.2], [1.0, 8.0, 1.5]],  # below 1, lifetimes are drawn: see the plain kernel
        external_rate=swinging,
    ),
}


SLOW = {"leaky, fixed", "three"}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.long) if c in SLOW else c for c in CASES])
def test_law_of_an_independent_simulator(case):
    model = CASES[case]
    assert differ(reference(model, 150.0, 16, seed=7), measured(model, 150.0, 40)) > FALSE_ALARM


FAST = SpikingNetwork(decay=((0.3, 4.5), (0.02, 0.05)), strength=((0.9, 4.0), (1.2, 2.0)))
"""Synapses faster than a step, whose lifetimes are drawn, beside slower ones."""


@pytest.mark.parametrize(
    ("model", "n", "duration", "seeds"),
    [
        pytest.param(SpikingNetwork(), 400, 150.0, 16, marks=pytest.mark.long),
        pytest.param(SpikingNetwork(), 12_000, 20.0, 4, marks=pytest.mark.long),
        (FAST, 400, 150.0, 16),
    ],
)
def test_law_of_the_plain_kernel(model, n, duration, seeds):
    """Rates and mean pending spikes over blocks of 10 ms."""
    model, every = model.scaled(n), 100
    plain, fast = [], []
    for seed in range(seeds):
        rate, pending = plain_kernel.run(model, duration, seed=100 + seed, every=every)
        plain.append(np.concatenate([rate[:, 1:].ravel(), pending[:, :, 1:].ravel()]))
        values = simulate(model, grid(duration, 10.0), seed=seed).values
        fast.append(np.concatenate([values["rate"][:, 2:].ravel(), values["pending"][:, :, 2:].ravel()]))
    assert differ(np.array(plain), np.array(fast)) > FALSE_ALARM


def test_comparison_catches_an_injected_bias():
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


def quenched_bits(model, seed=8):
    world = network.at_rest(
        model.replace(connectivity="quenched"), 0.1, lambda *names: stream(seed, *names), np.full((1, 2), 7.0)
    )
    graph.store_rows(world.graph, 0, int(model.size.sum()))
    bits = np.unpackbits(world.graph.stored[:-1].view(np.uint8), axis=1, bitorder="little")
    return world.graph, bits[:, : len(bits)], bits[:, len(bits) :]


def test_graph_has_the_density_of_every_class():
    model = SpikingNetwork(probability=[[0.8, 0.3], [0.0, 1.0]])
    _, bits, rest = quenched_bits(model)
    owner = np.repeat([0, 1], model.size)
    for a in range(2):
        for b in range(2):
            links = bits[np.ix_(owner == b, owner == a)]  # row: source
            assert stats.binomtest(int(links.sum()), links.size, model.probability[a, b]).pvalue > FALSE_ALARM
    assert not rest.any()
    assert bits.diagonal().any()  # self-links are kept


@pytest.mark.parametrize("count", [1, 9, 40])
def test_quenched_spikes_arrive_along_the_graph(count):
    stored, bits, _ = quenched_bits(SpikingNetwork())
    fired = np.sort(np.random.default_rng(count).choice(300, count, replace=False)).astype(np.int32)
    graph.count_arrivals(stored, fired, 0)
    np.testing.assert_array_equal(stored.arrivals[0, :400], bits[fired].sum(0))


def test_a_graph_made_again_is_the_stored_one():
    model = SpikingNetwork(connectivity="quenched").scaled(700)
    runs = [simulate(model, grid(40.0), seed=5, record=("spikes",), graph=way) for way in network.GRAPHS]
    same(runs[0], runs[1])
    same(runs[0], runs[2])


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
    monkeypatch.setattr(network, "HELD_SPIKES", 1)
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
        ({"graph": "store"}, "Did you mean `stored`"),
        ({"model": SpikingNetwork(membrane_time=0.05)}, "less than the shortest membrane time"),
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
    world = network.at_rest(one_population(10), 0.1, lambda *names: stream(1, *names), np.full((1, 1), 7.0))
    world.state.reach[0, 0, 0] = 2**31 - 5
    with pytest.raises(InputError, match="below 2\\^31"):
        network.check_pending(world.state.reach, 100 * world.state.voltage.size)


def test_voltage_is_double_where_a_step_is_small():
    """Kicks of 3000 on a voltage of 1e9, and none at all, would be lost in single precision."""
    assert network._voltage_type(network._constants(SpikingNetwork(), 0.1)[0], np.full((1, 2), 7.0)) is np.float32
    assert network._voltage_type(network._constants(SpikingNetwork(), 0.1)[0], np.array([[7.0, 0.0]])) is np.float64
    large = SpikingNetwork(threshold=1e9)
    assert network._voltage_type(network._constants(large, 0.1)[0], np.full((1, 2), 1e8)) is np.float64


def test_tick_reports_progress_and_may_stop(monkeypatch):
    monkeypatch.setattr(network, "_CHUNK", 400 * 50)
    seen = []
    simulate(SpikingNetwork(), grid(20.0), tick=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SpikingNetwork(), grid(20.0), tick=stop)
