"""What every system shares: the parameter table, observables, and the abstract system.

A model is a final, immutable `equinox.Module`. Each field is declared once, with `parameter(...)`; that one table
feeds checks, names, files, the command line and the documentation. Numeric fields are read-only NumPy arrays in
double precision (traced as arrays by `equinox.filter_jit`, so that new values never recompile); inside a JAX
transformation they may be tracers, and then checks are skipped.
"""

import abc
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from largen.checks import InputError, known_keys, one_of, require, shown


class Observable(NamedTuple):
    """One labelled quantity of a network or a limit.

    Attributes:
        name: Name of the variable in a Dataset.
        dims: Dimensions without `realisation`; the dim `spike` marks a ragged variable.
        unit: Unit, empty where dimensionless.
        long_name: What a reader of a plot sees.
        on_request: Only present when asked for through `record`.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    on_request: bool = False


class Arrays(NamedTuple):
    """What a system's network or limit returns: plain arrays, labelled later by `results.label`.

    Attributes:
        values: Arrays by observable name, each with the observable's dims.
        coords: Coordinate arrays by dimension name (beyond `time` and the populations).
        attrs: Options as they were resolved, and what else is worth recording.
        status: One sentence; "completed" when nothing went wrong.
        stopped_at: Time at which a limit was lost, or None.
    """

    values: Mapping[str, np.ndarray]
    coords: Mapping[str, Any] = {}
    attrs: Mapping[str, Any] = {}
    status: str = "completed"
    stopped_at: float | None = None


class Plan(NamedTuple):
    """What one realisation of a network will take, known before it starts.

    Attributes:
        method: The method that will run.
        bytes: Estimated memory of one realisation.
        seconds: Estimated CPU time of one realisation, or None when unknown.
    """

    method: str
    bytes: float
    seconds: float | None = None


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


class ParameterInfo(NamedTuple):
    """One row of a model's parameter table (see `parameter`)."""

    name: str
    default: Any
    unit: str
    symbol: str
    dims: tuple[str, ...]
    kind: str
    low: float | None
    above: float | None
    high: float | None
    infinite: bool
    scalar: bool
    function: bool
    choices: tuple[str, ...]
    components: tuple[type, ...]
    doc: str


_DTYPES = {"real": np.float64, "integer": np.int64, "flag": np.bool_}


def _converter(kind: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, Tracer) or callable(value) or value is None:
            return value
        try:
            array = np.array(value, dtype=np.float64)
            if kind != "real":
                whole = array.astype(_DTYPES[kind])
                if not np.array_equal(whole, array):
                    return value
                array = whole
        except (TypeError, ValueError, OverflowError):
            return value  # reported with the field's name by the check
        array.flags.writeable = False
        return array

    return convert


def parameter(
    default: Any,
    *,
    unit: str = "",
    symbol: str = "",
    dims: tuple[str, ...] = (),
    kind: str = "real",
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    infinite: bool = False,
    scalar: bool = False,
    function: bool = False,
    choices: tuple[str, ...] = (),
    components: tuple[type, ...] = (),
    doc: str = "",
) -> Any:
    """Declare one field of a model.

    Args:
        default: Default value; nested tuples become arrays.
        unit: Unit, empty where dimensionless.
        symbol: The field's symbol in the papers, as LaTeX without dollar signs.
        dims: Dimensions; `population` and `source` have one entry per population.
        kind: "real", "integer", "flag" (booleans), "choice" (one of `choices`, static) or "component" (an
            instance of one of `components`, or a tuple of one per population where dims is `("population",)`).
        low: Smallest value allowed.
        above: Value that must be exceeded.
        high: Largest value allowed.
        infinite: Whether infinity is allowed.
        scalar: Whether one number may stand for all entries.
        function: Whether a function of time (scalar time in, shape `dims` out) may stand for the constant.
        choices: The words a "choice" may take.
        components: The classes a "component" may have, or that may stand for a function.
        doc: One sentence.
    """
    info = ParameterInfo(
        "",
        default,
        unit,
        symbol,
        dims,
        kind,
        low,
        above,
        high,
        infinite,
        scalar,
        function,
        choices,
        components,
        doc,
    )
    metadata = {"parameter": info}
    if kind == "choice":
        return eqx.field(default=default, static=True, metadata=metadata)
    if kind == "component":
        return eqx.field(default=default, metadata=metadata)
    return eqx.field(default=default, converter=_converter(kind), metadata=metadata)


