"""Random inputs: each gives finite numbers or one message, never anything else.

What:     `parsed_1` to `parsed_4`: model files, options, Python arguments, changed Datasets, sweep files, links and
          uploads of the explorer, 5 000 each; `whole_1` to `whole_4`: functions and commands that run to their end on
          small models, 500 each.
          A case counts as a value (all numbers finite, or a status or warning that says why not), as a message
          (InputError, LimitError, or exit status 2 with one line), or as a fault: any other exception, NaN without a
          word, a warning of NumPy, a model other than the one asked for, more than the stated seconds, a dead process.
Again:    `python validation/fuzz.py again parsed|whole NUMBER` does one case and shows what comes of it.
Run time: a quarter of parsed about 5 minutes, one of whole about 15.
Command:  python validation/fuzz.py parsed_1 parsed_2 parsed_3 parsed_4 whole_1 whole_2 whole_3 whole_4
"""

import collections
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from study import Results, main

SEED = 20261129
SECONDS = {"parsed": 60, "whole": 120}
"""CPU seconds that one case may take, compilation included."""
PATIENCE = 5
"""Seconds by the clock for a CPU second: other work may run beside."""
FIRST = 300
"""Seconds in which the process that tries starts and compiles."""
COUNTS = {"parsed": (5_000, 100), "whole": (500, 8)}
"""Cases of each part, and at the small size."""
MEMORY = 16 * 2**30
"""Bytes of address space of the process that tries."""
TRAINS = ("cv", "lvr", "fano_factor", "rate", "rate_spread", "correlation")
"""What `analysis.spike_trains` cannot say of few spikes."""
DOCUMENTED = {"period", "special_period", "special_frequency", "spike_time", "needed", "finite_share"}
DOCUMENTED |= {*TRAINS, *(f"{name}_se" for name in TRAINS)} - {"rate"}
"""Variables that hold NaN where there is no such thing, as their documentation says."""


def complaint(found: Any) -> str:
    """What is wrong with a result; empty where all its numbers are finite or it says why they are not."""
    import xarray as xr

    if isinstance(found, xr.DataArray):
        found = found.to_dataset(name="value")
    if not isinstance(found, xr.Dataset) or str(found.attrs.get("status", "completed")) != "completed":
        return ""
    undecided = found["label"].values == "undecided" if found.attrs.get("kind") == "comparison" else None
    for name, variable in found.data_vars.items():
        explained = name in DOCUMENTED or "nan" in " ".join(map(str, variable.attrs.values())).lower()
        values = variable.values
        if undecided is not None and name not in ("network", "theory"):
            values = values[~undecided]  # without an error there is no other label
        if variable.dtype.kind in "fc" and not explained and not np.all(np.isfinite(values)):
            return f"{name} is not finite, and nothing says why"
    return ""


def other_model(found: Any, intended: Any) -> str:
    """In what a model or a result differs from what was asked for."""
    from largen.parameters.plain import to_plain

    if "model" in intended:
        import json

        asked = to_plain(intended["model"], strict=False)
        got = json.loads(found.attrs["parameters"])
        wrong = [
            name
            for name in asked
            if name in got and name != "size" and json.loads(json.dumps(asked[name])) != got[name]
        ]
        return f"result of another model: {wrong}" if wrong else ""
    for name, value in intended.items():
        got = to_plain(found).get(name, getattr(found, name, None))  # a default is left out
        if got != value and not np.array_equal(np.asarray(got, object), np.asarray(value, object)):
            return f"{name} is {got!r}, but {value!r} was asked for"
    return ""


def outcome(case: Any) -> tuple[str, str]:
    """Class of a case ("value", "message" or "fault") and, of a fault, what happened."""
    from largen.checks import InputError, LimitError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = case.call()
        except (InputError, LimitError) as refusal:
            text = str(refusal).strip()
            return ("message", "") if text and "fault of largen" not in text else ("fault", f"message {text!r}")
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            words = " ".join(str(error).split())[:200]
            return "fault", f"{type(error).__name__}: {words} ({os.path.basename(where.filename)}:{where.lineno})"
    noise = [w for w in caught if issubclass(w.category, RuntimeWarning)]
    if noise:
        return "fault", f"warning: {noise[0].message} ({os.path.basename(noise[0].filename)}:{noise[0].lineno})"
    said = any(issubclass(w.category, UserWarning) for w in caught)
    words = other_model(found, case.intended) or ("" if said else complaint(found))
    return ("fault", words) if words else ("value", "")


def case_of(part: str, number: int) -> Any:
    """The case of this number."""
    import random_inputs as inputs

    rng = random.Random(f"{SEED} {part} {number}")
    if part == "whole":
        return rng.choices((inputs.whole_call, inputs.whole_command), (3, 2))[0](rng)
    kinds = (inputs.model_file, inputs.options, inputs.arguments, inputs.datasets, inputs.text_files, inputs.explorer)
    return rng.choices(kinds, (8, 4, 5, 3, 1, 1))[0](rng)


