"""Signals that stop a command: before it has begun, nothing is lost; afterwards it ends in order."""

import os
import signal
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command in order, as Ctrl-C does."""

_before: dict[int, Any] = {}
"""Handlers that `stop_at_once` replaced."""


def stop_at_once() -> None:
    """Until `stop_in_order`, Ctrl-C, SIGTERM and SIGHUP end the process with one line: nothing has been begun."""
    for number in (signal.SIGINT, *ENDING):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            _before[number] = signal.signal(number, _stop)


def _stop(number: int, frame: Any) -> None:
    os.write(2, b"Stopped.\n")
    os._exit(128 + number)


def stop_in_order(ended: list[int]) -> None:
    """From now on SIGTERM and SIGHUP stop a command as Ctrl-C does, so that workers end and finished work is kept.

    Args:
        ended: Gets the number of the signal.
    """

    def end(number: int, frame: Any) -> None:
        ended.append(number)
        ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(ctrl_c):  # a command in the background of a script ignores Ctrl-C
            raise KeyboardInterrupt
        ctrl_c(signal.SIGINT, frame)

    for number, before in _before.items():
        signal.signal(number, end if number in ENDING and before is signal.SIG_DFL else before)
    _before.clear()


def ignore_all() -> None:
    """Ignore these signals: what follows takes no time."""
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)
