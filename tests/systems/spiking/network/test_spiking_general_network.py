"""The general network: a plain simulator spike by spike, laws of graph and arrivals, closed forms, bytes, refusals.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import tracemalloc

import numpy as np
import pytest
from scipy import integrate, special, stats

import largen
from largen.checks import InputError
from largen.numerics.streams import stream
from largen.systems.spiking import SpikingNetwork
from largen.systems.spiking import constants as derived
from largen.systems.spiking.network import run as first_version
from largen.systems.spiking.network.general import run as general
from systems.spiking.plain_general import Plain, counted

FALSE_ALARM = 1e-6
WIDE = stats.norm.isf(FALSE_ALARM / 2)
"""Standard errors of a two-sided test."""


def rng_of(seed):
    return lambda *names: stream(seed, *names)


def simulate(model, times, *, seed=0, record=(), dt=0.1, route=general):
    return route.run(
        model, np.asarray(times, float), rng=rng_of(seed), record=record, tick=lambda fraction: None, dt=dt
    )


def at_start(model, seed=0, dt=0.1):
    return general.at_start(model, dt, rng_of(seed), general.drive_of(model, 0.0, 1, dt))


def spikes_of(model, times, **options):
    """Spikes as (step, neuron), sorted."""
    values = simulate(model, times, record=("spikes",), **options).values
    first = np.concatenate([[0], np.cumsum(model.size)])
    neuron = first[values["spike_population"]] + values["spike_neuron"]
    steps = np.rint((values["spike_time"] - times[0]) / options.get("dt", 0.1)).astype(int)
    return sorted(zip(steps.tolist(), neuron.tolist(), strict=True))


# An independent simulator ---------------------------------------------------------------------------------------

TINY = {
    "size": [12, 6],
    "inhibitory": [False, True],
    "strength": [[0.9, 2.0], [1.1, 1.7]],
    "decay": [[1.4, 4.5], [1.2, 4.5]],
    "probability": [[0.5, 0.6], [0.7, 0.4]],
    "external_rate": 0.0,
    "external_strength": 1.0,
    "external_mean": [1.3, 1.6],
    "connectivity": "quenched",
    "refractory": "fixed",
    "refractory_time": [2.0, 0.7],
    "threshold": [20.0, 21.0],
    "reset": [10.0, 8.0],
    "rest": [1.0, -2.0],
    "membrane_time": [20.0, 15.0],
    "delay": [[1.5, 0.8], [0.1, 0.0]],
    "reversal": -5.0,
    "initial_mean": 8.0,
    "initial_spread": 6.0,
}
"""Two small populations without noise: every spike has its step."""

CERTAIN = {
    "delta, current": {"synapse": "delta", "inhibition": "current"},
    "delta, conductance": {"synapse": "delta"},
    "exponential, current": {"synapse": "exponential", "inhibition": "current"},
    "exponential, conductance": {"synapse": "exponential"},
    "in-degrees": {"synapse": "delta", "inhibition": "current", "in_degree": [[4, 3], [5, 2]], "probability": None},
    "synapses, spreads": {
        "synapse": "exponential", "inhibition": "current", "synapses": [[60, 40], [30, 20]], "probability": None,
        "strength_spread": 0.3, "delay_spread": 0.5, "capacitance": 2.0, "external_decay": 1.0,
    },
    "adaptation": {
        "synapse": "exponential", "inhibition": "current", "adaptation_step": [0.1, 0.05], "adaptation_time": 30.0,
    },
    "no refractory period": {"synapse": "delta", "inhibition": "current", "refractory_time": 0.0},
    "no leak, one decay time": {
        "synapse": "exponential", "inhibition": "current", "membrane_time": np.inf, "external_mean": 0.6,
        "decay": [[2.0, 2.0], [2.0, 2.0]],
    },
}  # fmt: skip


def synapses_of(model, links):
    """The lists as rows (target, delay in steps, what a spike brings, with its sign), by source."""
    owner, brings = np.repeat(np.arange(len(model.size)), model.size), derived.weights(model)
    rows = []
    for source, b in enumerate(owner):
        row = []
        for g in range(links.groups[b]):
            first, last = links.start[source] + links.offset[source, g : g + 2]
            for k in range(first, last):
                target = links.target[k]
                weight = links.brings[b, g] * links.level[k] if links.level.size else brings[owner[target], b]
                row.append((int(target), int(links.delay[b, g]), float(weight)))
        rows.append(row)
    return rows


def plain(model, *, seed=0, shift=0):
    """The plain simulator from the same start and graph; delays longer by `shift` steps."""
    network = at_start(model, seed)
    rows = [
        [(target, d + shift, weight) for target, d, weight in row] for row in synapses_of(model, network.links)
    ]  # fmt: skip
    rest = np.repeat(network.constants.rest, model.size)
    return Plain(model, 0.1, rows, network.state.voltage + rest)


@pytest.mark.parametrize("case", CERTAIN)
def test_every_spike_of_a_network_without_noise(case):
    model = SpikingNetwork(**(TINY | CERTAIN[case]))
    got = spikes_of(model, np.arange(0.0, 60.5, 1.0))
    assert len(got) > 25
    assert got == sorted(plain(model).advance(600))


def test_a_delay_one_step_longer_would_be_noticed():
    model = SpikingNetwork(**(TINY | CERTAIN["delta, current"]))
    assert spikes_of(model, np.arange(0.0, 60.5, 1.0)) != sorted(plain(model, shift=1).advance(600))


def test_a_spike_of_step_n_acts_in_the_update_that_ends_at_n_plus_d():
    model = SpikingNetwork(
        size=[1, 1], inhibitory=[False, True], synapse="delta", inhibition="current", strength=[[0, 0], [3.0, 0]],
        probability=[[0, 0], [1.0, 0]], delay=0.7, membrane_time=np.inf, threshold=10.0, external_rate=0.0,
        external_strength=1.0, external_mean=[2.0, 0.0], refractory="fixed", refractory_time=1000.0,
        connectivity="quenched",
    )  # fmt: skip
    voltage = simulate(model, np.arange(0.0, 8.05, 0.1), record=("voltage",)).values["voltage"]
    spike = int(np.argmax(voltage[0, 1:] == 0.0)) + 1
    assert spike == 50
    np.testing.assert_allclose(voltage[1], np.where(np.arange(81) >= spike + 7, 3.0, 0.0))


@pytest.mark.parametrize(("wait", "period"), [(0.0, 100), (0.1, 101), (2.0, 120)])
def test_a_refractory_period_of_r_steps_and_of_none(wait, period):
    model = SpikingNetwork(
        size=[1], inhibitory=[False], synapse="delta", strength=[[0.0]], probability=[[0.0]], decay=[[1.0]],
        threshold=10.0, external_rate=0.0, external_strength=1.0, external_mean=1.0005, refractory_time=wait,
        refractory="fixed",
    )  # fmt: skip
    steps = [step for step, _ in spikes_of(model, np.arange(0.0, 60.0, 1.0))]
    assert set(np.diff(steps)) == {period}


def test_a_drift_that_is_a_function_of_time():
    model = SpikingNetwork(
        size=[1], inhibitory=[False], synapse="delta", strength=[[0.0]], probability=[[0.0]], decay=[[1.0]],
        external_rate=0.0, external_strength=1.0, external_mean=lambda t: 2.0 * t, membrane_time=np.inf,
    )  # fmt: skip
    voltage = simulate(model, np.arange(0.0, 3.05, 0.1), record=("voltage",)).values["voltage"][0]
    np.testing.assert_allclose(voltage, [0.02 * sum(range(k)) for k in range(31)], atol=1e-6)


DRAWN = {
    "release, conductance": {"synapse": "release"},
    "release, current": {"synapse": "release", "inhibition": "current"},
    "pending, current": {"synapse": "pending", "inhibition": "current"},
    "pending, conductance, delay": {"synapse": "pending", "refractory": "exponential"},
    "in-degrees": {"synapse": "delta", "in_degree": [[4, 3], [5, 2]], "probability": None},
    "synapses": {"synapse": "delta", "synapses": [[60, 40], [30, 20]], "probability": None},
}
NOISY = {"connectivity": "annealed", "external_sd": 1.5, "initial_spread": 0.0, "initial_mean": None}


def measured(model, seeds, duration=30.0):
    """As `plain_general.counted`, of the kernels."""
    rows = []
    for seed in range(seeds):
        values = simulate(model, np.arange(0.0, duration + 0.05, 0.1), seed=seed).values
        count = np.sum(values["rate"], axis=1) * 0.1e-3
        pending = values["pending"][:, :, 1:].mean(2).ravel() if model.synapse == "release" else []
        rows.append(np.concatenate([count, count**2, pending]))
    return np.array(rows)


def apart(a, b):
    """Smallest p-value of Welch's test over the columns."""
    return float(np.nanmin(stats.ttest_ind(a, b, equal_var=False).pvalue))


