"""Continuation: curves of solutions of F(x, p) = 0, their stability, and the special points on them.

`branch.trace` follows one curve by pseudo-arclength; `points` and `orbits` say what is on it (stationary states of
flows and fixed points of maps; periodic orbits by collocation and by shooting); `special` finds and names the points
where stability or the curve itself changes; `switching` leaves a curve there for another. Numbers only: no labels,
no neurons. Source of the methods: Y. Kuznetsov, Elements of Applied Bifurcation Theory (1998), ch. 10; E. Doedel,
H. Keller & J. Kernevez, Int. J. Bifurcation Chaos 1, 493 and 745 (1991).
"""

from largen.numerics.continuation.branch import Ending as Ending
from largen.numerics.continuation.branch import Stop as Stop
from largen.numerics.continuation.branch import trace as trace
from largen.numerics.continuation.core import AbstractProblem as AbstractProblem
from largen.numerics.continuation.core import NotConverged as NotConverged
from largen.numerics.continuation.core import Point as Point
from largen.numerics.continuation.core import correct as correct
from largen.numerics.continuation.special import Special as Special
