"""Files of released versions: every result and model file that 0.1.0 wrote loads, with the same numbers."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import largen as ln

OLD = Path(__file__).parent.parent / "data" / "largen-0.1.0"
DIGESTS = json.loads((OLD / "digests.json").read_text())
pytestmark = pytest.mark.filterwarnings("ignore::largen.Unverified")
MODELS = {"spiking": ln.SpikingNetwork, "balanced": ln.BalancedNetwork, "rate": ln.RateNetwork}


def digest(dataset):
    """SHA-256 over names, dims and values of all variables."""
    found = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        values = dataset[name].values
        found.update(name.encode() + str(dataset[name].dims).encode())
        text = values.dtype.kind not in "fiub"
        found.update("\0".join(map(str, values.ravel())).encode() if text else values.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_results_of_0_1_0_load_with_the_same_numbers(name):
    assert digest(ln.load(OLD / name)) == DIGESTS[name]


@pytest.mark.parametrize("name", ["rate-limit.nc", "spiking-network.zarr"])
def test_a_result_of_0_1_0_loads_with_a_note_that_nothing_could_be_verified(name):
    with pytest.warns(ln.Unverified, match=f"{name}` has no checksum .*nothing could be verified"):
        ln.load(OLD / name)


def test_the_digest_notices_one_changed_bit():
    dataset = ln.load(OLD / "rate-limit.nc")
    dataset["mean"].values.ravel()[0] = np.nextafter(dataset["mean"].values.ravel()[0], np.inf)
    assert digest(dataset) != DIGESTS["rate-limit.nc"]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_model_files_of_0_1_0_are_the_same_models(name, tmp_path):
    model = ln.read_model(OLD / f"{name}-model.yaml")
    ln.write_model(MODELS[name](), tmp_path / "default.yaml")
    ln.write_model(model, tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == (OLD / f"{name}-model.yaml").read_bytes()
    assert (tmp_path / "default.yaml").read_bytes() == (OLD / f"{name}-model.yaml").read_bytes()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_old_network_is_compared_with_its_old_limit(name):
    report = ln.compare(ln.load(OLD / f"{name}-network.nc"), ln.load(OLD / f"{name}-limit.nc"))
    old = ln.load(OLD / f"{name}-report.nc")
    rows = report.sel(component=old["component"].values)
    np.testing.assert_allclose(rows["theory"], old["limit"], rtol=1e-12, atol=1e-12)
    # The first twelve times, at which both sides were silent, were left out of the difference then.
    factor = 201 / 189 if name == "spiking" else 1.0
    np.testing.assert_allclose(rows["difference"] * factor, old["bias"], rtol=1e-11, atol=1e-12)


def test_an_old_diagram_and_sweep_are_drawn():
    figure = ln.plot.diagram_page(ln.load(OLD / "balanced-diagram.nc"))
    assert figure.axes
    assert ln.plot.figure_of(ln.plot.map, ln.load(OLD / "balanced-sweep.nc"), "limit_rate", population="e").axes


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_an_old_sweep_is_done_again_with_the_same_numbers(suffix, tmp_path):
    # Finished tasks are taken over only from the very same source code.
    name = f"balanced-sweep.{suffix}"
    for part in (name, f"{name}.tasks"):
        copy = shutil.copytree if (OLD / part).is_dir() else shutil.copy
        copy(OLD / part, tmp_path / part)
    grid = ln.Grid({"drive[e]": np.linspace(0.5, 1.0, 3)})
    times = np.linspace(0, 2, 11)
    found = ln.sweep(ln.BalancedNetwork(), grid, run="limit", times=times, store=tmp_path / name, extend=True)
    old = ln.load(OLD / name)
    for key in ("limit_mean", "limit_rate", "limit_variance", "limit_third_cumulant"):
        np.testing.assert_allclose(found[key], old[key], rtol=1e-12, atol=1e-12)
