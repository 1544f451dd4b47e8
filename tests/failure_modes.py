"""The toy with injected failures, importable by workers: what a network may do to a sweep."""

import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

from largen.system import Arrays, parameter
from toy import Toy

FINE, RAISES, NO_MEMORY, DIES_ONCE, DIES, INTERRUPTED_ONCE, FAILS_ONCE = range(7)
FOLDER = "LARGEN_TEST_FOLDER"


def first_time(name: str) -> bool:
    """Whether this is asked for the first time, in whatever process."""
    try:
        Path(os.environ[FOLDER], name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Failing(Toy):
    """A toy whose network raises, dies, or is interrupted, as `failure` says."""

    failure: Any = parameter(0.0, doc="Which failure.")
    pause: Any = parameter(0.0, doc="Seconds that a network takes.")
    system: ClassVar[str] = "toy"

    def network(self, *args: Any, **options: Any) -> Arrays:
        failure = int(self.failure)
        time.sleep(float(self.pause))
        if failure == RAISES:
            raise ValueError("injected")
        if failure == NO_MEMORY:
            raise MemoryError
        if failure == DIES or (failure == DIES_ONCE and first_time("dies")):
            os.kill(os.getpid(), signal.SIGKILL)
        if failure == INTERRUPTED_ONCE and first_time("interrupted"):
            signal.raise_signal(signal.SIGINT)
        if failure == FAILS_ONCE and first_time("fails"):
            raise OSError("injected once")
        return super().network(*args, **options)


def largest(dataset: Any) -> float:
    """An observable of one's own."""
    return float(dataset["mean"].max())
