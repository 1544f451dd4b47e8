"""The JAX engine of the reduction: against the numba engine, its derivatives, batches, faults and conservation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import ndtr

from largen.checks import InputError
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.model import SpikingNetwork
from largen.systems.spiking.reduction.step import step
from largen.systems.spiking.reduction_jax import run as jax_run
from largen.systems.spiking.reduction_jax import step as jax_step
from largen.systems.spiking.reduction_jax import transfer as jax_transfer
from systems.spiking import reduction_tools

DT = 0.1
THREE = SpikingNetwork(
    size=(150, 150, 100),
    inhibitory=(False, False, True),
    strength=((0.95, 0.9, 2.71), (0.9, 0.95, 2.7), (1.25, 1.25, 2.45)),
    probability=((0.8, 0.7, 0.8), (0.7, 0.8, 0.8), (0.8, 0.8, 0.8)),
    decay=((1.4, 1.4, 4.5), (1.4, 2.0, 4.5), (1.2, 1.2, 4.5)),
    external_rate=(7.0, 7.5, 7.0),
)
HALF_LEAKY = SpikingNetwork(membrane_time=(np.inf, 30.0), external_rate=(7.0, 240.0))
MODELS = {"two": SpikingNetwork(), "three": THREE, "leak": HALF_LEAKY}


def constant(model):
    return np.array(model.external_rate, dtype=float)[None]


def solve(model, drive, output_steps, *, reach=None, **options):
    discretisation = Discretisation(**{"bin_width": 4.0, "dt": DT} | options)
    return jax_run.solve(model, drive, output_steps, discretisation, reach=reach)


def rates(model, *, bin_width=4.0, linear_in_bin=True, **options):
    return jax_run.rates(model, Discretisation(bin_width=bin_width, linear_in_bin=linear_in_bin), **options)


def numba_engine(model, drive, steps, *, bin_width, **options):
    """Spikes per step and mean pending spikes at the end by the numba engine."""
    layout, state, work = reduction_tools.reduction(model, bin_width, **options)
    spikes = np.empty((steps, len(layout.size)))
    for i in range(steps):
        step(layout, state, work, np.array(drive[i if len(drive) > 1 else 0]))
        spikes[i] = state.spikes
    return spikes, state.pending.copy()


def rate_e(strength, **options):
    model = SpikingNetwork().replace(**{"strength[e,e]": strength})
    return rates(model, duration=200.0, **options)[0]


@pytest.mark.parametrize("width", [pytest.param(4.0, marks=pytest.mark.long), 10.0])
@pytest.mark.parametrize(("closure", "linear"), [("white", False), ("joint", False), ("joint", True)])
@pytest.mark.parametrize("name", list(MODELS))
def test_agrees_with_the_numba_engine(name, closure, linear, width):
    model, options = MODELS[name], {"bin_width": width, "closure": closure, "linear_in_bin": linear}
    drive = constant(model)
    spikes, pending, state = solve(model, drive, np.array([0, 2000]), **options)
    other, other_pending = numba_engine(model, drive, 2000, **options)
    assert np.max(np.abs(spikes - other)) < 1e-8
    assert np.max(np.abs(spikes.sum(0) - other.sum(0)) / model.size / 0.2) < 1e-5
    assert abs(pending[-1].sum() - other_pending.sum()) < 1e-7
    np.testing.assert_allclose(state.number.sum(0) + state.refractory, model.size, rtol=1e-12)


@pytest.mark.parametrize("width", [pytest.param(4.0, marks=pytest.mark.long), 10.0])
def test_agrees_with_the_numba_engine_on_the_leaky_network(width):
    """Returning neurons sit in the shortest support, and the leak moves them on slowly: rounding grows most here."""
    model = SpikingNetwork.leaky()
    drive = constant(model)
    options = {"bin_width": width, "closure": "joint", "linear_in_bin": True}
    spikes, _, _ = solve(model, drive, np.array([0, 2000]), **options)
    other, _ = numba_engine(model, drive, 2000, **options)
    assert np.max(np.abs(spikes - other)) < 1e-8
    assert np.max(np.abs(spikes.sum(0) - other.sum(0)) / model.size / 0.2) < 1e-5


@pytest.mark.long
def test_agrees_with_the_numba_engine_under_a_varying_drive():
    model = SpikingNetwork()
    drive = 7.0 + 2.0 * np.sin(np.arange(1001) * DT / 5.0)[:, None] * np.array([1.0, 0.5])
    options = {"bin_width": 10.0, "closure": "joint", "linear_in_bin": True}
    spikes, _, _ = solve(model, drive, np.array([1001]), **options)
    assert np.max(np.abs(spikes - numba_engine(model, drive, 1001, **options)[0])) < 1e-8


def test_reference_rates_and_mass():
    """Rates at defaults: joint at w = 4 without and with slope, white; whole cycles after 500 ms."""
    reference = {("joint", False): (46.7, 65.3), ("joint", True): (47.1, 66.0), ("white", False): (44.6, 63.1)}
    model = SpikingNetwork()
    for (closure, linear), rates in reference.items():
        spikes, _, state = solve(model, constant(model), np.array([10_000]), closure=closure, linear_in_bin=linear)
        late = spikes[5000:]
        e = late[:, 0] - late[:, 0].mean()
        upward = np.flatnonzero((e[:-1] < 0.0) & (e[1:] >= 0.0)) + 1
        # Every second crossing: the orbit has two bursts.
        first, last = upward[0], upward[(len(upward) - 1) // 2 * 2]
        mean = late[first:last].mean(0) / model.size / DT * 1e3
        np.testing.assert_allclose(mean, rates, atol=0.25)
        np.testing.assert_allclose(state.number.sum(0) + state.refractory, model.size, rtol=1e-12)


@pytest.mark.parametrize(
    ("width", "linear", "reference", "tolerance"),
    [(4.0, False, 73.312110, 1e-5), pytest.param(10.0, True, 76.977828, 1e-2, marks=pytest.mark.long)],
)
def test_reference_gradient(width, linear, reference, tolerance):
    """The threshold below which a bin has no slope makes the second one uncertain by 0.01."""
    options = {"bin_width": width, "linear_in_bin": linear}
    with jax.enable_x64(True):

        def tangent(strength):
            pair = jax.jvp(lambda s: rate_e(s, **options), (strength,), (1.0,))
            return tuple(float(x) for x in pair)

        value, forward = tangent(0.95)
        up, down = tangent(0.95 + 1e-5)[0], tangent(0.95 - 1e-5)[0]
        reverse = float(jax.grad(lambda s: rate_e(s, **options))(0.95)) if linear else forward
    assert abs(forward - reference) < tolerance
    assert abs(forward - reverse) < 1e-9
    # The threshold makes the rate jump by 1e-9 Hz now and then.
    assert abs((up - down) / 2e-5 - forward) < (1e-3 if linear else 1e-5)
    assert abs(0.5 * (up + down) - value) < 1e-6


@pytest.mark.long
def test_gradient_to_every_parameter():
    """Directional derivatives in all real fields at once against central differences."""
    model = SpikingNetwork().replace(membrane_time=(60.0, 80.0), external_rate=(420.0, 560.0))
    fields = ("strength", "probability", "decay", "membrane_time", "refractory_time", "reversal", "external_rate")

    def rate(values):
        changed = model.replace(**dict(zip(fields, values, strict=True)))
        return rates(changed, duration=30.0, bin_width=10.0, linear_in_bin=False).sum()

    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        point = [jnp.asarray(getattr(model, name), float) for name in fields]
        step = [x * jnp.asarray(rng.uniform(-1.0, 1.0, x.shape)) for x in point]

        def along(h):
            moved = [x + h * d for x, d in zip(point, step, strict=True)]
            return tuple(float(x) for x in jax.jvp(rate, (moved,), (step,)))

        forward, up, down = along(0.0)[1], along(1e-6)[0], along(-1e-6)[0]
        gradient = jax.grad(rate)(point)
        reverse = float(sum(jnp.vdot(a, b) for a, b in zip(gradient, step, strict=True)))
    assert abs(forward - reverse) < 1e-9 * abs(forward)
    assert abs((up - down) / 2e-6 - forward) < 1e-5 * abs(forward)


@pytest.mark.long
def test_batches_equal_the_loop():
    model = SpikingNetwork()
    strengths, leaks = np.array([0.9, 0.95, 1.0]), np.array([np.inf, 400.0, np.inf])
    options = {"duration": 60.0, "start": 20.0, "bin_width": 10.0}
    sets = {"strength[e,e]": strengths, "membrane_time": leaks}
    with jax.enable_x64(True):
        loop = [
            rates(model.replace(**{"strength[e,e]": s, "membrane_time": leak}), **options)
            for s, leak in zip(strengths, leaks, strict=True)
        ]
        batch = rates(model, sets=sets, **options)
        mapped = jax.vmap(lambda s: rates(model.replace(**{"strength[e,e]": s}), **options))(strengths)
    np.testing.assert_allclose(batch, np.stack(loop), rtol=1e-10)
    np.testing.assert_allclose(np.asarray(mapped)[[0, 2]], np.stack(loop)[[0, 2]], rtol=1e-10)


def test_batch_refuses_what_it_cannot_vary():
    with jax.enable_x64(True):
        with pytest.raises(InputError, match="threshold"):
            rates(SpikingNetwork(), duration=1.0, sets={"threshold": [90.0, 100.0]})
        with pytest.raises(InputError, match="at least 0"):
            rates(SpikingNetwork(), duration=1.0, sets={"strength[e,e]": [1.0, -1.0]})
        with pytest.raises(InputError, match="channels"):
            rates(THREE, duration=1.0, sets={"decay[e1,e2]": [1.0, 2.0]})
        with pytest.raises(InputError, match="channels"):
            jax.grad(lambda d: rates(THREE.replace(decay=d), duration=1.0)[0])(np.array(THREE.decay))


def test_other_values_compile_nothing(monkeypatch):
    """`step` is called only while tracing."""
    traced = []
    original = jax_step.step
    monkeypatch.setattr(jax_run, "step", lambda *args: traced.append(1) or original(*args))
    model, outputs = SpikingNetwork(), np.array([300])
    first, _, _ = solve(model, constant(model), outputs, bin_width=10.0)
    count = len(traced)
    other = model.replace(strength=1.1 * model.strength, membrane_time=300.0, refractory_time=3.0, size=(310, 90))
    second, _, _ = solve(other, constant(other) * 250.0, outputs, dt=0.09, bin_width=10.0)
    assert count > 0
    assert len(traced) == count
    assert np.all(np.isfinite(second))
    assert not np.allclose(first, second)


@pytest.mark.long
def test_splitting_a_population_changes_nothing():
    """Two halves of one population act through one channel."""
    whole = SpikingNetwork()
    take = np.ix_([0, 0, 1], [0, 0, 1])
    halves = SpikingNetwork(
        size=(150, 150, 100),
        inhibitory=(False, False, True),
        strength=whole.strength[take],
        probability=whole.probability[take],
        decay=whole.decay[take],
        external_rate=(7.0, 7.0, 7.0),
    )
    a, _, _ = solve(whole, constant(whole), np.array([0, 2000]), bin_width=10.0)
    b, _, _ = solve(halves, constant(halves), np.array([0, 2000]), bin_width=10.0)
    np.testing.assert_allclose(np.stack([b[:, 0] + b[:, 1], b[:, 2]], axis=1), a, atol=1e-8)


def test_pending_at_the_outputs():
    """Whatever the outputs, `pending` is the recursion of the spikes."""
    model = SpikingNetwork()
    outputs = np.array([0, 1, 7, 7, 50, 400])
    spikes, pending, _ = solve(model, constant(model), outputs, bin_width=10.0)
    h, wanted = np.zeros((2, 2)), [np.zeros((2, 2))]
    for nf in spikes:
        h = h * np.exp(-DT / model.decay) + model.probability * nf
        wanted.append(h)
    assert spikes.shape == (400, 2)
    np.testing.assert_allclose(pending, np.array(wanted)[outputs], rtol=1e-12, atol=1e-12)


@pytest.mark.long
def test_a_run_goes_on_from_its_state():
    model = SpikingNetwork()
    bins = Discretisation(bin_width=10.0, dt=DT)
    with jax.enable_x64(True):
        whole, _, _ = jax_run.run(model, constant(model), np.array([200]), bins)
        first, _, state = jax_run.run(model, constant(model), np.array([100]), bins)
        second, _, _ = jax_run.run(model, constant(model), np.array([100]), bins, state=state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_overflow_is_never_silent():
    model, drive = SpikingNetwork(), constant(SpikingNetwork())
    options = {"bin_width": 10.0}
    right, _, _ = solve(model, drive, np.array([400]), **options)
    with jax.enable_x64(True):
        _, _, state = jax_run.run(model, drive, np.array([400]), Discretisation(bin_width=10.0), reach=(0.0, 0.0))
        assert int(state.fault) == 1
        with pytest.raises(RuntimeError, match="reach"):
            rates(model, duration=40.0, bin_width=10.0, reach=(0.0, 0.0))
    widened, _, state = solve(model, drive, np.array([400]), reach=(0.0, 0.0), **options)
    assert int(state.fault) == 0
    np.testing.assert_allclose(widened, right, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("closure", ["white", "joint"])
def test_agrees_with_the_numba_engine_where_a_step_is_long(closure):
    """Inhibition that relaxes V within a step, and synapses much faster than one."""
    model = SpikingNetwork(decay=((0.02, 4.5), (0.3, 0.01))).replace(**{"strength[e,i]": 400.0})
    options = {"bin_width": 4.0, "closure": closure}
    spikes, _, _ = solve(model, constant(model), np.array([600]), **options)
    other, _ = numba_engine(model, constant(model), 600, linear_in_bin=closure == "joint", **options)
    assert spikes.sum() > 1.0
    assert np.max(np.abs(spikes - other)) < 1e-4


@pytest.mark.long
def test_double_precision_is_asked_for():
    model = SpikingNetwork()
    with pytest.raises(InputError, match="enable_x64"):
        rates(model, duration=1.0)
    single = rates(model, duration=30.0, bin_width=10.0, single=True)
    with jax.enable_x64(True):
        double = rates(model, duration=30.0, bin_width=10.0)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, rtol=1e-2, atol=1e-2)


def test_paper_closure_and_traced_threshold_are_refused():
    model = SpikingNetwork()
    with pytest.raises(InputError, match="closure"):
        solve(model, constant(model), np.array([1]), closure="paper")
    with jax.enable_x64(True), pytest.raises(InputError, match="threshold"):
        jax.grad(lambda m: rates(model.replace(threshold=m), duration=1.0)[0])(100.0)


def test_iterated_normal_integrals():
    z = np.linspace(-12.0, 12.0, 4801)
    with jax.enable_x64(True):
        density, i0, i1, i2, i3 = (np.asarray(x) for x in jax_transfer.iterated_normal(jnp.asarray(z)))
        slopes = jax.vmap(jax.jacfwd(jax_transfer.iterated_normal))(jnp.asarray(z))
    np.testing.assert_allclose(i0, ndtr(z), rtol=0.0, atol=2e-15)
    np.testing.assert_allclose(density, np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi), atol=1e-16)
    for integral, integrand in ((i1, i0), (i2, i1), (i3, i2)):
        simpson = (z[2] - z[0]) / 6.0 * (integrand[:-2:2] + 4.0 * integrand[1:-1:2] + integrand[2::2])
        np.testing.assert_allclose(np.diff(integral[::2]), simpson, rtol=1e-10, atol=1e-14)
    for slope, derivative in zip(slopes[1:], (density, i0, i1, i2), strict=True):
        np.testing.assert_allclose(slope, derivative, atol=1e-15)


@pytest.mark.parametrize("x", [-5.0, -0.4, 0.3, 4.0])
def test_derivatives_of_the_edge_integrals(x):
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(v) for v in (x, 4.0, 0.3, 1.3))
        check_grads(jax_transfer.edge_integrals, arguments, order=2, modes=["fwd", "rev"], atol=1e-7, rtol=1e-6)
