"""Continuation: curves of solutions of F(x, p) = 0, their stability, and the special points on them.

`branch.trace` follows one curve by pseudo-arclength. What is on it: `stationary` (stationary states of flows, fixed
points of maps), `collocation` (periodic orbits of flows), `shooting` (periodic orbits of a step). `special` locates
and classifies the points where stability or the curve itself changes; `switching` finds the other curve at a branch
point. Numbers only: no labels, no neurons. Source of the methods: Y. Kuznetsov, Elements of Applied Bifurcation Theory
(2nd ed. 1998), ch. 10; E. Doedel, H. Keller & J. Kernevez, Int. J. Bifurcation Chaos 1, 493 and 745 (1991).
"""
