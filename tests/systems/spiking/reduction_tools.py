"""What the tests of the numba engine share: a reduction with its state and scratch space, and its spikes."""

import numpy as np

from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.model import SpikingNetwork
from largen.systems.spiking.reduction.layout import build_layout
from largen.systems.spiking.reduction.state import new_output, new_state, new_work
from largen.systems.spiking.reduction.step import run_steps

DT = 0.1


def reduction(model, width=4.0, **options):
    layout = build_layout(model, Discretisation(bin_width=width, dt=DT, **options))
    return layout, new_state(layout), new_work(layout)


def drive_of(model):
    return np.array(np.broadcast_to(model.external_rate, (len(model.size),)))


def spikes_of(model, duration, **options):
    """Spikes per population and step, shape (step, population), and the state at the end."""
    layout, state, work = reduction(model, **options)
    output = new_output(layout, np.arange(round(duration / DT) + 1))
    run_steps(layout, state, work, drive_of(model)[None], output)
    return output.spikes[:, 1:].T, state


def split(model, parts):
    """The same network with population a cut into parts[a] equal populations."""
    owner = np.repeat(np.arange(len(parts)), parts)
    fields = {
        name: np.array(getattr(model, name))[np.ix_(owner, owner)] for name in ("strength", "probability", "decay")
    }
    return SpikingNetwork(
        size=(np.array(model.size) // np.array(parts))[owner],
        inhibitory=np.array(model.inhibitory)[owner],
        external_rate=np.array(model.external_rate)[owner],
        **fields,
    )
