"""Pictures of Datasets: every function takes Datasets and returns Matplotlib Axes (or, for pages, a Figure)."""

from largen.plot.bifurcation import bifurcation as bifurcation
from largen.plot.bifurcation import diagram_page as diagram_page
from largen.plot.common import bands as bands
from largen.plot.common import convergence as convergence
from largen.plot.common import distance as distance
from largen.plot.common import figure_of as figure_of
from largen.plot.covariance import against_lag as against_lag
from largen.plot.covariance import chaotic_variance as chaotic_variance
from largen.plot.covariance import correlation_against_lag as correlation_against_lag
from largen.plot.covariance import covariance_surfaces as covariance_surfaces
from largen.plot.covariance import fixed_point as fixed_point
from largen.plot.covariance import surface as surface
from largen.plot.dynamics import dwell_times as dwell_times
from largen.plot.dynamics import event_sizes as event_sizes
from largen.plot.dynamics import phase_portrait as phase_portrait
from largen.plot.map import map as map
from largen.plot.overview import overview as overview
from largen.plot.phases import jacobian as jacobian
from largen.plot.phases import phases as phases
from largen.plot.space import activity_map as activity_map
from largen.plot.space import dispersion as dispersion
from largen.plot.space import movie as movie
from largen.plot.spikes import orbit as orbit
from largen.plot.spikes import raster as raster
from largen.plot.spikes import spectrum as spectrum
