"""The finite-size chain with delta synapses: integer numbers of neurons, moved by multinomial sampling (numba).

From one state it moves in the mean as `step` does. The arrivals follow from the integer spike counts of the steps
before; given these the neurons of an annealed network are independent, so that nothing is drawn for all of them
together. Where kicks are no Gaussian noise (see `arrivals`), the neurons of a bin are shared out among the numbers of
kicks by a multinomial draw first. `markov_chain` has the sampling, `transfer_noise` what the neurons carry.
"""

from numba import uint64

from largen.numerics.binomial_numbers import binomial
from largen.numerics.compiled import entry, inlined
from largen.systems.spiking.reduction.direct.arrivals import gather_alike
from largen.systems.spiking.reduction.direct.step import prepare, record, refract, send, set_jump
from largen.systems.spiking.reduction.markov_chain import add_neurons, clear, due_neurons
from largen.systems.spiking.reduction.transfer import INVERSE_NUMBER, NUMBER


@inlined
def _share_out(x, left, rng, share, last):
    """Put into the table of bins those of the neurons that are left who get one number of kicks."""
    for k in range(len(left)):
        n = left[k] if last else binomial(rng, left[k], share)
        left[k] -= n
        x[NUMBER + uint64(k)] = n
        x[INVERSE_NUMBER + uint64(k)] = 1.0 / n if n > 0.0 else 0.0


@inlined
def _transfer(layout, state, work, chain, a, moments, count, rng):
    """Draw where the neurons of a population go, of which each gets one of `count` numbers of kicks."""
    left, x = work.new[0], work.bins
    for k in range(len(left)):
        left[k] = x[NUMBER + uint64(k)]
    clear(state, work, a, 0, 0)
    rest = 1.0
    for i in range(count):
        if count > 1:
            chance = work.jumps[i, 3]
            _share_out(x, left, rng, min(chance / rest, 1.0) if rest > 0.0 else 1.0, i == count - 1)
            rest -= chance
        set_jump(layout, work, a, work.jumps[i], moments)
        add_neurons(layout, state, work, chain, a, rng)


@inlined
def _step(layout, state, work, chain, drive, moments, rng):
    done = state.clock[0]
    gather_alike(layout, state, work)
    for a in range(len(layout.size)):
        rate = drive.rate[min(done, len(drive.rate) - 1), a]
        mean = drive.mean[min(done, len(drive.mean) - 1), a]
        sd = drive.sd[min(done, len(drive.sd) - 1), a]
        count = prepare(layout, state, work, a, rate, mean, sd, moments)
        _transfer(layout, state, work, chain, a, moments, count, rng)
        if layout.delay[a] >= 0:
            back = due_neurons(layout, state, a, rng)
        else:
            back = binomial(rng, state.refractory[a] + state.spikes[a], layout.leave[a])
        refract(layout, state, a, back)
    send(layout, state, work)


@entry
def run_chain(layout, state, work, chain, drive, output, moments, rng):
    """Run one realisation of the chain; arguments as for `step.run_steps`, more scratch space and a Generator."""
    for i in range(len(output.steps)):
        while state.clock[0] < output.steps[i]:
            _step(layout, state, work, chain, drive, moments, rng)
            for a in range(len(state.spikes)):
                output.spikes[a, i] += state.spikes[a]
        record(state, i, output)
