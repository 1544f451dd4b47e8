"""The finite-size chain on the families: its noise against that of independent neurons, its mean, mass and bytes."""

import numpy as np
import pytest
from quadrature_tools import quadrature, rates

import largen as ln
from largen.checks import InputError
from largen.numerics.streams import stream
from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.reduction.quadrature import chain, finite
from largen.systems.spiking.reduction.quadrature.cells import basis
from largen.systems.spiking.reduction.quadrature.channels import channels_of
from largen.systems.spiking.reduction.quadrature.damping import damping, ends_alike, modes, raise_orders
from largen.systems.spiking.reduction.quadrature.drive import Inputs, in_cells
from largen.systems.spiking.reduction.quadrature.layout import Grid, build_layout
from largen.systems.spiking.reduction.quadrature.state import new_output, new_state, new_work
from largen.systems.spiking.reduction.quadrature.step import start
from spiking_networks import network

ALONE = network([True], [7.78847], [39.3], [1.86589], np.inf, 2.3209)
N, ABOVE, BELOW = 1000.0, 4, 2


def alike(populations, **changes):
    """So many populations without coupling."""
    none = np.zeros((populations, populations))
    return ln.SpikingNetwork(
        size=(int(N),) * populations, inhibitory=(False,) * populations, strength=none, probability=none + 0.1,
        decay=none + 2.0, **changes,
    )  # fmt: skip


class Steps:
    """Steps of the chain in many equal populations at once, all from the same state."""

    def __init__(self, model, sd, contraction, shift, count=250):
        channels = channels_of(model)
        grid = Grid((0,) * count, ABOVE, BELOW, 0.1)
        built = build_layout(model, channels, grid, drive_of(model, 0.0, 1, 0.1))
        leak = np.full(count, -np.log(contraction))
        still = np.zeros(count)
        self.layout = built._replace(leak=leak, rest=still, leave=still, reach=3)
        row = np.ones((1, count))
        self.inputs = Inputs(push=shift * row, jump=0.0 * row, sd=sd * row, number=0.0 * row)
        self.drawn = chain.new_drawn(self.layout, stream(1, "steps"))

    def sample(self, masses, repeats):
        """New coefficients (u_0, u_1, u_2 of all cells) and spikes less their mean, shape (sample, 3 K + 1)."""
        samples = []
        for _ in range(repeats):
            state, work = new_state(self.layout), new_work(self.layout)
            start(self.layout, state)
            state.families[:] = 0.0
            state.families[:, 0, : len(masses)] = masses
            output = new_output(self.layout, np.array([0, 1]))
            chain.run_chain(self.layout, state, work, self.drawn, self.inputs, output)
            row = self.layout.row
            cells = [state.families[:, 0, l * row : l * row + len(masses)] for l in range(3)]
            samples.append(np.concatenate([*cells, state.spikes[:, None]], axis=1))
        found = np.concatenate(samples)
        return found - found.mean(0)


def conditional(masses, sd, contraction, shift):
    """N Cov of (S75) from neurons on a fine grid of potentials and of kicks, level in every cell."""
    cells, y = len(masses), (np.arange(600) + 0.5) / 600
    kicks = np.linspace(-6.5, 6.5, 101) * sd if sd else np.zeros(1)
    weights = np.exp(-0.5 * (kicks / sd) ** 2) if sd else np.ones(1)
    weights /= weights.sum()
    second, known = np.zeros((3 * cells + 1,) * 2), np.zeros((3 * cells + 1,) * 2)
    for k, mass in enumerate(masses):
        to = contraction * (k + y[:, None] + kicks) + shift
        cell, place = np.floor(to).astype(int), to - np.floor(to)
        place = np.where(cell < 0, 0.0, place)  # below the lowest cell only the mass is kept
        psi = np.zeros((3 * cells + 1, *to.shape))
        for l in range(3):
            for c in range(cells):
                inside = cell == c
                psi[l * cells + c] = inside * basis.py_func(l, place)
        psi[0] += cell < 0
        psi[-1] = cell >= cells
        second += mass * np.einsum("iyk,jyk,k->ij", psi, psi, weights, optimize=True) / len(y)
        mean = psi @ weights
        along = [mean @ basis.py_func(l, y) / len(y) if l else mean.mean(1) for l in range(3)]
        known += mass * sum(np.outer(a, a) for a in along)
    return second - known


