"""What a page is asked for, as one immutable value, and the path that a reader took through such values."""

from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, shown
from largen.explorer.settings import MOST_REALISATIONS, Run, check_run, run_of
from largen.parameters import info_of, parse
from largen.parameters.plain import to_plain
from largen.system import AbstractSystem

BOXES = Run._fields
"""What is asked for beside the model."""
MOST_STEPS = 200
"""Settled states that a page remembers."""


class State(NamedTuple):
    """What sliders, picture, equation, address, files, runs and verdict of a page belong to.

    Attributes:
        origin: Name of the example it began with; empty for the page's own model.
        model: The model.
        run: What is asked for beside it.
    """

    origin: str
    model: AbstractSystem
    run: Run

    def moved(self, name: str, value: Any) -> "State":
        """This state with one parameter, or one of `BOXES`, at another value.

        Raises:
            InputError: It cannot have this value; the message says which it can have.
        """
        if name in BOXES:
            asked = self.run._asdict() | {name: value}
            return self._replace(run=check_run(self.model, **asked))
        return self._replace(model=_replaced(self.model, name, value))

    def value(self, name: str) -> Any:
        """The value of a parameter, or of one of `BOXES`."""
        return getattr(self.run, name) if name in BOXES else self.model.value(name)


def same(one: State | None, two: State | None) -> bool:
    """Whether two states ask for the same."""
    if one is None or two is None or one.run != two.run:
        return one is two
    return one.model is two.model or (type(one.model) is type(two.model) and _plain(one.model) == _plain(two.model))


def same_network(one: State | None, two: State | None) -> bool:
    """Whether two states ask for the same networks, be it another number of them."""
    if one is None or two is None:
        return False
    return same(one._replace(run=one.run._replace(networks=1)), two._replace(run=two.run._replace(networks=1)))


def same_limit(one: State | None, two: State | None) -> bool:
    """Whether two states have the same limit: that of a system with a size of its own depends on n."""
    if one is None or two is None:
        return False
    n = lambda state: state.run.n if state.model.reference_size is not None else 0  # noqa: E731
    kept = Run(0.0, 0, 0, 0)
    runs = [
        kept._replace(
            duration=state.run.duration, n=n(state), perturbation=state.run.perturbation,
            perturbation_mode=state.run.perturbation_mode if state.run.perturbation else "",
        )
        for state in (one, two)
    ]  # fmt: skip
    return same(one._replace(run=runs[0]), two._replace(run=runs[1]))


def _plain(model: AbstractSystem) -> Any:
    try:
        return to_plain(model)
    except InputError:  # functions have no content to compare
        return id(model)


def _replaced(model: AbstractSystem, name: str, value: Any) -> AbstractSystem:
    """The model with one parameter replaced; of shares that must add up to 1 the others make room in proportion."""
    try:
        return model.replace(**{name: value})
    except InputError:
        changed = _with_shares(model, name, value)
        if changed is None:
            raise
        return changed


def _with_shares(model: AbstractSystem, name: str, value: Any) -> AbstractSystem | None:
    field, inside, rest = parse(name)
    if rest or len(inside) != 1 or not isinstance(value, float) or not 0.0 < value < 1.0:
        return None
    old, info = getattr(model, field), info_of(model, field)
    shares = isinstance(old, np.ndarray) and old.shape == (len(model.populations),) and info.above == 0.0
    if not shares or len(old) < 2 or abs(np.sum(old) - 1.0) > 1e-9:
        return None
    k = model.locate(name).index[0]
    new = old * (1.0 - value) / (1.0 - old[k])
    new[k] = value
    return model.replace(**{field: new})


def parsed(state: State, name: str, text: str, said: str = "Argument") -> Any:
    """A value as a reader typed it: a word of a choice, an integer for counts, else a number.

    Raises:
        InputError: No such value; the message quotes it.
    """
    text = text.strip()
    if name == "perturbation_mode":
        return text
    if name in BOXES and name not in ("duration", "perturbation"):
        return _whole(name, text, said)
    if name not in BOXES and isinstance(state.value(name), str):
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{said} `{name}` must be a number, but is {shown(text[:80])}.") from None


def _whole(name: str, text: str, said: str) -> int:
    """A count as typed, `400` or `4e2`; one of absurd size is refused before anything is made of it."""
    most = {"networks": MOST_REALISATIONS, "seed": 2**53 - 1}.get(name, 10**9)
    try:
        value = int(text) if text.lstrip("+-").isdigit() and len(text) < 40 else float(text)
    except ValueError:
        raise InputError(f"{said} `{name}` must be an integer, but is {shown(text[:80])}.") from None
    if not abs(value) <= most:  # NaN too
        raise InputError(f"{said} `{name}` must be at most {most} in the explorer, but is {shown(text[:80])}.")
    if value != int(value):
        raise InputError(f"{said} `{name}` must be an integer, but is {shown(text[:80])}.")
    return int(value)


def first_state(model: AbstractSystem, origin: str = "") -> State:
    """The state with which a model is shown first."""
    return State(origin, model, run_of(model))


class History:
    """Settled states in the order in which a reader saw them, with a place among them."""

    def __init__(self, state: State):
        self.states, self.place = [state], 0

    @property
    def state(self) -> State:
        """The settled state."""
        return self.states[self.place]

    def settle(self, state: State) -> bool:
        """Take a state as the next one, if it differs; what was undone is forgotten."""
        if same(state, self.state):
            return False
        self.states = [*self.states[: self.place + 1], state][-MOST_STEPS:]
        self.place = len(self.states) - 1
        return True

    def step(self, count: int) -> State | None:
        """The state some steps on (back where negative); None where there is none."""
        if not 0 <= self.place + count < len(self.states):
            return None
        self.place += count
        return self.state
