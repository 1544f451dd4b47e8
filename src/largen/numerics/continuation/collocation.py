"""Periodic orbits of flows by orthogonal collocation, with their Floquet multipliers.

The orbit x(T t), 0 <= t < 1, is a polynomial of degree 4 in each interval of a mesh that moves with the solution, and
obeys dx/dt = T f(x, p) at the Gauss points. Unknowns are its values at 4 points per interval, and the period T;
a phase condition, the integral of (x - y) . dy/dt with y the orbit before, makes it unique.
Source: E. Doedel, H. Keller & J. Kernevez, Int. J. Bifurcation Chaos 1, 745 (1991).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import scipy.linalg
import scipy.sparse

from largen.numerics.continuation.core import AbstractProblem
from largen.numerics.continuation.linear import Dense, Sparse

DEGREE = 4
INTERVALS = 30
MOST_DENSE = 400
MIXED = 0.5
"""Distance from 1 within which a second multiplier is mixed with that along the orbit."""
CYCLES = {"fold": "fold_of_cycles", "branch": "branch_point", "minus": "period_doubling", "complex": "torus"}


@eqx.filter_jit
def _along(law: Any, states: Any, p: Any) -> tuple[Any, Any, Any]:
    def one(x: Any) -> tuple[Any, Any, Any]:
        return law(x, p), jax.jacfwd(law)(x, p), jax.jacfwd(law, 1)(x, p)

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
    """A periodic orbit: states at 4 points per interval, shape (4 intervals, n), on a mesh of [0, 1]."""

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


def phases(mesh: np.ndarray) -> np.ndarray:
    """Phases of the unknown states, 4 per interval."""
    return (mesh[:-1, None] + np.diff(mesh)[:, None] * np.arange(DEGREE) / DEGREE).ravel()


def better_mesh(orbit: Orbit, scale: np.ndarray, intervals: int) -> np.ndarray:
    """A mesh on which the error (the fifth derivative times the fifth power of the step) is the same everywhere."""
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
    """Periodic orbits of dx/dt = law(x, p), in z = (states, T, p)."""

    discrete = True
    tolerance = 1e-7

    def __init__(self, law: Any, reference: Orbit, period: float, span: float, scale: np.ndarray, rows: Any = None):
        """State the problem.

        Args:
            law: Vector field, a JAX callable (x, p) -> (n,).
            reference: An orbit nearby, for the phase condition; its mesh is used.
            period: Its period, by which changes of the period are measured.
            span: Length of the parameter's range.
            scale: Sizes of the n unknowns.
            rows: Orthonormal rows C with C x conserved, shape (c, n).
        """
        self.law, self.reference, self.scale, self.span, self.unit = law, reference, scale, span, period
        self.kinds = {"": CYCLES}
        size = reference.states.shape[1]
        self.rows = np.zeros((0, size)) if rows is None else rows
        self.kept = self.rows @ reference.states[0]
        weights = np.broadcast_to(1.0 / (scale * np.sqrt(len(reference.states))), reference.states.shape)
        self.weights = np.concatenate([weights.ravel(), [1.0 / period, 1.0 / span]])
        count = len(reference.mesh) - 1
        steps = np.diff(reference.mesh)
        self.index = (DEGREE * np.arange(count)[:, None] + np.arange(DEGREE + 1)) % len(reference.states)
        cells = reference.states[self.index]
        slope = np.einsum("kj,ijn->ikn", SLOPES, cells) / scale**2
        middle = np.einsum("kj,ijn->ikn", VALUES, cells)
        row = np.zeros(reference.states.shape)
        np.add.at(row, self.index, np.einsum("k,kj,ikn->ijn", WEIGHTS, VALUES, slope))
        size_of_row = np.linalg.norm(row / weights) + 1e-300
        self.phase = row / size_of_row
        self.phase_value: Any = float(np.einsum("k,ikn,ikn->", WEIGHTS, slope, middle)) / size_of_row
        self.steps = steps
        self.since = 0

    def parts(self, z: np.ndarray) -> tuple[Orbit, float, float]:
        """Orbit, period and parameter of z."""
        return Orbit(z[:-2].reshape(self.reference.states.shape), self.reference.mesh), float(z[-2]), float(z[-1])

    def _field(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        orbit, _, p = self.parts(z)
        cells = orbit.states[self.index]
        middle = np.einsum("kj,ijn->ikn", VALUES, cells)
        shape = middle.shape
        value, by_x, by_p = (np.asarray(a) for a in _along(self.law, middle.reshape(-1, shape[-1]), np.asarray(p)))
        slope = np.einsum("kj,ijn->ikn", SLOPES, cells) / self.steps[:, None, None]
        return slope, value.reshape(shape), by_x.reshape(*shape, shape[-1]), by_p.reshape(shape)

    def _residual(self, z: np.ndarray, slope: np.ndarray, value: np.ndarray) -> np.ndarray:
        orbit, period, _ = self.parts(z)
        defect = slope - period * value
        if len(self.rows):  # the mean conserved quantities replace nothing: see `_blocks`
            kept = (orbit.states @ self.rows.T).mean(axis=0) - self.kept
            defect = defect + self.rows.T @ kept
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

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residual and Jacobian."""
        slope, value, by_x, by_p = self._field(z)
        blocks = self._blocks(z, by_x)
        count, _, size = value.shape
        states = len(self.reference.states)
        rows = np.broadcast_to(np.arange(count * DEGREE * size).reshape(count, DEGREE, size, 1, 1), blocks.shape)
        columns = self.index[:, None, None, :, None] * size + np.arange(size)
        columns = np.broadcast_to(columns, blocks.shape)
        m = states * size
        body = scipy.sparse.csr_matrix((blocks.ravel(), (rows.ravel(), columns.ravel())), shape=(m, m))
        if len(self.rows):
            spread = np.tile(self.rows.T @ self.rows, (count * DEGREE, states)) / states
            body = scipy.sparse.csr_matrix(body.toarray() + spread)
        right = np.column_stack([-value.ravel(), -z[-2] * by_p.ravel()])
        lowest = np.append(self.phase.ravel(), [0.0, 0.0])
        matrix: Any = scipy.sparse.vstack([scipy.sparse.hstack([body, right]), lowest[None]], format="csr")
        linear: Any = Dense(matrix.toarray()) if m <= MOST_DENSE else Sparse(matrix)
        linear.blocks = blocks
        return self._residual(z, slope, value), linear

    def transfers(self, blocks: np.ndarray) -> np.ndarray:
        """How a change at an interval's start moves its other four states, shape (interval, 4, n, n)."""
        count, _, size = blocks.shape[:3]
        flat = DEGREE * size
        inner = blocks[:, :, :, 1:].reshape(count, flat, flat)
        first = blocks[:, :, :, 0].reshape(count, flat, size)
        return -np.linalg.solve(inner, first).reshape(count, DEGREE, size, size)

    def monodromy(self, blocks: np.ndarray) -> np.ndarray:
        """Derivative of the return map, shape (n, n)."""
        whole = np.eye(blocks.shape[2])
        for step in self.transfers(blocks)[:, -1]:
            whole = step @ whole
        return whole

    def spectrum(self, z: np.ndarray, linear: Any) -> dict[str, np.ndarray]:
        """Multipliers but for those that are 1 by conservation or along the orbit (`_trivial`)."""
        monodromy = self.monodromy(linear.blocks)
        if len(self.rows):
            free = scipy.linalg.null_space(self.rows)
            monodromy = free.T @ monodromy @ free
        return without_trivial(np.linalg.eigvals(monodromy))

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
        """Phase condition from this orbit; every third time a new mesh."""
        orbit = self.parts(z)[0]
        along = Orbit(tangent[:-2].reshape(orbit.states.shape), orbit.mesh)
        since = self.since + 1
        if since >= 3:
            mesh = better_mesh(orbit, self.scale, len(orbit.mesh) - 1)
            orbit, along, since = orbit.on(mesh), along.on(mesh), 0
        new = Cycles(self.law, orbit, self.unit, self.span, self.scale, self.rows if len(self.rows) else None)
        new.since = since
        # The tangent must obey the new phase condition: shifts along the orbit leave it a tangent.
        places = phases(orbit.mesh)
        shift = orbit.at(places + 1e-5) - orbit.at(places - 1e-5)
        states = along.states - np.sum(new.phase * along.states) / np.sum(new.phase * shift) * shift
        return new, np.append(orbit.states.ravel(), z[-2:]), np.append(states.ravel(), tangent[-2:])

    def objection(self, before: np.ndarray, after: np.ndarray) -> str:
        """A period that jumps or is not positive."""
        one, two = before[-2], after[-2]
        return "" if two > 0 and abs(np.log(two / one)) < 0.25 else "The period jumps."

    def end(self, before: np.ndarray, after: np.ndarray) -> str:
        """The orbit shrinks to a point and comes out again turned over; or its halves change places."""
        one, two = (z[:-2].reshape(self.reference.states.shape) / self.scale for z in (before, after))
        overlap = np.sum((one - one.mean(axis=0)) * (two - two.mean(axis=0)))
        if overlap <= 0:
            return died(after[-1])
        orbits, phase = (self.parts(before)[0], self.parts(after)[0]), np.arange(64) / 64
        halves = [(orbit.at(phase + 0.5) - orbit.at(phase)) / self.scale for orbit in orbits]
        return merged(after[-1]) if np.sum(halves[0] * halves[1]) <= 0 else ""


