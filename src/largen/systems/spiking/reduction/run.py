"""One run of the reduction, or of its finite-size chain, by the numba engine."""

import numpy as np

from largen.systems.spiking.reduction.bin_width import schedule_sampling
from largen.systems.spiking.reduction.layout import Layout
from largen.systems.spiking.reduction.markov_chain import new_chain_work, run_chain
from largen.systems.spiking.reduction.state import Output, Work, new_output, new_state, new_work
from largen.systems.spiking.reduction.step import run_steps


def run(
    layout: Layout,
    drive: np.ndarray,
    steps: np.ndarray,
    *,
    rng: np.random.Generator | None = None,
    density: bool = False,
    sample_fluctuations: bool = False,
    first: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Output, Work]:
    """Run from rest.

    Args:
        layout: Constants.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to record, increasing from 0, shape (T,).
        rng: Generator of the chain; None for the deterministic reduction.
        density: Whether to record the numbers per bin.
        sample_fluctuations: Whether the run samples what the rule for the bin width needs (`bin_width`). These are
            moments of the pending spikes, which hardly depend on the bins: over fifteen networks bins of 5 to 100
            gave the widest good bin within 10 % of what bins of 4 give.
        first: Mean and standard deviation of normal first potentials, shape (P,) each; None for rest.

    Returns:
        What was recorded, and the scratch space with what its lowest bins held and its fluctuations.
    """
    state, work = new_state(layout, int(steps[-1]), first, rng), new_work(layout)
    output = new_output(layout, steps, density=density)
    if sample_fluctuations:
        schedule_sampling(work, layout.dt)
    if rng is None:
        run_steps(layout, state, work, drive, output)
    else:
        run_chain(layout, state, work, new_chain_work(layout, rng), drive, output, rng)
    return output, work
