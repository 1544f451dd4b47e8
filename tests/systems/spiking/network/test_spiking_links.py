"""Lists of targets and arrivals by chance: their laws; false-alarm probability 1e-6 each (FALSE_ALARM)."""

import numpy as np
import pytest
from scipy import stats

from largen.numerics.streams import stream
from largen.systems.spiking import SpikingNetwork
from largen.systems.spiking import constants as derived
from largen.systems.spiking.network import graph
from largen.systems.spiking.network import run as first_version
from largen.systems.spiking.network.general import run as general
from largen.systems.spiking.network.general import wiring
from largen.systems.spiking.network.general.arrivals import make_classes
from largen.systems.spiking.network.general.step import arrive

FALSE_ALARM = 1e-6
WIDE = stats.norm.isf(FALSE_ALARM / 2)

RULES = {
    "probability": {"probability": [[0.1, 0.2], [0.3, 0.0]]},
    "in_degree": {"in_degree": [[30, 20], [60, 0]], "probability": None},
    "synapses": {"synapses": [[9000, 6000], [6000, 0]], "probability": None},
}


def model_of(rule, **fields):
    fields = {
        "size": [300, 100], "synapse": "exponential", "inhibition": "current", "connectivity": "quenched",
        "strength": [[1.0, 4.0], [2.0, 5.0]], "decay": np.ones((2, 2)), "external_rate": 0.0, "external_strength": 1.0,
    } | RULES[rule] | fields  # fmt: skip
    return SpikingNetwork(**fields)


def at_start(model, seed=0):
    rng = lambda *names: stream(seed, *names)  # noqa: E731
    return general.at_start(model, 0.1, rng, general.drive_of(model, 0.0, 1, 0.1))


def listed(model, seed=0):
    """Every synapse as (source, target, delay in steps, what a spike brings or NaN), shape (synapses, 4)."""
    x, rows = at_start(model, seed).links, []
    owner = np.repeat(np.arange(len(model.size)), model.size)
    for source, b in enumerate(owner):
        edges = x.start[source] + x.offset[source]
        assert edges[-1] == x.start[source + 1]
        for g in range(x.groups[b]):
            part = slice(edges[g], edges[g + 1])
            target = x.target[part].astype(float)
            weight = x.brings[b, g] * (x.level[part] if x.level.size else np.ones(target.size))
            row = np.stack([np.full(target.size, source), target, np.full(target.size, x.delay[b, g]), weight], axis=1)
            rows.append(row)
    return np.concatenate(rows)


def between(model, found, a, b):
    """The synapses from population b to a, with their ends counted within the populations."""
    first = np.concatenate([[0], np.cumsum(model.size)])
    here = (found[:, 0] >= first[b]) & (found[:, 0] < first[b + 1])
    here &= (found[:, 1] >= first[a]) & (found[:, 1] < first[a + 1])
    return found[here] - np.array([first[b], first[a], 0, 0])


def uniform(places, count):
    """p-value of places 0..count - 1 that should be equally likely and independent."""
    return stats.chisquare(np.bincount(places.astype(int), minlength=count)).pvalue


def test_in_degrees_are_fixed_and_sources_any():
    model = model_of("in_degree")
    found = listed(model)
    for a, b in np.ndindex(2, 2):
        mine = between(model, found, a, b)
        assert np.bincount(mine[:, 1].astype(int), minlength=model.size[a]).tolist() == [model.in_degree[a, b]] * int(
            model.size[a]
        )
        if model.in_degree[a, b]:
            assert uniform(mine[:, 0], model.size[b]) > FALSE_ALARM
    own = between(model, found, 0, 0)
    assert np.any(own[:, 0] == own[:, 1])  # a neuron may hear itself
    assert len(np.unique(own[:, :2], axis=0)) < len(own)  # and another twice


