"""The verdict of a comparison as a headline in words, with its table folded under it."""

import html
import math
from collections.abc import Mapping
from typing import Any

from largen.comparison.words import interval_in_words, percent, plain_percent, what_is_said

KINDS = {"within": "within", "undecided": "open", "finite-size": "effect", "beyond": "beyond", "theory": "beyond"}
"""Class of a verdict, by its first word, for its colour."""


def verdict_html(report: Mapping[str, Any], note: str = "", before: Mapping[str, Any] | None = None) -> str:
    """A headline and a table.

    Args:
        report: What `report_as_plain` gives.
        note: Said above it, of a verdict that belongs to another model than the page's.
        before: The report of a pinned model, for a column beside.
    """
    verdict, headline = str(report["verdict"]), str(report["headline"])
    kind = next((kind for word, kind in KINDS.items() if verdict.startswith(word)), "open")
    old = "stale" if note else ""
    aside = f'<p class="note">{html.escape(note)}</p>' if note else ""
    warning = report.get("limit_flags")
    warned = f'<p class="note">The limit warns of itself: {html.escape(str(warning))}.</p>' if warning else ""
    said = f"<strong>{html.escape(verdict.upper())}</strong>: {html.escape(headline)}"
    summary = f"<summary>All {len(report['components'])} comparisons</summary>"
    return (
        f'{aside}<div class="verdict {kind} {old}"><p class="headline">{said}</p>{warned}'
        f"<details>{summary}{_table(report, before)}</details></div>"
    )


def _table(report: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    heads = ["quantity", "networks", "limit", "difference", "95 % interval", "tolerance", "what is said"]
    if before is not None:
        heads.append("difference in A")
    rows = []
    for name, row in report["components"].items():
        numbers = {key: value if isinstance(value, int | float) else math.nan for key, value in row.items()}
        plain = {**row, **{key: numbers[key] for key in ("ci_low", "ci_high", "needed", "scale", "difference")}}
        cells = [
            name, _short(numbers["network"]), _short(numbers["theory"]), _share(plain), f"{interval_in_words(plain)} %",
            plain_percent(numbers["tolerance"]), what_is_said(plain, int(report["realisations"])),
        ]  # fmt: skip
        if before is not None:
            cells.append(_share(before["components"][name]) if name in before["components"] else "not compared")
        first, *rest = (html.escape(str(cell)) for cell in cells)
        rows.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="All comparisons">{table}</div>'


def _short(value: float) -> str:
    return f"{value:.4g}"


def _share(row: Mapping[str, Any]) -> str:
    difference, scale = row["difference"], row["scale"]
    known = isinstance(difference, int | float) and isinstance(scale, int | float) and scale
    return percent(difference / scale) if known else "not known"


def remedy(report: Mapping[str, Any], seconds: float, most: int) -> tuple[int, str] | None:
    """How many networks in all would decide what is open, and the words of a button; None where nothing is open.

    Args:
        report: What `report_as_plain` gives, with `next` as the worker adds it: how many, and what they decide.
        seconds: What one network took.
        most: Networks that a session may have.
    """
    if not report.get("next"):
        return None
    count, names = int(report["next"][0]), str(report["next"][1])
    if count > most:
        return (
            most,
            f"Towards a decision: {most} networks in all (about {count} are needed), {_time(seconds, most, report)}",
        )
    return count, f"Decide {names}: about {count} networks in all, {_time(seconds, count, report)}"


def _time(seconds: float, count: int, report: Mapping[str, Any]) -> str:
    left = seconds * max(count - int(report["realisations"]), 0)
    return f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
