"""One page of the explorer: one state behind its form, figures, address, files, runs and verdict."""

import functools
import html
import secrets
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import panel as pn
import xarray as xr

from largen.checks import InputError
from largen.explorer.buttons import Button, Toggle
from largen.explorer.components import HERE, Browser, Form, Picture
from largen.explorer.examples import example_model
from largen.explorer.form import groups_of, run_groups, values_of
from largen.explorer.jobs import Jobs
from largen.explorer.links import OTHERS, THEMES, read_link, write_link
from largen.explorer.picture import picture_of
from largen.explorer.recording import Beside, Recording
from largen.explorer.recording_file import RecordingFile
from largen.explorer.runner import Finished, Runner
from largen.explorer.settings import limit_options_of, opening_of
from largen.explorer.sharing import Sharing
from largen.explorer.solvers import Answer, Here, limit_of
from largen.explorer.stage import LATE, Stage
from largen.explorer.state import BOXES, State, first_state, parsed, same_limit
from largen.explorer.steps import Steps
from largen.explorer.store import Store
from largen.explorer.stories import Telling
from largen.explorer.waves import GrowingWave, perturbation_of
from largen.explorer.words import Words
from largen.io.latex import equations
from largen.io.model_files import time_grid
from largen.system import AbstractSystem

LAST = " The greyed figures are those of the last model that had one."


