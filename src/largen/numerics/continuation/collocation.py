"""Periodic orbits of flows by orthogonal collocation, with their Floquet multipliers.

The orbit x(T t), 0 <= t < 1, is a polynomial of degree 4 in each interval of a mesh that moves with the solution, and
obeys dx/dt = T f(x, p) at the Gauss points. Unknowns are its values at 4 points per interval, and the period T;
a phase condition, the integral of (x - y) . dy/dt = 0 with y the orbit before, makes it unique.
Source: E. Doedel, H. Keller & J. Kernevez, Int. J. Bifurcation Chaos 1, 745 (1991); Kuznetsov (1998), sec. 10.1.4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import scipy.linalg
import scipy.sparse

from largen.numerics.continuation.floquet import without_trivial
from largen.numerics.continuation.kinds import CYCLE, BranchKind, Stop
from largen.numerics.continuation.linear import AbstractJacobian, Dense, Sparse
from largen.numerics.continuation.problem import AbstractProblem, Equations, Rejection, Start

DEGREE = 4
INTERVALS = 30
MAX_DENSE = 400
"""Unknowns up to which the Jacobian is a dense array."""
TOO_COARSE, MOST_INTERVALS = 1e-3, 480
"""Error of the multiplier along the orbit above which the intervals are doubled, up to a number."""
MESH_AGE = 3
"""Points after which the mesh is adapted."""


@eqx.filter_jit
def _along(rhs: Callable, states: Any, p: Any) -> tuple[Any, Any, Any]:
    """f, df/dx and df/dp at many states."""

    def one(x: Any) -> tuple[Any, Any, Any]:
        return rhs(x, p), jax.jacfwd(rhs)(x, p), jax.jacfwd(rhs, 1)(x, p)

    return jax.vmap(one)(states)


def _lagrange() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and derivatives of the Lagrange basis at the Gauss points of (0, 1), shape (4, 5) each; the weights."""
    points, weights = np.polynomial.legendre.leggauss(DEGREE)
    nodes = np.arange(DEGREE + 1) / DEGREE
    basis = [np.polynomial.Polynomial.fromroots(np.delete(nodes, j)) for j in range(DEGREE + 1)]
    basis = [poly / poly(nodes[j]) for j, poly in enumerate(basis)]
    inside = 0.5 * (points + 1.0)
    values = np.array([[poly(t) for poly in basis] for t in inside])
    slopes = np.array([[poly.deriv()(t) for poly in basis] for t in inside])
    return values, slopes, 0.5 * weights


VALUES, SLOPES, WEIGHTS = _lagrange()


class Orbit(NamedTuple):
    """A periodic orbit as a function of the phase.

    Attributes:
        states: States at the first 4 points of every interval, shape (4 interval, n).
        mesh: Ends of the intervals, from 0 to 1, shape (interval + 1,).
    """

    states: np.ndarray
    mesh: np.ndarray

    def at(self, phases: np.ndarray) -> np.ndarray:
        """States at phases (any real numbers), shape (phase, n)."""
        phases = np.asarray(phases) % 1.0
        cell = np.clip(np.searchsorted(self.mesh, phases, side="right") - 1, 0, len(self.mesh) - 2)
        inside = (phases - self.mesh[cell]) / np.diff(self.mesh)[cell]
        nodes = np.arange(DEGREE + 1) / DEGREE
        result = np.zeros((len(phases), self.states.shape[1]))
        for j in range(DEGREE + 1):
            others = np.delete(nodes, j)
            factor = np.prod((inside[:, None] - others) / (nodes[j] - others), axis=1)
            result += factor[:, None] * self.states[(cell * DEGREE + j) % len(self.states)]
        return result

    def on(self, mesh: np.ndarray) -> "Orbit":
        """The same orbit on another mesh."""
        return Orbit(self.at(phases(mesh)), mesh)

    def time_weights(self) -> np.ndarray:
        """Weights of the mean over time of a function known at the states, shape (4 interval,).

        Source: Boole's rule in every interval, Abramowitz & Stegun (1964), eq. 25.4.14.
        """
        boole = np.array([7.0, 32.0, 12.0, 32.0, 7.0]) / 90.0
        weights = np.zeros(len(self.states))
        index = (DEGREE * np.arange(len(self.mesh) - 1)[:, None] + np.arange(DEGREE + 1)) % len(weights)
        np.add.at(weights, index, np.diff(self.mesh)[:, None] * boole)
        return weights


