"""convergence(): the exponent of a known law, its interval, its refusals."""

import numpy as np
import pytest

import largen as ln
from largen.comparison.scaling import fit_exponent
from toy import Toy

TIMES = np.arange(0.0, 2.0, 0.25)


def test_the_exponent_of_independent_neurons_is_minus_one_half():
    study = ln.convergence(Toy(), TIMES, n=[100, 400, 1600, 6400], realisations=100, seed=1)
    assert study["exponent_low"] < -0.5 < study["exponent_high"]
    assert study["exponent_high"] - study["exponent_low"] < 0.15
    assert study["error"].attrs["units"] == "mV"


def test_the_interval_of_the_exponent_covers_as_stated():
    # 2000 fits with Gaussian errors of known size; 95 % within a binomial interval of false alarm 1e-6.
    rng = np.random.default_rng(1)
    n = np.array([100.0, 300.0, 1000.0, 3000.0])
    errors = n**-0.5 * (1 + 0.02 * rng.standard_normal((2000, 4)))
    hits = 0
    for error in errors:
        slope, spread = fit_exponent(n, error, 0.02 * error)
        hits += abs(slope + 0.5) < 1.96 * spread
    assert 1850 < hits < 1945


def test_realisations_and_method_of_every_size():
    study = ln.convergence(Toy(), TIMES, n=[100, 200], realisations=[6, 4], method="exact")
    assert study["realisations"].values.tolist() == [6, 4]


def test_networks_of_different_sizes_are_independent():
    model = Toy(start=(0.0, 0.0))
    a, b = (ln.simulate(model, TIMES, n=n, realisations=200, seed=1)["mean"].values[:, 0, -1] for n in (100, 200))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.35  # 5 standard errors of a correlation of 200 pairs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": [100]}, "at least two increasing sizes"),
        ({"n": [200, 100]}, "at least two increasing sizes"),
        ({"n": [100, 200], "realisations": 1}, "An error bar needs two"),
        ({"n": [100, 200], "realisations": [4, 4, 4]}, "one number or 2"),
        ({"n": [100, 200], "method": "euler"}, "`method` must be one of"),
        ({"n": [100, 200], "observable": "meen"}, "Did you mean `mean`"),
        ({"n": [100, 200], "stopp": 1}, "Did you mean `stop`"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ln.InputError, match=message):
        ln.convergence(Toy(), TIMES, **arguments)


def test_after_an_interrupt_the_finished_sizes_are_kept():
    calls = []

    def stop_late(done):
        calls.append(done)
        if done > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(ln.Interrupted, match="2 of 3 sizes") as caught:
        ln.convergence(Toy(), TIMES, n=[100, 200, 400], realisations=4, progress=stop_late)
    assert caught.value.partial is not None
    assert caught.value.partial["n"].values.tolist() == [100, 200]
