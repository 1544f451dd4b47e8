"""What every system shares: the abstract system, and what it may offer.

A model is a final, immutable `equinox.Module` whose fields are declared in its parameter table (`largen.parameters`).
"""

import abc
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, Self

import equinox as eqx
import jax
import numpy as np

from largen.checks import InputError, known_keys, real, require, shown
from largen.numerics.lyapunov import TangentMap
from largen.parameters import (
    AbstractComponent,
    Place,
    get,
    index_in,
    indexed_name,
    info_of,
    parameters,
    parse,
    set_to,
    set_whole,
)
from largen.system.dynamics import Dynamics
from largen.system.pictures import Opening, Picture
from largen.system.values import Arrays, Feature, FitData, Observable, Plan, Portrait, Table


def split(n: int, shares: np.ndarray, fewest: int, labels: tuple[str, ...]) -> np.ndarray:
    """Split n neurons by shares, by largest remainders, shape (population,); each must get `fewest`."""
    exact = n * shares / np.sum(shares)
    sizes = np.floor(exact).astype(np.int64)
    sizes[np.argsort(sizes - exact, kind="stable")[: n - int(sizes.sum())]] += 1
    words = {1: "one neuron", 3: "three neurons"}.get(fewest, f"{fewest} neurons")
    needed = int(np.ceil(fewest * np.sum(shares) / np.min(shares)))
    require(
        np.all(sizes >= fewest),
        "n",
        f"give every population at least {words} ({', '.join(labels)})",
        n,
        f"At least {needed} neurons are needed.",
    )
    return sizes


def labels_of(inhibitory: Any) -> tuple[str, ...]:
    """Label populations `e` and `i`, numbered from 1 where there are several of a kind."""
    letters = ["i" if flag else "e" for flag in np.asarray(inhibitory, dtype=bool).tolist()]
    return tuple(
        letter if letters.count(letter) == 1 else f"{letter}{letters[: k + 1].count(letter)}"
        for k, letter in enumerate(letters)
    )


def _has_labels(value: Any) -> bool:
    """Whether a value is one of pandas or xarray."""
    return hasattr(value, "axes") or hasattr(value, "coords")


class AbstractSmoothLimit(eqx.Module):
    """A limit as a pure function of the model's numbers: for `jax.jacfwd`, `jax.vmap` and `equinox.filter_jit`.

    What decides the form of the computation (shapes, numbers of steps, which populations inhibit) is fixed when it is
    made, from one model; numbers may then be traced.
    """

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """The observables that it gives."""

    @property
    @abc.abstractmethod
    def fixed(self) -> Mapping[str, str]:
        """Fields of the model, also of its components (`low_rank.covariance`), that must keep their values.

        Each with the reason, words that follow "because".
        """

    @abc.abstractmethod
    def __call__(self, model: Any) -> tuple[dict[str, jax.Array], jax.Array]:
        """The observables by name, and whether the limit exists there (else the values mean nothing)."""


