"""Networks on rings and sheets: fields, the reduction by convolution against one with every pair of patches."""

import itertools

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen.checks import InputError
from largen.numerics.compiled import kernel
from largen.numerics.streams import stream
from largen.space import GaussianKernel, Ring, Torus
from largen.systems.spiking import alike
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.network.general import space
from largen.systems.spiking.network.general.assemble import sort_rows
from largen.systems.spiking.network.general.run import at_start
from largen.systems.spiking.network.general.spray import scatter
from largen.systems.spiking.reduction.layout import build_layout as moments
from largen.systems.spiking.reduction.layout import in_patches as moments_in_patches
from largen.systems.spiking.reduction.quadrature.channels import channel_orders, channels_of
from largen.systems.spiking.reduction.quadrature.drive import in_cells
from largen.systems.spiking.reduction.quadrature.layout import Grid, build_layout, in_patches
from largen.systems.spiking.reduction.quadrature.run import run as run_quadrature
from largen.systems.spiking.reduction.quadrature.state import new_output, new_state, new_work
from largen.systems.spiking.reduction.quadrature.step import run_steps, start
from largen.systems.spiking.reduction.run import run as run_moments
from largen.systems.spiking.sheet import sheet_of
from largen.systems.spiking.solve import solve as solve_moments

KERNELS = (
    (GaussianKernel(0.3), GaussianKernel(0.45)),
    (GaussianKernel(0.5), GaussianKernel(0.3)),
)
NUMBERS = {
    "strength": ((3.0, 9.0), (5.0, 10.0)),
    "decay": ((3.0, 10.0), (3.0, 10.0)),
    "membrane_time": 20.0,
    "refractory_time": 2.0,
    "refractory": "fixed",
    "external_rate": 0.0,
    "external_mean": 5.0,
    "external_sd": 5.0**0.5,
}


BASIC = {"external_rate": 160.0, "external_mean": 0.0, "external_sd": 0.0}


def sheet_model(sheet=None, **fields):
    given = {"size": (1200, 400), "probability": 0.05, "space": sheet or Ring(4), "kernel": KERNELS} | NUMBERS
    return ln.SpikingNetwork(**(given | fields))


