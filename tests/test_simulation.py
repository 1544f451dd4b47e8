"""simulate(): reproducible to the byte, refusals, interrupts, memory."""

import re
import signal
from pathlib import Path

import numpy as np
import pytest

import largen as ln
from largen.datasets import seed_of
from largen.runtime import memory
from largen.simulation import NetworkWork
from toy import Toy

TIMES = np.arange(0.0, 1.0, 0.25)


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers():
    one = ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=7)
    two = ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=7, workers=2)
    assert one.identical(two)
    assert one["mean"].values.tobytes() == two["mean"].values.tobytes()
    assert not one.equals(ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=8))


def test_a_realisation_does_not_depend_on_how_many_there_are():
    few, many = (ln.simulate(Toy(), TIMES, n=50, realisations=r, seed=7) for r in (2, 5))
    assert few["mean"].identical(many["mean"].isel(realisation=slice(0, 2)))


def test_labels_and_provenance():
    network = ln.simulate(Toy(), TIMES, n=50, realisations=2, seed=7)
    assert network["mean"].dims == ("realisation", "population", "time")
    assert network["mean"].attrs["units"] == "mV"
    assert network["time"].attrs["units"] == "ms"
    wanted = {"system": "toy", "n": 50, "seed": 7, "method": "exact", "status": "completed", "kind": "network"}
    assert wanted.items() <= network.attrs.items()
    assert "largen" in network.attrs["versions"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": None}, "Argument `n` must be given"),
        ({"n": 1}, "give every population a neuron"),
        ({"n": 10.5}, "must be an integer, but is 10.5"),
        ({"realisations": 0}, "`realisations` must be at least 1"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"method": "exacd"}, "Did you mean `exact`"),
        ({"fial": 1}, "Did you mean `fail`"),
        ({"times": [0.0, 1.0, 1.0]}, "strictly increasing, but times"),
        ({"times": [0.0]}, "at least two times"),
        ({"times": [0.0, np.nan]}, "must be finite"),
        ({"times": "abc"}, "hold numbers"),
        ({"progress": 3}, "`progress` must be None, True"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ln.InputError, match=message):
        ln.simulate(Toy(), **({"times": TIMES, "n": 50} | arguments))


def test_a_network_that_does_not_fit_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1e3)
    with pytest.raises(
        ln.InputError, match=r"needs about 8.3 kB of memory, but 1.0 kB are free. What fits: 93 neurons"
    ):
        ln.simulate(Toy(), TIMES, n=1000)


def test_the_largest_number_that_fits_is_named(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1e5)
    times = np.arange(0.0, 20.0)
    with pytest.raises(ln.InputError, match="A run of 1000 realisations of a network of 100 neurons needs") as caught:
        ln.simulate(Toy(), times, n=100, realisations=1000)
    found = re.search(r"What fits: (\d+) realisations", str(caught.value))
    assert found is not None
    count = int(found[1])
    work = NetworkWork(Toy(), times, 100, count, 1, None, (), {})
    assert work.bytes(work.plan(), count) <= 1e5 < work.bytes(work.plan(), count + 1)
    ln.simulate(Toy(), times, n=100, realisations=count)


@pytest.mark.parametrize("system", [ln.SpikingNetwork(), ln.BalancedNetwork(), ln.RateNetwork()])
@pytest.mark.parametrize("sizes", [{"n": 2**53}, {"n": 10**15}, {"realisations": 10**12}])
def test_no_size_is_too_large_for_the_estimate(system, sizes):
    with pytest.raises(ln.InputError, match=r"needs about .* [TP]B of memory"):
        ln.simulate(system, np.arange(3.0), **({"n": 400} | sizes))


@pytest.mark.parametrize("model", [None, "gamma", Path("gamma.yaml"), Toy, 3])
def test_what_is_no_model_is_refused(model):
    for function in (ln.simulate, ln.solve_limit):
        with pytest.raises(ln.InputError, match="`system` must be a model"):
            function(model, TIMES)


