"""The external drive of the quadrature in cells, for every step."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaln

from largen.systems.spiking import constants
from largen.systems.spiking.drive import Drive

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

TAIL = 6.5
"""Normal tails beyond this many standard deviations (8e-11) are left out, and the rest adds up to 1."""
RARE = 1e-11
"""Likewise numbers of Poisson kicks with less than this probability."""
MOST_LOST = 1.25
"""Noise is enlarged by this factor at most, for what conductances take of it."""


class Inputs(NamedTuple):
    """What the drive does in a step, in cells; each of shape (step, P), or (1, P) for a constant.

    Attributes:
        push: What it adds to the potential with the leak.
        jump: Mean of the kicks that come after it.
        sd: Standard deviation of its normal noise, before the leak contracts it.
        number: Mean number of its kicks.
    """

    push: np.ndarray
    jump: np.ndarray
    sd: np.ndarray
    number: np.ndarray


def in_cells(model: "SpikingNetwork", drive: Drive, dt: float, unit: np.ndarray) -> Inputs:
    """The drive in cells of width `unit`, shape (P,)."""
    step, kick = constants.propagators(model, dt), constants.external_kicks(model).size
    direct = constants.per_population(model, model.external_decay) == 0.0
    diffuse = direct & (model.external_strength is None and model.external == "gaussian")
    after = direct & ~diffuse
    number = drive.rate * dt
    push = drive.mean * step.drive + np.where(diffuse, kick * drive.rate * step.drive, 0.0)
    noise = drive.sd**2 * step.noise + np.where(diffuse, kick**2 * drive.rate * step.noise, 0.0)
    noise = noise + np.where(after & (model.external == "gaussian"), kick**2 * number, 0.0)
    return Inputs(
        push=np.ascontiguousarray(push / unit),
        jump=np.ascontiguousarray(np.where(after, kick * number, 0.0) / unit),
        sd=np.ascontiguousarray(np.sqrt(noise) / step.membrane / unit),
        number=np.array(number, np.float64),
    )


def poisson_kicks(model: "SpikingNetwork", dt: float, unit: np.ndarray) -> np.ndarray:
    """Size in cells of Poisson kicks of the potential, before the leak contracts them, 0 without such, shape (P,)."""
    step, kick = constants.propagators(model, dt), constants.external_kicks(model).size
    direct = constants.per_population(model, model.external_decay) == 0.0
    return np.where(direct & (model.external == "poisson"), kick / step.membrane / unit, 0.0)


def reach_of(sd: np.ndarray, kick: np.ndarray, number: np.ndarray) -> int:
    """Cells that normal noise and Poisson kicks, about their mean, reach in a step at most."""
    farthest = TAIL * float(np.max(sd))
    for size, mean in zip(np.abs(kick).tolist(), number.max(0).tolist(), strict=True):
        if size > 0.0 and mean > 0.0:
            k = np.arange(int(mean + 8.0 * np.sqrt(mean)) + 12)
            known = k[k * np.log(mean) - mean - gammaln(k + 1.0) > np.log(RARE)]
            far = max(mean if mean < 40.0 else mean - known[0], known[-1] + 1 - mean)  # also of any smaller mean
            farthest = max(farthest, TAIL * float(np.max(sd)) + size * far)
    return int(min(np.ceil(farthest), 1e9))
