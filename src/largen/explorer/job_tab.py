"""What tabs with long work of their own have in common: two buttons, a sentence, at most one job."""

import abc
from collections.abc import Sequence

from largen.explorer.buttons import Button
from largen.explorer.jobs import Event, Job, Jobs
from largen.explorer.words import Words


class JobTab(abc.ABC):
    """At most one job, begun by one button and ended by another."""

    def __init__(self, jobs: Jobs, start: str, stop: str, words: str = ""):
        self.jobs = jobs
        self.job: Job | None = None
        self.start_button = Button(start, color="primary", align="end")
        self.cancel_button = Button(stop, disabled=True, align="end")
        self.words = Words(words, sizing_mode="stretch_width")
        self.start_button.on_click(lambda event: self.start())
        self.cancel_button.on_click(lambda event: self.cancel())

    @abc.abstractmethod
    def start(self) -> None:
        """Queue the job."""

    @abc.abstractmethod
    def take(self, events: Sequence[Event], done: bool) -> None:
        """Show news of the job; `done` with the last."""

    @abc.abstractmethod
    def stopped(self) -> str:
        """What is said of a job that was ended by the reader."""

    def begun(self, job: Job, words: str) -> None:
        """Take a job that was queued."""
        self.job, self.words.object = job, words
        self.start_button.disabled, self.cancel_button.disabled = True, False

    def poll(self) -> None:
        """Look for news of the job."""
        job = self.job
        if job is None:
            return
        if job.waiting:
            self.words.object = f"Waiting: {self.jobs.position(job)} jobs are before this one."
            return
        events = job.news()
        if job.done:
            self._ended()
        self.take(events, job.done)

    def cancel(self) -> None:
        """End the job, if any; its points stay."""
        if self.job is not None:
            self.job.cancel()
            self._ended()
            self.words.object = self.stopped()

    def _ended(self) -> None:
        self.job, self.start_button.disabled, self.cancel_button.disabled = None, False, True
        self.jobs.advance()