def blocks(model, **changes):
    """The same network with every patch of every population as a population, by hand: patch by patch."""
    sheet, count = sheet_of(model), model.space.count
    kinds, shape = len(model.size), sheet.probability.shape[2:]
    p = np.zeros((count * kinds,) * 2)
    at = np.array([np.unravel_index(x, shape) for x in range(count)])
    for x, y, a, b in np.ndindex(count, count, kinds, kinds):
        offset = (at[x] - at[y]) % np.array(shape)
        p[x * kinds + a, y * kinds + b] = sheet.probability[a, b, offset[0], offset[1]]
    own = {name: np.tile(np.asarray(NUMBERS[name]), (count, count)) for name in ("strength", "decay")}
    fields = NUMBERS | own | {"size": np.tile(model.size // count, count), "probability": p} | changes
    delay = np.tile(np.broadcast_to(model.delay, (kinds, kinds)), (count, count))
    return ln.SpikingNetwork(inhibitory=np.tile(model.inhibitory, count), delay=delay, **fields)


def by_quadrature(model, sheet, push, steps):
    """Spikes per neuron and pending spikes of a run under a drive that differs between patches."""
    channels, dt = channels_of(model), 0.1
    drive = drive_of(model, 0.0, int(steps[-1]), dt)
    layout = build_layout(model, channels, Grid(channel_orders(channels, (1, 1)), 16, 16, dt), drive)
    inputs = in_cells(model, drive, dt, layout.unit)
    if sheet is not None:
        layout = in_patches(layout, sheet)
        inputs = type(inputs)(*(np.tile(values, (1, sheet.space.count)) for values in inputs))
    inputs = inputs._replace(push=np.ascontiguousarray(inputs.push * push))
    state, work, output = new_state(layout), new_work(layout), new_output(layout, steps)
    start(layout, state)
    run_steps(layout, state, work, inputs, output)
    return output.spikes, output.pending


@pytest.mark.parametrize("ground", [Ring(4), Torus((3, 4))])
def test_the_convolution_gives_what_all_pairs_of_patches_give(ground):
    model = sheet_model(ground, delay=((1.0, 0.5), (0.1, 0.5)), size=(1200, 600), probability=0.03)
    push = np.random.default_rng(3).uniform(0.8, 1.4, 2 * ground.count)
    steps = np.array([0, 200, 500])
    sheet = sheet_of(model)
    spikes, pending = by_quadrature(sheet.model, sheet, push, steps)
    other, of_pairs = by_quadrature(blocks(model), None, push, steps)
    assert spikes[:, -1].min() > 0.0
    assert np.ptp(spikes[::2, -1]) > 0.05 * spikes[::2, -1].max()
    np.testing.assert_allclose(spikes, other, rtol=0.0, atol=2e-11)  # rounding, which small cells enlarge
    by_kind = of_pairs.reshape(len(of_pairs), ground.count, 2, len(steps)).sum(axis=1)
    np.testing.assert_allclose(pending, by_kind, rtol=0.0, atol=1e-10)


# Drive that depends on place ---------------------------------------------------------------------------------------


def hill(x):
    """A drive of e that is largest at 0.5, and a constant one of i."""
    return np.stack([5.0 - 1.5 * np.cos(2.0 * np.pi * x), np.full_like(x, 4.5)])


def hill_by_patch(patches):
    """Its averages over the patches, shape (population, patch)."""
    x, factor = (np.arange(patches) + 0.5) / patches, np.sinc(1.0 / patches)
    return np.stack([5.0 - 1.5 * factor * np.cos(2.0 * np.pi * x), np.full(patches, 4.5)])


def test_the_quadrature_takes_a_drive_of_place():
    model, steps = sheet_model(Ring(4), external_mean=hill), np.array([0, 200, 400])
    sheet = sheet_of(model).at_steps(0.0, 400, 0.1)
    channels = channels_of(sheet.model)
    grid = Grid(channel_orders(channels, (1, 1)), 16, 16, 0.1)
    mine = run_quadrature(
        sheet.model, channels, grid, drive_of(sheet.model, 0.0, 400, 0.1), steps, density=False, sheet=sheet
    )
    even = sheet_model(Ring(4), external_mean=1.0)
    spikes, _ = by_quadrature(sheet_of(even).model, sheet_of(even), hill_by_patch(4).T.ravel(), steps)
    assert spikes[2, -1] > 1.2 * spikes[0, -1] > 0.0
    np.testing.assert_allclose(mine.output.spikes, spikes, rtol=1e-6)


def test_the_moments_take_a_drive_of_place():
    model, chosen, steps = sheet_model(Ring(4), external_mean=hill), Discretisation(bin_width=5.0), np.array([0, 400])
    sheet = sheet_of(model).at_steps(0.0, 400, 0.1)
    mine, _ = run_moments(moments_in_patches(moments(sheet.model, chosen), sheet), np.ones((1, 8)), steps)
    by_hand = blocks(model.replace(external_mean=1.0), external_mean=hill_by_patch(4).T.ravel())
    other, _ = run_moments(moments(by_hand, chosen), np.ones((1, 8)), steps)
    np.testing.assert_allclose(mine.spikes, other.spikes, rtol=1e-6)


def patch_rates(**fields):
    """Rates of e without synapses after 100 ms, by patch."""
    model = sheet_model(strength=0.0 * np.ones((2, 2)), size=(4000, 1000), **fields)
    return ln.simulate(model, np.arange(0.0, 301.0, 50.0), seed=3).patch_rate[0, 0, :, 2:].mean("time").values


@pytest.mark.parametrize("connectivity", ["annealed", "neurons"])
def test_the_network_takes_a_drive_of_place(connectivity):
    """Spike counts over 200 ms vary less than Poisson ones do: false alarm below 1e-6 at 5 standard errors."""
    moving = patch_rates(sheet=Ring(4), external_mean=lambda x, t: hill(x), connectivity=connectivity)
    still = patch_rates(sheet=Ring(4), external_mean=hill, connectivity=connectivity)
    fine = patch_rates(sheet=Ring(40), external_mean=hill).reshape(4, 10).mean(axis=1)
    even = [patch_rates(sheet=Ring(4), external_mean=(mean, 4.5)).mean() for mean in hill_by_patch(4)[0, :3:2].tolist()]
    error = 5.0 * np.sqrt(2.0 * fine / (1000 * 0.2))
    assert np.all(np.abs(moving[:3:2] - even) < error[:3:2])
    # A neuron with a position has the drive there, which matters where the rate bends.
    assert np.all(np.abs(still - (fine if connectivity == "neurons" else moving)) < error)
    assert abs(still[0] - moving[0]) > error[0] or connectivity == "annealed"


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: sheet_model(external_rate=hill), "`external_rate` must be the same everywhere"),
        (lambda: sheet_model(Torus(3), external_mean=hill), r"must be a function of \(x, y\) or \(x, y, t\)"),
        (lambda: ln.analysis.dispersion(sheet_model(external_mean=hill), bin_width=5.0), "`external_mean` must be the"),
        (
            lambda: ln.solve_limit(sheet_model(external_mean=lambda x, t: hill(x)), [0.0, 1.0], closure="joint"),
            "`external_mean` must be constant",
        ),
    ],
)
def test_drives_of_place_that_cannot_be_are_refused(use, message):
    with pytest.raises(InputError, match=message):
        use()


