"""What leaves largen: equations as LaTeX, spikes as neo objects, zarr stores, data frames."""

import re
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

import largen as ln
from largen import plot
from largen.commands.main import main
from largen.systems.rate import TableKernel
from toy import Toy


@pytest.fixture(scope="module")
def network():
    return ln.simulate(ln.SpikingNetwork(), np.arange(1001) * 0.1, realisations=2, seed=1, record="spikes")


# Equations ----------------------------------------------------------------------------------------------------


def closed(text):
    """Braces, brackets of \\left and \\right, and environments match."""
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"\\left(?!arrow)", text)) == len(re.findall(r"\\right(?!arrow)", text))
    assert re.findall(r"\\begin{(\w+)}", text) == re.findall(r"\\end{(\w+)}", text)[::-1]
    return text


def test_balanced_equations_carry_the_models_numbers():
    text = closed(ln.equations(ln.BalancedNetwork()))
    assert r"\frac{dv_{e}}{dt} &= -v_{e} + \lambda_{1} - 2\,\lambda_{2}" in text
    assert r"0 &= F_{e} - 2\,F_{i} + 0.65" in text
    assert r"\frac{dK_{i}}{dt} &= -2\,K_{i} + 1.44\,F_{e} + 3.24\,F_{i}" in text
    assert r"2\,\Phi\!\left(\frac{1.5\,(v_{i} - 0.3)}{\sqrt{1 + 2.25\,K_{i}}}\right)" in text
    one = closed(ln.equations(ln.BalancedNetwork.rank_one()))
    assert one.count(r"\lambda_{2}") == 0  # one pinned combination
    assert r"0 &= F_{e} - F_{i}" in one
    at_n = closed(ln.equations(ln.BalancedNetwork(noise=0.3, tau=(0.5, 2.0)), n=1000))
    assert r"-2\,v_{e} + 22.3607\left(G_{e} - 2\,G_{i} + 0.65\right)" in at_n
    assert r"\frac{d\kappa_{e}}{dt} &= -6\,\kappa_{e}" in at_n
    logistic = ln.BalancedNetwork(gain=(ln.Logistic(1.0, 3.0, 0.2), ln.Logistic(2.0, 1.0, -0.5)))
    assert r"e^{-3\,(v_{e} + \sqrt{K_{e}}\,\xi - 0.2)}" in closed(ln.equations(logistic))
    with pytest.raises(ln.InputError, match="shared synapses"):
        ln.equations(ln.BalancedNetwork.shared(), n=100)


def test_rate_and_spiking_equations_carry_the_models_numbers():
    text = closed(ln.equations(ln.RateNetwork()))
    assert r"U^j_{t+1} &= 0.7\,U^j_t + \Gamma^j_t + \theta^j + 0.5\,B^j_t" in text
    assert r"\Lambda(k,l) &= 1.5\;(0.5)^{|k|}\,(0.4)^{|l|}" in text
    assert r"\begin{pmatrix}0.1 & 0.2 & 0.1" in closed(ln.equations(ln.RateNetwork(kernel=TableKernel())))
    assert r"dU^j_t &= \left(-2\,U^j_t" in closed(ln.equations(ln.RateNetwork.diffusion()))
    spiking = closed(ln.equations(ln.SpikingNetwork()))
    assert r"dV_{e} &= \left(0.678571\,H_{ee} - g(V_{e})\,0.602222\,H_{ei} + 7\right)dt + 2.64575\,dW" in spiking
    assert r"\frac{dm_{ei}}{dt} &= -\frac{m_{ei}}{4.5} + 80\,r_{i}" in spiking
    scaled = closed(ln.equations(ln.SpikingNetwork.leaky(), n=4000))
    assert r"0.0678571\,H_{ee}" in scaled
    assert r"\frac{V_{e}}{20}" in scaled
    assert ln.equations(ln.RateNetwork())._repr_latex_().startswith(r"$\displaystyle \begin{aligned}")
    with pytest.raises(ln.InputError, match="no equations that it can write"):
        ln.equations(Toy())
    with pytest.raises(ln.InputError, match="the law of n neurons is sampled"):
        ln.equations(ln.RateNetwork(), n=100)


