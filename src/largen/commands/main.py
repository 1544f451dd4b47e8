"""The command line. Heavy imports stand inside the commands, so that `largen --help` answers at once."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from largen.commands.bifurcation import bifurcation
from largen.commands.compare import compare
from largen.commands.convergence import convergence
from largen.commands.equations import equations
from largen.commands.examples import examples
from largen.commands.explore import explore
from largen.commands.export import export
from largen.commands.fit import fit
from largen.commands.limit import limit
from largen.commands.output import tell
from largen.commands.run import run
from largen.commands.show import show
from largen.commands.simulate import simulate
from largen.commands.sweep import sweep
from largen.runtime import signals
from largen.runtime.compilation import UNREADABLE, forget_damaged_programs

COMMANDS = (
    run,
    simulate,
    limit,
    compare,
    convergence,
    bifurcation,
    sweep,
    fit,
    equations,
    export,
    explore,
    examples,
    show,
)

app = typer.Typer(
    name="largen",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from largen import __version__

        print(f"largen {__version__}")
        raise typer.Exit


@app.callback()
def largen(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Limit equations of large neuronal networks, their finite networks, and the distance between the two."""


for command in COMMANDS:
    app.command()(command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: all is well, also if whoever read standard output went away. 2: bad input, a full disk, or another thing that
    the one line on standard error names. 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, with a line on what
    was kept. 1, with a traceback: a fault of largen.
    """
    if arguments is not None:
        return _status_of(arguments)
    signals.stop_at_once()
    ended: list[int] = []
    _prepare_process(sys.argv[1:])
    code = _status_of(sys.argv[1:], lambda: signals.stop_in_order(ended))
    signals.ignore_all()
    sys.exit(_written_out(128 + ended[0] if ended else code))


def _status_of(given: list[str], begin: Callable[[], None] = lambda: None) -> int:
    """Run a command; its exit status. `begin` is called where an interruption is answered."""
    from largen.checks import FitError, InputError, LimitError, Stopped

    # Typer carries its own Click since 0.26; the base class is found the same way in both.
    usage_error: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            begin()
            status = app(args=given or ["--help"], standalone_mode=False)
            if status == 130:  # how Typer answers Ctrl-C, without a word
                tell("Stopped.")
            return status if isinstance(status, int) else 0
        except (InputError, LimitError, FitError, FloatingPointError) as error:
            return _fail(str(error))
        except typer.Exit as stop:
            return stop.exit_code
        except usage_error as error:
            return _fail(f"{error.format_message()} See largen --help.")
        except (Stopped, typer.Abort, KeyboardInterrupt) as stop:
            tell(f"Stopped. {stop}".strip())
            return 130
        except SystemExit as stop:  # how Click ends when the reader of standard output is gone
            return 0 if isinstance(stop.__context__, BrokenPipeError) else int(stop.code or 0)
        except BrokenPipeError:
            return 0
        except MemoryError:
            return _fail("There is not enough memory. Take fewer neurons, output times or workers, or record less.")
        except OSError as error:
            if error.errno is None:
                raise
            where = f" (`{error.filename}`)" if error.filename else ""
            return _fail(f"The system refuses a file: {error.strerror or error}{where}.")


def _written_out(code: int) -> int:
    """The exit status once standard output is written: the reader may be gone, the disk behind it full."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python complains at its end
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                code = _fail(f"Standard output cannot be written: {error.strerror}.")
    return code


def _show_warning(message: Any, *_: Any) -> None:
    if str(message).startswith(UNREADABLE):
        forget_damaged_programs()
        return
    tell(f"largen: note: {' '.join(str(message).split())}")


def _prepare_process(given: list[str]) -> None:
    """Settings of a process of largen's own, before anything heavy is imported."""
    from largen.runtime.compilation import announce_compilation, keep_compiled_programs
    from largen.runtime.garbage import collect_rarely

    keep_compiled_programs()
    collect_rarely()
    if "--json" not in given:
        announce_compilation()


def _fail(message: str) -> int:
    tell(f"largen: {' '.join(message.split())}")
    return 2


if __name__ == "__main__":
    main()
