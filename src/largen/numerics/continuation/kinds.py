"""Kinds of special points and of branches, and why a branch ends."""

import enum
from typing import Any, NamedTuple, Self


class BranchKind(enum.Enum):
    """What the points of a branch are; the value stands in Datasets."""

    STATIONARY = "stationary"
    CYCLE = "cycle"


class SpecialKind(enum.Enum):
    """What happens at a special point; the value stands in Datasets, `meaning` is for people.

    Source: Y. Kuznetsov, Elements of Applied Bifurcation Theory (1998), ch. 3 to 5.
    """

    meaning: str

    FOLD = "fold", "Two stationary states collide and disappear: beyond it the system jumps to another state."
    BRANCH_POINT = "branch_point", "Another branch crosses this one; the two exchange stability."
    HOPF = "hopf", "A stationary state changes its stability and a periodic orbit is born."
    PERIOD_DOUBLING = "period_doubling", "An orbit changes its stability and one of twice the period is born."
    NEIMARK_SACKER = (
        "neimark_sacker",
        "A fixed point changes its stability and a closed curve of quasi-periodic motion is born.",
    )
    FOLD_OF_CYCLES = (
        "fold_of_cycles",
        "Two periodic orbits collide and disappear: beyond it the oscillation ends or jumps to another amplitude.",
    )
    TORUS = "torus", "A periodic orbit changes its stability and a torus of quasi-periodic motion is born."
    MANIFOLD_FOLD = "manifold_fold", "The branch passes a fold of the balanced manifold: a fast eigenvalue is zero."
    BALANCE_LOST = (
        "balance_lost",
        "A pair of fast eigenvalues crosses the imaginary axis: the balanced manifold loses its stability to "
        "oscillations.",
    )
    UNCLASSIFIED = (
        "unclassified",
        "A test function changes sign here, but the point could not be classified: follow the branch with smaller "
        "steps.",
    )
    NOT_SMOOTH = "not_smooth", "Stability jumps here: the equations are not smooth at this point."

    def __new__(cls, value: str, meaning: str) -> Self:
        """A member with its meaning."""
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


class Kinds(NamedTuple):
    """Special points of one group of the spectrum, by the eigenvalue or multiplier that becomes critical there.

    Attributes:
        fold: Eigenvalue 0 (multiplier 1) where the parameter turns.
        branch: Eigenvalue 0 (multiplier 1) where another curve crosses.
        pair: A complex pair on the imaginary axis (on the unit circle).
        doubling: Multiplier -1; None for eigenvalues.
    """

    fold: SpecialKind
    branch: SpecialKind
    pair: SpecialKind
    doubling: SpecialKind | None = None


FLOW = Kinds(SpecialKind.FOLD, SpecialKind.BRANCH_POINT, SpecialKind.HOPF)
"""Stationary states of a flow."""
MAP = Kinds(
    SpecialKind.FOLD, SpecialKind.BRANCH_POINT, SpecialKind.NEIMARK_SACKER, doubling=SpecialKind.PERIOD_DOUBLING
)
"""Fixed points of a map."""
STEP = MAP._replace(pair=SpecialKind.HOPF)
"""Fixed points of one step of a flow."""
CYCLE = Kinds(
    SpecialKind.FOLD_OF_CYCLES, SpecialKind.BRANCH_POINT, SpecialKind.TORUS, doubling=SpecialKind.PERIOD_DOUBLING
)
"""Periodic orbits of a flow."""
FAST = Kinds(SpecialKind.MANIFOLD_FOLD, SpecialKind.MANIFOLD_FOLD, SpecialKind.BALANCE_LOST)
"""Fast eigenvalues of a flow with a slow manifold."""


class Special(NamedTuple):
    """What is special about a point.

    Attributes:
        kind: What happens there.
        uncertainty: Of the parameter's value.
        value: The eigenvalue or multiplier that becomes critical.
        group: The group of the spectrum to which it belongs.
    """

    kind: SpecialKind
    uncertainty: float
    value: complex
    group: str


class Stop(enum.Enum):
    """Why a branch ends; the value is the message that the user sees."""

    REACHED = "The parameter reached {bound:g}, the end of its range."
    CLOSED = "The branch is closed: it returned to where it began."
    VERTICAL = "The branch diverges: the state grows without bound as the parameter approaches {at:.6g}."
    MAX_POINTS = "The branch was cut after {points} points. Give a larger `points` to follow it further."
    MIN_STEP = (
        "The branch could not be followed beyond {at:.8g}: the step is at its minimum ({step:.2g}). {why} Try a "
        "smaller `smallest_step`, or look for a point there at which the equations are not smooth."
    )
    HOPF = "The branch ends at a Hopf point near {at:.6g}: its periodic orbit shrinks to a stationary state."
    PERIOD_DOUBLING = "The period-doubled branch rejoins the primary branch near {at:.6g}, at a period doubling."
    NOT_STARTED = "The branch could not be started from its special point: {why} Try another `first_step`."
    FAULT = "{why}"

    @property
    def special(self) -> SpecialKind | None:
        """The kind of special point at which such a branch ends; None where it ends at none."""
        return {Stop.HOPF: SpecialKind.HOPF, Stop.PERIOD_DOUBLING: SpecialKind.PERIOD_DOUBLING}.get(self)

    def ending(self, **values: Any) -> "Ending":
        """The ending with the values that its message names."""
        return Ending(self, self.value.format(**values))


class Ending(NamedTuple):
    """The end of a branch.

    Attributes:
        stop: Why it ends.
        message: What to tell the user.
    """

    stop: Stop
    message: str
