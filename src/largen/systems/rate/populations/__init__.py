"""Populations of rate neurons: random blocks, correlated weights, a low-rank part, and the limit of all of it."""

from largen.systems.rate.populations.model import RatePopulations as RatePopulations
from largen.systems.rate.populations.parts import LowRank as LowRank
from largen.systems.rate.populations.parts import Patterns as Patterns
