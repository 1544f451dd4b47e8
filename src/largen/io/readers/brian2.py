"""Spikes of Brian2: a SpikeMonitor."""

from typing import Any

import numpy as np

from largen.checks import InputError, require
from largen.io.readers.found import Asked, Found, no_trial_column, no_trials_table, one_trial, own_unit, root


def is_monitor(value: Any) -> bool:
    """Whether it is a SpikeMonitor."""
    return root(value) == "brian2" and any(cls.__name__ == "SpikeMonitor" for cls in type(value).__mro__)


def read(monitor: Any, asked: Asked) -> Found:
    """Read a monitor, with all neurons of its group.

    Brian2 stamps a spike with the beginning of the step in which the threshold was crossed; here it is at its end.
    """
    own_unit("Brian2", asked, "s")
    no_trials_table("Brian2", asked)
    no_trial_column("Brian2", asked)
    recorded = (
        "Argument `source` must be a SpikeMonitor that has recorded: one with record=True, after the run (and after "
        "device.build in standalone mode)."
    )
    try:
        seconds, neurons = np.asarray(monitor.t_[:]), np.asarray(monitor.i[:])
    except (AttributeError, NotImplementedError) as error:  # record=False has no t; standalone code has not yet run
        raise InputError(recorded) from error
    if not len(seconds) and not np.any(np.asarray(monitor.clock.t_)):  # before a run there are no spikes and no error
        raise InputError(recorded)
    count, dt = len(monitor.source), 1000.0 * float(monitor.clock.dt_)
    require(count > 0, "source", "monitor neurons", count)
    ms = np.asarray(seconds, float) * 1000.0 + dt
    return one_trial("SpikeMonitor", ms, neurons, "ms", known={"": np.arange(count)}, origin="Brian2")