@pytest.mark.parametrize("seed", [2**63, 2**64, np.random.SeedSequence(3).entropy, 10**3000])
def test_a_seed_of_any_size_is_kept(seed, tmp_path):
    network = ln.simulate(Toy(), TIMES, n=50, seed=seed)
    again = ln.load(ln.save(network, tmp_path / "n.nc"))
    assert seed_of(again) == seed
    assert again.identical(network)


def test_a_limit_with_too_many_times_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1e3)
    with pytest.raises(ln.InputError, match=r"A limit at 1000 times needs about .* What fits: 15 output times"):
        ln.solve_limit(Toy(), np.arange(1000.0))


def test_progress_reaches_one_and_never_falls():
    seen = []
    ln.simulate(Toy(), TIMES, n=50, realisations=3, progress=seen.append)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_after_an_interrupt_the_finished_realisations_are_kept():
    def stop_in_the_third(done):
        if done >= 0.75:
            raise KeyboardInterrupt

    with pytest.raises(ln.Interrupted, match="2 of 4 realisations") as caught:
        ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=7, progress=stop_in_the_third)
    whole = ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=7)
    assert caught.value.partial is not None
    assert caught.value.partial.identical(whole.isel(realisation=slice(0, 2)))


def test_an_error_in_a_worker_is_the_error_of_the_call():
    with pytest.raises(ln.InputError, match="asked to fail"):
        ln.simulate(Toy(), TIMES, n=50, realisations=2, workers=2, fail=1)


def test_a_real_interrupt_waits_for_a_safe_point():
    def ctrl_c(done):
        if done >= 0.6:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ln.Interrupted, match="2 of 4 realisations"):
        ln.simulate(Toy(), TIMES, n=50, realisations=4, seed=7, progress=ctrl_c)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "model",
    [
        ln.RateNetwork(initial_mean=-1e300),
        ln.RateNetwork(noise=1e300),
        ln.RateNetwork(mean_weight=1e300),
        ln.BalancedNetwork(initial_mean=(-1e300, 0.0)),
        ln.RateNetwork.chaotic().replace(tau=1e-300),
    ],
)
def test_numbers_beyond_double_precision_are_blamed_on_their_parameter(model):
    with pytest.raises(ln.InputError, match=r"the most extreme is `(initial_mean|noise|mean_weight|tau)(\[e\])?`"):
        ln.simulate(model, np.arange(21.0), n=50)


@pytest.mark.parametrize("name", ["gain", "noise"])
def test_a_limit_beyond_double_precision_is_blamed_on_its_parameter(name):
    with pytest.raises(ln.InputError, match=f"`{name}` = 1e[+]300"):
        ln.solve_limit(ln.RateNetwork(**{name: 1e300}), np.arange(3.0))


def test_a_grid_of_too_many_steps_is_refused():
    with pytest.raises(ln.InputError, match="`times` must take at most 20000 time steps"):
        ln.solve_limit(ln.RateNetwork.chaotic().replace(tau=1e-9), [0.0, 1.0])


@pytest.mark.parametrize("name", ["strength", "threshold", "reversal", "external_rate"])
def test_potentials_that_single_precision_loses_are_refused_by_network_and_limit(name):
    value = np.full((2, 2), 1e16) if name == "strength" else -1e16 if name == "reversal" else 1e16
    model = ln.SpikingNetwork(**{name: value})
    for solve in (ln.simulate, ln.solve_limit):
        with pytest.raises(ln.InputError, match=f"`{name}` must be at most 1e[+]15 in size"):
            solve(model, np.arange(3.0))


def test_a_refractory_period_longer_than_the_run_takes_no_memory():
    model = ln.SpikingNetwork(refractory="fixed", refractory_time=1e12)
    assert np.isfinite(ln.solve_limit(model, np.arange(3.0))["rate"]).all()
