"""A wave over the patches of a ring or sheet with which a limit starts: where all patches are alike, nothing else does.

A state in which all patches are alike stays so in the limit, even where it is unstable.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import real, require
from largen.explorer.buttons import Button
from largen.system import AbstractSystem, options_of

if TYPE_CHECKING:
    from largen.explorer.page import Page

SMALL = 1e-3
"""Amplitude of a wave that a button starts."""


def can_be_perturbed(model: AbstractSystem) -> bool:
    """Whether the limit of a model can start with a wave over its patches."""
    return getattr(model, "space", None) is not None and "perturbation" in options_of(model, "limit")


def mode_text(mode: Sequence[int]) -> str:
    """A mode as it is typed: `2`, or `1, 0`."""
    return ", ".join(str(int(count)) for count in mode)


def first_mode(model: AbstractSystem) -> str:
    """The mode that a page begins with: one wave around the first axis; empty where there are no patches."""
    if not can_be_perturbed(model):
        return ""
    space: Any = model.space  # type: ignore[attr-defined]
    return mode_text([1, *[0] * (space.dimensions - 1)])


def checked_wave(model: AbstractSystem, amplitude: Any, mode: str) -> tuple[float, str]:
    """The amplitude and mode that a session asks for.

    Raises:
        InputError: The model has no patches, or these cannot hold the wave.
    """
    amplitude = real("perturbation", amplitude)
    if not can_be_perturbed(model):
        require(amplitude == 0.0, "perturbation", "be 0 for a model without `space`", amplitude, "Leave it out.")
        return 0.0, ""
    require(abs(amplitude) < 1.0, "perturbation", "be above -1 and below 1", amplitude)
    space: Any = model.space  # type: ignore[attr-defined]
    try:
        counts = tuple(int(count) for count in mode.split(","))
    except ValueError:
        counts = ()
    must = "be an integer, such as 2" if space.dimensions == 1 else "be integers, one for each axis, such as 1, 0"
    require(len(counts) == space.dimensions, "perturbation_mode", must, mode[:80])
    return amplitude, mode_text(space.mode(counts))


def perturbation_of(model: AbstractSystem, run: Any, verb: str = "limit") -> dict[str, Any]:
    """The option that starts the wave of a `Run`, where it has one and the system's method takes it."""
    if not run.perturbation or not can_be_perturbed(model) or "perturbation" not in options_of(model, verb):
        return {}
    counts = [int(count) for count in run.perturbation_mode.split(",")]
    return {"perturbation": (run.perturbation, counts[0] if len(counts) == 1 else tuple(counts))}


class GrowingWave:
    """A button that starts the wave of which the limit says that it would grow."""

    def __init__(self, page: "Page"):
        self.page = page
        self.button = Button("Start the growing wave", visible=False)
        self.button.on_click(lambda event: self.start())

    @property
    def mode(self) -> str:
        """The mode that grows fastest in the limit of the state; empty where none is known to."""
        page = self.page
        if page.limit is None or not page.has_limit or not can_be_perturbed(page.state.model):
            return ""
        growing = page.limit.attrs.get("growing_mode")
        return "" if growing is None else mode_text(np.atleast_1d(growing).tolist())

    def offer(self) -> None:
        """Show the button where there is such a wave."""
        if self.button.visible != bool(self.mode):
            self.button.visible = bool(self.mode)

    def start(self) -> None:
        """Start it with a small amplitude."""
        if self.mode:
            self.page.set_values({"perturbation": SMALL, "perturbation_mode": self.mode})
