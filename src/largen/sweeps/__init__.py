"""Sweeps: many parameters, every task kept as it is done, one labelled Dataset at the end."""

from largen.sweeps.file import read_sweep as read_sweep
from largen.sweeps.points import Grid as Grid
from largen.sweeps.points import Random as Random
from largen.sweeps.points import Sobol as Sobol
from largen.sweeps.study import status as status
from largen.sweeps.study import sweep as sweep