ADAPTING = ln.SpikingNetwork(
    neuron="exponential", slope=2.0, soft_threshold=80.0, membrane_time=10.0, adaptation_step=(0.5, 0.0),
    adaptation_time=30.0, external_sd=0.3, external_strength=(-2.0, 2.0), external_decay=1.5, initial_spread=3.0,
    synapse="delta", strength_spread=0.0, refractory_time=(0.0, 3.0), external_mean=1.5,
)  # fmt: skip


def test_equations_of_integrate_and_fire_networks_carry_their_numbers():
    text = closed(ln.equations(ln.SpikingNetwork.brunel()))
    kicks = r"0.1\,dN_{\mathrm{E},\mathrm{E}} - 0.5\,dN_{\mathrm{E},\mathrm{I}}"
    assert rf"- \frac{{V_{{\mathrm{{E}}}}}}{{20}}\right)dt + {kicks} + 0.1\,dN^x_{{\mathrm{{E}}}}" in text
    assert r"N_{\mathrm{I},\mathrm{E}} &\sim \text{Poisson process of rate }1000\,r_{\mathrm{E}}(t - 1.5)" in text
    assert r"V_{\mathrm{E}} \geq 20 &\Rightarrow" in text
    assert r"V_{\mathrm{E}} \leftarrow 10,\ \text{refractory period }\text{of }2" in text
    column = closed(ln.equations(ln.SpikingNetwork.microcircuit()))
    assert r"(0.351234 \pm 0.0351234)\,dN_{\mathrm{L4E},\mathrm{L4E}}" in column
    assert r"- (1.40494 \pm 0.140494)\,dN_{\mathrm{L5I},\mathrm{L5I}}" in column
    assert r"d \sim \mathrm{Normal}(0.75,\ 0.375^2)" in column
    assert r"V_{\mathrm{L6I}}(0) &\sim \mathrm{Normal}(-61.43,\ 4.48^2)" in column
    assert r"N_{\mathrm{L4E},\mathrm{L6I}}" not in column  # no synapse
    text = closed(ln.equations(ln.SpikingNetwork.kicks()))
    assert r"V_{i} + 66 &\leftarrow (V_{i} + 66)\,0.970422^{dR_{ii}}" in text
    assert r"dH_{ei} &= dN_{ei} - dR_{ei}" in text
    text = closed(ln.equations(ADAPTING))
    assert r"\frac{-V_{e} + 2\,e^{(V_{e} - 80)/2}}{10}" in text
    assert r"dX_{e} &= -\frac{X_{e}}{1.5}\,dt - 1.33333\,dN^x_{e}" in text
    assert r"\frac{dw_{e}}{dt} &= -\frac{w_{e}}{30}" in text
    assert r"w_{e} \leftarrow w_{e} + 0.5" in text
    assert "w_{i}" not in text


@pytest.mark.parametrize(
    ("model", "n"),
    [
        (ln.BalancedNetwork(noise=0.3), None),
        (ln.BalancedNetwork.rank_one(), 1000),
        (ln.RateNetwork(), None),
        (ln.RateNetwork.diffusion(), None),
        (ln.SpikingNetwork(), 4000),
        (ln.SpikingNetwork.leaky(), None),
        (ln.SpikingNetwork(names=("E_1", "I.2")), None),
        (ln.SpikingNetwork.microcircuit(), None),
        (ln.SpikingNetwork.kicks(), 800),
        (ADAPTING, None),
    ],
)
def test_matplotlib_sets_every_line(model, n):
    text = ln.equations(model, n=n).removeprefix("\\begin{aligned}").removesuffix("\\end{aligned}")
    for line in text.split("\\\\\n"):
        assert MathTextParser("agg").parse(f"${line.replace('&', '').strip()}$").width > 10