def parameters(component: Any) -> dict[str, ParameterInfo]:
    """Return the parameter table of a component or its class, by field name, in order."""
    return {
        field.name: field.metadata["parameter"]._replace(name=field.name)
        for field in dataclasses.fields(component)
        if "parameter" in field.metadata
    }


def _traced(value: Any) -> bool:
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


class AbstractComponent(eqx.Module):
    """A parametrised part of a model: a gain, a kernel, a drive, or the model itself."""

    def __check_init__(self):
        table = parameters(self)
        if any(_traced(getattr(self, name)) for name in table):
            return
        count = self._population_count()
        for info in table.values():
            _check_form(info, getattr(self, info.name), count)
        for info in table.values():
            _check_bounds(info, getattr(self, info.name), self._labels())

    def _population_count(self) -> int | None:
        """Length of the first field with a `population` dimension (None without one)."""
        for info in parameters(self).values():
            value = getattr(self, info.name)
            if info.dims[:1] == ("population",) and not callable(value) and np.ndim(value) >= 1:
                return len(value)
        return None

    def _labels(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self._population_count() or 0))


def _check_form(info: ParameterInfo, value: Any, count: int | None) -> None:
    """Check kind and shape."""
    name = info.name
    if info.kind == "choice":
        one_of(name, value, info.choices)
        return
    if info.kind == "component":
        _check_component(info, value, count)
        return
    if callable(value):
        if not info.function:
            raise InputError(f"Argument `{name}` must be a constant, but is the function {shown(value)}.")
        return
    noun = {"real": "numbers", "integer": "whole numbers", "flag": "booleans"}[info.kind]
    require(isinstance(value, np.ndarray) and value.dtype == _DTYPES[info.kind], name, f"hold {noun}", value)
    if info.scalar and value.ndim == 0:
        return
    sizes = {"population": count, "source": count}
    wanted = tuple(sizes.get(dim) for dim in info.dims)
    fits = value.ndim == len(wanted) and all(w is None or w == s for w, s in zip(wanted, value.shape, strict=True))
    if not fits:
        shape = ", ".join("any" if w is None else str(w) for w in wanted) + ("," if len(wanted) == 1 else "")
        axes = f" ({', '.join(info.dims)})" if info.dims else ""
        raise InputError(f"Argument `{name}` must have shape ({shape}){axes}, but has shape {value.shape}.")


def _check_component(info: ParameterInfo, value: Any, count: int | None) -> None:
    many = info.dims == ("population",)
    if many:
        require(isinstance(value, tuple), info.name, "be a tuple with one entry per population", value)
        require(
            count is None or len(value) == count,
            info.name,
            f"have {count} entries, one per population",
            value,
        )
    names = " or ".join(cls.__name__ for cls in info.components)
    for entry in value if many else (value,):
        right = isinstance(entry, info.components) or (info.function and callable(entry))
        require(right, info.name, f"be {'made of ' if many else ''}{names}", entry)


def _check_bounds(info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> None:
    """Check every entry; the sentence names the first wrong one, as `strength[e,i]`."""
    if info.kind in ("choice", "component", "flag") or callable(value):
        return
    with np.errstate(invalid="ignore"):
        rules = [(~np.isnan(value), "be a number")]
        if not info.infinite:
            rules.append((np.isfinite(value), "be finite"))
        if info.low is not None:
            rules.append((value >= info.low, f"be at least {info.low:g}"))
        if info.above is not None:
            rules.append((value > info.above, f"be greater than {info.above:g}"))
        if info.high is not None:
            rules.append((value <= info.high, f"be at most {info.high:g}"))
    for good, must in rules:
        if not np.all(good):
            index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(good))[0]) if value.ndim else ()
            require(False, indexed_name(info, index, labels), must, float(value[index]))


