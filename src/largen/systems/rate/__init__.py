"""The rate network with correlated weights, and its thermodynamic limit."""

from largen.systems.rate.kernels import SeparableKernel as SeparableKernel
from largen.systems.rate.kernels import TableKernel as TableKernel
from largen.systems.rate.kernels import UncorrelatedKernel as UncorrelatedKernel
from largen.systems.rate.model import RateNetwork as RateNetwork
from largen.systems.rate.populations import LowRank as LowRank
from largen.systems.rate.populations import Patterns as Patterns
from largen.systems.rate.populations import RatePopulations as RatePopulations