def phases(mesh: np.ndarray) -> np.ndarray:
    """Phases of the unknown states, 4 per interval."""
    return (mesh[:-1, None] + np.diff(mesh)[:, None] * np.arange(DEGREE) / DEGREE).ravel()


def better_mesh(orbit: Orbit, scale: np.ndarray, intervals: int) -> np.ndarray:
    """A mesh on which the error (the fifth derivative times the fifth power of the step) is the same everywhere.

    Source: R. Russell & J. Christiansen, SIAM J. Numer. Anal. 15, 59 (1978), as in AUTO (Doedel et al. 1991).
    """
    count = len(orbit.mesh) - 1
    steps = np.diff(orbit.mesh)
    differences = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) * DEGREE**DEGREE
    index = (DEGREE * np.arange(count)[:, None] + np.arange(DEGREE + 1)) % len(orbit.states)
    fourth = np.einsum("j,ijn->in", differences, orbit.states[index] / scale) / steps[:, None] ** DEGREE
    jump = np.linalg.norm(np.roll(fourth, -1, axis=0) - fourth, axis=1) / (0.5 * (steps + np.roll(steps, -1)))
    density = (0.5 * (jump + np.roll(jump, 1))) ** (1.0 / (DEGREE + 1))
    density = density + 0.1 * np.sum(density * steps) + 1e-12
    total = np.append(0.0, np.cumsum(density * steps))
    return np.interp(np.linspace(0.0, total[-1], intervals + 1), total, orbit.mesh)