def test_command_line_writes_equations(capsys):
    assert main(["equations", "balanced", "--set", "drive=[0.7, 0.5]"]) == 0
    assert r"0 &= F_{e} - 2\,F_{i} + 0.7" in capsys.readouterr().out


# neo ----------------------------------------------------------------------------------------------------------


def test_elephant_reads_the_spikes(network):
    import elephant.statistics

    block = ln.to_neo(network)
    assert len(block.segments) == 2
    for r, segment in enumerate(block.segments):
        assert len(segment.spiketrains) == 400  # silent neurons too
        for label in ("e", "i"):
            trains = [train for train in segment.spiketrains if train.annotations["population"] == label]
            rates = [elephant.statistics.mean_firing_rate(train).rescale("Hz").item() for train in trains]
            ours = network["rate"].sel(population=label, realisation=r)[1:].mean().item()
            assert np.mean(rates) == pytest.approx(ours, rel=1e-12)
    train = block.segments[1].spiketrains[310]
    assert train.annotations["population"] == "i"
    assert train.annotations["neuron"] == 10
    mine = (network["spike_realisation"] == 1) & (network["spike_population"] == 1) & (network["spike_neuron"] == 10)
    np.testing.assert_array_equal(train.rescale("ms").magnitude, np.sort(network["spike_time"].values[mine.values]))


SELECTIONS = {
    "one of a list": (lambda run: run.isel(realisation=[1]), [1], ["e", "i"], (0.0, 100.0)),
    "one": (lambda run: run.isel(realisation=1), [1], ["e", "i"], (0.0, 100.0)),
    "turned": (lambda run: run.isel(realisation=[1, 0]), [1, 0], ["e", "i"], (0.0, 100.0)),
    "populations": (lambda run: run.sel(population=["i", "e"]), [0, 1], ["i", "e"], (0.0, 100.0)),
    "a population": (lambda run: run.sel(population="i"), [0, 1], ["i"], (0.0, 100.0)),
    "times": (lambda run: run.sel(time=slice(20.0, 60.0)), [0, 1], ["e", "i"], (20.0, 60.0)),
}


@pytest.mark.parametrize("select", SELECTIONS)
def test_neo_and_the_raster_show_what_a_selection_has(network, select):
    take, runs, labels, (start, stop) = SELECTIONS[select]
    part = take(network)
    block = ln.to_neo(part)
    assert [segment.index for segment in block.segments] == runs
    for segment in block.segments:
        seen = [train.annotations["population"] for train in segment.spiketrains]
        assert seen == [label for label in labels for _ in range({"e": 300, "i": 100}[label])]
        for label in labels:
            place = ["e", "i"].index(label)
            time = network["spike_time"].values
            mine = (network["spike_realisation"] == segment.index) & (network["spike_population"] == place)
            mine = mine.values & (time >= start) & (time <= stop)
            trains = [train for train in segment.spiketrains if train.annotations["population"] == label]
            np.testing.assert_array_equal(
                np.sort(np.concatenate([train.magnitude for train in trains])), np.sort(time[mine])
            )
            assert {train.annotations["realisation"] for train in trains} == {segment.index}
            assert {(float(train.t_start), float(train.t_stop)) for train in trains} == {(start, stop)}
        ax = plot.raster(part, ax=Figure().subplots(), realisation=segment.index)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == labels
        drawn = [len(line.get_xdata()) for line in ax.lines]
        assert drawn == [
            sum(len(t) for t, one in zip(segment.spiketrains, seen, strict=True) if one == label) for label in labels
        ]
    with pytest.raises(ln.InputError, match="`realisation` must be one of"):
        plot.raster(part, ax=Figure().subplots(), realisation=7)


