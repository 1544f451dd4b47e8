"""Branch switching: the direction of the other curve at a branch point."""

import numpy as np

from largen.numerics.continuation.problem import Point


def crossing_direction(point: Point, near: Point) -> np.ndarray:
    """Tangent of the curve that crosses at a branch point.

    The two tangents v solve psi^T G_zz[v, v] = 0 in the two-dimensional null space of the Jacobian G_z, psi being its
    left null vector: the algebraic branching equation (Kuznetsov 1998, sec. 10.2.4). Where it does not tell them apart,
    the direction normal to the known tangent is returned, from which the corrector finds the other curve.

    Args:
        point: The branch point.
        near: A point on the same curve beside it.
    """
    problem = point.problem
    scaled = problem.linearise(point.z)[1].as_array() / problem.weights
    left, _, right = np.linalg.svd(scaled)
    psi = left[:, -1]
    known = problem.weights * near.tangent
    known = known / np.linalg.norm(known)
    plane = right[-2:].T
    inside = plane @ (plane.T @ known)
    one = inside / np.linalg.norm(inside)
    two = plane @ np.array([-(plane.T @ one)[1], (plane.T @ one)[0]])

    def second(v: np.ndarray, w: np.ndarray) -> float:
        step = 1e-4
        total = np.zeros(len(psi))
        for i in (1, -1):
            for j in (1, -1):
                total += i * j * problem.residual(point.z + step * (i * v + j * w) / problem.weights)
        return float(psi @ total) / (4.0 * step**2)

    a, b, c = second(one, one), second(one, two), second(two, two)
    # The known tangent solves a = 0 up to its own error: the other root of a + 2 b y + c y^2 is y = -2 b / c.
    size = max(abs(a), abs(b), abs(c), 1e-12)
    if abs(b) < 1e-6 * size and abs(c) > 1e-6 * size:
        direction = two
    elif abs(c) * 1e6 <= abs(b):
        direction = two  # a + 2 b y = 0 at y = infinity
    else:
        direction = one - 2.0 * b / c * two
    direction = direction / problem.weights
    return direction / problem.length(direction)
