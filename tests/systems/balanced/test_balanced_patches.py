"""The balanced network on a ring or sheet: equal to the network of blocks written by hand, labels, messages."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import largen as ln
from largen.checks import InputError
from largen.systems.balanced import finite_size, patch_equations, patches
from largen.systems.balanced.gains import Probit


def cosines(*amplitudes):
    """Kernels by pair of populations."""
    return tuple(tuple(ln.CosineKernel(amplitude) for amplitude in row) for row in amplitudes)


KERNELS = cosines((0.45, 0.15), (0.25, 0.15))  # one wave around the ring is not balanced
BALANCED = cosines((0.2, 0.3), (0.3, 0.35))
RING = ln.BalancedNetwork(space=ln.Ring(4), kernel=KERNELS, input=(0.1, -0.2), tau=(1.0, 0.8), noise=0.1)
TIMES = np.arange(0.0, 1.01, 0.25)


def by_hand(model, start=0.0):
    """The same network as populations e1 ... e4, i1 ... i4: sqrt(M) in coupling and drive, the same N."""
    m = 4
    coupling = np.zeros((2 * m, 2 * m))
    for a in range(2):
        for b in range(2):
            for x in range(m):
                for y in range(m):
                    profile = 1.0 + 2.0 * model.kernel[a][b].amplitude * np.cos(2.0 * np.pi * (x - y) / m)
                    coupling[a * m + x, b * m + y] = model.coupling[a, b] * profile / np.sqrt(m)
    mean = np.repeat(model.initial_mean, m)
    mean[:m] += start * np.cos(2.0 * np.pi * np.arange(m) / m)
    return ln.BalancedNetwork(
        coupling=coupling,
        sign=[1] * m + [-1] * m,
        tau=np.repeat(model.tau, m),
        gain=(model.gain[0],) * m + (model.gain[1],) * m,
        drive=np.sqrt(m) * np.repeat(model.drive, m),
        input=np.repeat(model.input, m),
        initial_mean=mean,
        initial_variance=np.repeat(model.initial_variance, m),
        noise=model.noise,
    )


@pytest.mark.parametrize("method", ["exact", "tau_leap"])
def test_the_network_is_that_of_the_block_matrix(method):
    options = {"n": 81, "seed": 3, "method": method, "record": ("spikes", "state")}
    ring = ln.simulate(RING, TIMES, perturbation=(0.3, 1), **options)
    blocks = ln.simulate(by_hand(RING, 0.3), TIMES, **options)
    for name in ("mean", "variance", "third_cumulant", "rate"):
        found = ring[f"patch_{name}"].values.reshape(1, 8, -1)
        assert np.allclose(found, blocks[name].values, rtol=1e-11, atol=1e-12)
        assert np.allclose(ring[name].values, ring[f"patch_{name}"].values.mean(2), rtol=1e-13)
    sizes = ring["patch_size"].values
    assert sizes.ravel().tolist() == blocks.attrs["sizes"].tolist()
    assert ring.attrs["sizes"].tolist() == sizes.sum(1).tolist()
    assert np.array_equal(ring["spike_time"], blocks["spike_time"])
    assert np.array_equal(ring["spike_population"], blocks["spike_population"] // 4)
    before = np.concatenate([[0], np.cumsum(sizes.ravel())])
    own = before[blocks["spike_population"].values] + blocks["spike_neuron"].values
    assert np.array_equal(ring["spike_population"] * sizes[0].sum() + ring["spike_neuron"], own)
    assert ring["neuron"].values[[0, 5, 20]].tolist() == ["e(0):0", "e(1):0", "i(0):0"]
    assert ring.attrs["perturbation"] == "0.3 in mode (1,)"


def test_functions_of_place_are_their_averages_over_patches():
    """In the equations of n neurons, in the limit and in the network."""
    wave = np.sinc(1.0 / 4) * np.cos(2.0 * np.pi * (np.arange(4) + 0.5) / 4)
    model = RING.replace(kernel=BALANCED)
    of_place = model.replace(
        input=lambda x: 0.1 * np.stack([np.cos(2.0 * np.pi * x), 0.0 * x]),
        drive=lambda x, t: np.array([[0.65], [0.48]]) + 0.02 * np.cos(2.0 * np.pi * x),
    )
    by_patch = model.replace(
        input=lambda t: 0.1 * np.stack([wave, 0.0 * wave]), drive=lambda t: np.array([[0.65], [0.48]]) + 0.02 * wave
    )
    for run in (
        lambda one: ln.solve_limit(one, TIMES, n=800),
        lambda one: ln.simulate(one, TIMES, n=80, seed=1, method="tau_leap"),
    ):
        found, known = run(of_place), run(by_patch)
        np.testing.assert_allclose(found.patch_mean, known.patch_mean, rtol=1e-3, atol=1e-5)
        assert np.ptp(found.patch_mean.values[..., 0, :, -1]) > 1e-3


def test_a_function_of_place_needs_space():
    with pytest.raises(InputError, match="`input` must be a function of time without `space`"):
        ln.BalancedNetwork(input=lambda x, t: x)


def brute_force(model, n, start):
    """The moments patch by patch in loops over targets and sources, with the Probit's mean in closed form."""
    m, root = 4, np.sqrt(n / 2)
    block = by_hand(model, start)
    pair = np.asarray(block.coupling) * np.sqrt(m)
    sign = np.repeat([1.0, -1.0], m)
    tau, weak = np.repeat(model.tau, m), np.repeat(model.input, m)
    drive = np.repeat(model.drive, m)

    def rhs(_, y):
        v, k, c = y.reshape(3, 2 * m)
        top, slope, threshold = (
            np.repeat([float(getattr(gain, name)) for gain in model.gain], m)
            for name in ("maximum", "slope", "threshold")
        )
        steep = slope / np.sqrt(1.0 + slope**2 * k)
        z = steep * (v - threshold)
        third = top * steep**3 * (z**2 - 1.0) * scipy.stats.norm.pdf(z)
        e = top * scipy.stats.norm.cdf(z) + c / 6.0 * third
        out = np.zeros((3, 2 * m))
        for x in range(2 * m):
            out[0, x] = -v[x] / tau[x] + weak[x] + root * (sum(sign * pair[x] * e) / m + drive[x])
            out[1, x] = -2 * k[x] / tau[x] + sum(pair[x] ** 2 * e) / m + float(model.noise) ** 2
            out[2, x] = -3 * c[x] / tau[x] + sum(sign * pair[x] ** 3 * e) / m / root
        return out.ravel()

    y = np.concatenate([block.initial_mean, block.initial_variance, np.zeros(2 * m)])
    return rhs, y


