"""The contract of a system: what it must say, what it may offer, and the values in which it does so."""

from largen.parameters import AbstractComponent as AbstractComponent  # what the author of a system needs, in one place
from largen.parameters import parameter as parameter
from largen.system import pictures as pictures
from largen.system.arithmetic import finite_arithmetic as finite_arithmetic
from largen.system.contract import AbstractFlowSystem as AbstractFlowSystem
from largen.system.contract import AbstractSmoothLimit as AbstractSmoothLimit
from largen.system.contract import AbstractSystem as AbstractSystem
from largen.system.contract import check_options as check_options
from largen.system.contract import in_own_units as in_own_units
from largen.system.contract import labels_of as labels_of
from largen.system.contract import options_of as options_of
from largen.system.contract import require_model as require_model
from largen.system.contract import split as split
from largen.system.dynamics import Dynamics as Dynamics
from largen.system.dynamics import Form as Form
from largen.system.values import Arrays as Arrays
from largen.system.values import Feature as Feature
from largen.system.values import FitData as FitData
from largen.system.values import Observable as Observable
from largen.system.values import Plan as Plan
from largen.system.values import Portrait as Portrait
from largen.system.values import Table as Table
from largen.system.values import Yardstick as Yardstick
