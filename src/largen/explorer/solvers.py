"""Limits in processes of their own: a slow one holds up nobody else, and one that takes too long is ended."""

import contextlib
import multiprocessing
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError
from largen.runtime.workers import start
from largen.system import AbstractSystem

PATIENCE = 30.0
"""Seconds after which a limit is given up; those in which something is compiled do not count."""
LONGEST = 300.0
"""Seconds after which it is given up in any case."""
BEAT = 1.0
"""Seconds between two looks at whether a worker compiles."""
COMPILING = "compiling"
COMPILERS = (
    "jax/_src/compiler.py", "jax/_src/interpreters/partial_eval.py", "jax/_src/interpreters/mlir.py", "numba/core/",
)  # fmt: skip
"""Parts of the names of files in which a compiler runs."""


class Answer(NamedTuple):
    """What came of a question.

    Attributes:
        content: What the function returned, or None.
        message: Why there is nothing, or empty.
        notes: Warnings that came with it.
        seconds: How long it took.
    """

    content: Any
    message: str = ""
    notes: str = ""
    seconds: float = 0.0


def answer(function: Callable[..., Any], args: Sequence[Any]) -> Answer:
    """Call a function; what goes wrong becomes a message."""
    began, content, message = time.perf_counter(), None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = function(*args)
        except (InputError, LimitError) as error:
            message = str(error)
        except Exception as error:
            message = f"{type(error).__name__}: {error}. This is a fault of largen: please report it with the model."
    notes = " ".join(dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning))
    return Answer(content, message, notes, time.perf_counter() - began)


def limit_of(model: AbstractSystem, times: np.ndarray, options: Mapping[str, Any], n: int | None = None) -> xr.Dataset:
    """The limit of a model; n neurons in all where it has a size of its own.

    Options of the explorer that a model cannot have (the width of bins, where the threshold is another) are left to
    the system.
    """
    from largen.simulation import solve_limit

    try:
        return solve_limit(model, times, strict=False, n=n, **options)
    except InputError as error:
        refused = [name for name in options if f"`{name}`" in str(error)]
        if not refused:
            raise
    return solve_limit(model, times, strict=False, n=n, **{k: v for k, v in options.items() if k not in refused})


def portrait_of(model: AbstractSystem, limit: xr.Dataset) -> xr.Dataset:
    """The phase portrait around a limit."""
    from largen.analysis import phase_portrait

    return phase_portrait(model, limit=limit, points=101)


class Here:
    """Answers at once, in this process."""

    def ask(self, owner: Any, function: Callable[..., Any], args: Sequence[Any], take: Callable[[Answer], Any]) -> None:
        """Answer a question by calling `take`."""
        take(answer(function, args))

    def forget(self, *owners: Any) -> None:
        """Nothing waits here."""

    def warm(self, questions: Sequence[tuple[Any, ...]]) -> None:
        """Nothing is compiled ahead here."""

    def rest(self) -> None:
        """Nothing runs here."""

    def wake(self) -> None:
        """Nothing rests here."""


class _Worker:
    """One process and the question it works on."""

    def __init__(self) -> None:
        questions, self.questions = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self.process, self.answers = start(_serve, questions)
        questions.close()
        self.owner: Any = None
        self.take: Callable[[Answer], Any] | None = None
        self.since, self.compiled = 0.0, 0.0
        self.warm: list[tuple[Any, ...]] = []

    def give(self, owner: Any, question: tuple[Any, ...], take: Callable[[Answer], Any]) -> None:
        self.owner, self.take, self.since, self.compiled = owner, take, time.monotonic(), 0.0
        self.questions.send(question)

    def close(self) -> None:
        self.process.kill()
        self.questions.close()
        self.answers.close()


def _serve(send: Callable[[Any], None], questions: Any) -> None:
    """Answer questions until the other end is closed; meanwhile say once a second whether something is compiled."""
    one_at_a_time, busy, main = threading.Lock(), threading.Event(), threading.get_ident()

    def say(what: Any) -> None:
        with one_at_a_time:
            send(what)

    def watch() -> None:
        while True:
            busy.wait()
            time.sleep(BEAT)
            if busy.is_set() and compiles(sys._current_frames().get(main)):
                with contextlib.suppress(OSError, ValueError):
                    say(COMPILING)

    threading.Thread(target=watch, daemon=True).start()
    while True:
        try:
            function, args = questions.recv()
        except (EOFError, OSError):
            return
        busy.set()
        found = answer(function, args)
        busy.clear()
        say(found)


