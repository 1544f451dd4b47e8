"""One step of the quadrature as a smooth function, for derivatives (JAX).

The equations are those of `reduction.quadrature` (S60 to S65), and nothing else is shared with it but the choice of
cells and orders. What a step does is linear in the families' masses, and a smooth function of the moments of the input
but where an edge of a moved cell passes an edge of the cells: there the first derivative of a mass jumps by as much as
the density does from one cell to the next.

Nodes are zeros of a polynomial that depends on g. They are found as eigenvalues of the Jacobi matrix, held fixed for
derivatives, and then pass two steps of Newton's method, which give them their first two derivatives.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

TAIL = 6.5
NOTHING = 1e-12
"""Least standard deviation of X, in cells."""
_ROUNDING = 1e-9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = 0.5 * (1.0 + _NODES), 0.5 * _WEIGHTS
_THREE, _THREE_WEIGHTS = np.polynomial.legendre.leggauss(3)
_THREE, _THREE_WEIGHTS = 0.5 * (1.0 + _THREE), 0.5 * _THREE_WEIGHTS
_ROOT3, _ROOT5 = float(np.sqrt(3.0)), float(np.sqrt(5.0))
_AT_RESET = np.array([1.0, -_ROOT3, _ROOT5])


class Form(NamedTuple):
    """What is fixed when the program is compiled; C channels, in the order of `reduction.quadrature.layout`.

    Attributes:
        nodes: Nodes of every channel.
        target: Population that receives, by channel.
        inhibitory: Whether its sources inhibit, by channel.
        sources: Sources of every channel.
        silent: Whether all its strengths are 0, by channel.
        steepest: Largest g, by channel.
        cells: K.
        above: Cells between reset and threshold.
        reach: Cells that the external noise reaches.
    """

    nodes: tuple[int, ...]
    target: tuple[int, ...]
    inhibitory: tuple[bool, ...]
    sources: tuple[tuple[int, ...], ...]
    silent: tuple[bool, ...]
    steepest: tuple[float, ...]
    cells: int
    above: int
    reach: int

    def of(self, population: int) -> tuple[int, ...]:
        """The channels of a population."""
        return tuple(c for c, target in enumerate(self.target) if target == population)

    def shape(self, population: int) -> tuple[int, ...]:
        """Nodes of a population's channels."""
        return tuple(self.nodes[c] for c in self.of(population))


class Numbers(NamedTuple):
    """A model's numbers; any may be traced.

    Attributes:
        size: Neurons, shape (P,).
        strength: [target, source], as the next two, shape (P, P).
        probability: Of a connection.
        decay: Time constant (ms).
        leak: 1/tau_m (per ms), 0 without leak, shape (P,).
        gain: Mean of V per external kick, shape (P,).
        refractory: Mean time in the refractory pool (ms), shape (P,).
        reversal: Reversal potential of inhibition.
        threshold: Threshold.
        dt: Step (ms).
    """

    size: Any
    strength: Any
    probability: Any
    decay: Any
    leak: Any
    gain: Any
    refractory: Any
    reversal: Any
    threshold: Any
    dt: Any


class State(NamedTuple):
    """State between two steps.

    Attributes:
        families: u of every population, shape (*nodes of its channels, 3, K).
        pool: Refractory fraction of every family, shape (*nodes of its channels,), by population.
        moments: mu, m_2, m_3 and v by channel, shape (C, 4).
        spread: Standard deviation of X by channel, shape (C,).
    """

    families: tuple[Any, ...]
    pool: tuple[Any, ...]
    moments: Any
    spread: Any


# The law of the pending input ------------------------------------------------------------------------------------


def _values(z: Any, g: Any, count: int) -> list[Any]:
    """p_0 to p_count at z, by (S60)."""
    values = [jnp.ones_like(z), z]
    for n in range(1, count):
        values.append(((z - n * g) * values[n] - np.sqrt(n) * values[n - 1]) / np.sqrt(n + 1.0))
    return values


def law(g: Any, count: int) -> tuple[Any, Any, Any]:
    """Nodes, their weights, and the polynomials there, shapes (j,), (j,), (n, j)."""
    n = np.arange(count)
    matrix = jnp.diag(n * g) + np.diag(np.sqrt(n[1:]), 1) + np.diag(np.sqrt(n[1:]), -1)
    z = jax.lax.stop_gradient(jnp.linalg.eigvalsh(jax.lax.stop_gradient(matrix)))
    for _ in range(2):
        value, slope = jax.jvp(lambda z: _values(z, g, count)[count], (z,), (jnp.ones_like(z),))
        z = z - value / slope
    values = jnp.stack(_values(z, g, count)[:count])
    return z, 1.0 / jnp.sum(values**2, axis=0), values


