"""The command line. Heavy imports stand inside the commands, so that `largen --help` answers at once."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="largen",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Limit equations of large neuronal networks, their finite networks, and the distance between the two.",
)


def _version(asked: bool) -> None:
    if asked:
        from largen import __version__

        print(f"largen {__version__}")
        raise typer.Exit


@app.callback()
def _largen(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Limit equations of large neuronal networks, their finite networks, and the distance between the two."""


Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model file (YAML) or the name of an example.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write (netCDF).")]
Size = Annotated[int | None, typer.Option("--n", "-n", help="Total number of neurons.")]
Realisations = Annotated[int | None, typer.Option("--realisations", "-r", help="Independent realisations.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the random streams.")]
Times = Annotated[str | None, typer.Option("--times", help="Output times as START:STOP:STEP.")]
Method = Annotated[str | None, typer.Option("--method", help="Network method; the system's default if absent.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a parameter, such as 'probability[e,i]=0.9'; repeatable."),
]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="An option of the system, such as dt=0.05; repeatable.")
]
Workers = Annotated[int, typer.Option("--workers", "-w", help="Processes that share the realisations.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
Functions = Annotated[
    bool,
    typer.Option("--functions", help="Allow the file to name functions (module:name). This runs their code."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are already there.")]


@app.command()
def run(
    model: Model,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder.")] = None,
    n: Size = None,
    realisations: Realisations = None,
    seed: Seed = None,
    times: Times = None,
    method: Method = None,
    changes: Changes = None,
    options: Options = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Run the network, solve its limit, and compare: a table, a figure and files in a results folder."""
    from largen.commands import runs, tables

    job = runs.read_job(
        model,
        functions=functions,
        n=n,
        realisations=realisations,
        seed=seed,
        times=times,
        method=method,
        changes=changes or (),
        options=options or (),
    )
    with runs.results_folder(out, model, overwrite) as folder:
        result = runs.run(job, folder, workers=workers, progress=_progress(as_json), say=_say(as_json))
    _print(result.summary, as_json, lambda: tables.show_run(result.report, result.summary, folder))


@app.command()
def simulate(
    model: Model,
    out: Out = None,
    n: Size = None,
    realisations: Realisations = None,
    seed: Seed = None,
    times: Times = None,
    method: Method = None,
    changes: Changes = None,
    options: Options = None,
    record: Annotated[list[str] | None, typer.Option("--record", help="Record more, such as spikes.")] = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Simulate the finite network."""
    from largen.commands import runs, tables

    job = runs.read_job(
        model,
        functions=functions,
        n=n,
        realisations=realisations,
        seed=seed,
        times=times,
        method=method,
        changes=changes or (),
        options=options or (),
    )
    runs.check_file(out, overwrite)
    progress = _progress(as_json)
    network = runs.simulate_and_keep(job, out, record=tuple(record or ()), workers=workers, progress=progress)
    from largen.datasets import describe

    _print(describe(network, out), as_json, lambda: tables.show_dataset(network, out))


@app.command()
def limit(
    model: Model,
    out: Out = None,
    n: Size = None,
    times: Times = None,
    changes: Changes = None,
    options: Options = None,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Solve the limit equations (at a finite size with --n)."""
    from largen.commands import runs, tables

    job = runs.read_job(
        model,
        functions=functions,
        n=n,
        times=times,
        changes=changes or (),
        options=options or (),
        of_file=False,
    )
    runs.check_file(out, overwrite)
    solution = runs.solve_and_keep(job, out)
    from largen.datasets import describe

    _print(describe(solution, out), as_json, lambda: tables.show_dataset(solution, out))


@app.command()
def compare(
    network: Annotated[Path, typer.Argument(help="What `largen simulate` wrote.")],
    limit: Annotated[Path, typer.Argument(help="What `largen limit` wrote.")],
    finite: Annotated[Path | None, typer.Option("--finite", help="The limit equations at the network's n.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare a network with its limit."""
    from largen.commands import runs, tables
    from largen.comparison.report import compare as measure
    from largen.io.results import load, save

    runs.check_file(out, overwrite)
    report = measure(load(network), load(limit), finite=load(finite) if finite else None)
    if out:
        save(report, out)
    from largen.comparison.plain import report_as_plain

    _print(report_as_plain(report), as_json, lambda: tables.show_table(report))


@app.command()
def convergence(
    model: Model,
    sizes: Annotated[str, typer.Option("--n", "-n", help="Total numbers of neurons, such as 200,600,2000.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder.")] = None,
    realisations: Annotated[
        str | None, typer.Option("--realisations", "-r", help="Realisations at every n, or one number for each.")
    ] = None,
    seed: Seed = None,
    times: Times = None,
    method: Method = None,
    changes: Changes = None,
    options: Options = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Measure the distance between network and limit against the number of neurons."""
    from largen.commands import runs, tables

    job = runs.read_job(
        model,
        functions=functions,
        seed=seed,
        times=times,
        method=method,
        changes=changes or (),
        options=options or (),
        verbs=("network", "limit"),
    )
    with runs.results_folder(out, f"{Path(model).stem}-convergence", overwrite) as folder:
        study = runs.converge(
            job, sizes, folder, realisations=realisations, workers=workers, progress=_progress(as_json)
        )
    from largen.comparison.plain import convergence_as_plain

    _print(
        convergence_as_plain(study, folder),
        as_json,
        lambda: tables.show_convergence(study, folder),
    )


@app.command()
def bifurcation(
    model: Model,
    parameter: Annotated[str, typer.Option("--parameter", "-p", help="Its name, such as 'probability[e,i]'.")],
    to: Annotated[float, typer.Option("--to", help="Value at which to stop.")],
    begin: Annotated[
        float | None, typer.Option("--from", help="Value at which to begin; the model's if absent.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder.")] = None,
    n: Size = None,
    cycles: Annotated[bool, typer.Option(help="Follow the periodic orbits born at Hopf points.")] = True,
    switch: Annotated[bool, typer.Option(help="Follow branches that cross.")] = True,
    points: Annotated[int, typer.Option("--points", help="Points after which a branch is cut.")] = 300,
    changes: Changes = None,
    options: Options = None,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Follow stationary states and orbits of the limit along a parameter, with their special points."""
    from largen.commands import bifurcation as diagrams
    from largen.commands import runs

    job = runs.read_job(
        model,
        functions=functions,
        n=n,
        changes=changes or (),
        options=options or (),
        verbs=("dynamics",),
        of_file=False,
    )
    with runs.results_folder(out, f"{Path(model).stem}-bifurcation", overwrite) as folder:
        found = diagrams.diagram(
            job,
            parameter,
            begin,
            to,
            folder,
            progress=_progress(as_json),
            cycles=cycles,
            switch=switch,
            points=points,
        )
    _print(diagrams.as_plain(found, folder), as_json, lambda: diagrams.show(found, folder))


@app.command()
def sweep(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="A model file with a `sweep` block.")] = None,
    store: Annotated[
        Path | None, typer.Option("--store", "-o", help="Result, ending in .zarr or .nc; FILE.zarr if absent.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", help="Worker processes.")] = 1,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it has come.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do points again that failed.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Go on in a store that holds another sweep.")] = False,
    draw: Annotated[str | None, typer.Option("--map", help="Draw this variable, such as limit_rate.")] = None,
    n: Size = None,
    realisations: Realisations = None,
    seed: Seed = None,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Visit many parameters; run the same again after whatever stopped it, and it goes on."""
    from largen.commands import sweep as command

    place = command.store_of(file, store)
    if status:
        found = command.status(place)
    else:
        progress = None if as_json else (_progress(as_json) or "lines")
        found = command.run(
            file or "",
            place,
            functions=functions,
            workers=workers,
            retry_failed=retry_failed,
            extend=extend,
            progress=progress,
            n=n,
            realisations=realisations,
            seed=seed,
        )
    if draw is not None:
        found["map"] = str(command.draw(place, draw))
    _print(found, as_json, lambda: command.show(found))


@app.command()
def fit(
    model: Model,
    target: Annotated[Path, typer.Argument(help="A Dataset (.nc, .zarr) or observables in YAML.")],
    free: Annotated[list[str] | None, typer.Option("--free", help="A free parameter, such as 'tau[e]'; repeatable.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder.")] = None,
    observables: Annotated[list[str] | None, typer.Option("--observable", help="Use this one; repeatable.")] = None,
    through: Annotated[str, typer.Option("--through", help="limit, finite (equations at n) or network.")] = "limit",
    starts: Annotated[int, typer.Option("--starts", help="Starting points.")] = 4,
    check: Annotated[bool, typer.Option(help="Simulate the fitted network and compare it.")] = True,
    n: Size = None,
    seed: Seed = None,
    times: Times = None,
    changes: Changes = None,
    options: Options = None,
    overwrite: Overwrite = False,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Fit parameters to observables, by derivatives through the limit."""
    from largen.commands import fit as command
    from largen.commands import runs

    job = runs.read_job(
        model,
        functions=functions,
        n=n,
        seed=seed,
        times=times,
        changes=changes or (),
        options=options or (),
        verbs=("smooth",),
        of_file=False,
    )
    with runs.results_folder(out, f"{Path(model).stem}-fit", overwrite) as folder:
        plain = command.run(
            job,
            target,
            folder,
            free=free or (),
            observables=observables or (),
            through=through,
            starts=starts,
            check=check,
        )
    _print(plain, as_json, lambda: command.show(plain))


@app.command()
def equations(
    model: Model,
    n: Size = None,
    changes: Changes = None,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Write the limit's equations as LaTeX, with the model's own numbers."""
    from largen.commands import runs
    from largen.io.latex import equations as write

    job = runs.read_job(model, functions=functions, changes=changes or (), of_file=False)
    text = str(write(job.model, n=n))
    _print({"system": job.model.system, "latex": text}, as_json, lambda: print(text))


@app.command()
def explore(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="A model file or an example.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 5006,
    address: Annotated[str, typer.Option("--address", help="Address to listen at; by default only this machine.")] = (
        "127.0.0.1"
    ),
    show: Annotated[bool, typer.Option("--show", help="Open a browser.")] = False,
    functions: Functions = False,
) -> None:
    """Explore in the browser: move a parameter, the limit answers at once and the network follows."""
    from largen.explorer import explore as serve

    serve(model, port=port, address=address, show=show, functions=functions)


@app.command()
def examples(as_json: AsJson = False) -> None:
    """List the examples that ship with largen."""
    from largen.io.model_files import examples as found

    names = found()
    _print(names, as_json, lambda: print("\n".join(f"{name:14s} {about}" for name, about in names.items())))


@app.command()
def show(model: Model, functions: Functions = False, as_json: AsJson = False) -> None:
    """Show a model: every parameter with its value, unit, bounds and meaning."""
    from largen.commands import tables

    table = tables.parameter_table(model, functions)
    _print(table, as_json, lambda: tables.show_parameters(table))


def _progress(as_json: bool) -> Any:
    return True if sys.stderr.isatty() and not as_json else None


def _say(as_json: bool) -> Any:
    """Return a function that says what is happening, on standard error."""
    return (lambda text: None) if as_json else (lambda text: print(text, file=sys.stderr, flush=True))


def _print(plain: Any, as_json: bool, show_it: Any) -> None:
    if as_json:
        print(json.dumps(plain, indent=1, allow_nan=False))
    else:
        show_it()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 2 for bad input (one sentence), 130 after Ctrl-C."""
    from largen.checks import InputError, LimitError, Stopped
    from largen.runtime.compilation import keep_compiled_programs, say_when_compiling
    from largen.runtime.garbage import collect_rarely

    if arguments is None:
        keep_compiled_programs()
        say_when_compiling()
        collect_rarely()
    # Typer carries its own Click since 0.26; the base class is found the same way in both.
    usage_error: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
    try:
        given = sys.argv[1:] if arguments is None else arguments
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


def _fail(sentence: str) -> int:
    print(f"largen: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
