"""Pictures that a system declares, as plain values: `largen.plot` and the explorer draw them.

A picture names its observables. One that a Dataset cannot fill (no spikes recorded, one population where two are
needed) is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Series(NamedTuple):
    """An observable of every population against time: the limit as lines, the network as mean and band.

    Attributes:
        observable: Name of the observable, dims (population, time) or (time,).
        title: Title; by default the observable's long name.
        smoothing: S.d. (ms) of a Gaussian that smooths a firing rate; 0 draws the observable as it is.
        shown: Time shown from the start, in figures.
    """

    observable: str
    title: str = ""
    smoothing: float = 0.0
    shown: float = np.inf


class Raster(NamedTuple):
    """Spikes of one realisation: `spike_time`, `spike_population`, `spike_neuron`.

    Attributes:
        shown: Time shown from the start, in figures.
    """

    shown: float = np.inf


class Spectrum(NamedTuple):
    """Power spectrum of the firing rate `rate` (Hz)."""


class Orbit(NamedTuple):
    """The orbit in the plane of an observable of the first two populations.

    Attributes:
        observable: Name of the observable, dims (population, time).
        smoothing: S.d. (ms) of a Gaussian that smooths a firing rate; 0 draws the observable as it is.
        shown: Time shown before the end, in figures.
    """

    observable: str
    smoothing: float = 0.0
    shown: float = np.inf


class PhasePlane(NamedTuple):
    """The system's phase portrait around an orbit; for systems with `phase_portrait` and two populations.

    Attributes:
        observable: Observable of the orbit, dims (population, time).
        title: Title.
    """

    observable: str
    title: str = "phase portrait"


class Density(NamedTuple):
    """A density over bins, averaged over time.

    Attributes:
        observable: Probability per bin, dims (population, bin, time).
        title: Title.
        axis: What the bins are bins of.
    """

    observable: str
    title: str
    axis: str


class Growth(NamedTuple):
    """Real parts of eigenvalues against time, with zero marked.

    Attributes:
        observable: Real parts, dims (mode, time).
        title: Title.
        about: What the picture says, for the explorer's reader.
    """

    observable: str
    title: str
    about: str = ""


class ComplexPlane(NamedTuple):
    """Eigenvalues in the complex plane.

    Attributes:
        real: Observable with the real parts, dims (mode, time).
        imaginary: Observable with the imaginary parts.
        title: Title.
    """

    real: str
    imaginary: str
    title: str


class Surface(NamedTuple):
    """A covariance over two times.

    Attributes:
        observable: The covariance, dims (lag, time, time_).
        source: "limit", "network" or "difference".
        lag: Lag.
    """

    observable: str
    source: str
    lag: int


class Parts(NamedTuple):
    """Variance of a neuron against time: all of it, the part that is frozen, and the rest.

    Attributes:
        whole: Covariance, dims (lag, time, time_).
        frozen: Frozen part of it.
    """

    whole: str
    frozen: str


class AgainstLag(NamedTuple):
    """Covariance (in the explorer: correlation) at the last time against the lag, with its frozen and dynamic parts.

    Attributes:
        whole: Covariance, dims (lag, time, time_).
        frozen: Frozen part of it.
    """

    whole: str
    frozen: str


class Curves(NamedTuple):
    """A picture of the system's own: labelled curves of a run.

    Attributes:
        title: Title.
        x: Label of the abscissa.
        y: Label of the ordinate.
        of: Function of a Dataset (a limit, or one realisation of a network) to (x, y) by label.
        every: Whether every realisation is drawn, in the explorer, and not the first alone.
    """

    title: str
    x: str
    y: str
    of: Callable[[Any], Mapping[str, tuple[Any, Any]]]
    every: bool = False


class Eigenvalues(NamedTuple):
    """Eigenvalues of a drawn network at rest, the predicted edge of their bulk and the predicted outliers.

    Attributes:
        title: Title.
        of: Function of a model and its limit to a Dataset such as `RatePopulations.jacobian` returns; it is called in
            a process of its own, and must be found by name in a module.
    """

    title: str
    of: Callable[[Any, Any], Any]


class ActivityMap(NamedTuple):
    """Activity of the patches of a ring against time, or of a sheet as a movie; for models with `space`.

    A figure has the mean over the time shown in place of the movie.

    Attributes:
        observable: Observable of patches, dims (population, patch, time).
        source: "limit", "network", or in figures "finite", the theory of the network's n.
        shown: Time shown before the end, in figures.
    """

    observable: str
    source: str
    shown: float = np.inf


class Distance(NamedTuple):
    """Distance between network and limit by component; for figures of a run that was compared."""


Picture = (
    Series
    | Raster
    | Spectrum
    | Orbit
    | PhasePlane
    | Density
    | Growth
    | ComplexPlane
    | Surface
    | Parts
    | AgainstLag
    | Curves
    | Eigenvalues
    | ActivityMap
    | Distance
)


class Opening(NamedTuple):
    """How the explorer begins with a system, and what a session may ask for.

    Attributes:
        stop: Last time.
        step: Step between times.
        longest: Largest last time.
        n: Neurons.
        most: Largest number of neurons.
        options: Options of the limit.
        network_options: Options of the network.
        record: What the first realisation of a network records.
        limit_record: What the limit records.
        branches: Parameter that is followed first, and where to; None for a system without branches.
        example: Name of the example that is shown first; by default the model with its default values.
    """

    stop: float
    step: float
    longest: float
    n: int = 1000
    most: int = 100_000
    options: Mapping[str, Any] = {}
    network_options: Mapping[str, Any] = {}
    record: tuple[str, ...] = ()
    limit_record: tuple[str, ...] = ()
    branches: tuple[str, float] | None = None
    example: str = ""

    @property
    def limit_options(self) -> dict[str, Any]:
        """Options of the limit with what it records."""
        return {**self.options, **({"record": self.limit_record} if self.limit_record else {})}