@pytest.mark.parametrize("case", DRAWN)
def test_law_of_the_plain_simulator(case):
    model = SpikingNetwork(**(TINY | NOISY | DRAWN[case]))
    assert apart(measured(model, 100), counted(model, 0.1, 30.0, 200, seed=9)) > FALSE_ALARM


def test_the_law_of_stronger_synapses_is_noticed():
    model = SpikingNetwork(**(TINY | NOISY | DRAWN["release, current"]))
    other = model.replace(strength=1.5 * model.strength)
    assert apart(measured(model, 100), counted(other, 0.1, 30.0, 200, seed=9)) < FALSE_ALARM


@pytest.mark.parametrize("connectivity", ["annealed", "quenched"])
def test_pending_synapses_have_the_law_of_the_first_version(connectivity):
    model, times = SpikingNetwork(connectivity=connectivity), np.arange(0.0, 80.05, 0.1)
    rows = []
    for route in (general, first_version):
        found = [simulate(model, times, seed=seed, route=route).values for seed in range(16)]
        rows.append([np.concatenate([v["rate"][:, 1:].mean(1), v["pending"].mean(2).ravel()]) for v in found])
    assert apart(np.array(rows[0]), np.array(rows[1])) > FALSE_ALARM


# Closed forms ---------------------------------------------------------------------------------------------------


