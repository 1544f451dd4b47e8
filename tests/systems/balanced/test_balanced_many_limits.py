"""Limits solved together are the limits solved alone, to the byte, and refuse for the same reasons."""

import numpy as np
import pytest

import largen as ln
from largen.checks import LimitError
from largen.systems.balanced import many_limits
from largen.systems.balanced.limit_equations import Outcome
from largen.systems.balanced.manifold import MOST_STEPS

TIMES = np.arange(0.0, 5.0, 0.05)
GIVEN = {"rtol": 1e-8, "atol": 1e-10}


def models():
    """Two regular ones, one that loses balance on the way, one that no rates can balance, and the first again."""
    regular = [ln.BalancedNetwork(drive=(0.65 + shift, 0.48)) for shift in (0.0, 0.01)]
    return [*regular, ln.BalancedNetwork.unstable(), ln.BalancedNetwork(drive=(0.0, 5.0)), regular[0]]


def test_a_limit_in_a_batch_is_the_limit_alone():
    together = ln.BalancedNetwork.limits(models(), TIMES, **GIVEN)
    for model, found in zip(models(), together, strict=True):
        (alone,) = many_limits.solve([model], TIMES, **GIVEN)
        if isinstance(found, Exception):
            assert isinstance(found, LimitError)
            assert str(found) == str(alone)
            continue
        assert found.status == alone.status
        for name, values in found.values.items():
            assert values.tobytes() == alone.values[name].tobytes()
    assert together[0].values["mean"].tobytes() == together[4].values["mean"].tobytes()
    assert "lost its stability" in together[2].status
    assert "balance needs the rates" in str(together[3])


@pytest.mark.long
def test_a_batch_agrees_with_solve_limit_and_computes_no_eigenvalues_that_are_not_wanted():
    names = ("mean", "variance", "rate")
    found = many_limits.solve(models()[:3], TIMES, names=names, **GIVEN)
    for model, arrays in zip(models()[:3], found, strict=True):
        limit = ln.solve_limit(model, TIMES, strict=False)
        assert (arrays.stopped_at is None) == (limit.attrs["status"] == "completed")
        for name in names:
            np.testing.assert_allclose(arrays.values[name], limit[name], rtol=1e-7, atol=1e-9)
    assert "fast_eigenvalues_real" not in found[0].values


@pytest.mark.long
def test_what_the_first_pass_does_not_finish_is_solved_with_all_steps_to_the_same_bytes(monkeypatch):
    whole, sizes = many_limits._solve, []

    def stops_at_the_second(columns, times, rtol, atol, form):
        found = whole(columns, times, rtol, atol, form)
        sizes.append((len(columns[0]), form.max_steps))
        if form.max_steps > many_limits.FEW_STEPS:
            return found
        code = np.array(found.code)
        code[1] = Outcome.MAX_STEPS_REACHED
        return found._replace(code=code, mean=found.mean.at[1].set(np.nan))

    expected = many_limits.solve(models(), TIMES, **GIVEN)
    with monkeypatch.context() as patch:
        patch.setattr(many_limits, "_solve", stops_at_the_second)
        found = many_limits.solve(models(), TIMES, **GIVEN)
    assert sizes == [(many_limits.SIZE, many_limits.FEW_STEPS), (many_limits.SIZE_SLOW, MOST_STEPS)]
    for one, two in zip(expected, found, strict=True):
        if isinstance(one, Exception):
            assert str(one) == str(two)
            continue
        assert one.status == two.status
        for name, values in one.values.items():
            assert values.tobytes() == two.values[name].tobytes(), name