def mixing(old: tuple[Any, Any, Any], new: tuple[Any, Any, Any], rho: Any) -> Any:
    """W of (S61), whose columns add up to 1."""
    _, weight, values = new
    powers = rho ** np.arange(len(values))
    found = weight[:, None] * jnp.einsum("ni,n,nj->ij", values, powers, old[2])
    return found + weight[:, None] * (1.0 - found.sum(0))


# Potentials ------------------------------------------------------------------------------------------------------


def _basis(y: Any) -> Any:
    """phi_l(y), shape (3, ...)."""
    return jnp.stack([jnp.ones_like(y), _ROOT3 * (2.0 * y - 1.0), _ROOT5 * (6.0 * y * (y - 1.0) + 1.0)])


def noise_matrices(sd: Any, reach: int) -> Any:
    """D[shift + reach, to, source] of a normal shift with standard deviation `sd`, in cells, which is above 0."""
    far, found, total = TAIL * sd, jnp.zeros((2 * reach + 1, 3, 3)), 0.0
    for low in range(-reach, reach):
        start = jnp.clip(low, -far, far)
        length = jnp.clip(low + 1.0, -far, far) - start
        shift = start + length * _NODES
        weight = length * _WEIGHTS * jnp.exp(-0.5 * (shift / sd) ** 2)
        inside, total = jnp.clip(shift - low, 0.0, 1.0), total + weight.sum()
        here = _overlaps(inside)
        there = jnp.swapaxes(_overlaps(1.0 - inside), 0, 1)
        found = found.at[low + reach].add(here @ weight).at[low + 1 + reach].add(there @ weight)
    found = found / total
    lost = np.array([1.0, 0.0, 0.0]) - found[:, 0].sum(0)
    return found.at[reach, 0].add(lost)


def _overlaps(shift: Any) -> Any:
    """Integral of phi_to(y + shift) phi_source(y) over 0 < y < 1 - shift, shape (to, source, shift)."""
    y = (1.0 - shift)[:, None] * _THREE
    products = _basis(y + shift[:, None])[:, None] * _basis(y)[None]
    return (1.0 - shift) * (products @ _THREE_WEIGHTS)


def smooth(u: Any, noise: Any, form: Form) -> Any:
    """External noise; u of shape (F, 3, K) to (F, 3, K + reach), from cell 0 on; what falls below goes to cell 0."""
    if form.reach == 0:
        return u
    wide = jnp.pad(u, ((0, 0), (0, 0), (2 * form.reach, 2 * form.reach)))
    width = form.cells + 2 * form.reach
    shifted = jnp.stack(
        [wide[:, :, 2 * form.reach - d : 2 * form.reach - d + width] for d in range(2 * form.reach + 1)]
    )
    found = jnp.einsum("dtl,dflk->ftk", noise, shifted)
    below = found[:, 0, : form.reach].sum(1)
    return found[:, :, form.reach :].at[:, 0, 0].add(below)


def drift(u: Any, contraction: Any, shift: Any, form: Form) -> tuple[Any, Any]:
    """Move every family by x' = contraction x + shift and project; u of shape (F, 3, K + reach).

    Returns u, shape (F, 3, K), and the spikes, shape (F,).
    """
    count, a = u.shape[2], contraction[:, None]
    low = a * np.arange(count) + shift[:, None]
    cell = jax.lax.stop_gradient(jnp.floor(jnp.clip(low, -2.0, form.cells + 1.0)))
    moved = low - cell
    cut = jnp.clip((1.0 - moved) / a, 0.0, 1.0)
    u0, u1, u2 = u[:, 0], _ROOT3 * u[:, 1], _ROOT5 * u[:, 2]
    c0, c1, c2 = u0 - u1 + u2, 2.0 * u1 - 6.0 * u2, 6.0 * u2
    h0 = cut * (c0 + cut * (0.5 * c1 + cut * (c2 / 3.0)))
    h1 = cut**2 * (0.5 * c0 + cut * (c1 / 3.0 + cut * (0.25 * c2)))
    h2 = cut**3 * (c0 / 3.0 + cut * (0.25 * c1 + cut * (0.2 * c2)))
    g0, g1, g2 = u0 - h0, 0.5 * u0 + u1 / 6.0 - h1, u0 / 3.0 + u1 / 6.0 + u2 / 30.0 - h2
    to = cell.astype(jnp.int32)
    families = np.arange(len(u))[:, None]
    found = jnp.zeros((len(u), 3, form.cells + 2))  # the last but one are spikes, the last is left out
    for target, offset, m0, m1, m2 in ((to, moved, h0, h1, h2), (to + 1, moved - 1.0, g0, g1, g2)):
        z1 = a * m1 + offset * m0
        z2 = a * a * m2 + offset * (2.0 * a * m1 + offset * m0)
        place = jnp.clip(target, 0, form.cells)
        inside = jnp.where(target < 0, form.cells + 1, place)
        found = found.at[families, 0, place].add(m0)
        found = found.at[families, 1, inside].add(_ROOT3 * (2.0 * z1 - m0))
        found = found.at[families, 2, inside].add(_ROOT5 * (6.0 * (z2 - z1) + m0))
    return found[:, :, : form.cells], found[:, 0, form.cells]


