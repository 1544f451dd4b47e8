"""largen: limit equations of large neuronal networks, their finite networks, and the distance between the two.

Names are imported when first used, so that `import largen` costs nothing.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from largen.runtime import garbage

if TYPE_CHECKING:
    from largen import analysis as analysis
    from largen import plot as plot
    from largen.checks import FitError as FitError
    from largen.checks import InputError as InputError
    from largen.checks import LimitError as LimitError
    from largen.checks import Unverified as Unverified
    from largen.comparison.report import compare as compare
    from largen.comparison.scaling import convergence as convergence
    from largen.fitting import fit as fit
    from largen.fitting import posterior as posterior
    from largen.fitting import priors as priors
    from largen.fitting import sensitivity as sensitivity
    from largen.fitting import to_arviz as to_arviz
    from largen.io.latex import equations as equations
    from largen.io.model_files import read_model as read_model
    from largen.io.model_files import write_model as write_model
    from largen.io.neo import to_neo as to_neo
    from largen.io.reading import read_recording as read_recording
    from largen.io.recordings import recording as recording
    from largen.io.results import load as load
    from largen.io.results import save as save
    from largen.io.scripts import to_brian2 as to_brian2
    from largen.io.scripts import to_nest as to_nest
    from largen.io.scripts import to_xppauto as to_xppauto
    from largen.parameters import TimeSeries as TimeSeries
    from largen.simulation import Interrupted as Interrupted
    from largen.simulation import simulate as simulate
    from largen.simulation import solve_limit as solve_limit
    from largen.space import BoxKernel as BoxKernel
    from largen.space import CosineKernel as CosineKernel
    from largen.space import CustomKernel as CustomKernel
    from largen.space import ExponentialKernel as ExponentialKernel
    from largen.space import GaussianKernel as GaussianKernel
    from largen.space import Ring as Ring
    from largen.space import Torus as Torus
    from largen.sweeps import Grid as Grid
    from largen.sweeps import Random as Random
    from largen.sweeps import Sobol as Sobol
    from largen.sweeps import sweep as sweep
    from largen.systems.balanced import BalancedNetwork as BalancedNetwork
    from largen.systems.balanced import CustomGain as CustomGain
    from largen.systems.balanced import Logistic as Logistic
    from largen.systems.balanced import Probit as Probit
    from largen.systems.rate import LowRank as LowRank
    from largen.systems.rate import Patterns as Patterns
    from largen.systems.rate import RateNetwork as RateNetwork
    from largen.systems.rate import RatePopulations as RatePopulations
    from largen.systems.rate import SeparableKernel as SeparableKernel
    from largen.systems.rate import TableKernel as TableKernel
    from largen.systems.rate import UncorrelatedKernel as UncorrelatedKernel
    from largen.systems.spiking import SpikingNetwork as SpikingNetwork

__version__ = "0.1.0"

_HOME = {
    "FitError": "checks",
    "InputError": "checks",
    "LimitError": "checks",
    "Unverified": "checks",
    "compare": "comparison.report",
    "convergence": "comparison.scaling",
    "read_model": "io.model_files",
    "write_model": "io.model_files",
    "equations": "io.latex",
    "to_brian2": "io.scripts",
    "to_neo": "io.neo",
    "to_nest": "io.scripts",
    "to_xppauto": "io.scripts",
    "read_recording": "io.reading",
    "recording": "io.recordings",
    "fit": "fitting",
    "posterior": "fitting",
    "priors": "fitting",
    "to_arviz": "fitting",
    "sensitivity": "fitting",
    "solve_limit": "simulation",
    "load": "io.results",
    "save": "io.results",
    "Interrupted": "simulation",
    "simulate": "simulation",
    "Grid": "sweeps",
    "Random": "sweeps",
    "Sobol": "sweeps",
    "sweep": "sweeps",
    "TimeSeries": "parameters",
    "BoxKernel": "space",
    "CosineKernel": "space",
    "CustomKernel": "space",
    "ExponentialKernel": "space",
    "GaussianKernel": "space",
    "Ring": "space",
    "Torus": "space",
    "BalancedNetwork": "systems.balanced",
    "CustomGain": "systems.balanced",
    "Logistic": "systems.balanced",
    "Probit": "systems.balanced",
    "LowRank": "systems.rate",
    "Patterns": "systems.rate",
    "RateNetwork": "systems.rate",
    "RatePopulations": "systems.rate",
    "SeparableKernel": "systems.rate",
    "TableKernel": "systems.rate",
    "UncorrelatedKernel": "systems.rate",
    "SpikingNetwork": "systems.spiking",
}
_SUBPACKAGES = ("analysis", "plot")
__all__ = (
    "BalancedNetwork",
    "BoxKernel",
    "CosineKernel",
    "CustomGain",
    "CustomKernel",
    "ExponentialKernel",
    "FitError",
    "GaussianKernel",
    "Grid",
    "InputError",
    "Interrupted",
    "LimitError",
    "Logistic",
    "LowRank",
    "Patterns",
    "Probit",
    "Random",
    "RateNetwork",
    "RatePopulations",
    "Ring",
    "SeparableKernel",
    "Sobol",
    "SpikingNetwork",
    "TableKernel",
    "TimeSeries",
    "Torus",
    "UncorrelatedKernel",
    "Unverified",
    "__version__",
    "analysis",
    "compare",
    "convergence",
    "equations",
    "fit",
    "load",
    "plot",
    "posterior",
    "priors",
    "read_model",
    "read_recording",
    "recording",
    "save",
    "sensitivity",
    "simulate",
    "solve_limit",
    "sweep",
    "to_arviz",
    "to_brian2",
    "to_neo",
    "to_nest",
    "to_xppauto",
    "write_model",
)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(_imported(_HOME[name]), name)
    if name in _SUBPACKAGES:
        return _imported(name)
    raise AttributeError(f"module 'largen' has no attribute {name!r}")


def _imported(name: str) -> ModuleType:
    with garbage.paused():
        return importlib.import_module(f"largen.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
