"""The command line. Heavy imports stand inside the commands, so that `largen --help` answers at once."""

import sys
from typing import Annotated, Any

import typer

from largen.commands.bifurcation import bifurcation
from largen.commands.compare import compare
from largen.commands.convergence import convergence
from largen.commands.equations import equations
from largen.commands.examples import examples
from largen.commands.explore import explore
from largen.commands.fit import fit
from largen.commands.limit import limit
from largen.commands.run import run
from largen.commands.show import show
from largen.commands.simulate import simulate
from largen.commands.sweep import sweep

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
    """Run the command line; the exit status is 0, 2 for bad input (one line says why), 130 after Ctrl-C."""
    from largen.checks import InputError, LimitError, Stopped

    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        _prepare_process(given)
    # Typer carries its own Click since 0.26; the base class is found the same way in both.
    usage_error: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
    try:
        status = app(args=given or ["--help"], standalone_mode=False)
        code = status if isinstance(status, int) else 0
    except (InputError, LimitError) as error:
        code = _fail(str(error))
    except typer.Exit as stop:
        code = stop.exit_code
    except usage_error as error:
        code = _fail(f"{error.format_message()} See largen --help.")
    except (Stopped, typer.Abort, KeyboardInterrupt) as stop:
        print(f"Stopped. {stop}".strip(), file=sys.stderr)
        code = 130
    except BrokenPipeError:
        code = 0
    if arguments is None:
        sys.exit(code)
    return code


def _prepare_process(given: list[str]) -> None:
    """Settings of a process of largen's own, before anything heavy is imported."""
    from largen.runtime.compilation import announce_compilation, keep_compiled_programs
    from largen.runtime.garbage import collect_rarely

    keep_compiled_programs()
    collect_rarely()
    if "--json" not in given:
        announce_compilation()


def _fail(message: str) -> int:
    print(f"largen: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