class AbstractSystem(AbstractComponent):
    """A model: its finite network, its limit equations, and the table of its parameters and observables.

    A system is one folder: it says what its observables are and how one realisation of its network and its limit are
    computed as plain arrays. Everything else (labels, files, comparison, command line) is shared. Keyword arguments of
    `network` and `limit` beyond those named here are the system's own options. `default_times` are the start, stop and
    step of a run when nothing is said, `default_record` what `largen run` records for its figure.

    What follows `limit` is optional: a system that has a statistic, a theory or a picture of its own says so here, and
    what it does not have is refused with a message. `overview` are the rows of the figure of a run, `views` the
    explorer's tabs (both by default made from the observables), `opening` how the explorer begins. `bias_order` is the
    power b with which the mean of networks approaches the infinite limit at leading order, n^-b: `convergence`
    extrapolates with it. None: it is not known, or there is no infinite limit.
    """

    system: eqx.AbstractClassVar[str]
    time_unit: eqx.AbstractClassVar[str]
    observables: eqx.AbstractClassVar[tuple[Observable, ...]]
    methods: eqx.AbstractClassVar[tuple[str, ...]]
    presets: eqx.AbstractClassVar[tuple[str, ...]]
    default_times: eqx.AbstractClassVar[tuple[float, float, float]]
    default_record: eqx.AbstractClassVar[tuple[str, ...]]
    bias_order: ClassVar[float | None] = None
    overview: ClassVar[tuple[tuple[Picture, ...], ...]] = ()
    views: ClassVar[Mapping[str, tuple[Picture, ...]]] = {}
    opening: ClassVar[Opening | None] = None

    @property
    @abc.abstractmethod
    def populations(self) -> tuple[str, ...]:
        """Labels of the populations, in order."""

    @property
    @abc.abstractmethod
    def reference_size(self) -> int | None:
        """The model's own total number of neurons, or None where it is infinite."""

    @property
    def idle(self) -> tuple[str, ...]:
        """Fields that a model with these choices does not use; forms leave them out."""
        return ()

    @abc.abstractmethod
    def sizes(self, n: int) -> np.ndarray:
        """Split `n` neurons into populations, shape (population,); refuses an n that is too small."""

    @abc.abstractmethod
    def plan(self, times: np.ndarray, *, n: int, method: str | None, record: tuple[str, ...], **options: Any) -> Plan:
        """Check the options of a network run and say what one realisation will take."""

    @abc.abstractmethod
    def network(
        self,
        times: np.ndarray,
        *,
        n: int,
        rng: Callable[..., np.random.Generator],
        method: str,
        record: tuple[str, ...],
        tick: Callable[[float], None],
        **options: Any,
    ) -> Arrays:
        """Run one realisation of the network.

        Args:
            times: Output times, shape (time,); the network starts at times[0].
            n: Total number of neurons.
            rng: Gives the generator of a named stream of this realisation.
            method: One of `methods`, as `plan` resolved it.
            record: What to record beyond the standard observables.
            tick: Called now and then with the fraction done; may raise to stop.
            options: The system's own options.
        """

    @abc.abstractmethod
    def limit(self, times: np.ndarray, *, n: int | None, rtol: float, atol: float, **options: Any) -> Arrays:
        """Solve the limit equations; n is None for the model's own size.

        A limit that is lost on the way comes back cut at `stopped_at` with the message in `status`; one that
        does not exist raises `LimitError`.
        """

    def finite_options(self, *, realisations: int, seed: int) -> dict[str, Any]:
        """Options with which `limit(n=N)` is the system's best theory of N neurons; a sampled one may need them."""
        return {}

    def smooth(self, times: np.ndarray, *, n: int | None = None, **options: Any) -> "AbstractSmoothLimit":
        """The limit as a differentiable function of the model, for fits and sensitivities; see `AbstractSmoothLimit`.

        Args:
            times: Output times, shape (time,).
            n: Total number of neurons, or None for the model's own size.
            options: The system's own options.
        """
        self._refuse("no differentiable limit, so that it can be swept but not fitted")

    def fit_data(self, dataset: Any) -> FitData | None:
        """What a fit through `smooth` aims at in a Dataset; None for the observables themselves, at the run's times.

        Args:
            dataset: What `simulate` or `solve_limit` returned.
        """
        return None

    def fit_times(self, times: np.ndarray, *, sampled: bool) -> np.ndarray:
        """The times at which a fit solves the limit, where the target has these; `sampled`: it is a network's."""
        return times

    def equations(self, n: int | None = None) -> str:
        """The limit's equations (those of n neurons where n is given) as LaTeX, with this model's own numbers."""
        self._refuse("no equations that it can write")

    def export(self, to: str, *, n: int | None = None, **settings: Any) -> str:
        """The network as a script of another simulator, or the limit as a file of another program, named by `to`."""
        self._refuse(f"no script for {to!r}")

    def covariance_of_averages(
        self, times: np.ndarray, weights: Mapping[str, np.ndarray], *, n: int, options: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Covariance of weighted sums of one network's observables, where the system has a theory of fluctuations.

        `compare` takes its error bars from here where there is one realisation.

        Args:
            times: Output times, shape (time,).
            weights: By observable, shape (sum, *its dims).
            n: Total number of neurons.
            options: The network run's options, defaults included.

        Returns:
            By observable, shape (sum, sum), for those the theory knows; empty without a theory.
        """
        return {}

    # Statistics of a run, and theories beyond the limit ------------------------------------------------------------

    @classmethod
    def statistic_names(cls) -> tuple[str, ...]:
        """The statistics that `statistics` may give, such as `synchrony`; empty for a system without any."""
        return ()

    @classmethod
    def statistics(cls, dataset: Any, *, start: float | None = None) -> Any:
        """The statistics of a run that `largen run` prints: a Dataset, each with its standard error in `<name>_se`.

        Args:
            dataset: What `simulate` or `solve_limit` returned.
            start: Time after which they are taken; None for the system's own choice.
        """
        raise InputError(f"The {cls.system} system has no statistics of its own.")

    @classmethod
    def features(cls, dataset: Any, parts: np.ndarray | None = None) -> Mapping[str, Feature | str]:
        """Statistics of each realisation that `compare` tests beside the time means; empty for a system without any.

        Instead of a statistic, or under the name of a group of them, a sentence may say why it is not there.

        Args:
            dataset: What `simulate` or `solve_limit` returned, or a selection from it.
            parts: Of a single realisation, groups of times that are nearly independent, shape (group, time) of truth
                values; None otherwise.

        Raises:
            InputError: The Dataset's times do not allow them.
        """
        return {}

    @classmethod
    def independent_parts(cls, dataset: Any) -> np.ndarray | None:
        """Groups of times of a single realisation that are nearly independent, such as whole cycles of a rhythm.

        Shape (group, time) of truth values; None where the system knows none, so that blocks of time are taken.
        """
        return None

    def fluctuations(self, *, n: int, times: Any = None, **options: Any) -> Any:
        """Theory of the fluctuations of a network of n neurons, for `analysis.fluctuations`: a Table, or a Dataset."""
        self._refuse("no fluctuation theory")

    def stationary(self, **options: Any) -> Any:
        """The stationary regime, for `analysis.stationary`: a Table, or a Dataset."""
        self._refuse("no theory of a stationary regime")

    def onset(self, parameter: str, *, low: float, high: float, **options: Any) -> Any:
        """Where a parameter makes a static state unstable, for `analysis.onset`: a Table, or a Dataset."""
        self._refuse("no theory of the onset of instability in a parameter")

    def dispersion(self, *, n: int | None, modes: int | None, branches: int, **options: Any) -> Table:
        """Growth rates and frequencies of waves about the homogeneous state, for `analysis.dispersion`."""
        self._refuse("no dispersion relation")

    def rate_function(self, mean: np.ndarray, covariance: np.ndarray) -> Table:
        """Rate function of large deviations, for `analysis.rate_function`."""
        self._refuse("no rate function")

    def chaos_onset(self, gains: np.ndarray | None) -> Table:
        """Where the network becomes chaotic, for `analysis.chaos_onset`; `gains` as there, shape (gain,)."""
        self._refuse("no theory of the onset of chaos")

    # Dynamics of the limit -----------------------------------------------------------------------------------------

    def stationary_states(self, n: int | None) -> Table | None:
        """All stationary states of the limit, or at n neurons, with dim `state`; None where they cannot be listed.

        Without a list `analysis.fixed_points` looks for them by Newton's method on `dynamics`.
        """
        return None

    def phase_portrait(
        self,
        runs: Mapping[str, Any],
        *,
        n: int | None,
        window: np.ndarray | None,
        points: int,
        start: float | None,
        **options: Any,
    ) -> Portrait:
        """The plane of two quantities, for `analysis.phase_portrait`.

        Args:
            runs: Datasets by source: "network", "limit", "finite".
            n: Total number of neurons, or None.
            window: Lowest and highest value of each axis, shape (axis, edge), or None for the system's own choice.
            points: Points of the grid in each direction, on which curves are first traced.
            start: Time from which orbits are drawn, or None.
            options: The system's own options.
        """
        self._refuse("no phase portrait")

    def tangent_dynamics(
        self,
        *,
        n: int | None,
        dt: float | None,
        rng: Callable[..., np.random.Generator] | None,
        **options: Any,
    ) -> TangentMap:
        """The map whose tangent vectors `analysis.lyapunov` follows, with its start.

        Args:
            n: Total number of neurons, or None for the model's own size.
            dt: Time step, or None for the system's own choice.
            rng: Gives the generator of a named stream of this realisation, the same as of `network`; None without n.
            options: The system's own options.
        """
        self._refuse("no tangent dynamics; give a function of the state")

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(f"The {self.system} system has {what}.")

    def _labels(self) -> tuple[str, ...]:
        return self.populations

    def locate(self, name: str) -> "Place":
        """Say where one parameter stands, such as `tau[e]` or `gain[i].slope`."""
        steps: list[str | int] = []
        component: Any = self
        rest = name
        while True:
            field, inside, rest = parse(rest)
            info = info_of(component, field)
            value = getattr(component, field)
            index = index_in(info, inside, self.populations) if inside else ()
            steps.append(field)
            if isinstance(value, tuple) and index:
                steps.extend(index)
                for position in index:
                    value = value[position]
                index = ()
            if not rest:
                return Place(tuple(steps), index, info, value)
            component = value

    def value(self, name: str) -> Any:
        """Return one parameter by its name, such as `tau[e]` or `probability[e,i]`."""
        field, inside, rest = parse(name)
        return get(self, field, inside, rest, self.populations if "[" in name else ())

    def replace(self, **changes: Any) -> Self:
        """Return a model with some parameters changed; names as in `value`.

        For example `model.replace(**{"probability[e,i]": 0.9, "refractory_time": 3.0})`. Whole fields are replaced
        first, and together. Values with a unit are converted; those of pandas and xarray with the populations' labels
        are put in their order.

        Raises:
            InputError: No such parameter, or a value that it cannot have; the message names both.
        """
        single = {name for name in changes if any(parse(name)[1:])}
        whole = {parse(name)[0]: value for name, value in changes.items() if name not in single}
        labelled = any(map(_has_labels, whole.values()))
        new = set_whole(self, whole, self.populations if labelled else ()) if whole else self
        for name in changes:
            if name in single:
                value = changes[name]
                labels = self.populations if "[" in name or _has_labels(value) else ()
                new = set_to(new, *parse(name), value, labels)
        return new


def require_model(name: str, value: Any) -> AbstractSystem:
    """Check that a value is a model and return it."""
    if not isinstance(value, AbstractSystem):
        written = isinstance(value, str) or hasattr(value, "__fspath__")
        made = isinstance(value, type) and issubclass(value, AbstractSystem)
        remedy = "Read it with largen.read_model(...)." if written else "Call it." if made else ""
        require(False, name, "be a model, such as SpikingNetwork()", value, remedy)
    assert isinstance(value, AbstractSystem)
    return value


class AbstractFlowSystem(AbstractSystem):
    """A system whose limit is a flow, or a map at its own dt, so that `largen.analysis` can follow its branches."""

    @abc.abstractmethod
    def dynamics(self, parameter: str | None, *, n: int | None, **options: Any) -> Dynamics:
        """The equations with one parameter free (None: just the equations), at n neurons in all."""

    def tangent_dynamics(
        self,
        *,
        n: int | None,
        dt: float | None,
        rng: Callable[..., np.random.Generator] | None,
        **options: Any,
    ) -> TangentMap:
        """The map whose tangent vectors `analysis.lyapunov` follows: that of `dynamics`, whose options it takes."""
        check_options(self, "dynamics", options)
        return self.dynamics(None, n=n, **options).tangent(dt)

    def free(self, parameter: str) -> tuple[float, tuple[float, float], str]:
        """Value, bounds and unit of a parameter that can be followed: one number, or one that stands for all.

        `drive*` is a factor of the whole field `drive`; its value is 1.

        Raises:
            InputError: The name means several different numbers, or none.
        """
        if isinstance(parameter, str) and parameter.endswith("*"):
            info = info_of(self, parameter[:-1].strip())
            if info.kind != "real" or callable(getattr(self, info.name)):
                raise InputError(f"Argument `parameter` must name a field of constant numbers, but is {parameter!r}.")
            return 1.0, (-np.inf if info.low is None and info.above is None else 0.0, np.inf), ""
        info, value = info_of(self, parse(parameter)[0]), self.value(parameter)
        rest = parse(parameter)[2]
        if rest:  # an entry of a component, such as gain[e].slope
            component = get(self, *parse(parameter)[:2], "", self.populations)
            info = info_of(component, parse(rest)[0])
        array = np.zeros(0) if value is None or callable(value) else np.asarray(value)
        numbers = np.unique(array)
        several = array.ndim > 0 and not info.scalar
        if info.kind != "real" or len(numbers) != 1 or several:
            raise InputError(
                f"Argument `parameter` must name one number, but `{parameter}` is {shown(value)}. "
                f"Name one entry, such as {self._example()}."
            )
        low = info.above if info.low is None else info.low
        bounds = (-np.inf if low is None else low, np.inf if info.high is None else info.high)
        return float(numbers[0]), bounds, info.unit

    def _example(self) -> str:
        table = parameters(self)
        name = next(name for name, info in table.items() if "population" in info.dims and info.kind == "real")
        return "`" + indexed_name(table[name], (0,) * len(table[name].dims), self.populations) + "`"

    def varied(self, parameter: str, value: Any, labels: tuple[str, ...]) -> Self:
        """The model with one parameter replaced, inside a JAX transformation; labels are `populations`."""
        if parameter.endswith("*"):
            name = parameter[:-1].strip()
            return set_to(self, name, (), "", getattr(self, name) * value, ())
        return set_to(self, *parse(parameter), value, labels if "[" in parameter else ())


# A system's own keyword arguments, read off the signatures of its methods ------------------------------------------

_SHARED = {
    "network": {"self", "times", "n", "rng", "method", "record", "tick", "options"},
    "limit": {"self", "times", "n", "rtol", "atol", "options"},
    "smooth": {"self", "times", "n", "options"},
    "dynamics": {"self", "parameter", "n", "options"},
    "fluctuations": {"self", "n", "times"},
    "stationary": {"self"},
    "dispersion": {"self", "n", "modes", "branches", "options"},
    "onset": {"self", "parameter", "low", "high"},
    "tangent_dynamics": {"self", "n", "dt", "rng"},
    "phase_portrait": {"self", "runs", "n", "window", "points", "start"},
}


def options_of(system: Any, verb: str) -> dict[str, Any]:
    """Return the options of a system's method, such as `network` or `limit`, with their defaults."""
    method = getattr(system, verb)
    return dict(_options(getattr(method, "__func__", method), verb))


@functools.cache
def _options(function: Callable, verb: str) -> Mapping[str, Any]:
    signature = inspect.signature(function)
    return {p.name: p.default for p in signature.parameters.values() if p.name not in _SHARED[verb]}


TIME_OPTIONS = ("dt", "step", "horizon")
"""Options that are times: given with a unit, they are converted to the system's."""


def in_own_units(system: AbstractSystem, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with times that have a unit (quantities, pint, timedelta) as numbers in the system's unit of time."""
    found, plain = dict(options), int | float | str | None | np.integer | np.floating
    for name in TIME_OPTIONS:
        if name in found and not isinstance(found[name], plain):
            found[name] = real(name, found[name], unit=system.time_unit)
    return found


def check_options(system: AbstractSystem, verb: str, given: Mapping[str, Any]) -> None:
    """Refuse an option that the system does not have; the message lists those it has."""
    valid = options_of(system, verb)
    if "options" not in valid:  # a method that takes any options looks at them itself, or refuses
        what = "smooth limit" if verb == "smooth" else verb.replace("_", " ")
        known_keys(f"option of the {system.system} system's {what}", given, valid)
