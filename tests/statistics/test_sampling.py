"""Recordings of a sample of a network's neurons: what they say of the network, and what they are compared with."""

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen import analysis
from largen.statistics import signals
from largen.statistics.rates import mean_rates, network_rate
from largen.statistics.synchrony import synchrony_index

NETWORK = {"e": 300, "i": 100}
TAKEN = {"e": 40, "i": 20}
TIMES = np.arange(3001) * 0.1


@pytest.fixture(scope="module")
def network():
    return ln.simulate(ln.SpikingNetwork(), TIMES, realisations=12, seed=4, record="spikes")


@pytest.fixture(scope="module")
def sample(network):
    return analysis.sample_neurons(network, TAKEN, seed=1)


def recorded(run, **said):
    """A network's spikes as a user gives them, each trial with ids of its own places."""
    first = np.array([0, run.attrs["sizes"][0]])
    ids = first[run["spike_population"].values] + run["spike_neuron"].values
    edges = np.cumsum([0, *run.attrs["sizes"]])
    populations = {label: range(a, b) for label, a, b in zip("ei", edges[:-1], edges[1:], strict=True)}
    return ln.recording(
        run["spike_time"].values, ids, populations=populations, trials=run["spike_realisation"].values,
        realisations=run.sizes["realisation"], t_start=0, t_stop=300, **said,
    )  # fmt: skip


def test_all_neurons_are_the_network(network):
    whole = analysis.sample_neurons(network, {})
    for name in ("rate", "spike_time", "spike_neuron", "spike_population", "spike_realisation"):
        np.testing.assert_allclose(whole[name], network[name], atol=1e-9)
    assert "network_sizes" not in whole.attrs


def test_a_sample_of_volleys_has_the_synchrony_of_its_network():
    """Each neuron takes part in a volley with probability p: a spike meets p (N - 1)/N of its population beside itself.

    Ten neurons of 200, so that the index of the sample as a network of its own would be 10 % lower.
    """
    p, rng = 0.3, np.random.default_rng(2)
    fires = rng.uniform(size=(40, 80, 60)) < p  # trial, volley, neuron; those of one neuron in 4 populations of 15
    trial, volley, neuron = np.nonzero(fires)
    rec = ln.recording(
        5.0 + 10.0 * volley, neuron, trials=trial, t_start=0, t_stop=800,
        populations={f"e{k}": range(10 * k, 10 * k + 10) for k in range(6)}, network_sizes=[200] * 6, inhibitory=(),
    )  # fmt: skip
    found = analysis.summary(rec, self_count="removed")
    scores = (found["synchrony"] - p * 199 / 200) / found["synchrony_se"]
    assert np.abs(scores).max() < stats.t(39).isf(1e-7)
    naive = p * 9 / 10
    assert np.all(found["synchrony"] - naive > 5 * found["synchrony_se"])
    assert "10 of 200 e0" in found.attrs["sample"]
    assert found.attrs["n"] == 1200


def test_rate_and_synchrony_of_a_sample_are_those_of_the_network_and_its_variance_is_not(network, sample):
    """Differences of 12 realisations from their samples by Student's test, false alarm 1e-6 each."""
    ours, theirs = (signals.read(run, None) for run in (sample, network))

    def differences(statistic):
        return np.array([statistic(ours.realisation(r)) - statistic(theirs.realisation(r)) for r in range(12)])

    for statistic in (mean_rates, lambda part: synchrony_index(part, self_count="removed")):
        found = differences(statistic)
        assert np.all(np.abs(found.mean(0)) < stats.t(11).isf(5e-7) * found.std(0, ddof=1) / np.sqrt(12))
    more = differences(lambda part: np.array([network_rate(part).var()]))  # the noise of counting on top
    shot = [np.sum((parts.network / 400) ** 2 * mean_rates(parts) / parts.size) / 1e-4 for parts in (ours, theirs)]
    assert abs(more.mean() / (shot[0] - shot[1]) - 1) < 0.1