def _phi(kappa: Any) -> Any:
    """(1 - exp(-kappa))/kappa, smooth at 0."""
    small = kappa < 1e-6
    safe = jnp.where(small, 1.0, kappa)
    return jnp.where(small, 1.0 - 0.5 * kappa + kappa**2 / 6.0, -jnp.expm1(-safe) / safe)


def external_sd(numbers: Numbers, drive: Any) -> Any:
    """Standard deviation of the external noise of a step before the leak acts on it, shape (P,)."""
    leak = numbers.leak * numbers.dt
    grown = _phi(2.0 * leak) * jnp.exp(2.0 * leak)
    return numbers.gain * jnp.sqrt(drive * numbers.dt * grown)


# A step ----------------------------------------------------------------------------------------------------------


def _release(numbers: Numbers, form: Form) -> Any:
    """Q of every channel, shape (C,)."""
    decay = jnp.stack([numbers.decay[form.target[c], sources[0]] for c, sources in enumerate(form.sources)])
    return -jnp.expm1(-numbers.dt / decay)


def _jumps(numbers: Numbers, form: Form, c: int) -> tuple[Any, Any, Any]:
    """Mean strength by arrivals, smallest and largest of a channel, of those that are not 0."""
    a, sources = form.target[c], np.array(form.sources[c])
    if form.silent[c]:
        return 1.0, 1.0, 1.0
    s, weight = numbers.strength[a, sources], numbers.probability[a, sources] * numbers.size[sources]
    if len(sources) == 1:
        return s[0], s[0], s[0]
    heard = s > 0.0
    weight = jnp.where(heard, weight, 0.0)
    least, most = jnp.where(heard, s, jnp.inf).min(), jnp.where(heard, s, -jnp.inf).max()
    return jnp.sum(s * weight) / jnp.sum(weight), least, most


def _size(moments: Any, jumps: tuple[Any, Any, Any], sources: int) -> Any:
    """Size of a jump of X: m_3/m_2 between the smallest and the largest strength, or the strength of the one source.

    Where all strengths are equal the quotient is both bounds to rounding; it has the derivative, and they have not.
    """
    typical, least, most = jumps
    if sources == 1:
        return typical
    known = moments[1] > 0.0
    quotient = moments[2] / jnp.where(known, moments[1], 1.0)
    quotient = jnp.where(quotient < least * (1.0 - _ROUNDING), least, quotient)
    return jnp.where(known, jnp.where(quotient > most * (1.0 + _ROUNDING), most, quotient), typical)


def _move(state: State, a: int, laws: Any, numbers: Numbers, form: Form, q: Any, drive: Any, noise: Any) -> Any:
    """Potentials of a population (S64) and its refractory pool (S3): families, pool, spikes per neuron."""
    shape, width = form.shape(a), numbers.threshold / form.above
    lowest = -width * (form.cells - form.above)
    push, pull = jnp.zeros(shape), jnp.zeros(shape)
    for axis, c in enumerate(form.of(a)):
        x = state.moments[c, 0] + (state.spread[c] * laws[c][0] if form.nodes[c] > 1 else jnp.zeros(1))
        charge = jnp.expand_dims(2.0 * q[c] / (2.0 - q[c]) * x, tuple(i for i in range(len(shape)) if i != axis))
        push, pull = (push, pull + charge) if form.inhibitory[c] else (push + charge, pull)
    pull = pull.ravel() / (numbers.threshold - numbers.reversal)
    kappa = jnp.maximum(numbers.leak[a] * numbers.dt + pull, 0.0)
    contraction = jnp.exp(-kappa)
    charge = push.ravel() + drive[a] * numbers.dt * numbers.gain[a] + numbers.reversal * pull
    shift = (_phi(kappa) * charge + (contraction - 1.0) * lowest) / width
    u = smooth(state.families[a].reshape(-1, 3, form.cells), noise[a], form)
    u, spikes = drift(u, contraction, shift, form)
    held = state.pool[a].ravel() + spikes
    back = -jnp.expm1(-numbers.dt / numbers.refractory[a]) * held
    u = u.at[:, :, form.cells - form.above].add(back[:, None] * _AT_RESET)
    return u.reshape(*shape, 3, form.cells), (held - back).reshape(shape), spikes.sum()


