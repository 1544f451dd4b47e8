"""largen: limit equations of large neuronal networks, their finite networks, and the distance between the two.

Names are imported when first used, so that `import largen` costs nothing.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from largen import collector

if TYPE_CHECKING:
    from largen import analysis as analysis
    from largen import plot as plot
    from largen.checks import InputError as InputError
    from largen.checks import LimitError as LimitError
    from largen.comparison import compare as compare
    from largen.export import equations as equations
    from largen.export import to_neo as to_neo
    from largen.files import read_model as read_model
    from largen.files import write_model as write_model
    from largen.fitting import fit as fit
    from largen.fitting import sensitivity as sensitivity
    from largen.limits import solve_limit as solve_limit
    from largen.parameters import TimeSeries as TimeSeries
    from largen.results import load as load
    from largen.results import save as save
    from largen.scaling import convergence as convergence
    from largen.simulation import Interrupted as Interrupted
    from largen.simulation import simulate as simulate
    from largen.sweeps import Grid as Grid
    from largen.sweeps import Random as Random
    from largen.sweeps import Sobol as Sobol
    from largen.sweeps import sweep as sweep
    from largen.systems.balanced import BalancedNetwork as BalancedNetwork
    from largen.systems.balanced import CustomGain as CustomGain
    from largen.systems.balanced import Logistic as Logistic
    from largen.systems.balanced import Probit as Probit
    from largen.systems.rate import RateNetwork as RateNetwork
    from largen.systems.rate import SeparableKernel as SeparableKernel
    from largen.systems.rate import TableKernel as TableKernel
    from largen.systems.rate import UncorrelatedKernel as UncorrelatedKernel
    from largen.systems.spiking import SpikingNetwork as SpikingNetwork

__version__ = "0.1.0"

_HOME = {
    "InputError": "checks",
    "LimitError": "checks",
    "compare": "comparison",
    "convergence": "scaling",
    "read_model": "files",
    "write_model": "files",
    "equations": "export",
    "to_neo": "export",
    "fit": "fitting",
    "sensitivity": "fitting",
    "solve_limit": "limits",
    "load": "results",
    "save": "results",
    "Interrupted": "simulation",
    "simulate": "simulation",
    "Grid": "sweeps",
    "Random": "sweeps",
    "Sobol": "sweeps",
    "sweep": "sweeps",
    "TimeSeries": "parameters",
    "BalancedNetwork": "systems.balanced",
    "CustomGain": "systems.balanced",
    "Logistic": "systems.balanced",
    "Probit": "systems.balanced",
    "RateNetwork": "systems.rate",
    "SeparableKernel": "systems.rate",
    "TableKernel": "systems.rate",
    "UncorrelatedKernel": "systems.rate",
    "SpikingNetwork": "systems.spiking",
}
_ROOMS = ("analysis", "plot")
__all__ = (
    "Grid",
    "InputError",
    "Interrupted",
    "LimitError",
    "Random",
    "Sobol",
    "SpikingNetwork",
    "TimeSeries",
    "__version__",
    "analysis",
    "compare",
    "convergence",
    "equations",
    "fit",
    "load",
    "plot",
    "read_model",
    "save",
    "sensitivity",
    "simulate",
    "solve_limit",
    "sweep",
    "to_neo",
    "write_model",
)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(_room(_HOME[name]), name)
    if name in _ROOMS:
        return _room(name)
    raise AttributeError(f"module 'largen' has no attribute {name!r}")


def _room(name: str) -> ModuleType:
    with collector.at_rest():
        return importlib.import_module(f"largen.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