def siegert(mu, sigma, tau, threshold, reset, wait):
    """Rate (Hz) of a leaky neuron, tau V' = mu - V + sigma sqrt(tau) noise (Siegert 1951; Brunel & Hakim 1999)."""
    low, high = (reset - mu) / sigma, (threshold - mu) / sigma
    total = integrate.quad(lambda u: special.erfcx(-u), low, high)[0]
    return 1000.0 / (wait + tau * np.sqrt(np.pi) * total)


def alone(count, **fields):
    """Neurons without synapses: tau 20 ms, threshold 20, reset 10, 2 ms of refractory period."""
    fields = {
        "size": [count], "inhibitory": [False], "synapse": "delta", "strength": [[0.0]], "probability": [[0.0]],
        "decay": [[1.0]], "membrane_time": 20.0, "threshold": 20.0, "reset": 10.0, "refractory": "fixed",
        "refractory_time": 2.0, "external_rate": 0.0, "external_strength": 1.0,
    } | fields  # fmt: skip
    return SpikingNetwork(**fields)


def test_uncoupled_neurons_fire_as_siegert_says_at_this_step():
    """A threshold that is looked at once a step acts as one higher by -zeta(1/2)/sqrt(2 pi) sigma sqrt(dt/tau).

    The error is that of the population's spike count in parts of 50 ms, within four of which the rate must lie.
    """
    mu, sigma, tau, dt = 21.03, 7.68, 20.0, 0.1
    model = alone(4000, external_mean=mu / tau, external_sd=sigma / np.sqrt(tau), initial_mean=15.0, initial_spread=4.0)
    rates = simulate(model, np.arange(0.0, 1101.0, 50.0)).values["rate"][0, 3:]
    expected = siegert(mu, sigma, tau, 20.0 + 0.5826 * sigma * np.sqrt(dt / tau), 10.0, 2.0)
    assert expected == pytest.approx(36.187, abs=2e-3)
    assert abs(rates.mean() - expected) < 4.0 * rates.std(ddof=1) / np.sqrt(rates.size)
    assert abs(rates.mean() - siegert(mu, sigma, tau, 20.0, 10.0, 2.0)) > 8.0 * rates.std(ddof=1) / np.sqrt(rates.size)


