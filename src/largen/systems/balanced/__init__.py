"""The balanced system: its model, exact network, hydrodynamic limit and finite-size theory."""

from largen.systems.balanced.gains import CustomGain as CustomGain
from largen.systems.balanced.gains import Logistic as Logistic
from largen.systems.balanced.gains import Probit as Probit
from largen.systems.balanced.model import BalancedNetwork as BalancedNetwork