def merged(parameter: float) -> str:
    """The sentence for an orbit of twice the period that becomes the single one."""
    return f"The orbit of twice the period merges with the single one near {parameter:.6g}, at a period doubling."


def died(parameter: float) -> str:
    """The sentence for an orbit that shrinks to a point."""
    return f"The orbit dies: it shrinks to a stationary state near {parameter:.6g}, at a Hopf point."


def without_trivial(multipliers: np.ndarray) -> dict[str, np.ndarray]:
    """Set the multiplier along the orbit apart: the one nearest to 1.

    Near a fold of cycles it is mixed with the one that becomes 1 there (a Jordan block): an error e moves both by its
    root, even into the complex plane, but their product by e only. So there one is 1 and the other is the product.
    """
    multipliers = np.asarray(multipliers, dtype=complex)
    away = np.abs(multipliers - 1.0)
    k = int(np.argmin(away))
    real = np.flatnonzero(np.abs(np.imag(multipliers)) < 1e-12)
    if len(real) and away[real].min() < 2.0 * away[k]:
        k = int(real[np.argmin(away[real])])
    trivial, others = multipliers[k : k + 1], np.delete(multipliers, k)
    if len(others):
        target = np.conj(multipliers[k]) if np.imag(multipliers[k]) else 1.0
        partner = int(np.argmin(np.abs(others - target)))
        product = others[partner] * trivial[0]
        if abs(others[partner] - 1.0) < MIXED and abs(product.imag) < 1e-12:
            others[partner], trivial = product.real, np.ones(1, dtype=complex)
    return {"": others, "_trivial": trivial}


