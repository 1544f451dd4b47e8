"""Statistics of runs: a Dataset in, a Dataset out."""

from largen.analysis.alternation import event_statistics as event_statistics
from largen.analysis.attractors import fixed_points as fixed_points
from largen.analysis.bifurcation import follow as follow
from largen.analysis.correlations import asynchrony as asynchrony
from largen.analysis.cycles import limit_cycle as limit_cycle
from largen.analysis.equations import Flow as Flow
from largen.analysis.equations import Map as Map
from largen.analysis.events import firing_events as firing_events
from largen.analysis.events import orbit as orbit
from largen.analysis.fluctuations import fluctuations as fluctuations
from largen.analysis.fluctuations import rate_function as rate_function
from largen.analysis.fluctuations import stationary as stationary
from largen.analysis.lags import autocorrelation_time as autocorrelation_time
from largen.analysis.lags import chaotic_variance as chaotic_variance
from largen.analysis.lags import correlation_against_lag as correlation_against_lag
from largen.analysis.lyapunov import lyapunov as lyapunov
from largen.analysis.metastability import metastability as metastability
from largen.analysis.onset import chaos_onset as chaos_onset
from largen.analysis.phase_portrait import phase_portrait as phase_portrait
from largen.analysis.spectra import power_spectrum as power_spectrum
from largen.analysis.summary import summary as summary