# The network ------------------------------------------------------------------------------------------------------


@kernel
def _scatter(state, spray, lanes, steps):
    for _ in range(steps):
        scatter(state, spray, lanes, 1)


def arrivals(model, fired, steps):
    """What arrives at every neuron, row by row, after a step in which these neurons fired, summed over repetitions."""
    places = space.place(model, lambda *names: stream(1, *names))
    rows = sort_rows(model)
    sprayed = space.annealed(model, places, np.ones((2, 2, 1)), (rows.source, rows.brings, rows.brings * 0.0))
    network = at_start(model, 0.1, lambda *names: stream(1, *names), drive_of(model, 0.0, 1, 0.1), places=places)
    state = network.state
    state.sent[0, : len(fired)] = fired
    first = model.size[0]
    state.sent_to[0] = [0, np.searchsorted(fired, first), len(fired)]
    _scatter(state, sprayed, network.streams.synapses, steps)
    return state.arriving, places


@pytest.mark.parametrize(("sheet", "probability"), [(Ring(6), 0.15), (Torus((3, 4)), 0.15), (Ring(6), 0.99)])
def test_annealed_spikes_reach_each_neuron_with_the_probability_of_the_patches(sheet, probability):
    """Every neuron's number of arrivals is binomial; false alarm 1e-6. At 0.99 some probabilities are 1."""
    model = sheet_model(sheet, size=(100, 50), probability=probability, clip=True)
    if probability == 0.99:
        with pytest.raises(InputError, match=r"`kernel\[e,e\]` must be wide enough .* say clip=True"):
            sheet_of(model.replace(clip=False))
    fired, steps = np.array([0, 37, 99, 102, 149]), 20_000
    got, places = arrivals(model, fired, steps)
    of_kind = np.repeat([0, 1], model.size)
    at = np.array(np.unravel_index(places.patch, places.sheet.probability.shape[2:]))
    expected = np.zeros(got.shape)
    for j in fired:
        offset = (at - at[:, [j]]) % np.array(places.sheet.probability.shape[2:])[:, None]
        expected[of_kind[j]] += places.sheet.probability[of_kind, of_kind[j], offset[0], offset[1]]
    sure = places.sheet.probability == 1.0
    assert np.any(sure) == (probability == 0.99)
    assert not np.all(sure)
    z = (got - steps * expected) / np.sqrt(steps * expected)
    assert np.abs(z).max() < stats.norm.isf(0.5e-6 / got.size)  # a binomial number varies less than a Poisson one
    shifted = np.roll(expected, 5, axis=1)
    assert np.abs((got - steps * shifted) / np.sqrt(steps * shifted)).max() > 10.0


@pytest.mark.parametrize("connectivity", ["annealed", "quenched", "neurons"])
def test_a_sheet_runs_and_its_patches_add_up_to_its_rate(connectivity):
    model = sheet_model(Torus((3, 4)), connectivity=connectivity, size=(600, 200), probability=0.05, delay=0.5)
    run = ln.simulate(model, np.arange(0.0, 101.0, 10.0), seed=2)
    weighted = (run.patch_rate * run.patch_size).sum("patch") / run.patch_size.sum("patch")
    np.testing.assert_allclose(weighted.transpose(*run.rate.dims), run.rate, rtol=1e-12)
    assert run.patch_rate.dims == ("realisation", "population", "patch", "time")
    assert float(run.rate[:, :, 5:].min()) > 0.0
    np.testing.assert_allclose(run.y[:4], [0.125, 0.375, 0.625, 0.875])