class Cycles(AbstractProblem):
    """Periodic orbits of dx/dt = f(x, p), in z = (states, T, p)."""

    discrete = True
    tolerance = 1e-7
    branch_kind = BranchKind.CYCLE

    def __init__(
        self,
        equations: Equations,
        reference: Orbit,
        period_scale: float,
        *,
        centre: np.ndarray | None = None,
        mesh_age: int = 0,
    ):
        """State the problem.

        Args:
            equations: The right-hand side f(x, p) of n unknowns.
            reference: An orbit nearby, for the phase condition; its mesh is used.
            period_scale: Length by which changes of the period are measured.
            centre: A stationary state, shape (n,), at which the phase condition and the conserved quantities hold; by
                default the reference.
            mesh_age: Points since the mesh was adapted.
        """
        self.equations, self.rhs, self.conserved = equations, equations.rhs, equations.conserved
        self.reference, self.period_scale, self.mesh_age = reference, period_scale, mesh_age
        self.kinds = {"": CYCLE}
        states, scale = reference.states, equations.scale
        self.conserved_value = self.conserved @ (states[0] if centre is None else centre)
        weights = np.broadcast_to(1.0 / (scale * np.sqrt(len(states))), states.shape)
        self.weights = np.concatenate([weights.ravel(), [1.0 / period_scale, 1.0 / equations.span]])
        self.steps = np.diff(reference.mesh)
        self.index = (DEGREE * np.arange(len(self.steps))[:, None] + np.arange(DEGREE + 1)) % len(states)
        cells = states[self.index]
        slope = np.einsum("kj,ijn->ikn", SLOPES, cells) / scale**2
        row = np.zeros(states.shape)
        np.add.at(row, self.index, np.einsum("k,kj,ikn->ijn", WEIGHTS, VALUES, slope))
        size_of_row = np.linalg.norm(row / weights) + 1e-300
        self.phase = row / size_of_row
        if centre is None:
            middle = np.einsum("kj,ijn->ikn", VALUES, cells)
            self.phase_value = float(np.einsum("k,ikn,ikn->", WEIGHTS, slope, middle)) / size_of_row
        else:
            self.phase_value = float(np.sum(self.phase * np.broadcast_to(centre, states.shape)))

    def parts(self, z: np.ndarray) -> tuple[Orbit, float, float]:
        """Orbit, period and parameter of z."""
        return Orbit(z[:-2].reshape(self.reference.states.shape), self.reference.mesh), float(z[-2]), float(z[-1])

    def _field(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        orbit, _, p = self.parts(z)
        cells = orbit.states[self.index]
        middle = np.einsum("kj,ijn->ikn", VALUES, cells)
        shape = middle.shape
        value, by_x, by_p = (np.asarray(a) for a in _along(self.rhs, middle.reshape(-1, shape[-1]), np.asarray(p)))
        slope = np.einsum("kj,ijn->ikn", SLOPES, cells) / self.steps[:, None, None]
        return slope, value.reshape(shape), by_x.reshape(*shape, shape[-1]), by_p.reshape(shape)

    def _residual(self, z: np.ndarray, slope: np.ndarray, value: np.ndarray) -> np.ndarray:
        orbit, period, _ = self.parts(z)
        defect = slope - period * value
        if len(self.conserved):  # held on the mean over the states
            excess = (orbit.states @ self.conserved.T).mean(axis=0) - self.conserved_value
            defect = defect + self.conserved.T @ excess
        return np.append(defect.ravel(), np.sum(self.phase * orbit.states) - self.phase_value)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Defects at the Gauss points, and the phase condition."""
        slope, value, _, _ = self._field(z)
        return self._residual(z, slope, value)

    def _blocks(self, z: np.ndarray, by_x: np.ndarray) -> np.ndarray:
        """Derivatives of the defects by the interval's five states, shape (interval, 4, n, 5, n)."""
        period = z[-2]
        size = by_x.shape[-1]
        blocks = -period * np.einsum("kj,iknm->iknjm", VALUES, by_x)
        return blocks + np.einsum("kj,i,nm->iknjm", SLOPES, 1.0 / self.steps, np.eye(size))

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, AbstractJacobian]:
        """Residual and Jacobian."""
        slope, value, by_x, by_p = self._field(z)
        blocks = self._blocks(z, by_x)
        body = self._by_states(blocks)
        right = np.column_stack([-value.ravel(), -z[-2] * by_p.ravel()])
        lowest = np.append(self.phase.ravel(), [0.0, 0.0])
        matrix: Any = scipy.sparse.vstack([scipy.sparse.hstack([body, right]), lowest[None]], format="csr")
        residual = self._residual(z, slope, value)
        if self.reference.states.size <= MAX_DENSE:
            return residual, Dense(matrix.toarray(), blocks)
        return residual, Sparse(matrix, blocks)

    def _by_states(self, blocks: np.ndarray) -> scipy.sparse.csr_matrix:
        """Derivatives of the defects by all states, shape (4 interval n, 4 interval n)."""
        count, _, size = blocks.shape[:3]
        states = len(self.reference.states)
        rows = np.broadcast_to(np.arange(count * DEGREE * size).reshape(count, DEGREE, size, 1, 1), blocks.shape)
        columns = self.index[:, None, None, :, None] * size + np.arange(size)
        columns = np.broadcast_to(columns, blocks.shape)
        m = states * size
        body = scipy.sparse.csr_matrix((blocks.ravel(), (rows.ravel(), columns.ravel())), shape=(m, m))
        if not len(self.conserved):
            return body
        spread = np.tile(self.conserved.T @ self.conserved, (count * DEGREE, states)) / states
        return scipy.sparse.csr_matrix(body.toarray() + spread)

    def transfers(self, blocks: np.ndarray) -> np.ndarray:
        """How a change at an interval's start moves its other four states, shape (interval, 4, n, n)."""
        count, _, size = blocks.shape[:3]
        flat = DEGREE * size
        inner = blocks[:, :, :, 1:].reshape(count, flat, flat)
        first = blocks[:, :, :, 0].reshape(count, flat, size)
        return -np.linalg.solve(inner, first).reshape(count, DEGREE, size, size)

    def monodromy(self, blocks: np.ndarray) -> np.ndarray:
        """The monodromy matrix: the product of the intervals' transfers, shape (n, n)."""
        whole = np.eye(blocks.shape[2])
        for step in self.transfers(blocks)[:, -1]:
            whole = step @ whole
        return whole

    def spectrum(self, z: np.ndarray, jacobian: AbstractJacobian) -> dict[str, np.ndarray]:
        """Multipliers but for those that are 1 by conservation or along the orbit (`_trivial`)."""
        assert jacobian.derivative is not None
        monodromy = self.monodromy(jacobian.derivative)
        if len(self.conserved):
            free = scipy.linalg.null_space(self.conserved)
            monodromy = free.T @ monodromy @ free
        found = without_trivial(np.linalg.eigvals(monodromy))
        self.eigenvalue_error = float(np.abs(found["_trivial"][0] - 1.0))
        return found

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
        """Phase condition from this orbit; every third time a new mesh, of more intervals where they are too few."""
        orbit = self.parts(z)[0]
        along = Orbit(tangent[:-2].reshape(orbit.states.shape), orbit.mesh)
        age = self.mesh_age + 1
        count = len(orbit.mesh) - 1
        few = self.eigenvalue_error > TOO_COARSE and count < MOST_INTERVALS
        if age >= MESH_AGE or few:
            mesh = better_mesh(orbit, self.equations.scale, 2 * count if few else count)
            orbit, along, age = orbit.on(mesh), along.on(mesh), 0
        new = Cycles(self.equations, orbit, self.period_scale, mesh_age=age)
        # The tangent must obey the new phase condition: shifts along the orbit leave it a tangent.
        places = phases(orbit.mesh)
        shift = orbit.at(places + 1e-5) - orbit.at(places - 1e-5)
        states = along.states - np.sum(new.phase * along.states) / np.sum(new.phase * shift) * shift
        return new, np.append(orbit.states.ravel(), z[-2:]), np.append(states.ravel(), tangent[-2:])

    def rejects_step(self, before: np.ndarray, after: np.ndarray) -> Rejection | None:
        """A period that jumps or is not positive."""
        one, two = before[-2], after[-2]
        return None if two > 0 and abs(np.log(two / one)) < 0.25 else Rejection.PERIOD

    def ends_between(self, before: np.ndarray, after: np.ndarray) -> Stop | None:
        """The orbit shrinks to a point and comes out again turned over; or its halves change places."""
        states = (z[:-2].reshape(self.reference.states.shape) / self.equations.scale for z in (before, after))
        one, two = states
        overlap = np.sum((one - one.mean(axis=0)) * (two - two.mean(axis=0)))
        if overlap <= 0:
            return Stop.HOPF
        orbits, phase = (self.parts(before)[0], self.parts(after)[0]), np.arange(64) / 64
        halves = [(orbit.at(phase + 0.5) - orbit.at(phase)) / self.equations.scale for orbit in orbits]
        return Stop.PERIOD_DOUBLING if np.sum(halves[0] * halves[1]) <= 0 else None

    def period(self, z: np.ndarray) -> float:
        """The period T."""
        return float(z[-2])

    def doubled(self, z: np.ndarray) -> Start:
        """Orbits of twice the period, along the Floquet mode of the multiplier -1 and its reverse in the second half.

        Source: Doedel, Keller & Kernevez (1991).
        """
        blocks = self.linearise(z)[1].derivative
        assert blocks is not None
        orbit, period, _ = self.parts(z)
        transfers = self.transfers(blocks)
        values, vectors = np.linalg.eig(self.monodromy(blocks))
        change = np.real(vectors[:, np.argmin(np.abs(values + 1.0))])
        mode = np.zeros(orbit.states.shape)
        for i, moves in enumerate(transfers):
            mode[DEGREE * i] = change
            mode[DEGREE * i + 1 : DEGREE * (i + 1)] = (moves @ change)[:-1]
            change = moves[-1] @ change
        mesh = np.concatenate([0.5 * orbit.mesh, 0.5 + 0.5 * orbit.mesh[1:]])
        twice = Orbit(np.vstack([orbit.states, orbit.states]), mesh)
        problem = Cycles(self.equations, twice, 2.0 * self.period_scale)
        start = np.concatenate([twice.states.ravel(), [2.0 * period, z[-1]]])
        return Start(problem, start, np.append(np.vstack([mode, -mode]).ravel(), [0.0, 0.0]), leave=True)


def near_hopf(equations: Equations, z: np.ndarray, mode: np.ndarray, frequency: float) -> Start:
    """Where the curve of orbits that are born at a Hopf point begins: x + Re(exp(2 pi i t) mode) to first order.

    Source: Kuznetsov (1998), sec. 10.2.3.

    Args:
        equations: The right-hand side f(x, p).
        z: Stationary state and parameter, shape (n + 1,).
        mode: Eigenvector of i * frequency, shape (n,).
        frequency: Angular frequency.
    """
    mesh = np.linspace(0.0, 1.0, INTERVALS + 1)
    turn = np.exp(2j * np.pi * phases(mesh))[:, None]
    wave = np.real(turn * mode)
    period = 2.0 * np.pi / frequency
    problem = Cycles(equations, Orbit(z[:-1] + wave, mesh), period, centre=z[:-1])
    start = np.concatenate([np.broadcast_to(z[:-1], wave.shape).ravel(), [period, z[-1]]])
    return Start(problem, start, np.append(wave.ravel(), [0.0, 0.0]), leave=True)
