"""The colours and line styles of populations, alike in every picture."""

from typing import Any

# Okabe & Ito's colour-blind safe palette: excitatory vermilion, inhibitory blue, then the rest.
EXCITATORY = ("#D55E00", "#E69F00", "#CC79A7")
INHIBITORY = ("#0072B2", "#56B4E9", "#009E73")
STYLES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)))
"""Of lines: whoever cannot tell colours apart goes by these. Dots are left to theories at finite n."""


def colours(labels: list[str]) -> dict[str, str]:
    """Assign every population its colour: one of the inhibitory ones where it is called i, I, i2 or L4I."""
    found, seen = {}, {"e": 0, "i": 0}
    for label in labels:
        kind = "i" if label.lower().startswith("i") or label.endswith("I") else "e"
        family = INHIBITORY if kind == "i" else EXCITATORY
        found[label] = family[seen[kind] % len(family)]
        seen[kind] += 1
    return found


def line_styles(labels: list[str]) -> dict[str, Any]:
    """Assign every population the style of its lines."""
    return {label: STYLES[k % len(STYLES)] for k, label in enumerate(labels)}