CASES = {
    # case: (external noise and shift in cells, contraction, masses)
    "drift up": (0.0, 0.3, 1.0, [0.1, 0.3, 0.05, 0.2, 0.15, 0.2]),
    "drift down": (0.0, -0.12, 1.0, [0.1, 0.3, 0.05, 0.2, 0.15, 0.2]),
    "far drift of a contraction": (0.0, 1.4, 0.8, [0.1, 0.3, 0.05, 0.2, 0.15, 0.2]),
    "some further than others": (0.0, 3.1, 0.55, [0.3, 0.2, 0.2, 0.1, 0.1, 0.1]),
    "external noise": (0.15, 0.0, 1.0, [0.1, 0.3, 0.05, 0.2, 0.15, 0.2]),
}


def deviations(case, factor=1.0):
    """Sample covariances less (S75), in standard errors, and the smallest variance that is compared."""
    sd, shift, contraction, masses = CASES[case]
    steps, repeats = Steps(alike(250, membrane_time=np.inf, external_rate=1.0), sd, contraction, shift), 24
    sample = factor * steps.sample(np.array(masses), repeats)
    expected = conditional(masses, sd, contraction, shift) / N
    variance = np.diag(expected)
    found = sample.T @ sample / len(sample)
    noise = np.sqrt((np.outer(variance, variance) + expected**2) / len(sample)) + 3e-3 * variance.max()
    return (found - expected) / noise


@pytest.mark.parametrize("case", CASES)
def test_the_noise_of_a_step_is_that_of_neurons_given_the_cells(case):
    """6000 samples, at most 190 covariances within 5.5 standard errors (false alarms: below 1e-5); 0.3 % allowed."""
    assert np.abs(deviations(case)).max() < 5.5


def test_noise_that_is_a_tenth_too_strong_is_seen():
    assert np.abs(deviations("drift up", 1.1)).max() > 5.5
    assert np.abs(deviations("external noise", 1.1)).max() > 5.5


def chain_run(model, duration, orders, cells, seed=1, **options):
    return quadrature(model, duration, orders, cells, rng=stream(seed, "chain"), **options)


