"""The networks of a page: run in a process of their own, shown as they come, compared with the limit at the end."""

import html
import time
from typing import TYPE_CHECKING, Any

import panel as pn
import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.buttons import Button
from largen.explorer.jobs import AllRealisations, Comparison, Event, Failure, Job, Network, Progress, Realisation
from largen.explorer.settings import MOST_REALISATIONS
from largen.explorer.state import State, same_network
from largen.io.model_files import time_grid

if TYPE_CHECKING:
    from largen.explorer.page import Page

RUN_FIRST = "Press “Run the network” to see how far it is from the limit."
OLD = "This verdict is that of the model before: run the network again."
MOST_RESULTS = 4
"""Finished networks that a page keeps at hand."""


class Finished:
    """Networks of a state, as far as they have come.

    Attributes:
        state: What they are networks of.
        runs: The realisations.
        network: All of them in one Dataset, at the end.
        report: The comparison as plain values, at the end.
        seconds: What one network took.
    """

    def __init__(self, state: State):
        self.state = state
        self.runs: list[xr.Dataset] = []
        self.network: xr.Dataset | None = None
        self.report: dict[str, Any] | None = None
        self.seconds = 0.0


class Runner:
    """At most one job of a page, and the verdicts of those before."""

    def __init__(self, page: "Page"):
        self.page = page
        self.job: Job | None = None
        self.now: Finished | None = None
        self._old: list[Finished] = []
        self.waits: State | None = None  # for its limit
        self._began = 0.0
        self.run = Button("Run the network", color="primary")
        self.stop_run = Button("Cancel", disabled=True)
        self.progress = pn.indicators.Progress(value=0, max=100, sizing_mode="stretch_width", visible=False)
        self.decide = Button("Decide", visible=False)
        self.words = ""
        self.verdict = pn.pane.HTML("", sizing_mode="stretch_width", margin=0, stylesheets=[page.sheet])
        self._goal = 0
        self.run.on_click(lambda event: self.start())
        self.stop_run.on_click(lambda event: self.cancel())
        self.decide.on_click(lambda event: self.start_decisive())
        self.say(RUN_FIRST)

    @property
    def shown(self) -> Finished | None:
        """The networks that belong to what the page shows."""
        return self.now if self.now is not None and same_network(self.now.state, self.page.state) else None

    @property
    def runs(self) -> list[xr.Dataset]:
        """The realisations that belong to what the page shows."""
        return self.shown.runs if self.shown is not None else []

    # The job -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Queue the networks of the page's state, once its limit is there."""
        self.cancel()
        page = self.page
        try:
            state = page.asked()
            if not page.has_limit:
                if page.refused:
                    raise InputError(
                        f"These parameters have no limit to compare networks with: {page.refused} "
                        "`largen simulate` runs the networks alone."
                    )
                self.waits = state
                self.say("The limit of these parameters is solved first ...")
                return
            opening, run, asked = page.opening, state.run, page.opening.record
            assert page.limit is not None  # the page has the limit of this state
            task = Network(
                state.model, time_grid(0.0, run.duration, opening.step), run.n, run.networks, run.seed, asked,
                page.limit, page.options, page.network_options, page.store,
            )  # fmt: skip
            self.job = page.jobs.submit(task, page.later(self.poll))
        except (InputError, LimitError) as error:
            self.say(str(error))
            return
        self.now, self._began = Finished(state), time.monotonic()
        self.run.disabled, self.stop_run.disabled, self.progress.visible = True, False, True
        page.stage.draw()
        self.say("Starting a process for the network ...")

    def start_decisive(self) -> None:
        """Run as many networks as decide what is open; those that are there already are kept."""
        self.page.set_values({"networks": self._goal})
        self.start()

    def poll(self) -> None:
        """Look for news of the job."""
        job = self.job
        if job is None:
            return
        if job.waiting:
            self.say(f"Waiting: {self.page.jobs.position(job)} jobs are before this one.")
            return
        arrived = False
        for event in job.news():
            arrived |= isinstance(event, Realisation)
            self._take(event)
        if arrived:
            self.page.stage.draw()
        if job.done:
            self._ended()

    def _take(self, event: Event) -> None:
        now = self.now
        assert now is not None
        match event:
            case Progress(fraction):
                self.progress.value = int(100 * fraction)
            case Realisation(run):
                now.runs.append(run)
                count = now.state.run.networks
                now.seconds = (time.monotonic() - self._began) / len(now.runs)
                self.say(f"{len(now.runs)} of {count} networks are done.")
                self.progress.value = int(100 * len(now.runs) / count)
            case AllRealisations(network):
                now.network = network
                self.page.beside.refresh()
                self.say("Solving the theory of this size and comparing ...")
            case Comparison(report):
                now.report = report
                self._old = [now, *(one for one in self._old if not same_network(one.state, now.state))][:MOST_RESULTS]
                self.say()
            case Failure(message):
                self.say(message)

    def cancel(self) -> None:
        """End the networks that run, if any."""
        self.waits = None
        if self.job is None:
            return
        self.job.cancel()
        count = len(self.now.runs) if self.now is not None else 0
        said = {0: "before the first network was finished.", 1: "; 1 network is shown, and kept for the next run."}
        words = said.get(count, f"; {count} networks are shown, and kept for the next run.")
        self._ended()
        self.say(f"Cancelled{'' if count else ' '}{words}")

    def _ended(self) -> None:
        self.job, self.run.disabled, self.stop_run.disabled = None, False, True
        self.progress.param.update(value=0, visible=False)
        self.page.jobs.advance()

    # What is said --------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """The page asks for something else: end what no longer belongs to it, and take up what was there before."""
        if self.job is not None and self.shown is None:
            self.cancel()
        if not same_network(self.waits, self.page.state):
            self.waits = None
        before = next((one for one in self._old if same_network(one.state, self.page.state)), None)
        if before is not None and self.job is None and self.shown is None:
            self.now = before
        if self.job is None and self.waits is None:
            known = self.now is not None and self.now.report is not None
            self.say("" if known else self.words if self.shown is not None else RUN_FIRST)

    def limit_came(self) -> None:
        """Start what waited for the limit."""
        if self.waits is not None:
            self.start()

    def say(self, words: str = "") -> None:
        """Show words, or the verdict of the networks that are there."""
        self.words, self.decide.visible = words, False
        if words:
            self._put(f'<p class="said">{_escaped(words)}</p>')
            return
        now = self.now
        if now is None or now.report is None:
            return
        from largen.explorer.verdict import remedy, verdict_html  # with what is said of comparisons, once there is one

        self.words = "\n".join(now.report["said"])
        pinned = self.page.pinned
        note = "" if self.shown is not None else OLD
        self._put(verdict_html(now.report, note, pinned.report if pinned is not None else None))
        if not note and (goal := remedy(now.report, now.seconds, MOST_REALISATIONS)):
            self._goal, self.decide.label = goal
            self.decide.visible = goal[0] > int(now.report["realisations"])

    def _put(self, text: str) -> None:
        if self.verdict.object != text:
            self.verdict.object = text

    def close(self) -> None:
        """End the job: the tab was closed."""
        self.cancel()


def _escaped(words: str) -> str:
    return html.escape(words).replace("\n", "<br>")
