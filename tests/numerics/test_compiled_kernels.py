"""How kernels are compiled: the arithmetic of a kernel does not depend on who compiles it first."""

import numba
import numpy as np

from largen.numerics import compiled


def test_a_kernel_is_strict_when_a_step_compiles_it_first(monkeypatch):
    """Numba hands the options of a caller on to what it compiles for it, unless these are set."""
    monkeypatch.setattr(compiled, "_njit", lambda **options: numba.njit(**options | {"cache": False}))

    @compiled.kernel
    def difference(x, y, z):
        for i in range(len(x)):
            z[i] = x[i] * x[i] - y[i]

    def step(x, y, z):
        difference(x, y, z)

    x = np.random.default_rng(0).random(1000)
    z = np.ones(1000)
    compiled.entry(step, cache=False)(x, x * x, z)
    assert not np.any(z)  # the rounding of x^2, if product and difference were fused
