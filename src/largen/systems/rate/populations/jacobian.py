"""Eigenvalues of the Jacobian of one drawn network at its static state, with the spectrum that the limit predicts."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, LimitError, integer, seed_number
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.systems.rate.populations import static_states
from largen.systems.rate.populations.network import Network
from largen.systems.rate.populations.static_states import StaticState
from largen.systems.rate.populations.sweep import Still, prepare

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_STILL = 1e-9  # speed at which a network is at rest
_LONGEST = 300.0  # time constants that it may take
_GRID = 121


class NoRest(LimitError):
    """The network does not come to rest."""


class Spectrum(NamedTuple):
    """Eigenvalues.

    Attributes:
        eigenvalues: Of the network, complex, shape (neuron,); none of a prediction alone.
        state: The limit's static state.
        real: Real parts of a grid of the complex plane, shape (real,).
        imaginary: Imaginary parts, shape (imag,).
        radius: Spectral radius of eq. P17 on the grid, 1 on the edge of the bulk, shape (real, imag).
    """

    eigenvalues: np.ndarray
    state: StaticState
    real: np.ndarray
    imaginary: np.ndarray
    radius: np.ndarray


def solve(model: "RatePopulations", *, n: int = 500, seed: int = 0) -> Spectrum:
    """Draw a network, let it come to rest from the limit's most stable static state, and diagonalise its Jacobian.

    Args:
        model: A RatePopulations without noise, with constant input and independent weights.
        n: Neurons.
        seed: Seed of the draw.

    Raises:
        InputError: Noise, or an input that changes in time.
        LimitError: The network does not come to rest.
    """
    n, seed = integer("n", n, low=2), seed_number("seed", seed)
    state = static_states.solve(model)[0]
    require_memory(8.0 * 8.0 * n**2, f"The eigenvalues of a network of {n} neurons", "Take fewer neurons.")
    network = Network(model, n, lambda *names: stream(seed, "realisation", 0, *names), np.float64)
    if not network.steady:
        raise InputError("Arguments `input` and `patterns` must be constant in time for eigenvalues.")
    x = _rest(network, state, model.dynamics == "discrete")
    slopes = network.slopes(x)
    jacobian = (network.weights + network.left @ network.right.T / n) * slopes
    leak = network.decay[:, 0] if model.dynamics == "discrete" else -network.decay[:, 0]
    jacobian[np.diag_indices(n)] += leak
    eigenvalues = np.linalg.eigvals(jacobian)
    return _beside(model, state, eigenvalues, np.concatenate([eigenvalues, state.outliers, [state.bulk_edge]]))


def predicted(model: "RatePopulations") -> Spectrum:
    """What the limit predicts at its most stable static state, stable or not, without a network.

    A point z of the bulk has |z + 1/tau_a| at most R for some population a, where R^2 is the spectral radius of
    g_ab^2 <phi_b'^2> (from eq. P17); z - gamma_a in discrete time.
    """
    state = static_states.solve(model)[0]
    still = prepare(model)
    numbers, squares = still.numbers, _squares(still, state)
    centres = numbers.decay if numbers.discrete else -1.0 / numbers.decay
    widest = np.sqrt(np.abs(np.linalg.eigvals(numbers.variances * squares)).max())
    corners = [complex(centre + sign * widest, sign * widest) for centre in centres for sign in (-1, 1)]
    return _beside(model, state, np.zeros(0, complex), np.concatenate([corners, state.outliers]))


def _beside(model: "RatePopulations", state: StaticState, eigenvalues: np.ndarray, shown: np.ndarray) -> Spectrum:
    """Eigenvalues of a network with the prediction on a grid that holds the points `shown` of the complex plane."""
    parts = np.real(shown), np.imag(shown)
    margin = 0.1 * max(*(float(np.ptp(part)) for part in parts), 1e-3)
    real, imaginary = (np.linspace(part.min() - margin, part.max() + margin, _GRID) for part in parts)
    still = prepare(model)
    squares = _squares(still, state)
    radius = np.array([[static_states.radius(still, squares, complex(a, b)) for b in imaginary] for a in real])
    return Spectrum(eigenvalues, state, real, imaginary, radius)


def _squares(still: Still, state: StaticState) -> np.ndarray:
    """<phi'^2> by population."""
    static = static_states.Static(still)
    return np.array([law.slope_square for law in static.laws(static.unknowns(state))[0]])


def _rest(network: Network, state: StaticState, discrete: bool) -> np.ndarray:
    """The network's own static state, shape (n,)."""
    x, drive = state.mean[network.of], network.drive(np.zeros(1))[0, :, 0]
    slowest = float(1.0 / network.decay.min()) if not discrete else 1.0
    width = 1.0 if discrete else 0.2 / float(network.decay.max())
    for _ in range(int(_LONGEST * slowest / width)):
        inputs = network.couple(network.rates(x[:, None]))[:, 0] + drive
        if discrete:
            change = network.decay[:, 0] * x + inputs - x
        else:
            change = inputs / network.decay[:, 0] - x
            change *= -np.expm1(-width * network.decay[:, 0])  # exact for a constant input
        x = x + change
        if np.abs(change).max() <= _STILL:
            return x
    raise NoRest(
        "The network does not come to rest: its static state is unstable. Take a model whose static state is stable "
        "(see static_states), or look at its exponent."
    )
