"""The finite-size chain with delta synapses: integer numbers of neurons, moved by multinomial sampling (numba).

From one state it moves in the mean as `step` does, with what arrives as Gaussian noise. The arrivals follow from the
integer spike counts of the steps before; given these the neurons of an annealed network are independent, so that
nothing is drawn for all of them together. `markov_chain` has the sampling, `transfer_noise` what the neurons carry.
"""

from largen.numerics.binomial_numbers import binomial
from largen.numerics.compiled import entry, inlined
from largen.systems.spiking.reduction.direct.arrivals import gather
from largen.systems.spiking.reduction.direct.step import prepare, record, refract, send, set_jump
from largen.systems.spiking.reduction.markov_chain import due_neurons, transfer_neurons


@inlined
def _step(layout, state, work, chain, drive, moments, rng):
    done = state.clock[0]
    gather(layout, state, work)
    for a in range(len(layout.size)):
        rate = drive.rate[min(done, len(drive.rate) - 1), a]
        mean = drive.mean[min(done, len(drive.mean) - 1), a]
        sd = drive.sd[min(done, len(drive.sd) - 1), a]
        prepare(layout, state, work, a, rate, mean, sd, moments)
        set_jump(layout, work, a, work.jumps[0], moments)
        transfer_neurons(layout, state, work, chain, a, rng)
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
