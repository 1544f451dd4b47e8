"""The two engines of the reduction are independent: that they agree is then a check of both."""

import ast
from pathlib import Path

import pytest

import largen.systems.spiking

ROOT = Path(largen.systems.spiking.__file__).parent


def imports_of(folder):
    """Modules that the files of a folder import."""
    for path in (ROOT / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(("one", "other"), [("reduction", "reduction_jax"), ("reduction_jax", "reduction")])
def test_an_engine_does_not_know_the_other(one, other):
    found = list(imports_of(one))
    assert f"largen.systems.spiking.{one}.step" in {name.rsplit(".", 1)[0] for name in found}
    assert not [name for name in found if name.startswith(f"largen.systems.spiking.{other}.")]
