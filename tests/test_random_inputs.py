"""The first random inputs of validation/fuzz.py: each gives finite numbers or one message, never anything else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "validation"))

import fuzz


def test_every_random_input_gives_a_value_or_a_message():
    fuzz.prepare(memory=None)
    found = [(number, *fuzz.tried("parsed", number)) for number in range(300)]
    assert {classed for *_, classed, _ in found} == {"value", "message"}, [one for one in found if one[3] == "fault"]


def test_a_fault_is_seen(monkeypatch):
    """An injected crash, a NaN without a word, a warning of NumPy, another model and a hang are each a fault."""
    import warnings

    import numpy as np
    import random_inputs
    import xarray as xr

    import largen as ln

    def warns():
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)

    calls = {
        "KeyError": lambda: {}["x"],
        "not finite": lambda: xr.Dataset({"x": ("time", [np.nan])}),
        "warning": warns,
        "was asked for": lambda: ln.RateNetwork(gamma=0.25),
        "longer than": lambda: all(iter(lambda: True, False)),
    }
    fuzz.prepare(memory=None)
    monkeypatch.setitem(fuzz.SECONDS, "parsed", 1)
    for words, call in calls.items():
        asked = {"gamma": 0.5} if words == "was asked for" else {}
        monkeypatch.setattr(
            fuzz, "case_of", lambda *_, call=call, asked=asked: random_inputs.Case("k", "t", call, asked)
        )
        _, _, found, fault = fuzz.tried("parsed", 0)
        assert found == "fault"
        assert words in fault, (words, fault)