def indexed_name(info: ParameterInfo, index: tuple[int, ...], labels: tuple[str, ...]) -> str:
    """Name one entry of a field: `decay[e,i]` is (target e, source i)."""
    if not index:
        return info.name
    inside = (
        labels[i] if dim in ("population", "source") and i < len(labels) else str(i)
        for i, dim in zip(index, info.dims, strict=True)
    )
    return f"{info.name}[{','.join(inside)}]"


class TimeSeries(AbstractComponent):
    """A function of time given by samples, linear between them.

    Asking for a time outside [times[0], times[-1]] gives the value at the nearer end.

    Attributes:
        times: Sample times in the system's time unit, strictly increasing, shape (time,).
        values: Samples, shape (time, population).
    """

    times: Any = parameter((0.0, 1.0), dims=("time",), doc="Sample times.")
    values: Any = parameter(((0.0,), (0.0,)), dims=("time", "any"), doc="Samples, one row per time.")

    def __check_init__(self):
        if _traced((self.times, self.values)):
            return
        require(np.all(np.diff(self.times) > 0), "times", "be strictly increasing", self.times)
        rows = len(self.times)
        require(len(self.values) == rows, "values", f"have one row per time ({rows})", np.shape(self.values))

    def __call__(self, time: Any) -> jax.Array:
        """Value at one time, shape (population,)."""
        return jax.vmap(lambda column: jax.numpy.interp(time, self.times, column), in_axes=1)(
            jax.numpy.asarray(self.values)
        )


class Place(NamedTuple):
    """Where a parameter stands in a model.

    Attributes:
        steps: Attributes and tuple entries that lead to its array.
        index: The entry of the array, or () for the whole of it.
        info: Its row of the parameter table.
        value: The whole array.
    """

    steps: tuple[str | int, ...]
    index: tuple[int, ...]
    info: ParameterInfo
    value: Any


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
        """Fields of the model that must keep their values, each with the reason (words that follow "because")."""

    @abc.abstractmethod
    def __call__(self, model: Any) -> tuple[dict[str, jax.Array], jax.Array]:
        """The observables by name, and whether the limit exists there (else the values mean nothing)."""


class AbstractSystem(AbstractComponent):
    """A model: its finite network, its limit equations, and the table of its parameters and observables.

    A system is one folder: it says what its observables are and how one realisation of its network and its limit are
    computed as plain arrays. Everything else (labels, files, comparison, command line) is shared. Keyword arguments of
    `network` and `limit` beyond those named here are the system's own options. `default_times` are the start, stop and
    step of a run when nothing is said, `default_record` what `largen run` records for its figure.
    """

    system: eqx.AbstractClassVar[str]
    time_unit: eqx.AbstractClassVar[str]
    observables: eqx.AbstractClassVar[tuple[Observable, ...]]
    methods: eqx.AbstractClassVar[tuple[str, ...]]
    presets: eqx.AbstractClassVar[tuple[str, ...]]
    default_times: eqx.AbstractClassVar[tuple[float, float, float]]
    default_record: eqx.AbstractClassVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def populations(self) -> tuple[str, ...]:
        """Labels of the populations, in order."""

    @property
    @abc.abstractmethod
    def reference_size(self) -> int | None:
        """The model's own total number of neurons, or None where it is infinite."""

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

        A limit that is lost on the way comes back cut at `stopped_at` with the sentence in `status`; one that
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
        raise InputError(
            f"The {self.system} system has no differentiable limit, so that it can be swept but not fitted."
        )

    def equations(self, n: int | None = None) -> str:
        """The limit's equations (those of n neurons where n is given) as LaTeX, with this model's own numbers."""
        raise InputError(f"The {self.system} system does not write its equations.")

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

    def _labels(self) -> tuple[str, ...]:
        return self.populations

    def locate(self, name: str) -> "Place":
        """Say where one parameter stands, such as `tau[e]` or `gain[i].slope`."""
        steps: list[str | int] = []
        component: Any = self
        rest = name
        while True:
            field, inside, rest = _parse(rest)
            info = _info(component, field)
            value = getattr(component, field)
            index = _index(info, inside, self.populations) if inside else ()
            steps.append(field)
            if isinstance(value, tuple) and index:
                steps.append(index[0])
                value, index = value[index[0]], ()
            if not rest:
                return Place(tuple(steps), index, info, value)
            component = value

    def value(self, name: str) -> Any:
        """Return one parameter by its name, such as `tau[e]` or `probability[e,i]`."""
        return _get(self, *_parse(name), self.populations if "[" in name else ())

    def replace(self, **changes: Any) -> Self:
        """Return a model with some parameters changed; names as in `value`.

        For example `model.replace(**{"probability[e,i]": 0.9, "refractory_time": 3.0})`.
        """
        new = self
        for name, value in changes.items():
            new = _set(new, *_parse(name), value, self.populations if "[" in name else ())
        return new