def _arrive(state: State, c: int, fired: Any, numbers: Numbers, form: Form, q: Any) -> tuple[Any, Any, Any]:
    """Moments of a channel after release and arrivals (S63), the standard deviation of X, and rho."""
    a, sources, stay = form.target[c], np.array(form.sources[c]), 1.0 - q[c]
    s, p = numbers.strength[a, sources], numbers.probability[a, sources] * (1.0 - 0.5 * q[c])
    arrived = p * numbers.size[sources] * fired[sources]
    mean, second, third, variance = state.moments[c]
    moments = jnp.stack(
        [
            stay * mean + jnp.sum(s * arrived),
            stay * second + jnp.sum(s**2 * arrived),
            stay * third + jnp.sum(s**3 * arrived),
            stay**2 * variance + q[c] * stay * second + jnp.sum(s**2 * (1.0 - p) * arrived),
        ]
    )
    old, least = state.spread[c], NOTHING * numbers.threshold / form.above
    spread = jnp.maximum(_root(moments[3]), jnp.maximum(stay * old, least))
    return moments, spread, jnp.minimum(stay * old / spread, 1.0)


def _root(x: Any) -> Any:
    """The root of x, 0 below 0, with a derivative there."""
    return jnp.where(x > 0.0, jnp.sqrt(jnp.where(x > 0.0, x, 1.0)), 0.0)


def skew(moments: Any, spread: Any, numbers: Numbers, form: Form, c: int) -> Any:
    """G of a channel."""
    size = _size(moments, _jumps(numbers, form, c), len(form.sources[c]))
    steepest = form.steepest[c]
    known = spread * steepest > size
    return jnp.where(known, size / jnp.where(known, spread, 1.0), steepest)


def step(state: State, drive: Any, noise: Any, numbers: Numbers, form: Form) -> tuple[State, Any]:
    """Advance by one step.

    Args:
        state: Where to start.
        drive: External kicks per ms, shape (P,).
        noise: Matrices of the external noise by population, `noise_matrices`.
        numbers: The model's.
        form: What is fixed.

    Returns:
        The next state, and spikes per neuron, shape (P,).
    """
    q = _release(numbers, form)
    laws = [law(skew(state.moments[c], state.spread[c], numbers, form, c), count) for c, count in enumerate(form.nodes)]
    moved = [_move(state, a, laws, numbers, form, q, drive, noise) for a in range(len(state.pool))]
    families, pool, fired = [m[0] for m in moved], [m[1] for m in moved], jnp.stack([m[2] for m in moved])
    moments, spreads = [], []
    for c, count in enumerate(form.nodes):
        after, spread, rho = _arrive(state, c, fired, numbers, form, q)
        moments.append(after)
        spreads.append(spread)
        if count > 1:
            a, w = form.target[c], mixing(laws[c], law(skew(after, spread, numbers, form, c), count), rho)
            axis = form.of(a).index(c)
            families[a] = jnp.moveaxis(jnp.tensordot(w, families[a], (1, axis)), 0, axis)
            pool[a] = jnp.moveaxis(jnp.tensordot(w, pool[a], (1, axis)), 0, axis)
    return State(tuple(families), tuple(pool), jnp.stack(moments), jnp.stack(spreads)), fired


def at_rest(form: Form, populations: int) -> State:
    """Everybody at the reset potential, no spike pending."""
    families, pool = [], []
    for a in range(populations):
        weight = jnp.ones(())
        for c in form.of(a):
            weight = jnp.multiply.outer(weight, law(jnp.asarray(form.steepest[c]), form.nodes[c])[1])
        u = jnp.zeros((*form.shape(a), 3, form.cells))
        families.append(u.at[..., form.cells - form.above].add(weight[..., None] * _AT_RESET))
        pool.append(jnp.zeros(form.shape(a)))
    return State(tuple(families), tuple(pool), jnp.zeros((len(form.nodes), 4)), jnp.zeros(len(form.nodes)))