def test_the_equations_at_finite_n_are_those_of_the_patches_one_by_one():
    rhs, y = brute_force(RING, 800, 0.3)
    rng = np.random.default_rng(5)
    y[8:] += 0.2 * rng.random(16)
    system = patch_equations.equations(RING, 800)
    assert np.allclose(system.rhs(0.0, y), rhs(0.0, y), rtol=1e-12, atol=1e-12)
    jacobian, step = system.jacobian(0.0, y), 1e-6
    for j in (0, 5, 11, 20):
        shift = np.eye(24)[j] * step
        numeric = (system.rhs(0.0, y + shift) - system.rhs(0.0, y - shift)) / (2 * step)
        assert np.allclose(jacobian[:, j], numeric, atol=1e-6)
    path = ln.solve_limit(RING, TIMES, n=800, perturbation=(0.3, 1))
    start = patches.start_of(RING, (0.3, 1))
    y = np.concatenate([start, np.repeat(RING.initial_variance, 4), np.zeros(8)])
    other = scipy.integrate.solve_ivp(system.rhs, (0, 1), y, "LSODA", rtol=1e-10, atol=1e-12).y[:8, -1]
    assert np.allclose(path["patch_mean"].values[..., -1].ravel(), other, rtol=0, atol=2e-6)
    assert path.attrs["route"] == "finite size"
    assert path["x"].values.tolist() == [0.125, 0.375, 0.625, 0.875]


def test_a_comparison_has_rows_of_populations_and_of_shells_and_none_of_patches():
    times = np.arange(0.0, 2.01, 0.2)
    two = [ln.simulate(RING, times, n=81, seed=k, realisations=3, method="tau_leap", dt=0.05) for k in (1, 2)]
    names = ln.compare(*two)["component"].values.tolist()
    assert {"mean[e]", "rate[i]", "log_power[e,1]", "log_power[i,2]"} <= set(names)
    assert not any(name.startswith("patch") for name in names)


@pytest.mark.long
@pytest.mark.parametrize("n", [None, 800])
def test_limit_and_finite_equations_are_those_of_the_block_matrix(n):
    model = RING if n else RING.replace(kernel=BALANCED)
    ring = ln.solve_limit(model, TIMES, n=n, perturbation=(0.2, 1))
    blocks = ln.solve_limit(by_hand(model, 0.2), TIMES, n=n)
    assert np.allclose(ring["patch_mean"].values.reshape(8, -1), blocks["mean"].values, atol=1e-6)


@pytest.mark.long
def test_a_wave_that_is_not_balanced_has_no_limit():
    """Of e and i in one wave: [[0.45, -0.3], [0.3, -0.27]] times gains of about the same slope has a positive trace."""
    for model, more in ((RING, {"perturbation": (0.2, 1)}), (by_hand(RING, 0.2), {})):
        with pytest.raises(ln.LimitError, match="no balanced limit from this start"):
            ln.solve_limit(model, TIMES, **more)


