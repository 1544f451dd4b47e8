"""Options that several commands share, each declared once; those of a job or a recording are one object."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model file (YAML) or the name of an example.")]
Size = Annotated[int | None, typer.Option("--n", "-n", help="Total number of neurons.")]
Realisations = Annotated[int | None, typer.Option("--realisations", "-r", help="Independent realisations.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the random streams.")]
Times = Annotated[str | None, typer.Option("--times", help="Output times as START:STOP:STEP.")]
Method = Annotated[str | None, typer.Option("--method", help="Network method; the system's default if absent.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a parameter, such as 'probability[e,i]=0.9'; repeatable."),
]
SystemOptions = Annotated[
    list[str] | None, typer.Option("--option", help="An option of the system, such as dt=0.05; repeatable.")
]
Functions = Annotated[
    bool,
    typer.Option("--functions", help="Allow the file to name functions (module:name). This runs their code."),
]
OutFile = Annotated[Path | None, typer.Option("--out", "-o", help="File to write (netCDF).")]
OutFolder = Annotated[Path | None, typer.Option("--out", "-o", help="Results folder.")]
Workers = Annotated[int, typer.Option("--workers", "-w", help="Processes that share the realisations.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are already there.")]
Tolerance = Annotated[
    list[str] | None,
    typer.Option("--tolerance", help="Tolerated share: one number, or such as rate=0.02; repeatable."),
]
Scale = Annotated[
    list[str] | None,
    typer.Option("--scale", help="Natural size of a difference, such as rate=1.0; repeatable."),
]
AllRows = Annotated[bool, typer.Option("--all", help="Print every row and every statistic.")]
Populations = Annotated[
    list[str] | None,
    typer.Option("--populations", help="Of a recording: a column's name, or ids such as e=1-300; repeatable."),
]
Sizes = Annotated[list[str] | None, typer.Option("--sizes", help="Of a recording: neurons such as e=300; repeatable.")]
NetworkSizes = Annotated[
    list[str] | None,
    typer.Option("--network-sizes", help="Of a sample: neurons of its network such as e=800; repeatable."),
]
Inhibitory = Annotated[
    list[str] | None, typer.Option("--inhibitory", help="Of a recording: a population that inhibits; repeatable.")
]
Begin = Annotated[float | None, typer.Option("--t-start", help="Of a recording: its begin (ms).")]
End = Annotated[float | None, typer.Option("--t-stop", help="Of a recording: its end (ms).")]
Trials = Annotated[str | None, typer.Option("--trials", help="Of an NWB file: the table of its trials.")]
TrialCount = Annotated[
    int | None, typer.Option("--realisations", "-r", help="Of a table: number of its trials, silent ones too.")
]
Stretch = Annotated[
    float | None, typer.Option("--stretch", help="Of a recording: length (ms) of the realisations it is cut into.")
]
TimeUnit = Annotated[str | None, typer.Option("--unit", help="Of a table: unit of time (s, ms, us, min).")]
Spacing = Annotated[
    float | None, typer.Option("--step", help="Of a recording: spacing of times (ms); 0.1 unless said.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """What the command line says about a job; None where it says nothing."""

    model: Model
    n: Size = None
    realisations: Realisations = None
    seed: Seed = None
    times: Times = None
    method: Method = None
    changes: Changes = None
    options: SystemOptions = None
    functions: Functions = False


@dataclasses.dataclass(frozen=True)
class RecordingOptions:
    """What the command line says about a recording; None where it says nothing. See `read_recording`."""

    populations: Populations = None
    sizes: Sizes = None
    network_sizes: NetworkSizes = None
    inhibitory: Inhibitory = None
    t_start: Begin = None
    t_stop: End = None
    trials: Trials = None
    realisations: TrialCount = None
    stretch: Stretch = None
    unit: TimeUnit = None
    step: Spacing = None


def takes_job(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the argument MODEL, the named options of `JobOptions`, and --functions.

    The command receives them as its first argument, one `JobOptions`; its other arguments are its own options.
    """
    fields = [field for field in dataclasses.fields(JobOptions) if field.name in ("model", "functions", *names)]
    return lambda command: _given_as_one(command, JobOptions, fields, first=True)


def takes_recording(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options of a recording, which it receives as its first argument, one `RecordingOptions`."""
    return _given_as_one(command, RecordingOptions, dataclasses.fields(RecordingOptions), first=False)


def _given_as_one(
    command: Callable[..., None], kind: type, fields: Iterable[dataclasses.Field], first: bool
) -> Callable[..., None]:
    """The command with options for some fields of a dataclass, listed before its own or after them."""

    @functools.wraps(command)
    def filled(**given: Any) -> None:
        command(kind(**{field.name: given.pop(field.name) for field in fields}), **given)

    own = [p.replace(kind=p.KEYWORD_ONLY) for p in list(inspect.signature(command).parameters.values())[1:]]
    shared = [_parameter(field) for field in fields]
    every = shared + own if first else own + shared
    filled.__dict__["__signature__"] = inspect.Signature(every)
    filled.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return filled


def _parameter(field: dataclasses.Field) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)
