"""Stories: steps with a title, three lines of text and a state of the page, for a lecture."""

import functools
import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import panel as pn

from largen.checks import InputError
from largen.explorer.buttons import Button
from largen.explorer.links import OTHERS, read_link
from largen.explorer.state import State, first_state
from largen.io.plain_files import parse_plain
from largen.system import AbstractSystem

if TYPE_CHECKING:
    from largen.explorer.page import Page

FOLDER = Path(__file__).parent / "story_files"


class Step(NamedTuple):
    """One step.

    Attributes:
        title: Title.
        text: Three lines.
        query: The state, as a link says it.
        tab: The tab that is opened, where the page has it.
    """

    title: str
    text: str
    query: Mapping[str, str]
    tab: str


class Story(NamedTuple):
    """Some steps of one system's page.

    Attributes:
        name: Its name in addresses.
        title: Title.
        system: The system.
        steps: The steps.
    """

    name: str
    title: str
    system: str
    steps: tuple[Step, ...]


@functools.cache
def stories() -> Mapping[str, Story]:
    """Every story that ships, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        plain: Any = parse_plain(path.read_text(encoding="utf-8"))
        steps = tuple(
            Step(one["title"], one["text"].strip(), {key: str(value) for key, value in one["set"].items()}, one["tab"])
            for one in plain["steps"]
        )
        found[path.stem] = Story(path.stem, plain["title"], plain["system"], steps)
    return found


def stories_html() -> str:
    """A list of links to all stories."""
    items = [
        f'<li><a href="{one.system}?story={one.name}">{html.escape(one.title)}</a> {len(one.steps)} steps, '
        f"on the {one.system} page</li>"
        for one in stories().values()
    ]
    return f'<ul class="gallery">{"".join(items)}</ul>'


def opening_state(query: Mapping[str, str], own: AbstractSystem, example: Callable[[str], AbstractSystem]) -> State:
    """The state in which a page opens: that of its link, or of the step of a story that the link did not move.

    Args:
        query: The link's keys and values; of a wrong one the page's own state comes.
        own: The page's own model.
        example: Reads an example of this system by its name.
    """
    try:
        state = read_link(query, own, example)
    except InputError:
        state, moved = first_state(own), False
    else:
        moved = any(key not in OTHERS for key in query)
    story, place = stories().get(query.get("story", "")), query.get("step", "1")
    if story is None or story.system != own.system or moved:
        return state
    known = {str(k + 1): step for k, step in enumerate(story.steps)}
    return read_link(known[place].query, own, example) if place in known else state


class Telling:
    """A story on a page: the text of a step, and the way through them."""

    def __init__(self, page: "Page"):
        self.page = page
        self.story: Story | None = None
        self.place = 0
        self.text = pn.pane.HTML("", sizing_mode="stretch_width", margin=0, stylesheets=[page.sheet])
        self.back_button = Button("Back")
        self.next_button = Button("Next", color="primary")
        self.large_button = Button("Lecture mode")
        self.end_button = Button("End the story")
        self.back_button.on_click(lambda event: self.go(self.place - 1))
        self.next_button.on_click(lambda event: self.go(self.place + 1))
        self.large_button.on_click(lambda event: self.enlarge())
        self.end_button.on_click(lambda event: self.end())
        buttons = pn.FlexBox(self.back_button, self.next_button, self.large_button, self.end_button)
        self.box = pn.Column(self.text, buttons, visible=False, sizing_mode="stretch_width")

    def begin(self, name: str, place: str, moved: bool = False) -> str:
        """Begin the story of a link, which may have moved the step's state; a wrong one gives a message."""
        known = {key: one for key, one in stories().items() if one.system == self.page.own.system}
        if name not in known:
            return f"There is no story {name[:80]!r} on this page; there are {', '.join(known) or 'none'}."
        count = len(known[name].steps)
        if place not in map(str, range(1, count + 1)):
            return f"There is no step {place[:80]!r} in this story, which has {count}."
        self.story = known[name]
        self.go(int(place) - 1, self.page.state if moved else None)
        return ""

    def go(self, place: int, state: State | None = None) -> None:
        """Show a step: its text, its tab, and its state or another."""
        if self.story is None:
            return
        page, steps = self.page, self.story.steps
        self.place = min(max(place, 0), len(steps) - 1)
        step = steps[self.place]
        try:
            state = state or read_link(step.query, page.own, page.example)
        except InputError as error:
            page.status.object = str(error)
            return
        page.kept_query |= {"story": self.story.name, "step": str(self.place + 1)}
        page.show(state)
        page.steps.renamed()
        if step.tab in page.stage.tab.options:
            page.stage.tab.value = step.tab
        count = f"{html.escape(self.story.title)}, step {self.place + 1} of {len(steps)}"
        lines = html.escape(step.text).replace("\n", "<br>")
        self.text.object = (
            f'<div class="story"><p class="note">{count}</p><h2>{html.escape(step.title)}</h2><p>{lines}</p></div>'
        )
        self.back_button.disabled, self.next_button.disabled = self.place == 0, self.place == len(steps) - 1
        self.box.visible = page.browser.lecture = True

    def enlarge(self) -> None:
        """Full screen and large type, or back."""
        self.page.browser.do("lecture")

    def end(self) -> None:
        """Put the story away; the state stays."""
        self.story, self.box.visible, self.page.browser.lecture = None, False, False
        self.page.browser.do("lecture", on=False)
        for key in ("story", "step"):
            self.page.kept_query.pop(key, None)
        self.page.steps.renamed()
