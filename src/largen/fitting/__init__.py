"""Fits and posteriors by derivatives through a limit, and sensitivities."""

from largen.fitting import priors as priors
from largen.fitting.fits import fit as fit
from largen.fitting.posterior import posterior as posterior
from largen.fitting.posterior_report import to_arviz as to_arviz
from largen.fitting.sensitivity import sensitivity as sensitivity
