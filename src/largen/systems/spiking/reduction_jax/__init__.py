"""The discrete-state reduction by JAX: derivatives, batches of parameter sets, and the check of `reduction`."""
