"""The spiking network as scripts of other simulators: plain text, run in a process of its own."""