def tried(part: str, number: int) -> tuple[str, str, str, str]:
    """Kind, text, class and fault of one case, done in an empty folder within the stated time."""
    folder = tempfile.mkdtemp()
    before = os.getcwd()
    os.chdir(folder)
    try:
        case = case_of(part, number)
        signal.setitimer(signal.ITIMER_PROF, SECONDS[part])
        signal.alarm(PATIENCE * SECONDS[part])
        try:
            found = outcome(case)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
    return case.kind, case.text[:2000], *found


def _late(*_: Any) -> None:
    raise TimeoutError("longer than the stated time")


def prepare(memory: int | None = MEMORY) -> None:
    """Settings of the process that tries: no pictures on a screen, compiled programs kept, memory limited."""
    import matplotlib as mpl

    from largen.runtime.compilation import keep_compiled_programs

    keep_compiled_programs()
    mpl.use("Agg")
    import random_inputs

    for system in random_inputs.SYSTEMS:  # imports and first compilations are not part of a case
        random_inputs.runs_of(system)
    signal.signal(signal.SIGALRM, _late)
    signal.signal(signal.SIGPROF, _late)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def work(pipe: Connection, part: str) -> None:
    """Try the cases whose numbers come through the pipe."""
    prepare()
    with open(os.devnull) as sys.stdin:
        while True:
            pipe.send(tried(part, pipe.recv()))


class Worker:
    """A process that tries cases; one that dies or hangs is replaced."""

    def __init__(self, part: str):
        self.part, self.process = part, None

    def start(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, self.part), daemon=True)
        self.process.start()
        other.close()

    def ask(self, number: int) -> tuple[str, str, str, str]:
        """Try one case."""
        if self.process is None:
            self.start()
        self.pipe.send(number)
        try:
            if self.pipe.poll(2 * PATIENCE * SECONDS[self.part] + FIRST):
                return self.pipe.recv()
            words = "hangs beyond the stated time"
        except EOFError:
            words = "the process died"
        self.stop()
        return "process", f"case {number}", "fault", words

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def totals(results: Results, part: str, numbers: range) -> None:
    """Try some cases; totals by kind and class, and each fault with its number."""
    classes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    faults, worker = [], Worker(part)
    for number in numbers:
        kind, _, found, words = worker.ask(number)
        classes[kind][found] += 1
        if found == "fault":
            faults.append((number, kind, words))
            print(f"{part} {number}: {kind}: {words}", flush=True)
    worker.stop()
    table = results.table("classes", "kind of input", "value", "message", "anything else")
    for kind in sorted(classes):
        table.add(kind, *(classes[kind][found] for found in ("value", "message", "fault")))
    whole = sum(classes.values(), collections.Counter())
    table.add("all", *(whole[found] for found in ("value", "message", "fault")))
    table = results.table("faults", "number", "kind of input", "what happened")
    for fault in faults:
        table.add(*fault)


def quarter(results: Results, part: str, number: int, small: bool) -> None:
    """A quarter of a part's cases."""
    count = COUNTS[part][small]
    totals(results, part, range((number - 1) * count, number * count))


def parsed_1(results: Results, small: bool) -> None:
    """Files, options, arguments, Datasets, links and uploads: value or message. First quarter."""
    quarter(results, "parsed", 1, small)


def parsed_2(results: Results, small: bool) -> None:
    """Files, options, arguments, Datasets, links and uploads: value or message. Second quarter."""
    quarter(results, "parsed", 2, small)


def parsed_3(results: Results, small: bool) -> None:
    """Files, options, arguments, Datasets, links and uploads: value or message. Third quarter."""
    quarter(results, "parsed", 3, small)


def parsed_4(results: Results, small: bool) -> None:
    """Files, options, arguments, Datasets, links and uploads: value or message. Last quarter."""
    quarter(results, "parsed", 4, small)


def whole_1(results: Results, small: bool) -> None:
    """Functions and commands that run to their end: finite numbers or a message. First quarter."""
    quarter(results, "whole", 1, small)


def whole_2(results: Results, small: bool) -> None:
    """Functions and commands that run to their end: finite numbers or a message. Second quarter."""
    quarter(results, "whole", 2, small)


def whole_3(results: Results, small: bool) -> None:
    """Functions and commands that run to their end: finite numbers or a message. Third quarter."""
    quarter(results, "whole", 3, small)


def whole_4(results: Results, small: bool) -> None:
    """Functions and commands that run to their end: finite numbers or a message. Last quarter."""
    quarter(results, "whole", 4, small)


PARTS = (parsed_1, parsed_2, parsed_3, parsed_4, whole_1, whole_2, whole_3, whole_4)

if __name__ == "__main__":
    if sys.argv[1:2] == ["again"]:
        prepare()
        kind, text, found, words = tried(sys.argv[2], int(sys.argv[3]))
        print(f"{kind}\n{text}\n{found}: {words}")
    else:
        main(PARTS, __doc__)
