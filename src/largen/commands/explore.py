"""`largen explore`: the explorer in the browser."""

from typing import Annotated

import typer

from largen.commands.options import Functions, RecordingOptions, takes_recording


@takes_recording
def explore(
    said: RecordingOptions,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="A model file or an example.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 5006,
    address: Annotated[
        str, typer.Option("--address", help="Address to listen at; by default only this machine.")
    ] = "127.0.0.1",
    show: Annotated[bool, typer.Option("--show", help="Open a browser.")] = False,
    functions: Functions = False,
    recording: Annotated[
        str | None,
        typer.Option("--recording", help="A recording to compare with, or what `largen simulate` wrote."),
    ] = None,
) -> None:
    """Explore in the browser: move a parameter, the limit answers at once and the network follows."""
    from largen.commands.recordings import recorded
    from largen.explorer import explore

    runs = recorded(recording, said)
    explore(model, port=port, address=address, show=show, functions=functions, recording=runs)
