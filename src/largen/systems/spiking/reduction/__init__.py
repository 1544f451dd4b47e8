"""The discrete-state reduction by numba: the deterministic step and the finite-size chain that shares it."""