class Dynamics(NamedTuple):
    """The equations behind a limit in the form in which `largen.analysis` follows them, with one parameter free.

    Attributes:
        form: "flow" (law(x, p) is dx/dt), "map" (the next x), "steps" (law(x, p, dt) is x one step of length dt
            later) or "constrained" (the law's zeros are the stationary states, `spectra` their eigenvalues).
        law: JAX callable; a pytree, so that new values never compile again.
        value: The parameter's value in the model.
        starts: Function of the parameter's value: states from which to look for stationary ones.
        scale: Sizes of the unknowns, shape (m,).
        conserved: Rows C, shape (c, m), with C x conserved.
        dt: Step of "steps", else None.
        observe: JAX callable with the arguments of the law: the observables, each of shape (component,).
        observables: What they are.
        coordinates: Labels of the observables' dimension.
        spectra: For "constrained": function (x, p) -> eigenvalues by group.
        kinds: Names of the special points by group of the spectrum, for "constrained".
        bounds: Lowest and highest value that the parameter may take.
        time_unit: Unit of periods.
        unit: Unit of the parameter.
        note: What else was decided, for the record.
    """

    form: str
    law: Any
    value: float
    starts: Callable[[float], list[np.ndarray]]
    scale: np.ndarray
    conserved: np.ndarray
    dt: float | None
    observe: Any
    observables: tuple[Observable, ...]
    coordinates: tuple[str, ...]
    spectra: Any = None
    kinds: Mapping[str, Mapping[str, str]] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    time_unit: str = ""
    unit: str = ""
    note: Mapping[str, Any] = {}


class AbstractFlowSystem(AbstractSystem):
    """A system whose limit is a flow, or a map at its own dt, so that `largen.analysis` can follow its branches."""

    @abc.abstractmethod
    def dynamics(self, parameter: str | None, *, n: int | None, **options: Any) -> Dynamics:
        """The equations with one parameter free (None: just the equations), at n neurons in all."""

    def free(self, parameter: str) -> tuple[float, tuple[float, float], str]:
        """Value, bounds and unit of a parameter that can be followed: one number, or one that stands for all.

        `drive*` is a factor of the whole field `drive`; its value is 1.

        Raises:
            InputError: The name means several different numbers, or none.
        """
        if parameter.endswith("*"):
            info = _info(self, parameter[:-1].strip())
            if info.kind != "real" or callable(getattr(self, info.name)):
                raise InputError(f"Argument `parameter` must name a field of constant numbers, but is {parameter!r}.")
            return 1.0, (-np.inf if info.low is None and info.above is None else 0.0, np.inf), ""
        info, value = _info(self, _parse(parameter)[0]), self.value(parameter)
        rest = _parse(parameter)[2]
        if rest:  # an entry of a component, such as gain[e].slope
            component = _get(self, *_parse(parameter)[:2], "", self.populations)
            info = _info(component, _parse(rest)[0])
        numbers = np.unique(np.asarray(value)) if not callable(value) and np.size(value) else np.zeros(0)
        several = not callable(value) and np.ndim(value) > 0 and not info.scalar
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
            return _set(self, name, (), "", getattr(self, name) * value, ())
        return _set(self, *_parse(parameter), value, labels if "[" in parameter else ())