def test_synapses_have_their_number_and_any_ends():
    model = model_of("synapses")
    found = listed(model)
    for a, b in np.ndindex(2, 2):
        mine = between(model, found, a, b)
        assert len(mine) == model.synapses[a, b]
        if len(mine):
            assert uniform(mine[:, 0], model.size[b]) > FALSE_ALARM
            assert uniform(mine[:, 1], model.size[a]) > FALSE_ALARM
            pair = mine[:, 0] // 10 * (model.size[a] // 10) + mine[:, 1] // 10  # and the ends are independent
            assert uniform(pair, int(model.size[a] * model.size[b] // 100)) > FALSE_ALARM


def test_probabilities_make_the_graph_of_the_bit_rows():
    model = model_of("probability")
    found = listed(model)
    assert len(np.unique(found[:, :2], axis=0)) == len(found)
    rng = lambda *names: stream(0, *names)  # noqa: E731
    bits = SpikingNetwork(probability=model.probability, connectivity="quenched")
    world = first_version.at_rest(bits, 0.1, rng, np.full((1, 2), 7.0))
    graph.store_rows(world.graph, 0, 400)
    links = np.unpackbits(world.graph.stored[:400].view(np.uint8), axis=1, bitorder="little")[:, :400]
    mine = np.zeros((400, 400), int)
    mine[found[:, 0].astype(int), found[:, 1].astype(int)] = 1
    np.testing.assert_array_equal(mine, links)
    for a, b in np.ndindex(2, 2):
        count = len(between(model, found, a, b))
        assert stats.binomtest(count, int(model.size[a] * model.size[b]), model.probability[a, b]).pvalue > FALSE_ALARM


def delay_fit(steps, shares):
    """p-value of delays in steps against their shares; rare ones are put together."""
    seen = np.bincount(steps.astype(int) - 1, minlength=shares.size)[: shares.size]
    order = np.argsort(shares)
    rare = np.cumsum(shares[order]) * steps.size < 10
    groups = np.zeros(shares.size, int)
    groups[order[~rare]] = np.arange(1, np.sum(~rare) + 1)
    expected = np.bincount(groups, shares) * steps.size
    kept = expected > 0
    return stats.chisquare(np.bincount(groups, seen)[kept], expected[kept] * steps.size / expected.sum()).pvalue


@pytest.mark.parametrize("rule", RULES)
def test_delays_and_weights_of_a_graph(rule):
    model = model_of(rule, delay=[[1.5, 0.8], [1.5, 0.0]], delay_spread=0.5, strength_spread=[[0.1, 0.3], [0.0, 0.2]])
    found, shares, brings = listed(model), derived.delays(model, 0.1).shares, derived.weights(model)
    for a, b in ((0, 0), (0, 1), (1, 0)):
        mine = between(model, found, a, b)
        assert delay_fit(mine[:, 2], shares[a, b]) > FALSE_ALARM
        z = (mine[:, 3] / brings[a, b] - 1.0) / max(model.strength_spread[a, b], 1e-9)
        if model.strength_spread[a, b] == 0.0:
            np.testing.assert_allclose(mine[:, 3], brings[a, b], rtol=1e-6)
        else:
            law = stats.truncnorm(-1.0 / model.strength_spread[a, b], np.inf)
            assert stats.kstest(z, law.cdf).pvalue > FALSE_ALARM
    wrong = shares[0, 0] * 1.1 ** np.arange(shares.shape[2])
    assert delay_fit(between(model, found, 0, 0)[:, 2], wrong / wrong.sum()) < FALSE_ALARM


def test_a_spread_strength_takes_two_bytes_and_is_rounded_to_a_50_000th():
    x = at_start(model_of("synapses", strength_spread=[[0.1, 0.1], [0.0, 0.1]])).links
    assert x.level.dtype == np.uint16
    assert len(x.level) == len(x.target)
    assert np.ptp(x.level) > 1000
    unit = wiring.levels(np.array([0.1, 0.0, 30.0]))
    assert 0.5 * unit[0] < 2e-5
    assert unit[1] == 1.0  # exact
    assert 0.5 * unit[2] < 30.0 * 1e-4


def test_large_spreads_keep_the_sign():
    found = listed(model_of("synapses", strength_spread=1.0))
    assert np.all(found[found[:, 0] < 300, 3] > 0.0)
    assert np.all(found[found[:, 0] >= 300, 3] < 0.0)


# Arrivals by chance ---------------------------------------------------------------------------------------------


def arrivals(model, spikes, draws):
    """What arrives at neurons of population 0 in one step, from both populations; `spikes`: (steps ago, population)."""
    network = at_start(model)
    c, s, x, k = network.constants, network.state, network.classes, network.scratch
    step, slots = 1000, len(s.history)
    for ago, counts in spikes.items():
        s.history[(step - ago) % slots] = counts
    make_classes(x, s.history, step, 0, 0.0)
    found = []
    for _ in range(draws):
        arrive(c, s, x, k, network.streams.synapses, 0, 0, 300)
        found.append(k.arrived[0, :300].copy())
    return np.concatenate(found)


SPIKES = {1: [7, 3], 2: [0, 4], 3: [11, 0], 4: [2, 2]}
BEFORE = np.array([[7.0, 0.0, 11.0, 2.0], [3.0, 4.0, 0.0, 2.0]])


@pytest.mark.parametrize("spread", [0.0, 0.4])
@pytest.mark.parametrize("rule", RULES)
def test_arrivals_by_chance_have_mean_and_variance_of_their_law(rule, spread):
    """From both sources; the variance is that of independent draws for each source, or delay where p is given."""
    model = model_of(rule, connectivity="annealed", delay=0.2, delay_spread=spread, strength_spread=[[0.5, 0.0]] * 2)
    shares = derived.delays(model, 0.1).shares[0, :, :4]
    got = arrivals(model, SPIKES, 200)
    weight, nf = derived.weights(model)[0], BEFORE[:, : shares.shape[1]]
    per_delay = derived.in_degrees(model)[0][:, None] * shares * nf / model.size[:, None]
    each = per_delay.sum(1)
    if rule == "probability":
        variance = (per_delay * (1.0 - model.probability[0][:, None] * shares)).sum(1)
    else:
        variance = derived.arrival_variance(model, np.stack([each, each]))[0]
    mean, variance = np.sum(weight * each), np.sum(weight**2 * (variance + model.strength_spread[0] ** 2 * each))
    assert abs(got.mean() - mean) < WIDE * np.sqrt(variance / got.size)
    fourth = np.mean((got - got.mean()) ** 4) / variance**2
    assert abs(got.var() / variance - 1.0) < WIDE * np.sqrt((fourth - 1.0) / got.size)


@pytest.mark.parametrize("rule", RULES)
def test_the_law_of_arrivals(rule):
    """One source, one delay: binomial in the spikes or in the in-degree, or Poisson (chi-squared)."""
    model = model_of(rule, connectivity="annealed", delay=0.3, strength=[[1.0, 0.0], [1.0, 1.0]])
    number = {
        "probability": stats.binom(11, 0.1),
        "in_degree": stats.binom(30, 11 / 300),
        "synapses": stats.poisson(9000 * 11 / 300**2),
    }[rule]
    got = np.rint(arrivals(model, SPIKES, 200)).astype(int)
    values = np.arange(got.max() + 1)
    last = int(np.argmax(number.sf(values) * got.size < 20))
    expected = np.append(number.pmf(values[:last]), number.sf(last - 1)) * got.size
    seen = np.bincount(np.minimum(got, last), minlength=last + 1)
    assert stats.chisquare(seen, expected).pvalue > FALSE_ALARM
