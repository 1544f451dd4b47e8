"""Numerical methods on arrays; nothing here knows what a neuron is."""
