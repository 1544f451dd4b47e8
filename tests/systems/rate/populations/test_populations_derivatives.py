"""Derivatives of the limit of populations: two engines, differences, fits."""

import numpy as np
import pytest

import largen as ln
from systems.rate.populations.cases import scs, transient

TABLE = ln.TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]])
SIGNAL = ln.Patterns(((0.6,), (0.2,)), (((0.3,),), ((0.1,),)), None, ln.TimeSeries((0.0, 3.0), ((1.0,), (0.0,))))
MIXED = ln.RatePopulations(
    dynamics="discrete",
    gamma=(0.0, 0.4),
    kernels=(
        (TABLE, ln.SeparableKernel(0.5, 0.3, 0.2)),
        (ln.UncorrelatedKernel(0.5), ln.SeparableKernel(0.5, 0.0, 0.2)),
    ),
    low_rank=ln.LowRank(((1.0,), (0.5,)), ((0.8,), (0.3,)), 0.1 * np.array([np.eye(2) + 0.5] * 2)),
    threshold_covariance=0.05 * np.ones((2, 2)),
    patterns=SIGNAL,
    activation=("tanh", "logistic"),
    noise=0.1,
    initial_mean=(0.3, 0.0),
)
OBSERVABLES = ("mean", "rate", "latent", "covariance", "frozen_covariance")


def assert_engines_agree(model, times, names, *, values, slopes, **options):
    """Both engines' limits agree, and derivatives with central differences of the other engine, to these shares."""
    options = {"lags": 1} | options
    found = ln.sensitivity(model, times=times, free=names, **options)

    def limit(model):
        return ln.solve_limit(model, times, rtol=1e-10, atol=1e-12, lags=options["lags"])

    here, present = limit(model), [name for name in OBSERVABLES if name in found]
    for name in present:
        assert found[name].values == pytest.approx(here[name].values, abs=values), name
    h = 1e-5  # all names move together, each by its own share
    shares = dict(zip(names, np.linspace(0.5, 1.5, len(names)), strict=True))
    moved = [{x: float(model.value(x)) + sign * h * share for x, share in shares.items()} for sign in (1, -1)]
    ahead, behind = (limit(model.replace(**values)) for values in moved)
    for name in present:
        difference = (ahead[name] - behind[name]).values / (2 * h)
        slope = sum(share * found[f"{name}_derivative"].sel(parameter=x).values for x, share in shares.items())
        assert slope == pytest.approx(difference, abs=slopes * (1 + np.abs(difference).max())), name


def test_two_engines_agree_in_values_and_derivatives():
    names = ["kernels[e,i].post", "kernels[i,i].pre", "low_rank.right_mean[i,0]", "patterns.mean[e,0]", "gamma[i]"]
    names += ["threshold_covariance[i,1]", "kernels[i,e].variance", "mean_weight[e,i]", "threshold_variance[e]"]
    assert_engines_agree(MIXED, np.arange(4.0), names, values=1e-11, slopes=1e-8)


@pytest.mark.long
def test_they_agree_in_continuous_time():
    names = ["tau[e]", "low_rank.left_mean[e,0]", "weight_variance[i,e]", "noise[i]", "initial_variance[e]"]
    assert_engines_agree(transient(), np.linspace(0.0, 2.0, 5), names, values=5e-6, slopes=5e-6, lags=0)
    assert_engines_agree(
        scs(1.5), np.linspace(0.0, 6.0, 4), ["weight_variance[p1,p1]", "tau"], values=1e-5, slopes=1e-5, lags=0
    )


@pytest.mark.long
def test_a_fit_finds_the_parameters_of_a_network():
    free = ["weight_variance[e,i]", "low_rank.right_mean[i,0]", "mean_weight[e,e]"]
    low_rank = ln.LowRank(((1.0,), (0.5,)), ((0.8,), (0.3,)))
    true = ln.RatePopulations(dynamics="discrete", low_rank=low_rank, noise=0.3, initial_mean=0.5)
    start = true.replace(**dict(zip(free, (3.0, 0.1, 1.3), strict=True)))
    exact = ln.fit(start, ln.solve_limit(true, np.arange(6.0)), free=free)
    assert exact["value"].values == pytest.approx([4.0, 0.3, 1.0], abs=1e-9)
    network = ln.simulate(true, np.arange(6.0), n=1000, realisations=40, lags=0, seed=3)
    found = ln.fit(start, network, free=free, observables=["mean", "latent", "covariance"])
    distance = (found["value"].values - [4.0, 0.3, 1.0]) / found["standard_error"].values
    assert np.all(np.abs(distance) < 6.0)  # 1e-6 with 30 degrees of freedom, with room for the bias of order 1/n
    assert np.all(found["standard_error"].values < [0.3, 0.3, 0.3])


@pytest.mark.parametrize(
    ("model", "free", "message"),
    [
        (MIXED, "low_rank.covariance", "must stay symmetric"),
        (MIXED, "kernels[e,e].values", "decide the form"),
        (MIXED, "fractions", "add up to 1"),
        (MIXED, "tau", "time is discrete"),
        (MIXED.replace(initial_variance=0.0), "initial_variance", "exactly 0"),
        (MIXED.replace(activation="relu"), "gain", "converges too slowly"),
    ],
)
def test_what_cannot_vary_is_refused(model, free, message):
    with pytest.raises(ln.InputError, match=message):
        ln.sensitivity(model, times=np.arange(3.0), free=free)


def test_the_theory_of_n_neurons_has_no_derivative():
    with pytest.raises(ln.InputError, match="known by sampling only"):
        MIXED.smooth(np.arange(3.0), n=100)