def compiles(frame: Any) -> bool:
    """Whether a thread is inside the compilers of JAX or Numba."""
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in COMPILERS):
            return True
        frame = frame.f_back
    return False


class Solvers:
    """A few processes that answer in turn; of each owner the latest question only."""

    def __init__(self, count: int = 2, patience: float = PATIENCE):
        self.patience, self.count = patience, count
        self._workers: list[_Worker] = []  # started when they are woken, or asked
        self._warm: list[tuple[Any, ...]] = []
        self._waiting: dict[Any, tuple[Any, ...]] = {}
        self._loop: Any = None

    def warm(self, questions: Sequence[tuple[Any, ...]]) -> None:
        """Have the processes answer questions, one at a time, while nobody asks anything, for what they compile."""
        self._warm = list(questions)
        for worker in self._workers:
            worker.warm = list(questions)
        self._advance()

    def rest(self) -> None:
        """End the processes that answer nothing now, and give back their memory, until `wake`."""
        for worker in [worker for worker in self._workers if worker.take is None]:
            self._unlisten(worker)
            worker.close()
            self._workers.remove(worker)

    def wake(self) -> None:
        """Start the processes that rest, or were never asked, and have them compile what `warm` was told."""
        while len(self._workers) < self.count:
            worker = _Worker()
            worker.warm = list(self._warm)
            self._workers.append(worker)
            if self._loop is not None:
                self._listen(worker)
        self._advance()

    def attach(self, loop: Any) -> None:
        """Answer from now on within a Tornado loop."""
        from tornado.ioloop import PeriodicCallback

        self._loop = loop
        for worker in self._workers:
            self._listen(worker)
        self._watch = PeriodicCallback(self._end_slow, 1000)
        self._watch.start()

    def ask(self, owner: Any, function: Callable[..., Any], args: Sequence[Any], take: Callable[[Answer], Any]) -> None:
        """Queue a question in the place of any that its owner has waiting; `take` is called with the answer."""
        self._waiting[owner] = ((function, tuple(args)), take)
        if not self._workers:
            self.wake()
        self._advance()

    def forget(self, *owners: Any) -> None:
        """Drop what some owners asked; answers on their way are not delivered."""
        for owner in owners:
            self._waiting.pop(owner, None)
            for worker in self._workers:
                if worker.owner == owner and worker.take is not None:
                    worker.take = _nobody

    def close(self) -> None:
        """End the processes."""
        if self._loop is not None:
            self._watch.stop()
        for worker in self._workers:
            self._unlisten(worker)
            worker.close()
        self._workers = []

    def _advance(self) -> None:
        for worker in self._workers:
            if worker.take is None and self._waiting:
                owner = next(iter(self._waiting))
                worker.give(owner, *self._waiting.pop(owner))
            elif worker.take is None and worker.warm and self._another_is_free(worker):
                worker.give(None, worker.warm.pop(0), _nobody)

    def _another_is_free(self, worker: _Worker) -> bool:
        """Whether somebody else would answer while a process compiles: on a fresh machine that takes half a minute."""
        others = [one for one in self._workers if one is not worker]
        return not others or any(one.take is None for one in others)

    def _listen(self, worker: _Worker) -> None:
        self._loop.add_handler(worker.answers.fileno(), lambda *_: self._collect(worker), self._loop.READ)

    def _unlisten(self, worker: _Worker) -> None:
        if self._loop is not None:
            self._loop.remove_handler(worker.answers.fileno())

    def _collect(self, worker: _Worker) -> None:
        try:
            found = worker.answers.recv()
        except (EOFError, OSError):
            self._replace(worker, "The process that solved the limit ended: it may have run out of memory.")
            return
        if found == COMPILING:
            worker.compiled += BEAT
        else:
            self._deliver(worker, found)

    def _deliver(self, worker: _Worker, found: Answer) -> None:
        take, worker.take, worker.owner = worker.take, None, None
        self._advance()
        if take is not None:
            take(found)

    def _end_slow(self) -> None:
        for worker in list(self._workers):
            spent = time.monotonic() - worker.since
            if worker.take is not None and (spent - worker.compiled > self.patience or spent > LONGEST):
                words = f"The limit takes more than {self.patience:g} s here and was given up: take a shorter duration."
                self._replace(worker, words)

    def _replace(self, worker: _Worker, message: str) -> None:
        self._unlisten(worker)
        worker.close()
        fresh = _Worker()
        self._workers[self._workers.index(worker)] = fresh
        self._listen(fresh)
        self._deliver(worker, Answer(None, message))


def _nobody(found: Answer) -> None:
    """Take an answer that nobody waits for any more."""
