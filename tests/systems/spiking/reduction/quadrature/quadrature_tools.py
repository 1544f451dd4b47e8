"""Runs of the quadrature at given orders."""

import numpy as np

from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.reduction.quadrature.channels import channel_orders, channels_of
from largen.systems.spiking.reduction.quadrature.layout import Grid
from largen.systems.spiking.reduction.quadrature.run import run


def quadrature(model, duration, orders, cells, *, depth=0.66, dt=0.1, every=10, drive=None, rng=None):
    """Run from rest with so many cells between reset and threshold; records every so many steps.

    With a generator it is the finite-size chain.
    """
    channels = channels_of(model)
    if drive is None:
        drive = drive_of(model, 0.0, round(duration / dt), dt)
    grid = Grid(channel_orders(channels, tuple(orders)), cells, int(np.ceil(depth * cells - 1e-9)), dt)
    steps = np.arange(0, round(duration / dt) + 1, every)
    return run(model, channels, grid, drive, steps, density=True, rng=rng)


def rates(result, start, dt=0.1):
    """Mean rates (Hz) from a time (ms) on."""
    steps = result.output.steps
    first = int(np.searchsorted(steps, round(start / dt)))
    return result.output.spikes[:, first + 1 :].sum(1) * 1000.0 / ((steps[-1] - steps[first]) * dt)
