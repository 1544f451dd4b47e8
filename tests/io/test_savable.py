"""What cannot be saved is refused with the name of the variable or attribute, before a file is touched."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import largen as ln

GOOD = xr.Dataset({"x": ("t", [1.0, 2.0])})
WRONG = {
    "a DataArray": (GOOD["x"], "`dataset` must be a Dataset, but is a DataArray"),
    "a path": ("x.nc", "`dataset` must be a Dataset, but is 'x.nc'"),
    "nothing": (None, "`dataset` must be a Dataset, but is None"),
    "a truth value": (GOOD.assign_attrs(a=True), "Attribute `a` must be a word, a number or a vector"),
    "None": (GOOD.assign_attrs(a=None), "Attribute `a` must be"),
    "a mapping": (GOOD.assign_attrs(a={"b": 1}), "Attribute `a` must be"),
    "a matrix": (GOOD.assign_attrs(a=np.zeros((2, 2))), "Attribute `a` must be"),
    "an integer too large": (GOOD.assign_attrs(a=2**100), "Attribute `a` must be"),
    "an attribute without a name": (GOOD.assign_attrs({"": 1}), "must have a word"),
    "an attribute of a variable": (GOOD.assign(x=GOOD["x"].assign_attrs(b=None)), "Attribute `b` of `x` must be"),
    "a variable without a word": (xr.Dataset({3: 1.0}), "variable 3 must have a word"),
    "a slash": (xr.Dataset({"a/b": 1.0}), "without '/'"),
    "objects": (xr.Dataset({"x": ("t", np.array([None, 1]))}), "Variable `x` must hold numbers or words"),
    "categories": (xr.Dataset({"x": ("t", pd.Categorical(["a"]))}), "Variable `x` must hold numbers or words"),
}


@pytest.mark.parametrize("kind", list(WRONG))
@pytest.mark.parametrize("name", ["d.nc", "d.zarr"])
def test_what_cannot_be_saved_is_refused(kind, name, tmp_path):
    given, message = WRONG[kind]
    with pytest.raises(ln.InputError, match=message):
        ln.save(given, tmp_path / name)
    assert not list(tmp_path.iterdir())