def test_orders_of_the_pending_input_vary_as_those_of_independent_neurons():
    """Nobody moves: sum_j p_n(z_j) u_j of every order has the variance 1/N, and none varies with another.

    150 ms for pending times of 1 and 2 ms, 60 populations: 4500 independent samples at least; 5 standard errors.
    """
    count = 60
    zero = np.zeros((count, count))
    model = ln.SpikingNetwork(
        size=(1000,) * count, inhibitory=[False, True] * (count // 2), strength=zero + 1e-12, decay=zero + 1.0,
        probability=zero + 1e-3, external_rate=0.0, membrane_time=np.inf, refractory_time=2.0,
    )  # fmt: skip
    channels = channels_of(model)
    orders = np.where(channels.inhibitory, 2, 1)
    drive = drive_of(model, 0.0, 1, 0.5)
    layout = build_layout(model, channels, Grid(tuple(orders.tolist()), 4, 2, 0.5), drive)
    inputs = in_cells(model, drive, 0.5, layout.unit)
    state, work, drawn = new_state(layout), new_work(layout), chain.new_drawn(layout, stream(3, "orders"))
    start(layout, state)
    samples = []
    for _ in range(60):
        chain.run_chain(layout, state, work, drawn, inputs, new_output(layout, np.array([0, 10])))
        weights = [state.values[c, : orders[c] + 1, : orders[c] + 1] for c in (0, 1)]
        u = state.families[:, :, layout.reset[0]].reshape(count, 2, 3)
        samples.append(np.einsum("mi,nj,aij->amn", weights[0], weights[1], u).reshape(count, 6))
    sample = np.concatenate(samples[2:])
    np.testing.assert_allclose(sample[:, 0], 1.0, atol=1e-11)
    covariance = 1000.0 * sample[:, 1:].T @ sample[:, 1:] / len(sample)
    np.testing.assert_allclose(covariance, np.eye(5), atol=5.0 * np.sqrt(2.0 / len(sample)))


@pytest.fixture(scope="module")
def fed():
    """Runs 12 populations of so many neurons that spikes of very many reach, few at a time."""
    count = 12
    fields = {name: np.zeros((count + 2, count + 2)) for name in ("strength", "probability")}
    for k, (size, degree, strength) in enumerate([(1e7, 60, 3.0), (1e7, 20, 9.0)]):
        fields["strength"][2:, k] = strength
        fields["probability"][2:, k] = degree / size
    flags = np.arange(count + 2) == 1
    decay = np.where(flags, 10.0, 3.0) + np.zeros((count + 2, 1))
    drive = np.r_[4.0, np.full(count + 1, 5.0)]
    sd = np.r_[5.0, 5.0, np.full(count, 5.0**0.5)]

    def spikes(size, forgive):
        """Spikes of every population in 400 steps from 30 ms on; `forgive`: nothing is owed from step to step."""
        model = ln.SpikingNetwork(
            size=[10_000_000] * 2 + [size] * count, inhibitory=flags, decay=decay, membrane_time=20.0,
            external_rate=0.0, external_mean=drive, external_sd=sd, refractory_time=2.0, **fields,
        )  # fmt: skip
        channels = channels_of(model)
        orders = np.where(channels.silent, 0, np.where(channels.inhibitory, 5, 4))
        given = drive_of(model, 0.0, 1, 0.1)
        layout = build_layout(model, channels, Grid(tuple(orders.tolist()), 13, 9, 0.1), given)
        inputs = in_cells(model, given, 0.1, layout.unit)
        state, work, drawn = new_state(layout), new_work(layout), chain.new_drawn(layout, stream(5, "few"))
        start(layout, state)
        found, output = [], new_output(layout, np.array([0, 1]))
        for step in range(700):
            output.spikes[:] = 0.0
            chain.run_chain(layout, state, work, drawn, inputs, output)
            if forgive:
                drawn.owed.mass[:] = 0.0
            if step >= 300:
                found.append(output.spikes[2:, 1].copy())
        return np.array(found)

    return spikes


@pytest.mark.parametrize("size", [300, 1_000_000])
def test_populations_vary_as_counts_of_their_neurons_however_few_are_in_a_family(fed, size):
    """N times the variance of the spikes in a step is their mean, as of rare independent events.

    4800 spike counts: its standard error is 2 %, and 15 % are allowed. Masses of cells of few neurons are negative at
    times; without what is owed (`noise.Owed`) the noise would be that of their positive part.
    """
    spikes = fed(size, False)
    assert abs(size * spikes.var(1).mean() / spikes.mean() - 1.0) < 0.15
    if size == 300:
        assert size * fed(size, True).var(1).mean() > 1.5 * spikes.mean()


@pytest.mark.parametrize(("drive", "membrane_time"), [(7.0, np.inf), (141.0, 10.0)])
def test_spikes_and_potentials_vary_as_those_of_independent_neurons(drive, membrane_time):
    """In 1 ms a neuron spikes once or not at all, and it is in a cell or not: variances p (1 - p)/N.

    Over 40 populations at 100 times: 2.5 % for statistics, 12 % allowed with the error of the cells.
    """
    model = alike(40, external_rate=drive, membrane_time=membrane_time)
    result = chain_run(model, 160.0, (0, 0), 25)
    assert abs(excess(result.output.spikes[:, 60:])) < 0.12
    assert abs(excess(result.output.density[:, :, 60:])) < 0.12


def excess(fractions):
    """Variance of fractions of N neurons over populations, axis 0, over p (1 - p)/N, less 1; at all times together."""
    p = fractions.mean(0)
    return N * fractions.var(0, ddof=1).sum() / (p * (1.0 - p)).sum() - 1.0


def test_a_pool_varies_as_that_of_independent_neurons():
    """The refractory pool, at an exponential and at a fixed period between two steps: variance p (1 - p)/N, to 15 %."""
    for law, time in (("exponential", 4.0), ("fixed", 4.05)):
        model = alike(40, external_rate=7.0, membrane_time=np.inf, refractory=law, refractory_time=time)
        held = chain_run(model, 160.0, (0, 0), 25).output.refractory[:, 60:]
        assert abs(excess(held)) < 0.15, law


def test_inhibition_alone_with_leak():
    """One network of 20 000 neurons gave 21.594 ± 0.008 Hz; the chain's own error is 0.012 Hz; four of both."""
    model = network([True], [1.02415], [201.598], [5.19133], 9.9188, 141.2331)
    result = chain_run(model, 800.0, (0, 8), 21)
    assert abs(rates(result, 300.0)[0] - 21.594) < 0.001 * 21.594 + 4.0 * 0.0145
    mass = result.output.density.sum(1) + result.output.refractory
    np.testing.assert_allclose(mass, 1.0, atol=1e-12)


def test_mass_is_kept_over_bursts():
    """Volleys in which most neurons fire, of 3000 and 1000 neurons."""
    model = network([False, True], [0.95, 2.71, 1.25, 2.45], [240.0, 80.0], [1.4, 4.5], np.inf, 7.0)
    result = chain_run(model.scaled(4000), 250.0, (2, 2), 13, depth=1.0)
    mass = result.output.density.sum(1) + result.output.refractory
    np.testing.assert_allclose(mass, 1.0, atol=1e-12)
    assert np.all(rates(result, 100.0) > 10.0)


# solve_limit -----------------------------------------------------------------------------------------------------


def solve(model, duration=100.0, **options):
    times = np.arange(0.0, duration + 0.5)
    given = {"orders": (0, 2), "bin_width": 10.0, "error": False, "finite_size": True, "seed": 1}
    return ln.solve_limit(model, times, closure="quadrature", **(given | options))


def test_outputs_have_an_axis_of_realisations():
    result = solve(ALONE, realisations=2, record="voltage_density", orders="auto", error=True)
    assert result["rate"].dims == ("realisation", "population", "time")
    total = result["voltage_density"].sum("bin") + result["refractory_fraction"]
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    about = result.attrs
    assert (about["finite_size"], about["realisations"], about["closure"]) == ("true", 2, "quadrature")
    assert about["orders"].tolist() == [0, 8]
    assert about["rate_error"].shape == (1,)


def test_a_realisation_depends_on_the_seed_and_its_number_alone():
    two, one, other = solve(ALONE, realisations=2), solve(ALONE), solve(ALONE, seed=2)
    np.testing.assert_array_equal(two["rate"][0], one["rate"][0])
    assert np.any(two["rate"][1].values != two["rate"][0].values)
    assert np.any(other["rate"].values != one["rate"].values)


def test_its_mean_is_the_limit_and_its_noise_falls_with_the_root_of_n():
    """Over 60 ms in 8 realisations, whose mean rate varies by 0.07 Hz: 5 standard errors."""
    limit = float(ln.solve_limit(ALONE, np.arange(0.0, 101.0), closure="quadrature", orders=(0, 2), bin_width=10.0,
                                 error=False)["rate"][0, 41:].mean())  # fmt: skip
    small, large = (solve(ALONE, n=n, realisations=8)["rate"][:, 0, 41:] for n in (20_000, 2_000_000))
    assert abs(float(small.mean()) - limit) < 5.0 * float(small.mean("time").std("realisation")) / np.sqrt(8.0)
    ratio = float(small.std("realisation").mean() / large.std("realisation").mean())
    assert 9.0 < ratio < 11.0  # 60 ms of 8 values each: 3 %, three standard errors


def test_few_neurons_are_refused():
    with pytest.raises(InputError, match=r"`n` must give every population at least 25 neurons .* one has 20"):
        solve(ln.SpikingNetwork(), n=80)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"neuron": "quadratic", "soft_threshold": 50.0, "slope": 5.0, "membrane_time": 20.0},
            "`neuron` must be 'leaky'",
        ),
        ({"external": "poisson", "external_strength": 1.0}, "`external` must be 'gaussian'"),
        ({"synapse": "exponential"}, "`inhibition` must be 'current'"),
    ],
)
def test_models_without_a_chain_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        solve(ALONE.replace(**changes))


