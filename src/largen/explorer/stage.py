"""The figures of a page, by tab."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import panel as pn
import xarray as xr

from largen.explorer.figure_table import FigureTable
from largen.explorer.sizes import SizesTab
from largen.explorer.solvers import Answer
from largen.explorer.view import CLEAR, FADED, View
from largen.explorer.views import views_of
from largen.explorer.words import Words
from largen.system import AbstractFlowSystem

if TYPE_CHECKING:
    from largen.explorer.diagrams import Diagrams
    from largen.explorer.page import Page

BRANCHES = "Bifurcations"
SIZES = "Distance and n"
LATE = 700
"""ms after which what is still on its way is said to be, and what it replaces is greyed or put away."""


class Stage:
    """The tabs of a page with their views, made when they are first shown."""

    def __init__(self, page: "Page"):
        self.page = page
        self._asked_of: xr.Dataset | None = None  # the limit for which the open tab asked its questions
        self._coming: set[View] = set()
        self.answers: dict[str, tuple[xr.Dataset, xr.Dataset | None, str]] = {}
        """What was answered by the key of the figure: the limit, what came, words where nothing did."""
        self._faded = False
        self._pinned: tuple[xr.Dataset, list[xr.Dataset]] | None = None
        self.tabs: dict[str, list[View]] = {}
        self._panes: dict[str, list[Any]] = {}
        self.makers: dict[str, Callable[[], list[View]]] = {}
        self._made_for: Any = None
        self.diagrams: Diagrams | None = None
        self.tab = pn.widgets.RadioButtonGroup(
            options=[], color="primary", variant="outline", margin=(6, 0),
            stylesheets=[".bk-btn.bk-active { color: #fff !important } .bk-btn-group { flex-wrap: wrap }"],
        )  # fmt: skip
        first = Words("The figures come with the first limit; what is compiled for it may take a minute.")
        self.box = pn.FlexBox(first, sizing_mode="stretch_width")
        self.sizes = SizesTab(page)
        self.tab.param.watch(self._turned, "value")

    def show_recording(self) -> None:
        """Make the figures anew with what the page has of a recording."""
        if self.page.limit is None or not self.makers:
            return
        self._find_makers()
        for title in self.makers:
            self.tabs.pop(title, None)
            self._panes.pop(title, None)
        if (kept := str(self.tab.value)) in self.makers:
            self._open(kept)
            self._asked_of = None
            self.draw()
            self.box.objects = self._panes[kept]

    def _find_makers(self) -> None:
        assert self.page.limit is not None
        recorded = self.page.beside.of(self.page.limit)
        makers = views_of(self.page.state.model, self.page.limit)
        self.makers = {tab: functools.partial(_made, maker, recorded) for tab, maker in makers.items()}

    def make_views(self) -> None:
        """Make the views anew where the limit has other populations or observables than they were made for."""
        assert self.page.limit is not None
        made_for = (
            self.page.limit.get("population", xr.DataArray([])).values.tolist(),
            sorted(map(str, self.page.limit)),
        )
        if made_for == self._made_for:
            return
        self._made_for = made_for
        if self._pinned is not None:  # lines of other figures
            self.page.pin_button.value = False
        self._find_makers()
        self.tabs, self._panes, self.diagrams = {}, {}, None
        titles = [*self.makers, SIZES]
        if isinstance(self.page.state.model, AbstractFlowSystem) and self.page.opening.branches:
            titles.append(BRANCHES)
        kept = self.tab.value if self.tab.value in titles else titles[0]
        self.tab.param.update(options=titles, value=kept)
        self._open(kept)
        self.box.objects = self._panes[kept]

    def draw(self) -> None:
        """Draw the views of the tab that is open."""
        self.page.beside.refresh()
        views = self.tabs.get(self.tab.value, [])
        if self.page.limit is None or self.page.limit_state is None:
            return
        for view in views:
            view.draw(self.page.limit, self.page.runner.runs if self.page.has_limit else [])
            view.drawn()
        if self._asked_of is not self.page.limit:
            self._ask([view for view in views if view.question is not None])
        if self.diagrams is not None and self.tab.value == BRANCHES:
            self.diagrams.mark(self.page.model)

    def _ask(self, views: list[View]) -> None:
        """Ask what figures need beside the limit that is shown."""
        page = self.page
        limit = self._asked_of = page.limit
        assert limit is not None  # figures are drawn with a limit only
        assert page.limit_state is not None
        self._coming = set(views)
        for view in views:
            assert view.question is not None
            page.after(LATE, functools.partial(self._answer_is_late, view, limit))
            take = page.later(functools.partial(self._show_answer, view, limit))
            page.solver.ask((page, "figure", view.key), view.question, (page.limit_state.model, limit), take)

    def _answer_is_late(self, view: View, limit: xr.Dataset) -> None:
        if view in self._coming and limit is self._asked_of:
            view.show_answer(None, "on its way ...")
            view.drawn()

    def _show_answer(self, view: View, limit: xr.Dataset, found: Answer) -> None:
        if limit is self._asked_of:  # else the answer of a model before
            self._coming.discard(view)
            self.answers[view.key] = (limit, found.content, found.message)
            view.show_answer(found.content, found.message)
            view.drawn()

    def _open(self, title: str) -> None:
        """Make the views of a tab when it is first shown."""
        if title in self.tabs:
            return
        if title == SIZES:
            self.tabs[title], self._panes[title] = [self.sizes.view], self.sizes.layout()
            return
        if title != BRANCHES:
            self.tabs[title] = self.makers[title]()
            if self._pinned is not None:
                for view in self.tabs[title]:
                    view.draw(*self._pinned)
                    view.pin()
            self._panes[title] = [_framed(view) for view in self.tabs[title]]
            return
        from largen.explorer.diagrams import Diagrams  # with all that follows branches, for pages that open it

        page = self.page
        assert page.opening.branches is not None
        self.diagrams = Diagrams(
            page.state.model, page.jobs, page.store, first=page.opening.branches, options=page.opening.options,
            current=lambda: cast(AbstractFlowSystem, page.asked().model), load=page.set_values,
            tell=lambda: page.later(page.poll),
        )  # fmt: skip
        self.tabs[title], self._panes[title] = [self.diagrams.view], self.diagrams.layout()

    def _turned(self, event: Any) -> None:
        """Show another tab."""
        if event.new not in self.tab.options or not self._made_for:
            return
        self._open(event.new)
        self._asked_of = None
        self.draw()
        self.box.objects = self._panes[event.new]
        self.fade(self._faded)
        if event.new == SIZES and self.sizes.curve is None and self.sizes.job is None:
            self.sizes.start()

    def pin(self, on: bool) -> None:
        """Keep what is drawn as a faint reference, also in tabs that are opened later; or take it away."""
        limit = self.page.limit
        self._pinned = (limit, list(self.page.runner.runs)) if on and limit is not None else None
        for title, views in self.tabs.items():
            if title not in self.makers:
                continue
            for view in views:
                if self._pinned is not None:
                    view.draw(*self._pinned)
                    view.pin()
                else:
                    view.unpin()

    def fade(self, old: bool) -> None:
        """Grey the figures that belong to other parameters."""
        self._faded = old
        own = self.tab.value in (SIZES, BRANCHES)  # say themselves to what they belong
        styles = FADED if old and self.page.limit is not None and not own else CLEAR
        if self.box.styles != styles:
            self.box.styles = styles

    def close(self) -> None:
        """End the diagram that is followed, and drop what is on its way."""
        views = [view for tab in self.makers.keys() & self.tabs.keys() for view in self.tabs[tab]]
        self.page.solver.forget(*((self.page, "figure", view.key) for view in views))
        if self.diagrams is not None:
            self.diagrams.cancel()
        self.sizes.cancel()

    def poll(self) -> None:
        """Look for news of the diagram and of the sizes."""
        if self.diagrams is not None:
            self.diagrams.poll()
        self.sizes.poll()


def _made(maker: Callable[[], list[View]], recorded: xr.Dataset | None) -> list[View]:
    """The views of a tab, with what was recorded."""
    views = maker()
    if recorded is not None:
        for view in views:
            view.beside(recorded)
    return views


def _framed(view: View) -> Any:
    """A figure with its description and its table beneath."""
    mode: Any = view.figure.sizing_mode
    pane, table = pn.pane.Bokeh(view.figure, sizing_mode=mode), FigureTable(view)
    under = [table.button, table.pane]
    if view.about and mode == "stretch_width":
        under.insert(0, Words(view.about, aside=True, margin=0))
    look: dict[str, Any] = {"width": view.figure.width} if mode == "fixed" else {"sizing_mode": "stretch_width"}
    if mode == "scale_width":
        look["max_width"] = view.figure.max_width
    view.frame = pn.Column(*view.controls, pane, *under, margin=(0, 0, 12, 0), **look)
    return view.frame
