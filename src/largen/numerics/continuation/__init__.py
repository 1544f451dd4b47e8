"""Continuation: curves of solutions of F(x, p) = 0, their stability, and the special points on them.

`branch.trace` follows one curve by pseudo-arclength. What is on it: `stationary` (stationary states of flows, fixed
points of maps), `collocation` (periodic orbits of flows), `shooting` (periodic orbits of a step). `special` locates
and classifies the points where stability or the curve itself changes; `switching` finds the other curve at a branch
point. Numbers only: no labels, no neurons. Source of the methods: Y. Kuznetsov, Elements of Applied Bifurcation Theory
(2nd ed. 1998), ch. 10; E. Doedel, H. Keller & J. Kernevez, Int. J. Bifurcation Chaos 1, 493 and 745 (1991).
"""

from largen.numerics.continuation.branch import Steps as Steps
from largen.numerics.continuation.branch import trace as trace
from largen.numerics.continuation.corrector import NotConverged as NotConverged
from largen.numerics.continuation.corrector import correct as correct
from largen.numerics.continuation.kinds import BranchKind as BranchKind
from largen.numerics.continuation.kinds import Ending as Ending
from largen.numerics.continuation.kinds import Kinds as Kinds
from largen.numerics.continuation.kinds import Special as Special
from largen.numerics.continuation.kinds import SpecialKind as SpecialKind
from largen.numerics.continuation.kinds import Stop as Stop
from largen.numerics.continuation.problem import AbstractProblem as AbstractProblem
from largen.numerics.continuation.problem import Equations as Equations
from largen.numerics.continuation.problem import Point as Point
from largen.numerics.continuation.problem import Start as Start
from largen.numerics.continuation.problem import point_at as point_at
