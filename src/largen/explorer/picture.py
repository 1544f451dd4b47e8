"""The model as a picture: populations as circles, synapses as arrows, the drive as an arrow from outside."""

import html
import math
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError
from largen.parameters import parameters
from largen.system import AbstractSystem
from largen.system.colours import EXCITATORY, INHIBITORY

RADIUS = 30.0
DRIVES = ("drive", "external_rate", "external_mean", "input", "threshold_mean")
"""Fields of populations that come from outside, the first of which a model has is drawn."""
WIDEST = 7.0
MOST_STOPS = 9
"""Arrows that the Tab key stops at; of more, only the circles."""


class Synapses(NamedTuple):
    """The arrows of a model.

    Attributes:
        strength: Size with sign, shape (target, source).
        probability: Of a connection, shape (target, source); 1 where a model has none.
        words: What the strength is called.
    """

    strength: np.ndarray
    probability: np.ndarray
    words: str


def synapses_of(model: AbstractSystem) -> Synapses | None:
    """The first field of a model with a target and a source, with the sign of its source; None without one."""
    count, table = len(model.populations), parameters(model)
    pairs = [name for name, info in table.items() if info.dims == ("population", "source") and info.kind == "real"]
    values = {name: np.asarray(getattr(model, name), float) for name in pairs if _plain(getattr(model, name))}
    if not values or not count:
        return None
    full = {name: np.broadcast_to(value, (count, count)) for name, value in values.items()}
    words = next(iter(full))
    strength = full[words].copy()
    if "inhibitory" in table:
        strength *= np.where(np.broadcast_to(np.asarray(model.inhibitory), (count,)), -1.0, 1.0)  # type: ignore[attr-defined]
    elif "sign" in table:
        strength *= np.sign(np.broadcast_to(np.asarray(model.sign, float), (count,)))  # type: ignore[attr-defined]
    probability = np.clip(full.get("probability", np.ones((count, count))), 0.0, 1.0)
    strength[probability == 0.0] = 0.0
    return Synapses(strength, probability, words.replace("_", " "))


def _plain(value: Any) -> bool:
    return value is not None and not callable(value)


def picture_of(model: AbstractSystem, n: int) -> str:
    """The picture as SVG; what carries `data-pick` opens the sliders whose names hold one of its words.

    Args:
        model: The model.
        n: Neurons in all, split into the circles.
    """
    labels = model.populations
    if not labels:
        return _ring(n)
    try:
        sizes = model.sizes(n)
    except InputError:
        sizes = np.full(len(labels), n // len(labels))
    synapses = synapses_of(model)
    places, width, height = _places(len(labels))
    radii = RADIUS * np.sqrt(np.clip(sizes / max(np.max(sizes), 1), 0.15, 1.0)) * (1.0 if len(labels) < 4 else 0.7)
    inhibitory = np.zeros(len(labels), bool)
    if synapses is not None:
        inhibitory = np.min(synapses.strength, axis=0) < 0
    parts = [_heads()]
    if synapses is not None:
        parts += _arrows(synapses, labels, places, radii, (width / 2, height / 2))
    parts += _drives(model, labels, places, radii, (width / 2, height / 2))
    for label, place, radius, size, inhibits in zip(labels, places, radii, sizes, inhibitory, strict=True):
        words = f"population {label}, {int(size)} neurons, {'inhibitory' if inhibits else 'excitatory'}"
        colour = (INHIBITORY if inhibits else EXCITATORY)[0]
        below = radius + 12.0 if radius < 20.0 and len(labels) < 4 else 13.0
        parts.append(
            f'<g {_button(words, f"[{label}]", True)}><circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{radius:.1f}" '
            f'fill="{colour}" fill-opacity="0.2" stroke="{colour}" stroke-width="2.5"/>'
            f'<text x="{place[0]:.1f}" y="{place[1] + 1:.1f}">{html.escape(label[:8])}</text>'
            f'<text class="size" x="{place[0]:.1f}" y="{place[1] + below:.1f}">{int(size)}</text></g>'
        )
    return _whole(parts, width, height, "The model: circles are populations, arrows are synapses")


def _whole(parts: list[str], width: float, height: float, words: str) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="group" aria-label="{words}">{"".join(parts)}</svg>'


def _heads() -> str:
    """Arrow heads, one a colour."""
    return "<defs>" + "".join(
        f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        for name, colour in (("e", EXCITATORY[0]), ("i", INHIBITORY[0]), ("o", "#767676"))
    ) + "</defs>"  # fmt: skip


def _button(words: str, pick: str, stops: bool) -> str:
    said = f'aria-label="{html.escape(words, quote=True)}" data-pick="{html.escape(pick, quote=True)}"'
    return f'role="button" aria-pressed="false" tabindex="{0 if stops else -1}" {said}'


def _places(count: int) -> tuple[list[tuple[float, float]], float, float]:
    """Where the circles stand, and the size of the picture."""
    if count == 1:
        return [(170.0, 105.0)], 340.0, 190.0
    if count == 2:
        return [(110.0, 66.0), (230.0, 66.0)], 340.0, 132.0
    angles = np.arange(count) * 2 * math.pi / count - math.pi / 2
    return [(170.0 + 105.0 * math.cos(a), 170.0 + 105.0 * math.sin(a)) for a in angles], 340.0, 340.0


def _arrows(synapses: Synapses, labels: Any, places: Any, radii: Any, middle: tuple[float, float]) -> list[str]:
    largest = float(np.max(np.abs(synapses.strength))) or 1.0
    stops = np.count_nonzero(synapses.strength) <= MOST_STOPS
    found = []
    for a, target in enumerate(labels):
        for b, source in enumerate(labels):
            strength, probability = float(synapses.strength[a, b]), float(synapses.probability[a, b])
            if not strength or not math.isfinite(strength):
                continue
            kind = "inhibitory" if strength < 0 else "excitatory"
            words = f"synapses from {source} to {target}: {synapses.words} {abs(strength):.4g}, {kind}"
            if probability < 1:
                words += f", probability {probability:.3g}"
            width = max(1.0, WIDEST * abs(strength) / largest) * (1.0 if len(labels) < 4 else 0.5)
            dashes = f' stroke-dasharray="{2 + 10 * probability:.1f} {9 * (1 - probability) + 1:.1f}"'
            colour, head = (INHIBITORY[0], "i") if strength < 0 else (EXCITATORY[0], "e")
            path = _loop(places[a], radii[a], middle) if a == b else _bow(places[b], places[a], radii[b], radii[a])
            found.append(
                f'<g {_button(words, f"[{target},{source}]", bool(stops))}><path class="hit" d="{path}"/>'
                f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:.2f}"'
                f' marker-end="url(#head-{head})"{dashes if probability < 1 else ""}/></g>'
            )
    return found


