"""Every check of what a user gives: errors with a remedy, and conversion of numbers, counts, seeds, paths, Datasets.

Standard library and NumPy only (xarray, pandas and packages of units where a value of theirs is given), so that every
layer may use it.
"""

from largen.checks.conversion import Axes as Axes
from largen.checks.conversion import array as array
from largen.checks.datasets import SAMPLES as SAMPLES
from largen.checks.datasets import dataset as dataset
from largen.checks.datasets import neurons_of as neurons_of
from largen.checks.datasets import several as several
from largen.checks.errors import FitError as FitError
from largen.checks.errors import InputError as InputError
from largen.checks.errors import LimitError as LimitError
from largen.checks.errors import Stopped as Stopped
from largen.checks.errors import Unverified as Unverified
from largen.checks.errors import known_keys as known_keys
from largen.checks.errors import mapping as mapping
from largen.checks.errors import nearest as nearest
from largen.checks.errors import one_of as one_of
from largen.checks.errors import require as require
from largen.checks.errors import sentence as sentence
from largen.checks.errors import shown as shown
from largen.checks.numbers import LARGEST_COUNT as LARGEST_COUNT
from largen.checks.numbers import flag as flag
from largen.checks.numbers import float64 as float64
from largen.checks.numbers import increasing_times as increasing_times
from largen.checks.numbers import integer as integer
from largen.checks.numbers import real as real
from largen.checks.numbers import seed_number as seed_number
from largen.checks.numbers import vector as vector
from largen.checks.words import names as names
from largen.checks.words import path_of as path_of
