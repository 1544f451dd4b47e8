"""What `largen sweep` does: a sweep file in, a store out; its status; lines for people and values for programs."""

from pathlib import Path
from typing import Any

from largen.checks import InputError, Stopped
from largen.simulation import Interrupted
from largen.sweeps.file import read_sweep
from largen.sweeps.store import COMPLETED, FAILED, MISSING, STOPPED
from largen.sweeps.study import status, sweep


def store_of(file: str | None, store: Path | None) -> Path:
    """Where the sweep of a file goes: as said, or NAME.zarr in this folder."""
    if store is not None:
        return store
    if file is None:
        raise InputError("Give a sweep file, or say which store with --store.")
    return Path(f"{Path(file).stem}.zarr")


def run(
    file: str,
    store: Path,
    *,
    functions: bool,
    workers: int,
    retry_failed: bool,
    extend: bool,
    progress: Any,
    **given: Any,
) -> dict[str, Any]:
    """Sweep as the file says; what is given here goes before what it says. Returns `status` afterwards."""
    found = read_sweep(file, functions=functions)
    arguments = found.arguments | {key: value for key, value in given.items() if value is not None}
    try:
        sweep(
            found.model,
            found.over,
            store=store,
            workers=workers,
            retry_failed=retry_failed,
            extend=extend,
            progress=progress,
            **arguments,
        )
    except Interrupted as stop:
        now = status(store)
        raise Stopped(
            f"{now['done']} of {now['tasks']} tasks are done and kept in {store}.tasks; run the same again to go on."
        ) from stop
    return status(store)


def show(found: dict[str, Any]) -> None:
    """Print the status of a store."""
    points = found["points"]
    print(f"{found['store']}: {found['done']} of {found['tasks']} tasks done; {found['about']['over']}")
    words = [f"{points[word]} {word}" for word in (COMPLETED, STOPPED, FAILED, MISSING) if points[word]]
    print(f"points of these tasks: {', '.join(words) or 'none'}")
    for message, count in found["messages"].items():
        print(f"  {count} x failed: {message}")
    if found["busy"]:
        print(f"being swept now by {found['busy']}")
    elif points[MISSING]:
        print("Run the same sweep again to go on.")
    if points[FAILED]:
        print("Do failed points again with --retry-failed.")
    if "map" in found:
        print(f"Picture: {found['map']}")


def draw(store: Path, name: str) -> Path:
    """Draw one variable of the result against its one or two parameters, as a PNG beside the store."""
    from largen import plot
    from largen.io.atomic import write_atomically
    from largen.sweeps.gather import read

    figure = plot.figure_of(plot.map, read(store), name=name)
    file = store.with_name(f"{store.stem}-{name}.png".replace("/", "-"))
    return write_atomically(file, lambda aside: figure.savefig(aside, format="png", dpi=150))