def test_a_flat_kernel_makes_the_graph_of_a_network_without_space():
    """With one patch the in-degree is binomial: the mean over 300 neurons within a 1e-6 bound."""
    model = sheet_model(Ring(1), kernel=GaussianKernel(1.0), connectivity="quenched", size=(300, 100), probability=0.2)
    places = space.place(model, lambda *names: stream(4, *names))
    rows = sort_rows(model)
    links = space.fixed_graph(
        model, places, np.ones((2, 2, 1)), (rows.source, rows.brings, 0.0 * rows.brings), np.array([3, 4], np.uint64),
        lambda: None,
    )  # fmt: skip
    total = len(links.target)
    assert abs(total - 0.2 * 400**2) < stats.norm.isf(0.5e-6) * np.sqrt(0.16 * 400**2)
    assert links.start[-1] == total
    assert all(len(set(links.target[a:b].tolist())) == b - a for a, b in itertools.pairwise(links.start))


# Fields -----------------------------------------------------------------------------------------------------------


def test_a_file_gives_the_model_back(tmp_path):
    model = sheet_model(Torus((3, 2), (1.0, 2.0)), connectivity="neurons", positions="random")
    assert repr(ln.read_model(ln.write_model(model, tmp_path / "sheet.yaml"))) == repr(model)
    assert model.value("kernel[e,i].width") == 0.45
    assert model.replace(**{"kernel[e,i].width": 0.4}).value("kernel[e,i].width") == 0.4


def test_one_probability_stands_for_all_pairs():
    np.testing.assert_array_equal(ln.SpikingNetwork(probability=0.3).probability, np.full((2, 2), 0.3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": None}, "`kernel` must be given with `space`"),
        ({"space": None}, "`kernel` must be absent without `space`"),
        ({"space": None, "kernel": None, "connectivity": "neurons"}, "`connectivity` must be 'annealed' or 'quenched'"),
        ({"probability": None, "in_degree": 20}, "`in_degree` must be absent with `space`"),
        ({"kernel": GaussianKernel(3.0)}, "at most the length 1"),
    ],
)
def test_fields_that_do_not_belong_together_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        sheet_model(**fields)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: ln.simulate(m.replace(strength_spread=0.1), [0.0, 1.0]), "strength_spread"),
        (lambda m: ln.simulate(m.replace(space=Ring(500)), [0.0, 1.0]), "space.patches"),
        (lambda m: ln.solve_limit(m, [0.0, 1.0], static_spread=True), "static_spread"),
        (
            lambda m: ln.solve_limit(m.replace(space=Ring(20)), [0.0, 1.0], finite_size=True, closure="quadrature"),
            "25 neurons in a patch",
        ),
        (lambda m: ln.solve_limit(m.replace(space=Ring(500)), [0.0, 1.0], finite_size=True), "space.patches"),
        (lambda m: ln.solve_limit(m, [0.0, 1.0], perturbation=(0.1, 3)), "mode"),
        (lambda m: ln.solve_limit(m, [0.0, 1.0], perturbation=0.1), "perturbation"),
        (lambda m: m.dynamics(None, n=None), "space"),
        (lambda m: m.smooth([0.0, 1.0]), "space"),
        (lambda m: m.equations(), "space"),
    ],
)
def test_what_a_sheet_cannot_do_is_refused(use, message):
    with pytest.raises(InputError, match=message):
        use(sheet_model())


