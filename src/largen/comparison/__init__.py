"""The distance between a network and its limit, with an error bar."""

from largen.comparison.report import compare as compare
from largen.comparison.scaling import convergence as convergence