@pytest.mark.parametrize("stop", [3, 7, 13, 29, 57, 999.9])
def test_a_spike_at_the_last_time_is_exported(stop):
    times = np.linspace(0.0, stop + 0.3, round(10 * stop) + 4) if stop < 999 else np.array([0.0, stop])
    network = ln.simulate(ln.SpikingNetwork(size=[30, 10]), times, seed=1, record="spikes")
    trains = ln.to_neo(network).segments[0].spiketrains
    assert sum(len(train) for train in trains) == network.sizes["spike"]
    assert {float(train.t_stop) for train in trains} == {times[-1]}


def test_spikes_without_labels_or_times_are_refused(network):
    with pytest.raises(ln.InputError, match="at least two times, but is 1"):
        ln.to_neo(network.isel(time=3))
    with pytest.raises(ln.InputError, match="keep its coordinate `realisation`"):
        ln.to_neo(network.isel(realisation=0, drop=True))
    seconds = network.assign_coords(time=("time", network["time"].values / 1000, {"units": "s"}))
    with pytest.raises(ln.InputError, match="in one unit"):
        ln.to_neo(seconds)


def test_neo_of_the_balanced_system_keeps_the_sources():
    run = {"n": 100, "realisations": 2, "seed": 1, "record": "spikes", "method": "exact"}
    network = ln.simulate(ln.BalancedNetwork(), np.linspace(0.0, 0.5, 3), **run)
    block = ln.to_neo(network)
    count = sum(len(train) for segment in block.segments for train in segment.spiketrains)
    assert count == network.sizes["spike"]
    assert set(block.segments[0].spiketrains[0].array_annotations["source"]) <= {"e", "i"}


def test_neo_messages(network, monkeypatch):
    with pytest.raises(ln.InputError, match='record="spikes"'):
        ln.to_neo(network[["rate"]])
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ln.InputError, match=re.escape("pip install 'largen[neo]'")):
        ln.to_neo(network)


# zarr ---------------------------------------------------------------------------------------------------------


def test_zarr_gives_back_what_was_saved(network, tmp_path):
    limit = ln.solve_limit(ln.BalancedNetwork(), np.linspace(0.0, 1.0, 5))
    for dataset in (network, limit):  # the second takes the place of the first
        assert ln.save(dataset, tmp_path / "run.zarr") == tmp_path / "run.zarr"
        xr.testing.assert_identical(ln.load(tmp_path / "run.zarr"), dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_a_store_survives_what_fails(network, tmp_path, monkeypatch):
    path = tmp_path / "run.zarr"
    ln.save(network, path)

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(ln.InputError, match="No space left on device"):
        ln.save(network[["rate"]], path)
    monkeypatch.undo()
    xr.testing.assert_identical(ln.load(path), network)
    path.rename(tmp_path / ".run.zarr.old")  # killed between the two renames
    xr.testing.assert_identical(ln.load(path), network)
    with pytest.raises(ln.InputError, match="name an existing zarr store"):
        ln.load(tmp_path / "none.zarr")
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(ln.InputError, match="be new or name a zarr store"):
        ln.save(network, tmp_path / "other.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ln.InputError, match=re.escape("pip install 'largen[sweep]'")):
        ln.save(network, path)


# pandas -------------------------------------------------------------------------------------------------------


def test_data_frames_come_from_xarray(network):
    frame = network["rate"].to_dataframe()
    assert frame.index.names == ["realisation", "population", "time"]
    assert frame.loc[(1, "i", 50.0), "rate"] == network["rate"].sel(realisation=1, population="i", time=50.0).item()
    spikes = network[[name for name in network if str(name).startswith("spike_")]].to_dataframe()
    assert len(spikes) == network.sizes["spike"]
    fit = ln.solve_limit(ln.RateNetwork(), np.arange(3.0))["mean"].to_series()
    assert fit.index.name == "time"
