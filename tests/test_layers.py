"""The layers of the architecture, lazy imports at the edge, and the packages the core must live without."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import largen
import layout

ROOT = Path(largen.__file__).parent
ORDER = (
    "checks",
    "runtime",
    "__init__",  # public names are imported when first used
    "numerics",
    "parameters",
    "system",
    "space",
    "statistics",
    "systems",
    "datasets",
    "io",
    "simulation",
    "comparison",
    "bifurcation",
    "analysis",
    "plot",
    "fitting",
    "sweeps",
    "examples",
    "explorer",
    "commands",
    "__main__",
)
"""The entries of the top level; each may import those before it."""


def upward(root):
    """Imports that the order forbids, as (module, what it imports)."""
    place = {name: k for k, name in enumerate(ORDER)}
    found = []
    for name, targets in layout.graph(root).items():
        own = name.split(".")
        for target in sorted(targets):
            there = target.split(".")
            box, other = own[0] or "__init__", there[0] or "__init__"
            another_system = box == other == "systems" and len(own) > 1 and len(there) > 1 and own[1] != there[1]
            if (
                place[other] > place[box]
                or another_system
                or (box == "systems" and len(own) > 1 and target == "systems")
            ):
                found.append((name, target))
    return found


def copy_with(tmp_path, module, line):
    """A copy of the package with one more line at the end of a module."""
    root = tmp_path / "largen"
    shutil.copytree(
        ROOT, root, ignore=lambda _, names: [name for name in names if not name.endswith(".py") and "." in name]
    )
    with open(root / module, "a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    return root


def test_every_entry_of_the_top_level_has_its_place():
    assert set(layout.boxes(layout.graph(ROOT))) <= set(ORDER)


def test_a_module_imports_only_what_stands_before_it():
    assert upward(ROOT) == []


def test_no_modules_import_each_other_in_a_circle():
    assert layout.circles(layout.graph(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import largen.commands.main",
        "from largen.commands.main import main",
        "from largen.plot import overview",
        "def late():\n    import largen.sweeps.study as late",
    ],
)
def test_an_injected_upward_import_is_noticed(tmp_path, line):
    found = upward(copy_with(tmp_path, "numerics/ode.py", line))
    assert [name for name, _ in found] == ["numerics.ode"]


def test_an_injected_import_of_another_system_is_noticed(tmp_path):
    root = copy_with(tmp_path, "systems/rate/model.py", "import largen.systems.balanced.model")
    assert upward(root) == [("systems.rate.model", "systems.balanced.model")]


def test_an_injected_circle_within_a_folder_is_noticed(tmp_path):
    root = copy_with(tmp_path, "checks/errors.py", "import largen.runtime.memory")
    assert {"checks.errors", "runtime.memory"} <= set(layout.circles(layout.graph(root))[0])


# What knows a system stands in its folder ----------------------------------------------------------------------------

SYSTEMS = {"spiking", "balanced", "rate"}
OBSERVABLES = {"rate"}
"""Names of systems that are also names of observables: there a comparison must ask for a system's name."""


def asks_for_a_system(node):
    """Whether an expression is a system's name: `.system`, `["system"]`, `.get("system")`, `getattr(x, "system")`."""
    if isinstance(node, ast.Attribute):
        return node.attr == "system"
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "system"
    if isinstance(node, ast.Call):
        return any(
            asks_for_a_system(part) or (isinstance(part, ast.Constant) and part.value == "system") for part in node.args
        )
    return False


def system_names(tree):
    """Lines of a syntax tree that hold a system's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in SYSTEMS - OBSERVABLES:
            yield node.lineno
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
            if words & OBSERVABLES and any(asks_for_a_system(side) for side in sides):
                yield node.lineno


def named_outside(root):
    """Modules outside systems/ that compare a system's name or list the systems."""
    return {
        name
        for name, path in layout.modules(root).items()
        if name.split(".")[0] != "systems" and any(system_names(ast.parse(path.read_text())))
    }


def test_no_module_outside_systems_knows_a_system_by_name():
    assert named_outside(ROOT) == set()


@pytest.mark.parametrize(
    "line",
    [
        'def f(system): return system.system == "spiking"',
        'def f(data): return data.attrs["system"] in ("rate", "other")',
        'def f(data): return "rate" != data.attrs.get("system")',
        'def f(system): return getattr(system, "system", "") == "rate"',
        'def f(data): return str(data.attrs["system"]) == "rate"',
        'VIEWS = {"balanced": 1, "rate": 2}',
        'ALL = ("spiking", "rate")',
        'def f(kind):\n    match kind:\n        case "balanced":\n            return 1',
    ],
)
def test_an_injected_name_of_a_system_is_noticed(tmp_path, line):
    assert named_outside(copy_with(tmp_path, "plot/common.py", line)) == {"plot.common"}


def test_an_observable_called_rate_is_no_name_of_a_system(tmp_path):
    assert named_outside(copy_with(tmp_path, "plot/common.py", 'def f(name): return name == "rate"')) == set()


def in_a_fresh_python(code):
    strict = ["-W", "error", "-W", "ignore::DeprecationWarning:typer"]  # typer's lowest version warns of today's click
    done = subprocess.run([sys.executable, *strict, "-c", code], capture_output=True, text=True, timeout=300)
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
