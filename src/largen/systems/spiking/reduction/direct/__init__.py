"""The reduction of networks whose spikes act on the potential at once: delta synapses, any neuron, delays."""
