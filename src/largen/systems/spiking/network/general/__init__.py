"""The finite network of every integrate-and-fire model: delays, in-degrees, four kinds of synapse, three of neuron."""