@pytest.mark.long
def test_fractions_and_functions_of_time_by_patch():
    step = ln.TimeSeries((0.0, 0.5, 1.0), ((0.0, 0.0), (0.2, 0.0), (0.2, 0.1)))
    fractions = (0.6, 0.4)
    model = RING.replace(input=step, fractions=fractions)
    other = finite_size.solve(patches.block_model(model), TIMES, n=800, rtol=1e-8, atol=1e-10)
    with pytest.warns(UserWarning, match="a stationary pattern of mode 1 would grow"):
        ours = ln.solve_limit(model, TIMES, n=800)
    assert np.allclose(ours["patch_mean"].values.reshape(8, -1), other.values["mean"], atol=1e-6)


def local_input(time):
    """An input to excitatory patches 0 and 1 alone."""
    return np.array([[0.3, 0.3, 0.0, 0.0], [0.0] * 4]) + 0.0 * time


def test_an_input_may_differ_between_patches():
    path = ln.solve_limit(RING.replace(input=local_input), TIMES[:3], n=800)
    e = path["patch_mean"].values[0, :, -1]
    assert e[0] == pytest.approx(e[1], abs=1e-7)
    assert e[2] == pytest.approx(e[3], abs=1e-7)
    assert abs(e[0] - e[2]) > 1e-3


def test_parameters_of_kernels_have_names_and_files(tmp_path):
    model = ln.BalancedNetwork(space=ln.Torus((4, 3), length=(2.0, 1.0)), kernel=ln.GaussianKernel(0.2, cutoff=2))
    changed = model.replace(**{"kernel[e,i].width": 0.3, "space.patches": (6, 5)})
    assert float(changed.value("kernel[e,i].width")) == 0.3
    assert float(changed.value("kernel[i,e].width")) == 0.2
    assert changed.space.shape == (6, 5)
    assert changed.locate("kernel[e,i].width").steps == ("kernel", 0, 1, "width")
    again = ln.read_model(ln.write_model(changed, tmp_path / "model.yaml"))
    assert again == changed
    short = tmp_path / "short.yaml"
    short.write_text(
        "system: balanced\nparameters:\n"
        "  space: {torus: {patches: [6, 5], length: [2.0, 1.0]}}\n"
        "  kernel: [[{gaussian: {width: 0.2, cutoff: 2}}, {gaussian: {width: 0.3, cutoff: 2}}],\n"
        "    [{gaussian: {width: 0.2, cutoff: 2}}, {gaussian: {width: 0.2, cutoff: 2}}]]\n"
    )
    assert ln.read_model(short) == changed
    assert "space" not in repr(ln.BalancedNetwork())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ln.BalancedNetwork(space=ln.Ring(8)), "`kernel` must be given together with `space`"),
        (lambda: ln.BalancedNetwork(kernel=KERNELS), "`space` must be given together with `kernel`"),
        (lambda: ln.BalancedNetwork(space=ln.Ring(2), kernel=KERNELS), "`space.patches` must be at least 3"),
        (lambda: ln.BalancedNetwork(space=8, kernel=KERNELS), "`space` must be Ring or Torus"),
        (lambda: RING.replace(kernel=((ln.CosineKernel(0.1),),)), "2 entries"),
        (lambda: RING.replace(**{"kernel[e,i].amplitude": 0.8}), "from being negative"),
        (lambda: ln.solve_limit(RING.replace(kernel=ln.GaussianKernel(0.2)), TIMES), r"`n` must be given for `kernel`"),
        (lambda: ln.solve_limit(RING.replace(kernel=((ln.GaussianKernel(0.2), ln.CosineKernel(0.1)),) * 2), TIMES),
         r"`n` must be given for `kernel\[e,e\]`, a GaussianKernel"),
        (lambda: ln.solve_limit(RING, TIMES, perturbation=0.1), r"pair \(amplitude, mode\)"),
        (lambda: ln.solve_limit(RING, TIMES, perturbation=(0.1, 3)), "half of the 4 patches"),
        (lambda: ln.solve_limit(ln.BalancedNetwork(), TIMES, perturbation=(0.1, 1)), "without `space`"),
        (lambda: ln.simulate(RING, TIMES, n=20), "three neurons"),
        (lambda: ln.analysis.fixed_points(RING), "`space` must be None for"),
        (lambda: ln.analysis.follow(RING, "drive[e]", to=0.7), "`space` must be None for"),
        (lambda: ln.equations(RING), "`space` must be None for"),
        (lambda: ln.solve_limit(RING.replace(synapses="shared"), TIMES, n=800), "shared synapses"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_spread_kernel_makes_the_variance_larger_than_its_mean_alone():
    # K follows the mean of kt^2 = 1 + 2 e^2, not of kt.
    flat = patch_equations.equations(RING.replace(kernel=ln.CosineKernel(0.0)), 800, homogeneous=True)
    ring = patch_equations.equations(RING, 800, homogeneous=True)
    assert np.allclose(ring.couplings[0], flat.couplings[0])
    assert ring.couplings[1] / flat.couplings[1] == pytest.approx(
        1.0 + 2.0 * np.array([[0.45, 0.15], [0.25, 0.15]]) ** 2
    )
    assert isinstance(RING.gain[0], Probit)
