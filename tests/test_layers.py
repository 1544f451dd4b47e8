"""The layers of the architecture, lazy imports at the edge, and the packages the core must live without."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import largen

ROOT = Path(largen.__file__).parent
LAYER = {
    "checks": 0,
    "runtime": 0,
    "numerics": 0,
    "parameters": 1,
    "system": 1,
    "systems": 2,
    "statistics": 2,
    "datasets": 3,
    "io": 3,
    "simulation": 4,
    "comparison": 5,
    "bifurcation": 5,
    "analysis": 5,
    "plot": 6,
    "fitting": 6,
    "sweeps": 6,
    "examples": 6,
    "commands": 7,
    "explorer": 7,
    "__main__": 7,
    "__init__": 8,
    "__version__": 0,
}


def modules():
    return {path.relative_to(ROOT).with_suffix("").as_posix(): path for path in ROOT.rglob("*.py")}


def imported(path):
    """Names of largen's own modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "largen":
            tail = node.module.split(".")[1:]
            yield from ([tail] if tail else [[alias.name] for alias in node.names])


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_lower_layers(name):
    parts = name.split("/")
    for target in imported(modules()[name]):
        assert LAYER[target[0]] <= LAYER[parts[0]], f"{name} imports {'.'.join(target)}, which is above it"
        if parts[0] == "numerics":
            assert target[0] in ("numerics", "checks", "runtime")
        if parts[0] == "systems" and len(parts) > 2 and target[0] == "systems" and len(target) > 1:
            assert target[1] == parts[1], f"{name} imports another system, {'.'.join(target)}"


def in_a_fresh_python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_imports_nothing_heavy():
    heavy = "('jax', 'numba', 'xarray', 'matplotlib', 'scipy', 'equinox', 'diffrax')"
    code = f"""
import sys
from largen.commands.main import main
main(['--help'])
print([m for m in {heavy} if m in sys.modules])
"""
    assert in_a_fresh_python(code).splitlines()[-1] == "[]"


def test_python_m_largen_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "largen", "show", "nothing"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_import_largen_is_lazy():
    code = "import sys, largen; print('numpy' in sys.modules, 'SpikingNetwork' in dir(largen))"
    assert in_a_fresh_python(code).split() == ["False", "True"]


def test_the_core_works_without_the_edge_packages():
    # What a bare accelerator machine may lack.
    code = """
import sys
for name in ("pydantic", "typer", "h5netcdf", "h5py", "dask", "zarr", "panel", "yaml"):
    sys.modules[name] = None
import numpy as np
import largen as ln
times = np.arange(0.0, 20.0, 0.1)
model = ln.SpikingNetwork()
network = ln.simulate(model, times, realisations=4, seed=1)
limit = ln.solve_limit(model, times)
print(ln.compare(network, limit).attrs["verdict"] != "")
try:
    ln.save(limit, "x.nc")
except ln.InputError as error:
    print(error)
"""
    out = in_a_fresh_python(code)
    assert out.startswith("True")
    assert "pip install 'h5netcdf[h5py]'" in out


def test_public_names_exist():
    for name in largen.__all__:
        assert getattr(largen, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = largen.simulat
