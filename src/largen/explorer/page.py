"""One page of the explorer: sliders made from the parameter table, the limit at once, the network behind it."""

import functools
import html
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import panel as pn
import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.diagrams import Diagrams
from largen.explorer.form import Choice, Number, choices, numbers, symbol
from largen.explorer.jobs import AllRealisations, Comparison, Event, Failure, Job, Jobs, Network, Progress, Realisation
from largen.explorer.settings import Run, check_run, opening_of
from largen.explorer.sharing import Sharing
from largen.explorer.solvers import Answer, Here, limit_of, portrait_of
from largen.explorer.store import Store
from largen.explorer.view import View
from largen.explorer.views import views_of
from largen.explorer.words import Words
from largen.io.model_files import time_grid
from largen.system import AbstractFlowSystem, AbstractSystem

BRANCHES = "Bifurcations"
RUN_FIRST = "Press “Run the network” to see how far it is from the limit."


class Slider(pn.widgets.FloatSlider):
    """Panel's slider without its pause of 50 ms: while a limit is on its way no other is asked for."""

    _debounce = 0


class Page:
    """A session: a model, its limit, at most one network and one diagram."""

    def __init__(
        self,
        name: str,
        model: AbstractSystem,
        jobs: Jobs,
        *,
        solver: Any = None,
        store: Store | None = None,
        limit: xr.Dataset | None = None,
    ):
        """Make the page.

        Args:
            name: Name of the model, for files.
            model: The model.
            jobs: The server's jobs.
            solver: Who solves limits; by default this process.
            store: Where what was computed is kept.
            limit: The model's limit, where it is known.
        """
        self.name, self.origin, self.base, self.jobs, self.store = name, model, model, jobs, store
        self.solver = solver or Here()
        self.opening = opening_of(model)
        self.job: Job | None = None
        self.runs: list[xr.Dataset] = []
        self.network: xr.Dataset | None = None
        self._quiet, self._busy, self._again = False, False, False
        self._portrait_of: xr.Dataset | None = None
        self.status = Words(sizing_mode="stretch_width")
        self.verdict = Words(RUN_FIRST, sizing_mode="stretch_width")
        self._make_controls()
        self.form = pn.Column(sizing_mode="stretch_width")
        self._make_form()
        if limit is None:
            limit = limit_of(model, {}, self.times, self.opening.limit_options)
        self.limit, self.solved = limit, (model, {}, self.run_settings)
        self._makers = views_of(model, limit)
        self.tabs: dict[str, list[View]] = {}
        self._panes: dict[str, list[Any]] = {}
        self.diagrams: Diagrams | None = None
        titles = list(self._makers)
        if isinstance(model, AbstractFlowSystem) and self.opening.branches:
            titles.append(BRANCHES)
        self.tab = pn.widgets.RadioButtonGroup(
            options=titles, value=titles[0], color="primary", variant="outline",
            stylesheets=[".bk-btn.bk-active { color: #fff !important }"],
        )  # fmt: skip
        self._open(titles[0])
        self.stage = pn.FlexBox(*self._panes[titles[0]], sizing_mode="stretch_width")
        self.tab.param.watch(self._turned, "value")
        self.sharing = Sharing(self)
        self._say_limit(Answer(limit))
        self.draw()

    # What the reader moves ----------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        s = self.opening
        self.duration = pn.widgets.FloatInput(label="Duration", value=s.stop, step=s.stop / 10)
        self.n = pn.widgets.IntInput(label="Neurons n", value=s.n, step=max(s.n // 10, 1))
        self.realisations = pn.widgets.IntInput(label="Networks", value=8)
        self.seed = pn.widgets.IntInput(label="Seed", value=1)
        self.boxes = {"duration": self.duration, "n": self.n, "networks": self.realisations, "seed": self.seed}
        for box in self.boxes.values():
            box.width = 150
        self.run = pn.widgets.Button(label="Run the network", color="primary")
        self.stop_run = pn.widgets.Button(label="Cancel", disabled=True)
        self.progress = pn.indicators.Progress(
            value=0, max=100, sizing_mode="stretch_width", align="center", visible=False
        )
        self.reset = pn.widgets.Button(label="Reset the parameters")
        self.run.on_click(lambda event: self.start())
        self.stop_run.on_click(lambda event: self.cancel())
        self.reset.on_click(lambda event: self.load(self.base))
        for box in self.boxes.values():
            box.param.watch(self._moved, "value")

    def _make_form(self) -> None:
        """Make one slider per number of the model and one list per choice, grouped by field."""
        self.sliders: dict[str, Any] = {}
        self.choices: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        groups: dict[str, list[Any]] = {}
        said: set[str] = set()
        for number in numbers(self.base):
            slider = self.sliders[number.name] = self._slider(number)
            self._values[number.name] = number.value
            group = groups.setdefault(number.group, [])
            if number.doc not in said:
                said.add(number.doc)
                group.append(_caption(number))
            group.append(slider)
        for choice in choices(self.base):
            self.choices[choice.name] = self._select(choice)
            self._values[choice.name] = choice.value
            groups[choice.name] = [self.choices[choice.name]]
        self.form.objects = [
            pn.Card(*group, title=name, collapsed=k > 1, sizing_mode="stretch_width", margin=(2, 5))
            for k, (name, group) in enumerate(groups.items())
        ]

    def _slider(self, number: Number) -> Any:
        name = f"{number.name} ({number.unit})" if number.unit else number.name
        low, high = min(number.low, number.value), max(number.high, number.value)
        slider = Slider(
            label=name, value=number.value, start=low, end=high, step=number.step, format="0.[00000]",
            sizing_mode="stretch_width", tags=[number.name],
        )  # fmt: skip
        slider.param.watch(self._moved, "value")
        return slider

    def _select(self, choice: Choice) -> Any:
        select = pn.widgets.Select(
            label=choice.doc, options=list(choice.words), value=choice.value, sizing_mode="stretch_width"
        )
        select.param.watch(self._moved, "value")
        return select

    def _moved(self, event: Any) -> None:
        """Solve what the sliders say now, or once the limit on its way has come."""
        if not self._quiet:
            self.solve()

    def set_values(self, values: dict[str, Any]) -> None:
        """Move sliders, lists and boxes, then solve once."""
        self._quiet = True
        for name, value in values.items():
            if name in self.sliders:
                slider = self.sliders[name]
                slider.param.update(start=min(slider.start, value), end=max(slider.end, value), value=value)
            elif name in self.choices:
                self.choices[name].value = value
            else:
                self.boxes[name].value = value
        self._quiet = False
        self.solve()

    def load(self, model: AbstractSystem) -> None:
        """Put a model on the page; its own values become the sliders' middle."""
        self.base = model
        self._quiet = True
        self._make_form()
        self._quiet = False
        self.solve()

    # The limit -----------------------------------------------------------------------------------------------

    @property
    def run_settings(self) -> Run:
        """What the boxes ask for.

        Raises:
            InputError: Too much for the explorer.
        """
        unit = self.base.time_unit
        return check_run(self.opening, unit, *(box.value for box in self.boxes.values()))

    @property
    def times(self) -> np.ndarray:
        """Output times, shape (time,)."""
        return time_grid(0.0, self.run_settings.duration, self.opening.step)

    @property
    def model(self) -> AbstractSystem:
        """The model whose limit is shown."""
        base, changes, _ = self.solved
        return base.replace(**changes)

    def changes(self) -> dict[str, Any]:
        """What stands elsewhere than in the model that was loaded."""
        widgets = self.sliders | self.choices
        return {name: _short(widget.value) for name, widget in widgets.items() if widget.value != self._values[name]}

    def solve(self) -> None:
        """Ask for the limit of what the sliders say; meanwhile the old picture stays."""
        if self._busy:
            self._again = True
            return
        try:
            asked = (self.base, self.changes(), self.run_settings)
            times = self.times
        except InputError as error:
            self.status.object = str(error)
            return
        self._busy, self._again = True, False
        args = (*asked[:2], times, self.opening.limit_options)
        self.solver.ask(self, limit_of, args, self.later(functools.partial(self._answered, asked)))

    def later(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, to be called from outside the session: within its document, if that is still there."""
        document = pn.state.curdoc
        if document is None:
            return function

        def held(*args: Any) -> None:
            with pn.io.hold(document):  # all that changes in one message, for the browser to paint once
                function(*args)

        return lambda *args: document.add_next_tick_callback(functools.partial(held, *args))

    def _answered(self, asked: tuple[Any, ...], found: Answer) -> None:
        """Show the limit, or say why there is none and keep the old picture."""
        self._busy = False
        if found.message:
            self.status.object = f"No limit here. {found.message} The picture is the last one that had a limit."
        elif found.content.sizes["time"] < 2:
            self.status.object = (
                f"No limit here: {found.content.attrs['status']}. The picture is the last one with one."
            )
        else:
            moved = _network_differs(asked, self.solved)
            self.limit, self.solved = found.content, asked
            if moved:
                self._forget_network()
            self._say_limit(found)
            self.draw()
            self.sharing.write_link()
        if self._again:
            self.solve()

    def _say_limit(self, found: Answer) -> None:
        words = f"Limit: {self.limit.attrs['status']}"
        words += f"; solved in {1e3 * found.seconds:.0f} ms." if found.seconds else "."
        self.status.object = f"{words} {found.notes}".strip()

    def draw(self) -> None:
        """Draw the views of the tab that is open."""
        views = self.tabs[self.tab.value]
        for view in views:
            view.draw(self.limit, self.runs)
        if any(view.portrait for view in views) and self._portrait_of is not self.limit:
            self._portrait_of = self.limit
            base, changes, _ = self.solved
            take = self.later(self._show_portrait)
            self.solver.ask((self, "portrait"), portrait_of, (base, changes, self.limit), take)
        if self.diagrams is not None and self.tab.value == BRANCHES:
            self.diagrams.mark(self.model)

    def _show_portrait(self, found: Answer) -> None:
        for view in self.tabs[self.tab.value]:
            if view.portrait and found.content is not None:
                view.show_portrait(found.content)
            elif view.portrait:
                view.figure.title.text = f"phase portrait: {found.message}"

    def _open(self, title: str) -> None:
        """Make the views of a tab when it is first shown."""
        if title in self.tabs:
            return
        if title != BRANCHES:
            self.tabs[title] = self._makers[title]()
            self._panes[title] = [_framed(view) for view in self.tabs[title]]
            return
        assert self.opening.branches is not None
        self.diagrams = Diagrams(
            self.origin, self.jobs, self.store, first=self.opening.branches, options=self.opening.options,
            current=lambda: cast(AbstractFlowSystem, self.model), load=self.set_values,
            tell=lambda: self.later(self.poll),
        )  # fmt: skip
        self.tabs[title], self._panes[title] = [self.diagrams.view], self.diagrams.layout()

    def _turned(self, event: Any) -> None:
        """Show another tab."""
        self._open(event.new)
        self._portrait_of = None
        self.draw()
        self.stage.objects = self._panes[event.new]

    # The network ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Queue the network of the model on the page."""
        self.cancel()
        base, changes, solved = self.solved
        try:
            asked = self.run_settings
            if asked.duration != solved.duration:
                raise InputError("The limit of this duration is on its way: press again when it is drawn.")
            times = time_grid(0.0, asked.duration, self.opening.step)
            task = Network(
                base.replace(**changes), times, asked.n, asked.networks, asked.seed, self.opening.record,
                self.limit, self.opening.options, self.opening.network_options, self.store,
            )  # fmt: skip
            self.job = self.jobs.submit(task, self.later(self.poll))
        except (InputError, LimitError) as error:
            self.verdict.object = str(error)
            return
        self.network, self.runs = None, []
        self.run.disabled, self.stop_run.disabled, self.progress.visible = True, False, True
        self.draw()
        self.verdict.object = "Starting a process for the network ..."

    def poll(self) -> None:
        """Look for news of the jobs."""
        self.jobs.advance()
        if self.diagrams is not None:
            self.diagrams.poll()
        job = self.job
        if job is None:
            return
        if job.waiting:
            self.verdict.object = f"Waiting: {self.jobs.position(job)} jobs are before this one."
            return
        arrived = False
        for event in job.news():
            arrived |= isinstance(event, Realisation)
            self._take(event)
        if arrived:
            self.draw()
        if job.done:
            self._ended()

    def _take(self, event: Event) -> None:
        match event:
            case Progress(fraction):
                self.progress.value = int(100 * fraction)
            case Realisation(run):
                self.runs.append(run)
                count = self.run_settings.networks
                self.verdict.object = f"{len(self.runs)} of {count} networks are done."
                self.progress.value = int(100 * len(self.runs) / count)
            case AllRealisations(network):
                self.network = network
                self.verdict.object = "Solving the theory of this size and comparing ..."
            case Comparison(report):
                self.verdict.object = "\n".join(report["said"])
            case Failure(message):
                self.verdict.object = message

    def cancel(self) -> None:
        """End the network that runs, if any."""
        if self.job is not None:
            self.job.cancel()
            self.verdict.object = f"Cancelled; {len(self.runs)} networks are shown, and kept for the next run."
            self._ended()

    def _ended(self) -> None:
        self.job, self.run.disabled, self.stop_run.disabled = None, False, True
        self.progress.param.update(value=0, visible=False)
        self.jobs.advance()

    def _forget_network(self) -> None:
        """The network shown belongs to other parameters."""
        self.cancel()
        if self.runs:
            self.verdict.object = "The parameters have changed: run the network again to compare."
        self.runs, self.network = [], None

    def close(self) -> None:
        """End what the session has running: its tab was closed."""
        self.solver.forget(self, (self, "portrait"))
        self.cancel()
        if self.diagrams is not None:
            self.diagrams.cancel()

    # Layout --------------------------------------------------------------------------------------------------

    def sidebar(self) -> list[Any]:
        """What stands at the side: settings, sliders, files."""
        return [pn.GridBox(*self.boxes.values(), ncols=2), self.form, self.reset, self.sharing.card()]

    def main(self) -> list[Any]:
        """What stands in the middle: what can be done and what came of it, and the figures."""
        controls = pn.Row(self.run, self.stop_run, self.progress, sizing_mode="stretch_width")
        said = pn.Column(controls, self.status, self.verdict, sizing_mode="stretch_width")
        return [said, pn.Column(self.tab, self.stage, sizing_mode="stretch_width")]


def _short(value: Any) -> Any:
    """A number without the last bits that the browser's steps leave: .98 for .9800000000000001."""
    if isinstance(value, str):
        return value
    short = float(f"{value:.12g}")
    return short if abs(value - short) <= 4 * np.spacing(abs(value)) else float(value)


def _network_differs(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    """Whether the networks of two questions differ."""
    return one[0] is not two[0] or one[1:] != two[1:]


def _framed(view: View) -> Any:
    """A figure with its description beneath."""
    fixed = view.figure.sizing_mode == "fixed"
    mode: Any = "fixed" if fixed else "stretch_width"
    pane = pn.pane.Bokeh(view.figure, sizing_mode=mode)
    if fixed or not view.about:
        return pane
    about = Words(view.about, aside=True, sizing_mode="stretch_width", margin=(0, 10, 12, 10))
    return pn.Column(pane, about, sizing_mode="stretch_width")


def _caption(number: Number) -> Any:
    """A field's symbol, meaning and bounds, for the reader of the form."""
    words = f"{symbol(number.symbol)} {html.escape(number.doc)}" if number.symbol else html.escape(number.doc)
    return pn.pane.HTML(words, stylesheets=[":host { font-size: 0.9em; opacity: 0.85 }"], sizing_mode="stretch_width")
