"""Events of the browser that are handled with the lock of their document."""

from typing import Any


class Locked:
    """Panel handles an event without the lock while a change is on its way, and Bokeh then refuses to draw anything.

    That is so for a click right after a number was typed, whose change the same click reports.
    """

    async def _event_coroutine(self, doc: Any, event: Any) -> None:
        await super()._event_coroutine(doc, event)  # type: ignore[misc]

    _event_coroutine.lock = True  # type: ignore[attr-defined]