def _bow(begin: Any, end: Any, out: float, into: float) -> str:
    """A bent line from one circle to another, each direction on its own side."""
    x, y = end[0] - begin[0], end[1] - begin[1]
    length = math.hypot(x, y)
    ex, ey = x / length, y / length
    side = 12.0
    sx, sy = begin[0] + out * ex - side * ey * 0.6, begin[1] + out * ey + side * ex * 0.6
    tx, ty = end[0] - (into + 4) * ex - side * ey * 0.6, end[1] - (into + 4) * ey + side * ex * 0.6
    mx, my = (sx + tx) / 2 - side * 1.6 * ey, (sy + ty) / 2 + side * 1.6 * ex
    return f"M{sx:.1f} {sy:.1f} Q{mx:.1f} {my:.1f} {tx:.1f} {ty:.1f}"


def _loop(place: Any, radius: float, middle: tuple[float, float]) -> str:
    """A line from a circle back to it, on the side away from the middle."""
    x, y = place[0] - middle[0], place[1] - middle[1]
    angle = math.atan2(y, x) if math.hypot(x, y) > 1 else -math.pi / 2
    if abs(y) < 1 and abs(x) > 1:
        angle += 0.6 if x < 0 else -0.6
    ends = [(place[0] + radius * math.cos(angle + d), place[1] + radius * math.sin(angle + d)) for d in (-0.5, 0.5)]
    far = [(place[0] + (radius + 42) * math.cos(angle + d), place[1] + (radius + 42) * math.sin(angle + d))
           for d in (-0.55, 0.55)]  # fmt: skip
    return "M{:.1f} {:.1f} C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*ends[0], *far[0], *far[1], *ends[1])


def _drives(model: AbstractSystem, labels: Any, places: Any, radii: Any, middle: tuple[float, float]) -> list[str]:
    """An arrow from outside to every population that gets something."""
    table = parameters(model)
    names = [name for name in DRIVES if name in table and _plain(getattr(model, name))]
    name = next((name for name in names if np.any(np.asarray(getattr(model, name), float))), None)
    if name is None:
        return []
    values = np.broadcast_to(np.asarray(getattr(model, name), float), (len(labels),))
    found = []
    for label, place, radius, value in zip(labels, places, radii, values, strict=True):
        if not value:
            continue
        x, y = place[0] - middle[0], place[1] - middle[1]
        angle = math.atan2(y, x) if math.hypot(x, y) > 1 and abs(y) > 1 else math.pi / 2
        if abs(y) < 1 and abs(x) > 1:
            angle = math.pi - 0.55 if x < 0 else 1.25
        begin, end = [
            (place[0] + (radius + d) * math.cos(angle - 0.35), place[1] + (radius + d) * math.sin(angle - 0.35))
            for d in (46, 4)
        ]
        words = f"from outside to {label}: {name.replace('_', ' ')} {value:.4g}"
        found.append(
            f"<g {_button(words, f'{name}[{label}]|{name}', len(labels) < 4)}>"
            f'<path d="M{begin[0]:.1f} {begin[1]:.1f} L{end[0]:.1f} {end[1]:.1f}" stroke="#767676" stroke-width="2.5" '
            f'marker-end="url(#head-o)"/></g>'
        )
    return found


def _ring(n: int) -> str:
    """Neurons on a ring that all reach each other with random weights."""
    dots = [
        (170 + 62 * math.cos(a), 95 + 62 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 13)[:-1].tolist()
    ]  # fmt: skip
    chords = [
        f'<path d="M{dots[j][0]:.1f} {dots[j][1]:.1f} L{dots[k][0]:.1f} {dots[k][1]:.1f}" '
        f'stroke="{(EXCITATORY, INHIBITORY)[(3 * j + 5 * k) % 2][0]}" stroke-opacity="0.6" '
        f'stroke-width="{0.6 + ((j * 7 + k * 3) % 5) / 3:.1f}"/>'
        for j in range(12) for k in range(j + 1, 12) if (j + 2 * k) % 3 == 0
    ]  # fmt: skip
    circles = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="#8c8c8c" stroke="#5c5c5c"/>' for x, y in dots]
    pick, own = "weight|kernel", "gamma|tau|gain|threshold|noise|initial"
    return _whole(
        [
            f"<g {_button('weights between the neurons, random and correlated', pick, True)}>{''.join(chords)}</g>",
            f"<g {_button(f'{n} neurons on a ring', own, True)}>{''.join(circles)}"
            f'<text x="170" y="180">n = {n}</text></g>',
        ],
        340, 190, "The model: neurons on a ring, lines are random weights",
    )  # fmt: skip