class Page:
    """A session: a state, its limit, at most one network and one diagram."""

    def __init__(
        self,
        name: str,
        model: AbstractSystem,
        jobs: Jobs,
        *,
        solver: Any = None,
        store: Store | None = None,
        limit: xr.Dataset | None = None,
        query: Mapping[str, str] | None = None,
        recording: Recording | None = None,
    ):
        """Make the page.

        Args:
            name: Name of the model, for files.
            model: The page's own model.
            jobs: The server's jobs.
            solver: Who solves limits; by default this process.
            store: Where what was computed is kept.
            limit: The model's limit, where it is known.
            query: What the link asks for.
            recording: What was recorded, to be shown beside models of its system.
        """
        self.name, self.own, self.jobs, self.store = name, model, jobs, store
        self.solver = solver or Here()
        self.opening = opening_of(model)
        self.example = functools.partial(example_model, model.system)
        self.sheet = (HERE / "verdict.css").read_text(encoding="utf-8")
        theme = (query or {}).get("theme", "")
        self.kept_query = {"theme": theme} if theme in THEMES else {}
        self.state = first_state(model)
        self.limit, self.limit_state = limit, self.state if limit is not None else None
        self.refused, self._seconds, self._notes = "", 0.0, ""
        self.errors: dict[str, str] = {}
        self.pinned: Finished | None = None
        self._asked: State | None = None
        self._opened: tuple[State | None, str] = (None, "")
        """The state with which the page opened, and what is wrong with its link."""
        self._again = False
        said = self._read(query or {})
        self.steps = Steps(self)
        self._make_controls()
        self.runner = Runner(self)
        self.beside = Beside(self, recording)
        self.stage = Stage(self)
        self.sharing = Sharing(self)
        self.recording_file = RecordingFile(self)
        if self.limit is not None:
            self.stage.make_views()
        if self.has_limit:
            self._say_limit()
            self.stage.draw()
        else:
            self.solve()
        self.telling = Telling(self)
        if query and "story" in query:
            moved = not said and any(key not in OTHERS for key in query)
            said = self.telling.begin(query["story"], query.get("step", "1"), moved) or said
        if said:
            self._opened = (self.state, said)
            self.status.object = said

    def _read(self, query: Mapping[str, str]) -> str:
        """Take the state that a link asks for; a wrong one gives a message and sets nothing."""
        try:
            self.state = read_link(query, self.own, self.example)
        except InputError as error:
            return f"Link not used. {error}"
        return ""

    # What the reader moves ----------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.base = self.state.model
        self.form = Form(self.take, groups=groups_of(self.base), prefix="model", sizing_mode="stretch_width")
        self.boxes = Form(
            self.take, groups=run_groups(self.base), prefix="run", sizing_mode="stretch_width", min_height=62
        )
        self.picture = Picture(self.pick, sizing_mode="stretch_width")
        self.equation = pn.pane.LaTeX("", renderer="katex", sizing_mode="stretch_width")
        self.equations = pn.Card(
            self.equation, title="The limit's equations with these numbers", collapsed=True,
            sizing_mode="stretch_width", margin=(4, 0),
        )  # fmt: skip
        self.equations.param.watch(lambda event: self._write_equations(), "collapsed")
        self.browser = Browser(self.told, session=secrets.token_hex(8))
        self.status = Words(sizing_mode="stretch_width")
        self.wave = GrowingWave(self)
        self.reset = Button("Reset")
        self.pin_button = Toggle("Pin as A")
        self.pin_button.param.watch(lambda event: self.pin(event.new), "value")
        self.reset.on_click(lambda event: self.show(self.first))
        self._fill_form()

    @property
    def first(self) -> State:
        """The state with which the example that is shown begins, or the page's own model."""
        origin = self.state.origin
        return first_state(self.example(origin) if origin else self.own, origin)

    def _fill_form(self) -> None:
        model, values = self.state.model, values_of(self.state.model)
        if set(values) != set(self.form.values) or any(
            isinstance(value, str) and value != self.form.values.get(name) for name, value in values.items()
        ):
            self.base = model
            self.form.groups = groups_of(model)
        self.form.values = {name: _short(value) for name, value in values.items()}
        if (groups := run_groups(model)) != self.boxes.groups:
            self.boxes.groups = groups
        self.boxes.values = self.state.run._asdict()
        self.form.errors = self.boxes.errors = dict(self.errors)
        self.picture.svg = picture_of(model, self.state.run.n)
        self._write_equations()

    def _write_equations(self) -> None:
        """Write the limit's equations with the numbers of the state, where they are unfolded."""
        if self.equations.collapsed:
            return
        try:
            text = f"$$\n{equations(self.state.model)}\n$$"
        except InputError as error:
            text = str(error)
        text = html.escape(text, quote=False)  # the browser reads it as HTML first, and then as LaTeX
        if self.equation.object != text:
            self.equation.object = text

    def pick(self, said: Mapping[str, Any]) -> None:
        """Show the sliders of what was clicked in the picture; of nothing: all."""
        self.picture.picked = self.form.picked = str(said.get("pick", ""))[:200]

    def take(self, said: Mapping[str, Any]) -> None:
        """Take what a reader moved or typed; a value that cannot be is said beside its box, and changes nothing."""
        name, text = str(said.get("name", ""))[:200], str(said.get("text", ""))[:200]
        if name not in self.form.values and name not in BOXES:
            return
        try:
            state = self.state.moved(name, parsed(self.state, name, text))
        except InputError as error:
            self.errors = {**self.errors, name: str(error)}
            self.form.errors = self.boxes.errors = dict(self.errors)
            return
        self.show(state, self._errors_but(name))

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set parameters and boxes together.

        Raises:
            InputError: They cannot have these values.
        """
        state = self.state
        for name in state.run._fields:
            if name in values:
                state = state.moved(name, values[name])
        model = {name: value for name, value in values.items() if name not in state.run._fields}
        state = state._replace(model=state.model.replace(**model)) if model else state
        self.show(state, self._errors_but(*values))

    def _errors_but(self, *names: str) -> dict[str, str]:
        return {name: words for name, words in self.errors.items() if name not in names}

    def load(self, model: AbstractSystem) -> None:
        """Put a model on the page."""
        self.base = model
        self.form.groups = groups_of(model)
        self.show(first_state(model))

    def show(self, state: State, errors: Mapping[str, str] | None = None) -> None:
        """Make a state the page's own: everything that does not belong to it is solved anew, greyed or put away.

        Args:
            state: The state.
            errors: What is said beside boxes that keep their text, by name; by default no box does.
        """
        self.state, self.errors = state, dict(errors or {})
        self._fill_form()
        self.runner.moved()
        self.stage.sizes.mark()
        self.sharing.moved()
        self.solve()
        self.wave.offer()
        self.steps.moved()

    def pin(self, on: bool) -> None:
        """Keep the present curves, and the differences of the present table, beside what is explored next."""
        if on and not self.has_limit:
            self.status.object = "There is no limit of these parameters to pin."
            self.pin_button.value = False
            return
        self.pinned = self.runner.shown if on and self.runner.shown and self.runner.shown.report else None
        self.stage.pin(on)
        self.pin_button.label = "A is pinned: faint lines" if on else "Pin as A"
        self.runner.moved()

    def asked(self) -> State:
        """The state, where every box holds a value that can be.

        Raises:
            InputError: A box holds something else; nothing is run, saved or followed then.
        """
        if self.errors:
            name, words = next(iter(self.errors.items()))
            raise InputError(f"Mend the box `{name}` first. {words}")
        return self.state

    @property
    def model(self) -> AbstractSystem:
        """The model that the form shows."""
        return self.state.model

    # The address --------------------------------------------------------------------------------------------

    @property
    def search(self) -> str:
        """The query of the address of what is shown."""
        said = write_link(self.state, self.own, self.example)
        self.sharing.no_link(said is None)
        query = urllib.parse.urlencode({**self.kept_query, **(said or {})}, safe="[],.")
        return f"?{query}" if query else ""

    @property
    def title(self) -> str:
        """Name of the model that is shown, for files: the system's, where it came from a file of the reader."""
        known = write_link(self.state, self.own, self.example) is not None
        return self.state.origin or (self.name if known else self.own.system)

    def told(self, said: Mapping[str, Any]) -> None:
        """Take what the browser says: a key, or a step in its history."""
        if said.get("key") in ("undo", "redo"):
            self.steps.step(-1 if said["key"] == "undo" else 1)
        elif said.get("key") in ("next", "back"):
            self.telling.go(self.telling.place + (1 if said["key"] == "next" else -1))
        elif "went" in said:
            self.steps.went(said)
        elif "copied" in said:
            self.sharing.copied(bool(said["copied"]))

    # The limit -----------------------------------------------------------------------------------------------

    @property
    def times(self) -> np.ndarray:
        """Output times, shape (time,)."""
        return time_grid(0.0, self.state.run.duration, self.opening.step)

    @property
    def options(self) -> dict[str, Any]:
        """Options of the limit that is shown: those the system begins with, but where the limit took another value."""
        taken = self.limit.attrs if self.limit is not None and self.has_limit else {}
        own = {name: taken.get(name, value) for name, value in self.opening.options.items()}
        return own | perturbation_of(self.state.model, self.state.run)

    @property
    def network_options(self) -> dict[str, Any]:
        """Options of the networks."""
        return {**self.opening.network_options, **perturbation_of(self.state.model, self.state.run, "network")}

    @property
    def has_limit(self) -> bool:
        """Whether the limit that is shown is that of the state."""
        return same_limit(self.limit_state, self.state)

    def solve(self) -> None:
        """Ask for the limit of the state; meanwhile the old picture stays."""
        if self._asked is not None:
            self._again = True
            return
        if self.has_limit:
            self._say_limit()
            self.stage.draw()
            return
        self._asked, self._again, self.refused = self.state, False, ""
        asked, model = self.state, self.state.model
        n = asked.run.n if model.reference_size is not None else None
        args = (model, self.times, limit_options_of(model) | perturbation_of(model, asked.run), n)
        self.after(LATE, functools.partial(self._say_late, asked))
        self.solver.ask(self, limit_of, args, self.later(functools.partial(self._answered, asked)))

    def _say_late(self, asked: State) -> None:
        if self._asked is asked and not self.has_limit:
            self.status.object = "Solving the limit of these parameters ..."
            self.stage.fade(True)

    def later(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, to be called from outside the session: within its document, if that is still there."""
        document = pn.state.curdoc
        if document is None:
            return function

        def held(*args: Any) -> None:
            with pn.io.hold(document):  # all that changes in one message, for the browser to paint once
                function(*args)

        return lambda *args: document.add_next_tick_callback(functools.partial(held, *args))

    def after(self, wait: int, function: Callable[[], Any]) -> None:
        """Call a function some ms later; at once where there is no browser."""
        document = pn.state.curdoc
        if document is None:
            function()
        else:
            document.add_timeout_callback(function, wait)

    def _answered(self, asked: State, found: Answer) -> None:
        """Show the limit, or say why there is none and grey the old picture."""
        self._asked = None
        mine = same_limit(asked, self.state)
        why = found.message
        if not why and found.content is not None and found.content.sizes["time"] < 2:  # it ends at its start
            why = f"{found.content.attrs['status']}."
        if why:
            if mine:
                self.refused = why
                self.status.object = f"No limit here. {self.refused}{LAST if self.limit is not None else ''}"
                self.stage.fade(True)
                self.runner.limit_came()
        else:
            self.limit, self.limit_state, self.refused = found.content, asked, ""
            self._seconds, self._notes = found.seconds, found.notes
            self.stage.make_views()
            if mine:
                self._say_limit()
            self.stage.draw()
            if mine:
                self.runner.limit_came()
        if self._again:
            self.solve()

    def _say_limit(self) -> None:
        assert self.limit is not None
        words = f"Limit: {self.limit.attrs['status']}"
        words += f"; solved in {1e3 * self._seconds:.0f} ms." if self._seconds else "."
        state, said = self._opened  # of a link that is not used the reader hears also where the limit comes later
        self.status.object = said if state is self.state else f"{words} {self._notes}".strip()
        self.refused = ""
        self.stage.fade(False)
        self.wave.offer()

    def poll(self) -> None:
        """Look for news of the jobs."""
        self.jobs.advance()
        self.stage.poll()
        self.runner.poll()

    def close(self) -> None:
        """End what the session has running: its tab was closed."""
        self.solver.forget(self, (self, "file"), (self, "recording"))
        self.beside.close()
        self.runner.close()
        self.stage.close()


def _short(value: Any) -> Any:
    """A number without the last bits that the browser's steps leave: .98 for .9800000000000001."""
    if isinstance(value, str):
        return value
    short = float(f"{value:.12g}")
    return short if abs(value - short) <= 4 * np.spacing(abs(value)) else float(value)
