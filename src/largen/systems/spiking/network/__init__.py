"""The finite spiking network, step by step."""
