"""Fits by derivatives through a limit, and sensitivities."""

from largen.fitting.fits import fit as fit
from largen.fitting.sensitivity import sensitivity as sensitivity
