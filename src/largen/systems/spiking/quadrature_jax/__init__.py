"""The quadrature of the pending input in JAX: its derivatives, and the check of the Numba engine."""