def test_joint_by_convolution_gives_what_all_pairs_of_patches_give():
    """Both engines of the moments, with an external rate that makes a network of Chang et al. of the block matrix."""
    model = sheet_model(Torus((3, 4)), probability=0.03, size=(1200, 600), **BASIC)
    sheet, chosen = sheet_of(model), Discretisation(bin_width=5.0)
    drive = np.random.default_rng(3).uniform(100.0, 180.0, (1, 24))
    steps = np.array([0, 200, 500])
    mine, _ = run_moments(moments_in_patches(moments(sheet.model, chosen), sheet), drive, steps)
    other, _ = run_moments(moments(blocks(model, **BASIC), chosen), drive, steps)
    assert np.ptp(mine.spikes[::2, -1]) > 0.05 * mine.spikes[::2, -1].max()
    np.testing.assert_allclose(mine.spikes, other.spikes, rtol=1e-12, atol=1e-11)
    by_kind = other.pending.reshape(24, 12, 2, 3).sum(axis=1)
    np.testing.assert_allclose(mine.pending, by_kind, rtol=1e-12, atol=1e-12)


def test_a_sheet_with_a_flat_kernel_has_the_rates_of_a_network_without_space():
    """The current of the sheet is that of kicks of size 1/tau_m: mean 8 and variance 8/20 per ms at 160 kicks."""
    flat = {"kernel": GaussianKernel(1.0), "external_mean": 8.0, "external_sd": 0.4**0.5}
    model, times = sheet_model(Ring(6), **flat), np.arange(0.0, 81.0, 10.0)
    one = model.replace(space=None, kernel=None, **BASIC)
    options = {"bin_width": 5.0, "closure": "joint"}
    sheet, patch = ln.solve_limit(model, times, **options), ln.solve_limit(one, times, **options)
    assert patch.rate[:, -1].min() > 1.0
    np.testing.assert_allclose(sheet.rate, patch.rate, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(sheet.patch_rate, sheet.rate.expand_dims(patch=6, axis=1).values, rtol=1e-6, atol=1e-9)


def test_a_perturbation_shows_in_its_mode():
    model, times = sheet_model(Ring(6)), np.arange(0.0, 81.0, 10.0)
    wavy = ln.solve_limit(model, times, perturbation=(0.2, 1), bin_width=5.0, closure="joint")
    modes = np.abs(np.fft.fft(wavy.patch_rate.values[0], axis=0))[1:4, -1] / 3.0
    assert 0.01 < modes[0] < 10.0
    assert modes[1:].max() < 0.2 * modes[0]
    assert wavy.attrs["perturbation"] == 0.2


@pytest.mark.parametrize("closure", ["joint", "quadrature"])
def test_one_patch_is_a_sheet_whose_patches_start_alike(closure):
    """Against a run of all patches."""
    model, steps = sheet_model(Torus((3, 4)), probability=0.03, size=(1200, 600)), np.array([0, 200, 400])
    sheet = sheet_of(model)
    one = alike.one_patch(sheet)
    if closure == "quadrature":
        (spikes, _), (of_one, _) = (by_quadrature(of.model, of, 1.0, steps) for of in (sheet, one))
    else:
        layout = moments(model.replace(space=None, kernel=None), Discretisation(bin_width=5.0))
        drive = np.ones((1, 24))
        spikes = run_moments(moments_in_patches(layout, sheet), drive, steps)[0].spikes * 12.0
        of_one = run_moments(moments_in_patches(layout, one), drive[:, :2], steps)[0].spikes
    assert of_one[:, -1].min() > 0.0
    np.testing.assert_allclose(spikes, np.tile(of_one, (12, 1)), rtol=1e-9)


def test_a_copy_of_the_patch_receives_what_a_wave_of_the_sheet_does():
    sheet = sheet_of(sheet_model(Torus((4, 3), (1.0, 0.9))))
    copies, waves = alike.with_waves(sheet)
    assert sorted(map(tuple, np.abs(waves).tolist())) == [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    p = sheet.probability[0, 1]
    at = np.indices(p.shape).reshape(2, -1).T
    for k, wave in enumerate(waves, start=1):
        deviation = 1e-3 * np.cos(2.0 * np.pi * at @ (wave / np.array(p.shape)))
        direct = sum(p[tuple(at[0] - y)] * (1.0 + deviation[j]) for j, y in enumerate(at))
        spikes = np.ones(6) * 12 / 6  # a patch of the sheet has 1/12 of the neurons, one of the copies 1/6
        spikes[k] *= 1.0 + deviation[0]
        assert copies.matrix[0, 1, 0, k] @ spikes == pytest.approx(direct, rel=1e-12)
        assert copies.matrix[0, 1, 0, 0] @ spikes == pytest.approx(p.sum(), rel=1e-12)


def test_growth_is_read_from_a_run():
    """Exponentials of known rates: stationary, oscillating, grown large, decayed into rounding."""
    times, waves = np.arange(0.0, 601.0), np.array([[1], [2], [3], [4]])

    def found(*parts):
        deviations = [
            1e-9 * np.exp(1e-3 * rate * times) * np.cos(2e-3 * np.pi * hertz * times) for rate, hertz in parts
        ]
        return alike.fastest(8.0 * (1.0 + np.array([[0.0 * times, *deviations]])), times, waves)

    still = found((-30.0, 0.0), (24.5, 0.0), (3.0, 12.0), (-300.0, 20.0))
    assert (still.mode.tolist(), still.kind) == ([2], "stationary pattern")
    assert still.rate == pytest.approx(24.5, rel=1e-3)
    moving = found((-30.0, 0.0), (-24.5, 0.0), (-400.0, 0.0), (6.0, 20.0))
    assert (moving.mode.tolist(), moving.kind) == ([4], "wave")
    assert moving.rate == pytest.approx(6.0, abs=0.6)
    assert found((-30.0, 0.0), (-8.0, 0.0), (-300.0, 20.0), (-900.0, 0.0)).rate == pytest.approx(-8.0, rel=1e-2)
    assert found((60.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)).rate == pytest.approx(60.0, rel=0.02)


def test_a_wave_that_nothing_starts_is_told():
    """Few neurons, strong narrow excitation and wide inhibition; a weak ring is told nothing of."""
    kernel = ((GaussianKernel(0.12), GaussianKernel(0.4)),) * 2
    model = sheet_model(Ring(8), kernel=kernel, size=(30_000, 10_000), probability=0.002)
    options = {"closure": "joint", "bin_width": 5.0}
    with pytest.warns(UserWarning, match=r"pattern of mode 1 would grow, .* perturbation=\(1e-3, 1\)"):
        run = ln.solve_limit(model.replace(**{"strength[e,e]": 3.4}), np.arange(0.0, 101.0, 10.0), **options)
    assert run.attrs["growing_mode"].tolist() == [1]
    assert run.attrs["growth"] > 1.0
    assert np.ptp(run.patch_rate.values, axis=1).max() == 0.0
    quiet = ln.solve_limit(model.replace(**{"strength[e,e]": 2.0}), np.arange(0.0, 101.0, 10.0), **options)
    assert "growth" not in quiet.attrs


@pytest.mark.filterwarnings("ignore:closure='joint'", "ignore:rates driven by synaptic noise")
@pytest.mark.long
@pytest.mark.parametrize(("strength", "growth"), [(3.2, 23.4), (2.8, -20.3)])
def test_growth_in_copies_is_that_of_the_dispersion_relation(strength, growth):
    """At 2.8 a wave of 14 Hz leads, whose phase leaves a few per cent open."""
    model = ln.SpikingNetwork.ring(strength).replace(refractory="exponential")
    relation = ln.analysis.dispersion(model, bin_width=4.0, modes=6, branches=1)
    leading = np.nanmax(relation.growth.values[1:])
    assert leading == pytest.approx(growth, abs=0.2)
    copies, waves = alike.with_waves(sheet_of(model))
    times, chosen = np.arange(0.0, 601.0), Discretisation("joint", 4.0)
    run = solve_moments(
        copies.model, times, chosen, finite_size=False, engine="numba", seed=0, realisations=1, record=(), sheet=copies
    )
    found = alike.fastest(run.values["patch_rate"], times, waves)
    assert found.rate == pytest.approx(leading, rel=0.15)
    if growth > 0.0:
        assert (found.mode.tolist(), found.kind) == ([2], "stationary pattern")
        assert found.rate == pytest.approx(leading, rel=0.03)


def test_the_quadrature_chain_of_a_sheet_has_the_noise_of_its_patches():
    """Without connections patches are independent and as noisy as a population of their size: variances of 2400 windows
    of 1 ms, within 15 % (5 standard errors); one twice the size would be 50 % off."""
    alone = {"strength": np.zeros((2, 2)), "external_rate": 8.0, "membrane_time": 20.0, "external_mean": 5.0}
    alone |= {"inhibitory": (False, True), "probability": 0.01, "external_rate": 0.0, "external_sd": 2.2}
    options = {"closure": "quadrature", "finite_size": True, "orders": (0, 0), "bin_width": 10.0, "error": False}
    times = np.arange(0.0, 701.0)
    sheet = ln.SpikingNetwork(size=(8000, 8000), space=Ring(4), kernel=ln.GaussianKernel(0.25), **alone)
    one = ln.SpikingNetwork(size=(2000, 2000), **alone)
    patches = ln.solve_limit(sheet, times, seed=1, **options).patch_rate.values[0, :, :, 101:]
    single = ln.solve_limit(one, times, seed=2, realisations=4, **options)["rate"].values[..., 101:]
    np.testing.assert_allclose(patches.var(axis=-1).mean(), single.var(axis=-1).mean(), rtol=0.15)
    correlation = np.corrcoef(patches.reshape(8, -1))
    assert np.abs(correlation - np.eye(8)).max() < 5.0 / np.sqrt(600)


def test_joint_says_on_sheets_too_where_synaptic_noise_drives_the_rates():
    """The ring at 2.8: 7.1 Hz, 6.3 by the quadrature, and its pattern grows by 3.9 per s there, not by -31."""
    model = ln.SpikingNetwork.ring(2.8)
    with pytest.warns(UserWarning, match=r"rates driven by synaptic noise \(e\): closure='joint' may be off"):
        run = ln.solve_limit(model, np.arange(0.0, 201.0, 10.0), closure="joint", bin_width=10.0)
    assert run.attrs["flags"].startswith("rates driven by synaptic noise (e)")
    with pytest.warns(UserWarning, match="stable or not may be off"):
        found = ln.analysis.dispersion(model, modes=3, bin_width=10.0)
    assert "closure='quadrature'" in found.attrs["flags"]
    loud = model.replace(external_sd=(20.0, 20.0), external_mean=(7.0, 7.0))  # noise from outside drives the rates
    assert ln.analysis.dispersion(loud, modes=2, bin_width=10.0).attrs["flags"] == ""


@pytest.mark.filterwarnings("ignore:closure='joint'")
def test_the_chain_of_a_sheet_has_integer_neurons_and_the_mean_of_its_reduction():
    """Mean rate of 4 realisations over 200 ms within 6 %; the chain of 1/4 the strengths is far away."""
    model = sheet_model(Ring(5), size=(1203, 401), probability=0.05)
    times = np.arange(0.0, 301.0, 25.0)
    chain = ln.solve_limit(model, times, finite_size=True, realisations=2, seed=3, bin_width=5.0)
    mean = ln.solve_limit(model, times, closure="joint", bin_width=5.0)
    assert chain.patch_rate.dims == ("realisation", "population", "patch", "time")
    size = np.array([240, 241, 240, 241, 241])
    spikes = chain.patch_rate[:, 0].values * size[:, None] * 0.025
    np.testing.assert_allclose(spikes, np.rint(spikes), atol=1e-6)
    np.testing.assert_allclose(
        chain.rate[:, :, 4:].mean(("realisation", "time")), mean.rate[:, 4:].mean("time"), rtol=0.1
    )
    assert chain.patch_size[0].values.tolist() == size.tolist()
    of_counts = chain.patch_rate[:, 0, :, 1:].mean(("realisation", "time")) / (size * 0.025) / 5
    noise = ln.analysis.spectrum(chain)["counting_noise"]
    assert float(noise[0]) == pytest.approx(float(of_counts.mean("patch")), rel=1e-9)

    network = ln.simulate(model, times, seed=4, realisations=2)
    report = ln.compare(network, chain)
    shells = [f"log_power[{name},{k}]" for name in "ei" for k in (1, 2)]
    assert set(shells) < set(report.component.values.tolist())
    assert report.attrs["not_compared"].startswith("statistics of rhythm (")  # times 25 ms apart
    assert np.abs(report.difference.sel(component=shells)).max() < 1.2  # a factor of e; t of 2 degrees of freedom
    assert "log_power (a deterministic theory" in ln.compare(network, mean).attrs["not_compared"]
    assert "log_power (it needs several" in ln.compare(network.isel(realisation=[0]), chain).attrs["not_compared"]
