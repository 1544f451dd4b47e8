"""What is wrong with the layout of a page, measured in the browser."""

from pathlib import Path

WIDTHS = (390, 768, 1440, 2560)
WRONG = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
"""Horizontal scrolling, parts out of the page, parts over each other, words that are cut off."""


def wrong_layout(page, widths=WIDTHS):
    """What is wrong at some widths of the window, with the width."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        found += [(width, *one) for one in page.evaluate(WRONG)]
    return found