def test_cells_on_which_the_chain_diverges_are_refused(monkeypatch):
    monkeypatch.setattr(finite, "diverged", lambda done: bool(done.layout.unit[0] > 5.0))
    with pytest.raises(InputError, match="`bin_width` must be smaller for this network, but is 10"):
        solve(ALONE, 5.0)


# Damping ---------------------------------------------------------------------------------------------------------


def decaying(*parts):
    t = np.arange(200) * 1e-3
    return np.array([0.01 + 0.0 * t + sum(a * np.exp(-g * t) * np.cos(2 * np.pi * f * t + p) for a, g, f, p in parts)])


def test_modes_of_a_sum_of_exponentials_are_found():
    signal = decaying((0.002, 9.0, 23.0, 0.3), (0.001, 40.0, 60.0, 1.0))
    decay, frequency, amplitude = modes(signal, 1.0)
    for rate, cycles, size in ((0.0, 0.0, 0.01), (9.0, 23.0, 0.001), (40.0, 60.0, 0.0005)):
        k = int(np.argmin(np.abs(frequency - cycles)))
        np.testing.assert_allclose([decay[k], frequency[k], amplitude[k]], [rate, cycles, size], atol=1e-5)


def test_the_slowest_mode_that_is_heard_counts():
    assert damping(decaying((2e-3, 9.0, 23.0, 0.3), (1e-3, 40.0, 60.0, 1.0)), 1.0) == pytest.approx(9.0, abs=1e-3)
    assert damping(decaying((1e-6, 9.0, 23.0, 0.3), (1e-3, 40.0, 60.0, 1.0)), 1.0) == pytest.approx(40.0, abs=1.0)
    assert damping(decaying((2e-3, 0.0, 23.0, 0.3)), 1.0) is None
    assert damping(0.0 * decaying(), 1.0) is None
    assert damping(decaying(), 1.0) is None