EXPONENTIAL = {
    "neuron": "exponential", "membrane_time": 10.0, "rest": -65.0, "soft_threshold": -50.0, "slope": 2.0,
    "threshold": -30.0, "reset": -60.0, "reversal": -80.0, "external_mean": 1.2,
}  # fmt: skip
QUADRATIC = {
    "neuron": "quadratic", "membrane_time": 10.0, "rest": -0.5**0.5, "soft_threshold": 0.5**0.5, "slope": 1.0,
    "threshold": 20.0, "reset": -20.0, "reversal": -30.0, "refractory_time": 0.0,
}  # fmt: skip


def force(fields):
    """V' of these neurons, as the model's table says it (unit/ms)."""
    rest, soft, tau = fields["rest"], fields["soft_threshold"], fields["membrane_time"]
    mean = fields.get("external_mean", 0.0)
    if fields["neuron"] == "quadratic":
        return lambda v: (v - rest) * (v - soft) / tau / fields["slope"] + mean
    return lambda v: (rest - v + fields["slope"] * np.exp((v - soft) / fields["slope"])) / tau + mean


@pytest.mark.parametrize("fields", [EXPONENTIAL | {"external_mean": 2.0}, QUADRATIC | {"external_mean": 0.3}])
def test_a_quadratic_or_exponential_neuron_without_noise_fires_at_the_period_of_its_flow(fields):
    force_of = force(fields)
    period = integrate.quad(lambda v: 1.0 / force_of(v), fields["reset"], fields["threshold"], limit=200)[0]
    period += fields.get("refractory_time", 2.0)
    steps = [step for step, _ in spikes_of(alone(1, **fields), np.arange(0.0, 601.0, 1.0), dt=0.05)]
    mean = 0.05 * (steps[-1] - steps[0]) / (len(steps) - 1)
    assert period <= mean < period + 0.06  # a spike waits for the end of its step


def integrated(fields, noise, low, points=20_000):
    """Rate (Hz) by threshold integration (Richardson 2007, Phys. Rev. E 76:021919, eqs. 7, 8)."""
    v = np.linspace(low, fields["threshold"], points + 1)
    h, slope, reset = v[1] - v[0], -force(fields)(v) / (0.5 * noise**2), fields["reset"]
    density, total = 0.0, 0.0
    for k in range(points, 0, -1):
        flux = 1.0 if v[k] > reset else 0.0
        grow, middle = np.exp(slope[k] * h), slope[k] * h
        density = density * grow + flux * h / (0.5 * noise**2) * (np.expm1(middle) / middle if middle else 1.0)
        total += density * h
    return 1000.0 / (total + fields.get("refractory_time", 2.0))


@pytest.mark.parametrize(
    ("fields", "noise", "low"), [(EXPONENTIAL, 6.0 / np.sqrt(10.0), -100.0), (QUADRATIC, 1.2 / np.sqrt(10.0), -25.0)]
)
def test_uncoupled_quadratic_and_exponential_neurons_fire_as_threshold_integration_says(fields, noise, low):
    """Within four standard errors; a soft threshold is met at once, whatever the step."""
    model = alone(2000, external_sd=noise, **fields)
    rates = simulate(model, np.arange(0.0, 2001.0, 50.0)).values["rate"][0, 11:]
    assert abs(rates.mean() - integrated(fields, noise, low)) < 4.0 * rates.std(ddof=1) / np.sqrt(rates.size)


