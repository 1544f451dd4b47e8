"""A state as text: Python, command line, YAML, LaTeX."""

import shlex
from typing import Any

from largen.explorer.state import State
from largen.explorer.waves import perturbation_of
from largen.io.latex import equations
from largen.io.model_files import model_text, time_grid
from largen.system.pictures import Opening

KINDS = ("Python", "Command line", "YAML", "LaTeX")


def text_of(kind: str, state: State, opening: Opening, name: str) -> str:
    """What a reader copies.

    Args:
        kind: One of `KINDS`.
        state: The state.
        opening: How the explorer begins with the system.
        name: Name of the model, for files.

    Raises:
        InputError: The model holds a function, or has no equations to write.
    """
    return {"Python": _python, "Command line": _command, "YAML": _yaml, "LaTeX": _latex}[kind](state, opening, name)


def _times(state: State, opening: Opening) -> dict[str, float]:
    return {"start": 0.0, "stop": state.run.duration, "step": opening.step}


def _yaml(state: State, opening: Opening, name: str) -> str:
    run = state.run
    wave = perturbation_of(state.model, run)
    note = f"# with --option perturbation={_plain(wave['perturbation'])}\n" if wave else ""
    return note + model_text(
        state.model, {"times": _times(state, opening), "n": run.n, "realisations": run.networks, "seed": run.seed}
    )


def _plain(value: Any) -> Any:
    """A value as a file or the command line has it: lists, not tuples."""
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _options(options) -> str:
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _python(state: State, opening: Opening, name: str) -> str:
    run, n = state.run, ", n=" + str(state.run.n) if state.model.reference_size is not None else ""
    file = f"{name}.yaml"
    text = model_text(state.model).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    count = len(time_grid(0.0, run.duration, opening.step))
    return "\n".join([
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        "import largen as ln",
        "",
        f'Path({file!r}).write_text("""\\',
        f'{text}""", encoding="utf-8")',
        f"model = ln.read_model({file!r})",
        f"times = np.round({opening.step!r} * np.arange({count}), 12)",
        f"limit = ln.solve_limit(model, times{n}{_options(opening.options)})",
        f"network = ln.simulate(model, times, n={run.n}, realisations={run.networks}, seed={run.seed}"
        f"{_options(opening.network_options)})",
        "print(ln.compare(network, limit).attrs[\"headline\"])",
        "",
    ])  # fmt: skip


def _command(state: State, opening: Opening, name: str) -> str:
    _yaml(state, opening, name)  # a model that no file can hold is refused here
    run = state.run
    words = ["largen", "run", f"{name}.yaml", "-n", str(run.n), "-r", str(run.networks), "--seed", str(run.seed)]
    words += ["--times", f"0:{run.duration!r}:{opening.step!r}"]
    for key, value in {**opening.options, **opening.network_options}.items():
        words += ["--option", f"{key}={_plain(value)}"]
    return f"# first save the model as a file of this name\n{shlex.join(words)}\n"


def _latex(state: State, opening: Opening, name: str) -> str:
    return str(equations(state.model)) + "\n"
