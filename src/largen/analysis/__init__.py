"""Statistics of runs: a Dataset in, a Dataset out."""

from largen.analysis.fluctuations import fluctuations as fluctuations
from largen.analysis.fluctuations import rate_function as rate_function
from largen.analysis.fluctuations import stationary as stationary
from largen.analysis.onset import chaos_onset as chaos_onset
from largen.bifurcation.cycles import limit_cycle as limit_cycle
from largen.bifurcation.diagram import follow as follow
from largen.bifurcation.equations import Flow as Flow
from largen.bifurcation.equations import Map as Map
from largen.bifurcation.lyapunov import lyapunov as lyapunov
from largen.bifurcation.phase_portrait import phase_portrait as phase_portrait
from largen.bifurcation.stationary_states import fixed_points as fixed_points
from largen.statistics.alternation import event_statistics as event_statistics
from largen.statistics.correlations import asynchrony as asynchrony
from largen.statistics.events import firing_events as firing_events
from largen.statistics.events import orbit as orbit
from largen.statistics.lags import autocorrelation_time as autocorrelation_time
from largen.statistics.lags import chaotic_variance as chaotic_variance
from largen.statistics.lags import correlation_against_lag as correlation_against_lag
from largen.statistics.metastability import metastability as metastability
from largen.statistics.spectra import power_spectrum as power_spectrum
from largen.statistics.summary import summary as summary
