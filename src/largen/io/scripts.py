"""A model as a script of another simulator, or its limit as a file of another program."""

import os
from pathlib import Path
from typing import Any

from largen.checks import integer, path_of, require
from largen.io.atomic import write_atomically
from largen.system import AbstractSystem, require_model


def to_brian2(
    model: AbstractSystem, *, n: int | None = None, duration: Any = 1000.0, seed: int = 1, dt: Any = 0.1
) -> str:
    """Write a spiking network as a script of Brian2 that needs nothing of largen.

    Run it as `python SCRIPT.py [MILLISECONDS [SEED [SPIKES.npz]]]`; `read_recording` reads the spikes it writes. Its
    head says in what it differs from largen's network.

    Args:
        model: The spiking network.
        n: Total number of neurons. None is the model's own.
        duration: Time to run (ms).
        seed: Seed.
        dt: Time step (ms).

    Returns:
        The script's text.

    Raises:
        InputError: The network has what the script cannot say; the message names it.
    """
    return _script(model, "brian2", n, duration=duration, seed=seed, dt=dt)


def to_nest(
    model: AbstractSystem, *, n: int | None = None, duration: Any = 1000.0, seed: int = 1, dt: Any = 0.1
) -> str:
    """Write a spiking network as a script of NEST 3 that needs nothing of largen; otherwise as `to_brian2`.

    NEST has leaky neurons with delta or exponential synapses, currents, fixed refractory periods and fixed graphs
    (`connectivity="quenched"`).

    Args:
        model: The spiking network.
        n: Total number of neurons. None is the model's own.
        duration: Time to run (ms).
        seed: Seed.
        dt: Time step (ms).

    Returns:
        The script's text.

    Raises:
        InputError: The network has what NEST cannot say; the message names it.
    """
    return _script(model, "nest", n, duration=duration, seed=seed, dt=dt)


def to_xppauto(model: AbstractSystem, *, n: int | None = None) -> str:
    """Write the limit of a balanced network as an .ode file of XPPAUT, for its simulations and AUTO's branches.

    Args:
        model: The balanced network, with `Probit` gains and a constant drive, of one or two populations and full rank,
            or of rank 1.
        n: None: the file is that of the infinite limit.

    Returns:
        The file's text.

    Raises:
        InputError: The limit has what the file cannot say; the message names it.
    """
    return _script(model, "xppauto", n)


def _script(model: AbstractSystem, to: str, n: int | None, **settings: Any) -> str:
    require_model("model", model)
    if n is not None:
        n = integer("n", n, low=1)
        model.sizes(n)
    return model.export(to, n=n, **settings)


def write_script(text: str, path: str | os.PathLike) -> Path:
    """Write a script, whole or not at all."""
    target = path_of("out", path)
    require(target.parent.is_dir(), "out", "lie in an existing folder", str(path))
    return write_atomically(target, lambda aside: aside.write_text(text, encoding="utf-8"))
