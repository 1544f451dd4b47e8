"""Garbage collection is paused while largen imports, and as it was afterwards."""

import gc
import subprocess
import sys

import numba
import pytest


def test_collection_is_paused_during_imports_and_restored_after_them():
    program = """
import gc, sys
seen = []
gc.callbacks.append(lambda phase, info: seen.append(info["generation"]) if phase == "start" else None)
import largen as ln
del seen[:]
before = gc.get_threshold(), gc.get_freeze_count()
ln.SpikingNetwork, ln.simulate
print(len(seen), gc.isenabled(), before == (gc.get_threshold(), gc.get_freeze_count()), "numba" in sys.modules)
gc.disable()
ln.compare
print(gc.isenabled())
class Loop: pass
loop = Loop(); loop.itself = loop; gone = __import__("weakref").ref(loop); del loop
gc.enable(); gc.collect()
print(gone() is None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["0 True True True", "False", "True"], done.stderr


def test_a_failing_import_restores_collection():
    import largen

    with pytest.raises(ImportError):
        largen._imported("no_such_module")
    assert gc.isenabled()


@pytest.mark.parametrize(("module", "paused"), [("largen.some", True), ("users.own", False)])
def test_collection_is_paused_while_a_kernel_of_largen_compiles(module, paused):
    from numba.core import event

    import largen.numerics.compiled  # noqa: F401

    def outer(x):
        return inner(x) + 1

    def inner(x):
        return 2 * x

    def hopeless(x):
        return x.no_such_thing

    for function in (outer, inner, hopeless):
        function.__module__ = module
    inner, outer, hopeless = numba.njit(inner), numba.njit(outer), numba.njit(hopeless)
    was_paused = []

    class Look(event.Listener):
        def on_start(self, event):
            was_paused.append(not gc.isenabled())

        def on_end(self, event):
            pass

    with event.install_listener("numba:compile", Look()):
        assert outer(1) == 3
        with pytest.raises(numba.TypingError):
            hopeless(1)
    assert was_paused == [paused] * 3
    assert gc.isenabled()
