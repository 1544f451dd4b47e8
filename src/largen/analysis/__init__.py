"""Statistics of runs: a Dataset in, a Dataset out."""

from largen.analysis.events import firing_events as firing_events
from largen.analysis.events import orbit as orbit
from largen.analysis.spectra import power_spectrum as power_spectrum
from largen.analysis.summary import summary as summary