_NAME = re.compile(r"^(\w+)(?:\[([^\]]*)\])?(?:\.(.+))?$")


def _parse(name: str) -> tuple[str, tuple[str, ...], str]:
    match = _NAME.match(name.strip())
    if match is None:
        raise InputError(f"Parameter name must look like `tau`, `tau[e]` or `probability[e,i]`, but is {name!r}.")
    field, inside, rest = match.groups()
    return field, tuple(part.strip() for part in inside.split(",")) if inside is not None else (), rest or ""


def _index(info: ParameterInfo, inside: Sequence[str], labels: tuple[str, ...]) -> tuple[int, ...]:
    if inside and len(inside) != len(info.dims):
        raise InputError(
            f"Parameter `{info.name}` has {len(info.dims)} indices ({', '.join(info.dims) or 'none'}), "
            f"but `{info.name}[{','.join(inside)}]` has {len(inside)}."
        )
    index = []
    for part, dim in zip(inside, info.dims, strict=False):
        words = labels if dim in ("population", "source") else ()
        if part in words:
            index.append(words.index(part))
        elif part.isdecimal() and not (words and int(part) >= len(words)):
            index.append(int(part))
        else:
            listed = ", ".join(words)
            raise InputError(f"Unknown {dim} `{part}` in `{info.name}[{','.join(inside)}]`. Valid: {listed}.")
    return tuple(index)


def _info(component: Any, field: str) -> ParameterInfo:
    table = parameters(component)
    known_keys("parameter", [field], table)
    return table[field]


def _get(component: Any, field: str, inside: tuple[str, ...], rest: str, labels: tuple[str, ...]) -> Any:
    info = _info(component, field)
    value = getattr(component, field)
    if inside and not callable(value):
        index = _index(info, inside, labels)
        if isinstance(value, tuple):
            value = value[index[0]]
        elif not (info.scalar and np.ndim(value) == 0):
            value = value[index]
    if rest:
        return _get(value, *_parse(rest), labels)
    return value


def _set(component: Any, field: str, inside: tuple[str, ...], rest: str, value: Any, labels: tuple[str, ...]) -> Any:
    info = _info(component, field)
    old = getattr(component, field)
    if rest:
        value = _set(_get(component, field, inside, "", labels), *_parse(rest), value, labels)
    if inside:
        index = _index(info, inside, labels)
        if callable(old):
            raise InputError(f"Parameter `{field}` is a function of time: give the whole of it, not one entry.")
        if isinstance(old, tuple):
            value = tuple(value if i == index[0] else entry for i, entry in enumerate(old))
        elif isinstance(value, jax.Array) or isinstance(old, jax.Array):
            value = _every_entry(jax.numpy, info, old, labels).at[index].set(value)
        else:
            number = _converter(info.kind)(value)
            require(isinstance(number, np.ndarray) and number.ndim == 0, info.name, "be set to one number", value)
            array = np.array(_every_entry(np, info, old, labels))
            array[index] = number
            value = array
    fields = {name: getattr(component, name) for name in parameters(component)}
    return type(component)(**(fields | {field: value}))


def _every_entry(numpy: Any, info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> Any:
    """One number that stands for all entries, written out; other arrays as they are."""
    if info.scalar and np.ndim(value) == 0:
        return numpy.broadcast_to(value, (len(labels),) * len(info.dims))
    return numpy.asarray(value)
