"""The spiking system: its model, network and discrete-state reduction."""

from largen.systems.spiking.model import SpikingNetwork as SpikingNetwork