def test_the_error_of_a_rate_holds_the_choice_of_neurons_that_all_trials_share():
    """Neurons whose own rates differ (s.d. 10 Hz): trials of the same 40 of 400 scatter far less than their choice."""
    rng, rates, errors, alone = np.random.default_rng(8), [], [], []
    for _ in range(30):
        own = rng.gamma(4.0, 5.0, 40)  # mean 20 Hz
        counts = rng.poisson(own * 0.5, (10, 40))
        trial, neuron = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        rec = ln.recording(
            rng.uniform(0, 500, len(trial)), neuron, trials=trial, realisations=10, t_start=0, t_stop=500, step=0.5,
            populations={"e": range(40)}, network_sizes=[400], inhibitory=(),
        )  # fmt: skip
        found = analysis.summary(rec, start=0.0)
        rates.append(found["rate"].item())
        errors.append(found["rate_se"].item())
        alone.append(analysis.summary(rec.assign_attrs(network_sizes=40), start=0.0)["rate_se"].item())
    theory = np.sqrt(20.0 / (10 * 40 * 0.5) + 100.0 / 40 * 0.9)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(errors))), theory, rtol=0.2)  # 30 x 39 squares: 4 % each
    np.testing.assert_allclose(np.mean(alone), np.sqrt(20.0 / (10 * 40 * 0.5)), rtol=0.2)
    scores = (np.array(rates) - 20.0) / errors / np.sqrt(1 / 0.9)  # populations are drawn anew, and are infinite
    assert 0.5 < np.std(scores) < 1.6  # chi-squared with 30 degrees: false alarm 1e-5


def test_a_recording_of_a_sample_has_the_statistics_of_the_sample(sample):
    rec = recorded(sample, network_sizes=NETWORK)
    assert rec.attrs["n"] == 400
    np.testing.assert_allclose(rec["rate"], sample["rate"], atol=1e-9)
    ours, theirs = (analysis.summary(run) for run in (rec, sample))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)


def test_a_sample_is_compared_with_a_limit_in_rate_and_synchrony_and_with_a_sample_in_all(network, sample):
    limit = ln.solve_limit(ln.SpikingNetwork(), TIMES)
    rec = recorded(sample, network_sizes=NETWORK)
    found = ln.compare(rec, limit)
    kinds = {name.removesuffix(", in time").partition("[")[0] for name in found["component"].values.tolist()}
    assert kinds == {"rate", "synchrony"}
    assert "event_rate" in found.attrs["not_compared"]
    assert "of another number of neurons: compare with `analysis.sample_neurons`" in found.attrs["not_compared"]
    both = ln.compare(rec, analysis.sample_neurons(network, TAKEN, seed=9))
    assert {"power[30-90 Hz]", "event_rate", "event_size[e]"} <= set(both["component"].values.tolist())
    assert "beyond tolerance" not in both["label"].values.tolist()


def test_a_sample_that_is_taken_for_a_network_is_refused(sample):
    limit = ln.solve_limit(ln.SpikingNetwork(), TIMES)
    alone, other = recorded(sample), recorded(sample, network_sizes={"e": 200, "i": 200})
    with pytest.raises(ln.InputError, match=r"the network has n = 60: .* give `network_sizes` of recording"):
        ln.compare(alone, limit)
    with pytest.raises(ln.InputError, match="300 neurons of `e`, but the network of the recording has 200"):
        ln.compare(other, limit)
    with pytest.raises(ln.InputError, match=r"records 40 of e, 20 of i, but the model has 300 of e, 100 of i .* n=60"):
        ln.fit(ln.SpikingNetwork(), alone, free="external_rate")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"e": 39}, r"`network_sizes\[e\]` must be at least 40, the neurons recorded, but is 39"),
        ({"x": 50}, "population in `network_sizes`"),
        ([300], "`network_sizes` must have an entry for each of e, i"),
        ({"e": 300.5}, r"`network_sizes\[e\]` must be"),
    ],
)
def test_sizes_of_the_network_that_cannot_be_are_refused(sample, given, message):
    with pytest.raises(ln.InputError, match=message):
        recorded(sample, network_sizes=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"e": 301}, r"`sizes\[e\]` must be at most 300"),
        ({"x": 3}, "population in `sizes`"),
        ({"e": 0}, r"`sizes\[e\]` must be at least 1"),
        (40, "`sizes` must map populations to numbers of neurons"),
    ],
)
def test_a_sample_that_cannot_be_taken_is_refused(network, given, message):
    with pytest.raises(ln.InputError, match=message):
        analysis.sample_neurons(network, given)
    with pytest.raises(ln.InputError, match="must hold spikes"):
        analysis.sample_neurons(network[["rate"]], {})


def test_a_sample_is_saved_with_the_sizes_of_its_network(sample, tmp_path):
    assert ln.load(ln.save(sample, tmp_path / "run.nc")).identical(sample)


@pytest.mark.long
def test_a_fit_to_a_sample_finds_the_parameters_of_its_network(sample):
    rec = recorded(sample, network_sizes=NETWORK)
    start = ln.SpikingNetwork(external_rate=7.6)
    how = {"model_error": 0.05, "check": False, "starts": 1, "strict": False, "profile": False}
    found = ln.fit(start, rec, free="external_rate", **how)
    assert found.attrs["left_out"].startswith("`gamma_frequency` is not fitted: only a sample of the network's neurons")
    assert abs(float(found["value"][0]) - 7.0) < 5 * float(found["standard_error"][0])