def near_hopf(
    law: Any, z: np.ndarray, mode: np.ndarray, frequency: float, span: float, scale: np.ndarray, rows: Any = None
) -> tuple[Cycles, np.ndarray, np.ndarray]:
    """Problem, point and direction for the orbits that are born at a Hopf point.

    Args:
        law: Vector field.
        z: Stationary state and parameter, shape (n + 1,).
        mode: Eigenvector of i * frequency, shape (n,).
        frequency: Angular frequency.
        span: Length of the parameter's range.
        scale: Sizes of the unknowns.
        rows: Conserved rows.
    """
    mesh = np.linspace(0.0, 1.0, INTERVALS + 1)
    turn = np.exp(2j * np.pi * phases(mesh))[:, None]
    wave = np.real(turn * mode)
    period = 2.0 * np.pi / frequency
    problem = Cycles(law, Orbit(z[:-1] + wave, mesh), period, span, scale, rows)
    problem.phase_value = float(np.sum(problem.phase * np.broadcast_to(z[:-1], wave.shape)))
    problem.kept = problem.rows @ z[:-1]
    start = np.concatenate([np.broadcast_to(z[:-1], wave.shape).ravel(), [period, z[-1]]])
    return problem, start, np.append(wave.ravel(), [0.0, 0.0])


def doubled(problem: Cycles, z: np.ndarray) -> tuple[Cycles, np.ndarray, np.ndarray]:
    """Problem, point and direction for the orbits of twice the period born at a period doubling."""
    linear = problem.linearise(z)[1]
    orbit, period, _ = problem.parts(z)
    transfers = problem.transfers(linear.blocks)
    values, vectors = np.linalg.eig(problem.monodromy(linear.blocks))
    change = np.real(vectors[:, np.argmin(np.abs(values + 1.0))])
    wave = np.zeros(orbit.states.shape)
    for i, moves in enumerate(transfers):
        wave[DEGREE * i] = change
        wave[DEGREE * i + 1 : DEGREE * (i + 1)] = (moves @ change)[:-1]
        change = moves[-1] @ change
    mesh = np.concatenate([0.5 * orbit.mesh, 0.5 + 0.5 * orbit.mesh[1:]])
    twice = Orbit(np.vstack([orbit.states, orbit.states]), mesh)
    rows = problem.rows if len(problem.rows) else None
    new = Cycles(problem.law, twice, 2.0 * problem.unit, problem.span, problem.scale, rows)
    start = np.concatenate([twice.states.ravel(), [2.0 * period, z[-1]]])
    return new, start, np.append(np.vstack([wave, -wave]).ravel(), [0.0, 0.0])