def test_orders_rise_until_the_damping_stays():
    measured = {(3, 4): 9.9, (4, 5): 7.7, (5, 6): 6.9, (6, 7): 6.7}
    assert raise_orders((3, 4), measured.get, lambda orders: True) == (4, 5)
    assert raise_orders((3, 4), measured.get, lambda orders: orders == (3, 4)) == (3, 4)
    assert raise_orders((3, 4), {(3, 4): None}.get, lambda orders: True) == (3, 4)
    assert raise_orders((3, 0), {(3, 0): 9.0, (4, 0): 8.9}.get, lambda orders: True) == (3, 0)
    assert raise_orders((3, 4), lambda orders: 200.0, lambda orders: True) == (3, 4)
    assert raise_orders((0, 0), lambda orders: 9.0, lambda orders: True) == (0, 0)


def test_cells_are_narrowed_until_a_run_ends_alike():
    """With leak and a drive of 160 the cells of the mean rates keep a rhythm alive that narrower ones do not have."""
    model = ln.SpikingNetwork(membrane_time=20.0, external_rate=(160.0, 160.0))
    options = {"n": 4000, "closure": "quadrature", "error": False}
    times = np.arange(0.0, 501.0)
    wide = ln.solve_limit(model, times, orders=(3, 4), **options)
    narrow = ln.solve_limit(model, times, orders=(3, 4), bin_width=100.0 / 34, **options)
    assert wide["rate"][0, 300:].std() > 3.0
    assert narrow["rate"][0, 300:].std() < 0.1
    chosen = ln.solve_limit(model, times[:3], finite_size=True, **options)
    assert chosen.attrs["bin_width"] == pytest.approx(100.0 / 55)  # 34, and once more
    given = ln.solve_limit(model, times[:3], finite_size=True, bin_width=100.0 / 21, **options)
    assert given.attrs["bin_width"] == pytest.approx(100.0 / 21)


def test_runs_end_alike_if_their_damping_or_their_cycle_is_the_same():
    t = np.arange(200.0)

    def decaying(per_second):
        return np.array([1.0 + 0.3 * np.exp(-1e-3 * per_second * t) * np.cos(0.2 * t)]), 1.0

    def cycle(size):
        return np.array([1.0 + size * np.cos(0.2 * t)]), 1.0

    assert ends_alike(decaying(10.0), decaying(10.5))
    assert not ends_alike(decaying(10.0), decaying(13.0))
    assert ends_alike(decaying(80.0), decaying(160.0))  # both too fast to matter
    assert ends_alike(cycle(0.5), cycle(0.52))
    assert not ends_alike(cycle(0.5), cycle(0.7))
    assert not ends_alike(cycle(0.5), decaying(10.0))
    assert ends_alike(cycle(1e-4), cycle(1e-6))  # neither varies