@pytest.mark.parametrize("external", ["gaussian", "poisson"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 20.0])
def test_mean_and_variance_under_external_kicks(external, decay):
    """V after 30 ms, in steps of 1 ms: sums over the steps of what their kicks have become (shot noise on a grid)."""
    steps, dt, tau, rate, size = 30, 1.0, 20.0, 1.7, 0.8
    model = alone(
        20_000, external=external, external_rate=rate, external_strength=size, external_decay=decay, threshold=1e3,
        rest=-2.0, reset=-2.0,
    )  # fmt: skip
    network = at_start(model, dt=dt)
    general.advance(*network, _nothing_recorded(model, steps), 0, steps, False, np.zeros(4))
    left = np.exp(-dt * np.arange(steps) / tau)
    if decay > 0.0:
        age = dt * np.arange(steps)
        response = age / tau * np.exp(-age / tau) * tau if decay == tau else None
        if response is None:
            response = (np.exp(-age / decay) - np.exp(-age / tau)) / (1.0 / tau - 1.0 / decay)
        left = response / decay
    mean, variance = size * rate * dt * left.sum(), size**2 * rate * dt * (left**2).sum()
    u = network.state.voltage.astype(float)
    assert abs(u.mean() - mean) < WIDE * np.sqrt(variance / u.size)
    assert abs(u.var() - variance) < WIDE * variance * np.sqrt(2.5 / u.size)


def _nothing_recorded(model, steps):
    out = general._output(model, at_start(model).constants, np.array([0, steps + 9]), ())
    out.cursor[0] = 1
    return out


# Bytes, memory, refusals ----------------------------------------------------------------------------------------

MIXED = SpikingNetwork(
    size=[80, 20], synapse="exponential", inhibition="current", in_degree=[[10, 5], [10, 5]], delay=1.5,
    delay_spread=0.4, strength_spread=0.2, strength=[[0.4, 1.8], [0.4, 1.8]], decay=2.0 * np.ones((2, 2)),
    membrane_time=20.0, threshold=20.0, reset=10.0, external="poisson", external_strength=0.2, external_rate=7.0,
    connectivity="quenched",
)  # fmt: skip


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers():
    runs = [
        largen.simulate(
            MIXED, np.arange(0.0, 30.5, 1.0), realisations=2, seed=3,
            record=("spikes", "voltage", "voltage_density"), workers=workers,
        )
        for workers in (1, 2)
    ]  # fmt: skip
    assert runs[0].identical(runs[1])
    assert runs[0]["spike_time"].size > 20
    assert "pending" not in runs[0]
    shares = runs[0]["voltage_density"].sum("bin") + runs[0]["refractory_fraction"]
    np.testing.assert_allclose(shares, 1.0)


def test_names_label_what_is_recorded():
    model = MIXED.replace(names=("L4E", "L4I"))
    run = largen.simulate(model, np.arange(0.0, 2.5, 0.5), realisations=1, record="voltage")
    assert run["population"].values.tolist() == ["L4E", "L4I"]
    assert run["neuron"].values[[0, 10]].tolist() == ["L4E0", "L4I0"]


def test_the_plan_knows_the_memory():
    model = MIXED.replace(size=[1600, 400], in_degree=[[400, 200], [400, 200]])
    times = np.arange(0.0, 5.5, 0.5)
    simulate(MIXED, times)  # compiled
    tracemalloc.start()
    simulate(model, times)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    planned = general.plan(model, times, record=(), dt=0.1).bytes
    assert most < planned < 1.5 * most


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"synapse": "release", "strength_spread": 0.1}, "`strength_spread` must be 0 with synapse='release'"),
        ({"strength_spread": 0.1}, "`strength_spread` must be 0 with synapse='pending'"),
        (
            {"synapse": "delta", "strength_spread": 0.1},
            "`strength_spread` must be 0 with synapse='delta' and inhibition='conductance'",
        ),
    ],
)
def test_what_the_network_cannot_hold_is_refused(fields, words):
    with pytest.raises(InputError, match=words):
        largen.simulate(SpikingNetwork(**fields), [0.0, 1.0])


def test_lists_are_not_made_again():
    with pytest.raises(InputError, match="targets are lists"):
        largen.simulate(MIXED, [0.0, 1.0], graph="regenerated")
