"""Undo, redo and the browser's history of a page."""

import functools
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from largen.checks import InputError
from largen.explorer.buttons import Button
from largen.explorer.links import read_link
from largen.explorer.state import History, State

if TYPE_CHECKING:
    from largen.explorer.page import Page

SETTLES = 400
"""ms without a move after which a state is one step of undo, and one entry of the browser's history."""
MOST_PLACES = 500
"""Entries of the browser's history whose states are remembered; those before are read from their addresses."""


class Steps:
    """The way of a page through its states; every entry of the browser's history has a number of its own."""

    def __init__(self, page: "Page"):
        self.page = page
        self.history = History(page.state)
        self.places: dict[int, State] = {0: page.state}
        self._last, self._moves, self._renamed = 0, 0, False
        self.undo = Button("Undo", disabled=True)
        self.redo = Button("Redo", disabled=True)
        self.undo.on_click(lambda event: self.step(-1))
        self.redo.on_click(lambda event: self.step(1))

    def moved(self) -> None:
        """The page has another state: it is a step, if nothing is moved for a while."""
        self._moves += 1
        self.page.after(SETTLES, functools.partial(self._settle, self._moves))

    def renamed(self) -> None:
        """The address has more to say than the state, such as a step of a story, and that has changed."""
        self._renamed = True
        self.moved()

    def _settle(self, moves: int | None = None) -> None:
        """Take the state as a step, if nothing was moved since."""
        if moves is not None and moves != self._moves:
            return
        if self.history.settle(self.page.state):
            self._address("push")
        elif self._renamed:
            self._address("replace")
        self._renamed = False
        self._say()

    def _address(self, how: str) -> None:
        self._last += 1
        self.places[self._last] = self.page.state
        self.places.pop(self._last - MOST_PLACES, None)
        self.page.browser.do(how, search=self.page.search, place=self._last)

    def _say(self) -> None:
        self.undo.disabled = self.history.place == 0
        self.redo.disabled = self.history.place == len(self.history.states) - 1

    def step(self, count: int) -> None:
        """Undo (-1) or redo (1)."""
        self._settle()
        self.page.show(self.history.step(count) or self.page.state)
        self._address("replace")
        self._say()

    def went(self, said: Mapping[str, Any]) -> None:
        """Take a step in the browser's history: to a place that is remembered, else to what the address says."""
        place, search = said["went"], str(said.get("search", ""))[:5000]
        state = self.places.get(place) if isinstance(place, int) else None
        if state is None:
            query = dict(urllib.parse.parse_qsl(search.removeprefix("?"), keep_blank_values=True))
            try:
                state = read_link(query, self.page.own, self.page.example)
            except InputError as error:
                self.page.status.object = f"Link not used. {error}"
                return
        self.page.show(state)
        self.history.settle(state)
        self._say()
