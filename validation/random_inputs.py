"""Random inputs for fuzz.py: model files, options of the command line, Python arguments, and whole runs.

Each generator takes a `random.Random` and returns a `Case`: what is tried, in words that a person can type again, and
the call. Most values are reasonable, so that many cases run to their end; some are values that people give by mistake.
"""

import contextlib
import datetime
import fractions
import functools
import inspect
import io
import json
import math
import pathlib
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import typer
import xarray as xr
import yaml
from spiking_inputs import misfit, widened, with_units

import largen as ln
from largen.checks import InputError
from largen.commands.job import read_job
from largen.commands.main import app, main
from largen.commands.options import JobOptions
from largen.io.model_files import parse_model
from largen.parameters import parameters
from largen.parameters.plain import to_plain
from largen.sweeps.file import read_sweep
from largen.systems import SYSTEMS, system_class


class Case(NamedTuple):
    """One input.

    Attributes:
        kind: What is tried, for the table of totals.
        text: The input.
        call: Does it; raises `InputError` or `LimitError`, or returns what it made.
        intended: Names and values that the model made must have.
    """

    kind: str
    text: str
    call: Callable[[], Any]
    intended: Mapping[str, Any] = {}


SMALL: dict[str, dict[str, Any]] = {
    "spiking": {"size": [12, 4], "external_rate": [7.0, 7.0]},
    "balanced": {},
    "rate": {"dynamics": "discrete"},
    "rate_populations": {"dynamics": "discrete"},
}
"""Parameters of the small models, beyond the defaults."""
SIZES = {"spiking": (16, 32), "balanced": (20, 60), "rate": (13, 25), "rate_populations": (30, 50)}
TIMES = {"spiking": "0:20:1", "balanced": "0:1:0.1", "rate": "0:6:1", "rate_populations": "0:6:1"}
AWKWARD_TEXTS = (
    "", " ", "1e3", "1_000", "½", "１", "yes", "no", "on", "null", "~", "nan", ".nan", ".inf", "-.inf", "1e400", "-0.0",
    "5e-324", "0x" + "f" * 300, "0o17", "1:30", "2001-01-01", "!!float 1", "!!python/object:os.system x", "[1, [2]]",
    "[[1, 2], [3]]", "[]", "{}", "{a: 1}", "[nan]", "[[]]", "*a", "&a 1", "1 ms", "0.002 s", "true", "'1'",
    "\u0000", "é" * 200, "[" * 200, "1,2", "1e-300", "1e300", "-1", "0", "1", "2", "18446744073709551616",
    "-9223372036854775809", "0.1", "1e9", "1e12",
)  # fmt: skip
AWKWARD_VALUES: tuple[Any, ...] = (
    None, True, False, "", "1", "1e3", "one", b"1", 0, -1, 1, 2**63, 2**64, 10**400, 0.0, -0.0, 5e-324, 1e-300, 1e-12,
    1e12, 1e300, -1e300, float("nan"), float("inf"), -float("inf"), 1 + 2j, [], {}, (), [[1.0, 2.0], [3.0]], [None],
    ["a", "b"], np.array([]), np.array(1.0), np.array([1.0, np.nan]), np.ma.masked_array([1.0, 2.0], [False, True]),
    np.array([1 + 0j, 2]), np.array([True, False]), np.datetime64("2020-01-01"), np.timedelta64(5, "ms"),
    datetime.timedelta(seconds=1), fractions.Fraction(1, 3), np.float32(0.1), np.int8(3), np.uint64(2**63), object(),
    print, math.sqrt, range(2), "é", pathlib.Path("x"), {"value": 1.0}, {1, 2}, np.zeros((2, 2, 2)), iter([1.0, 2.0]),
)  # fmt: skip


def one_of(rng: random.Random, values: Any) -> Any:
    """One of a few values."""
    return values[rng.randrange(len(values))]


def perturbed(rng: random.Random, value: Any) -> Any:
    """Plain numbers changed a little; words and truth values as they are."""
    if isinstance(value, list):
        return [perturbed(rng, entry) for entry in value]
    if isinstance(value, dict):
        return {key: perturbed(rng, entry) for key, entry in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    factor = math.exp(rng.gauss(0.0, one_of(rng, (0.1, 0.5, 2.0))))
    return round(value * factor) if isinstance(value, int) else value * factor


def spoiled(rng: random.Random, value: Any, awkward: tuple[Any, ...]) -> Any:
    """A value with something awkward in place of it or of one of its entries."""
    if isinstance(value, list) and value and rng.random() < 0.5:
        copy = list(value)
        k = rng.randrange(len(copy))
        copy[k] = spoiled(rng, copy[k], awkward)
        return copy
    return one_of(rng, awkward)


@functools.cache
def small(system: str) -> Any:
    """A small model of a system."""
    return system_class(system)(**SMALL[system])


def plain_model(rng: random.Random, spoil: float) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A system's name, plain parameters, and those that were changed and not spoiled."""
    system = one_of(rng, tuple(SYSTEMS))
    plain = to_plain(small(system))
    if system == "spiking" and rng.random() < 0.6:
        plain |= widened(rng)
        if plain.keys() & {"in_degree", "synapses"}:
            plain.pop("probability")
        if rng.random() < spoil:
            misfit(rng, plain)
            return system, plain, {}
    chosen = rng.sample(sorted(plain), min(len(plain), rng.randrange(0, 5)))
    intended = {}
    for name in chosen:
        if rng.random() < spoil:
            plain[name] = spoiled(rng, plain[name], tuple(v for v in AWKWARD_VALUES if _plain(v)))
        else:
            plain[name] = intended[name] = perturbed(rng, plain[name])
    return system, plain, intended


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | list | dict | type(None)) and not isinstance(value, bytes)


# Model files ---------------------------------------------------------------------------------------------------


def file_text(rng: random.Random, spoil: float = 0.25) -> tuple[str, dict[str, Any]]:
    """Text of a model file and the parameters that it must give; none where the text was damaged."""
    system, plain, intended = plain_model(rng, spoil)
    if system == "spiking" and rng.random() < 0.3:
        plain, intended = with_units(rng, plain), {}
    whole: dict[str, Any] = {"system": system, "parameters": plain}
    start, stop, step = map(float, TIMES[system].split(":"))
    if rng.random() < 0.6:
        whole["run"] = {
            "times": {"start": start, "stop": stop, "step": step},
            "n": one_of(rng, SIZES[system]),
            "seed": 1,
        }
        if rng.random() < spoil:
            key = one_of(rng, (*whole["run"], "realisations", "method", "tims"))
            whole["run"][key] = one_of(rng, tuple(v for v in AWKWARD_VALUES if _plain(v)))
    if rng.random() < spoil / 4:
        whole[one_of(rng, ("system", "parameters", "run", "sweep", "fit", "parameter"))] = one_of(
            rng, (None, [], "x", 1, {})
        )
        intended = {}
    text = (
        json.dumps(whole)
        if rng.random() < 0.2
        else yaml.safe_dump(whole, default_flow_style=one_of(rng, (None, True, False)))
    )
    if rng.random() < spoil:
        return damaged(rng, text), {}
    return text, intended


def damaged(rng: random.Random, text: str) -> str:
    """Text with a few characters or lines cut, doubled, exchanged or put in."""
    for _ in range(rng.randrange(1, 4)):
        k = rng.randrange(len(text) + 1)
        how = rng.randrange(5)
        if how == 0:
            text = text[:k] + text[k + rng.randrange(1, 6) :]
        elif how == 1:
            lines = text.splitlines(keepends=True) or [""]
            lines.insert(rng.randrange(len(lines) + 1), one_of(rng, lines))
            text = "".join(lines)
        elif how == 2:
            text = text[:k] + one_of(rng, AWKWARD_TEXTS) + text[k:]
        elif how == 3:
            text = re.sub(r"[-\d.]+", lambda found: one_of(rng, AWKWARD_TEXTS), text, count=1)
        else:
            text = text[:k] + one_of(
                rng, ("\t", "\r", "\ufeff", "---\n", "%YAML 1.2\n", ": ", "- ", "#", "\u2028", "{", "]")
            )
            text += "" if rng.random() < 0.5 else "\n" + text
    return text


def model_file(rng: random.Random) -> Case:
    """A model file."""
    text, intended = file_text(rng)
    return Case("model file", text, lambda: parse_model(text, "The file")[0], intended)


# Options ---------------------------------------------------------------------------------------------------------


def option_text(rng: random.Random, name: str, system: str) -> str:
    """Text behind an option: reasonable or not."""
    if rng.random() < 0.3:
        return one_of(rng, AWKWARD_TEXTS)
    plain = to_plain(small(system))
    if name in ("--set", "--free", "--parameter"):
        field = one_of(rng, sorted(plain))
        index = one_of(rng, ("", "", "[e]", "[e,i]", "[0]", "[i,e]", "[x]", "[e", "*", ".slope", "[e].slope"))
        if name != "--set":
            return field + index
        value = (
            plain[field] if not index else plain[field][0] if isinstance(plain[field], list) and plain[field] else 1.0
        )
        return f"{field}{index}={json.dumps(perturbed(rng, value))}"
    good = {
        "--n": ("16", "40", "25"), "--realisations": ("1", "2", "3"), "--seed": ("0", "7", str(2**70)),
        "--times": (TIMES[system], "0:1:0.25", "0:5:1"), "--method": ("exact", "fast", "euler", "annealed", "quenched"),
        "--option": ("dt=0.1", "dt=0.05", "bin_width=10", "lags=3", "closure=joint", "graph=annealed", "skewness=true"),
        "--record": ("spikes", "voltage", "covariance"), "--workers": ("1",), "--out": ("result", "result.nc"),
        "--to": ("0.9", "1.5"), "--from": ("0.8", "1.0"), "--points": ("5",), "--through": ("limit", "finite"),
        "--starts": ("1", "2"), "--observable": ("rate", "mean", "rate[e]"),
    }  # fmt: skip
    return one_of(rng, good.get(name, ("1",)))


def words_of(rng: random.Random, name: str, system: str, most: int) -> list[str]:
    """Some options of a command, as its own table of options has them."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    options = [
        one for one in command.params if one.opts[0].startswith("-") and one.opts[0] not in ("--help", "--workers")
    ]
    words = []
    for one in rng.sample(options, min(most, len(options))):
        words.append(one.opts[0])
        if not one.is_flag:
            words.append(option_text(rng, one.opts[0], system))
    return words


def options(rng: random.Random) -> Case:
    """Options of a job, or words of a command that only reads."""
    system = one_of(rng, tuple(SYSTEMS))
    if rng.random() < 0.5:
        given: dict[str, Any] = {}
        for field in ("n", "realisations", "seed"):
            if rng.random() < 0.3:
                given[field] = one_of(rng, (0, 1, -1, 16, 2**64, 10**30))
        if rng.random() < 0.3:
            given["times"] = option_text(rng, "--times", system)
        given["changes"] = [option_text(rng, "--set", system) for _ in range(rng.randrange(3))]
        given["options"] = [option_text(rng, "--option", system) for _ in range(rng.randrange(2))]
        example = {"spiking": "gamma", "balanced": "balanced", "rate": "correlated", "rate_populations": "populations"}[
            system
        ]
        return Case("options of a job", f"{example} {given}", lambda: read_job(JobOptions(example, **given)).model)
    name = one_of(rng, ("show", "examples", "equations"))
    example = one_of(rng, ("gamma", "balanced", "correlated", "no_such", "", ".", "é"))
    words = [name, *([example] if name != "examples" or rng.random() < 0.1 else []), *words_of(rng, name, system, 2)]
    return Case("command that reads", " ".join(["largen", *words]), lambda: command(words))


def command(words: list[str]) -> Any:
    """Run a command in a folder of its own; the message of a refusal, or what it printed and wrote."""
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        code = main(words)
    complaint = said.getvalue().strip().splitlines()
    if code == 2:
        if not complaint or not complaint[-1].startswith("largen: "):
            raise AssertionError(f"exit status 2 without a message: {complaint[-3:]}")
        raise InputError(complaint[-1])
    if code not in (0, None):
        raise AssertionError(f"exit status {code}: {complaint[-3:]}")
    if "--json" in words:
        json.loads(printed.getvalue(), parse_constant=_no_constant)
    return {path.name: path for path in pathlib.Path().rglob("*") if path.is_file()}


def _no_constant(word: str) -> None:
    raise AssertionError(f"JSON holds {word}")


# Python ------------------------------------------------------------------------------------------------------------


def arguments(rng: random.Random) -> Case:
    """Arguments of a model, of its `replace`, or of what describes a sweep."""
    system = one_of(rng, tuple(SYSTEMS))
    model = small(system)
    table = parameters(model)
    name = one_of(rng, sorted(table))
    if system == "spiking" and rng.random() < 0.5:
        fields = widened(rng)
        wrong = misfit(rng, fields) if rng.random() < 0.5 else ""
        asked = {} if wrong else {key: value for key, value in fields.items() if key in ("synapse", "external")}
        make = model.replace if rng.random() < 0.5 else functools.partial(type(model), **SMALL[system])
        return Case("spiking fields", f"{fields} {wrong}", lambda: make(**fields), asked)
    index = one_of(rng, ("", "", "", "[e]", "[e,i]", "[0]", "[x]", "[]", "[e,e,e]"))
    intended = {}
    if rng.random() < 0.5:
        value = one_of(rng, AWKWARD_VALUES)
    else:
        value = perturbed(rng, to_plain(model).get(name, table[name].default))
        value = value if not index else value[0] if isinstance(value, list) and value else value
        intended = {} if isinstance(value, str | dict) or index else {name: value}
    how = rng.randrange(4)
    if how == 0 and not index:
        return Case(
            "model",
            f"{type(model).__name__}({name}={value!r})",
            lambda: type(model)(**SMALL[system] | {name: value}),
            intended,
        )
    if how <= 2:
        return Case(
            "replace", f"{system} {name}{index} = {value!r}", lambda: model.replace(**{name + index: value}), intended
        )
    kind = one_of(rng, ("Grid", "Random", "Sobol"))
    extra = (
        {}
        if kind == "Grid"
        else {"count": one_of(rng, (4, 3, 0, -1, 2.5, 10**9, value)), "seed": one_of(rng, (0, value))}
    )
    over = {
        name + index: one_of(rng, ([0.5, 1.0], (0.5, 1.0), value, (1.0, 0.5), (0.1, 1.0, "log"), (0, 1, "log"), [1, 1]))
    }
    return Case(
        "points of a sweep",
        f"{kind}({over!r}, {extra!r})",
        lambda: getattr(ln, kind)(over, **extra).table(model) and None,
    )


@functools.cache
def runs_of(system: str) -> tuple[xr.Dataset, xr.Dataset]:
    """A small network and its limit."""
    start, stop, step = map(float, TIMES[system].split(":"))
    times = np.arange(start, stop + step / 2, step)
    model = small(system)
    network = ln.simulate(model, times, n=SIZES[system][0], realisations=3, record=model.default_record)
    return network, ln.solve_limit(model, times, strict=False)


def changed_dataset(rng: random.Random, data: xr.Dataset) -> tuple[str, Any]:
    """A Dataset cut, relabelled, damaged or replaced, and how."""
    name = one_of(rng, sorted(map(str, data.data_vars)))
    dim = one_of(rng, sorted(map(str, data.dims)))
    size = data.sizes[dim]
    k = rng.randrange(size)
    alike = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "join": "override"}
    changes: dict[str, Callable[[], Any]] = {
        "as it is": lambda: data,
        f"isel({dim}={k})": lambda: data.isel({dim: k}),
        f"isel({dim}=[{k}])": lambda: data.isel({dim: [k]}),
        f"isel({dim}=slice({k}))": lambda: data.isel({dim: slice(0, k)}),
        f"isel({dim}=slice({k}, None))": lambda: data.isel({dim: slice(k, None)}),
        f"{dim} reversed": lambda: data.isel({dim: slice(None, None, -1)}),
        f"{dim} coarser": lambda: data.isel({dim: slice(None, None, 2)}),
        f"{dim} without labels": lambda: data.drop_vars(dim, errors="ignore"),
        f"{dim} renamed": lambda: data.rename({dim: "other"}),
        f"mean over {dim}": lambda: data.mean(dim),
        f"transposed to {dim} last": lambda: data.transpose(..., dim),
        "joined with itself": lambda: xr.concat([data, data], dim, **alike),
        f"without {name}": lambda: data.drop_vars(name),
        f"{name} single": lambda: data.assign({name: data[name].astype("f4")}),
        f"{name} complex": lambda: data.assign({name: data[name].astype(complex)}),
        f"{name} NaN": lambda: data.assign({name: data[name] * np.nan}),
        f"{name} infinite": lambda: data.assign({name: data[name] + np.inf}),
        f"{name} text": lambda: data.assign({name: data[name].astype(str)}),
        "attributes gone": lambda: data.drop_attrs(),
        "an attribute gone": lambda: data.assign_attrs({one_of(rng, sorted(data.attrs)): None}),
        "an array": lambda: data[name],
        "numbers": lambda: data[name].values,
        "a table": lambda: data[name].to_dataframe(),
        "a dictionary": data.to_dict,
        "a path": lambda: "x.nc",
        "None": lambda: None,
        "empty": xr.Dataset,
    }
    words = one_of(rng, tuple(changes))
    return words, changes[words]()


ON_ONE = (
    "summary", "asynchrony", "power_spectrum", "firing_events", "orbit", "event_statistics", "metastability",
    "autocorrelation_time", "correlation_against_lag",
)  # fmt: skip
DRAWINGS = (
    "overview",
    "overview",
    "raster",
    "raster",
    "distance",
    "fixed_point",
    "chaotic_variance",
    "dwell_times",
    "convergence",
)


def compared_how(rng: random.Random) -> dict[str, Any]:
    """Arguments of `compare`: tolerances, scales and levels, reasonable or not; often none."""
    if rng.random() < 0.5:
        return {}
    shares = (
        0.05,
        0.5,
        {"rate": 0.1},
        {"mean": 0.2, "variance": 0.3},
        {"synchrony": 0.2},
        {"rate[e]": 0.1},
        {"x": 1.0},
    )
    good = {
        "level": (0.05, 0.001, 0.5), "tolerance": shares, "scale": ({"rate": 5.0}, {"mean": 1.0}, {"covariance": 0.1}),
        "strict": (False, True),
    }  # fmt: skip
    name = one_of(rng, tuple(good))
    return {name: one_of(rng, good[name] if rng.random() < 0.6 else AWKWARD_VALUES)}


def datasets(rng: random.Random) -> Case:
    """A function of one or two Datasets that were changed."""
    system = one_of(rng, tuple(SYSTEMS))
    network, limit = runs_of(system)
    try:
        one, first = changed_dataset(rng, network)
        two, second = changed_dataset(rng, limit if rng.random() < 0.8 else network)
    except (ValueError, TypeError, KeyError):  # xarray itself refuses the change
        one, first, two, second = "as it is", network, "as it is", limit
    how = rng.randrange(10)
    if how < 4:
        name = one_of(rng, ON_ONE)
        function = getattr(ln.analysis, name)
        keywords = (
            {}
            if rng.random() < 0.6
            else {one_of(rng, ("start", "window", "bin", "population", "maximum")): one_of(rng, AWKWARD_VALUES)}
        )
        keywords = {key: value for key, value in keywords.items() if key in inspect.signature(function).parameters}
        return Case(
            f"analysis.{name}", f"{name}({system} network {one}, {keywords!r})", lambda: function(first, **keywords)
        )
    if how < 7:
        given: dict[str, Any] = compared_how(rng) | ({"finite": second} if rng.random() < 0.1 else {})
        words = f"compare({system} network {one}, limit {two}, {', '.join(map(str, given.items()))[:300]})"
        return Case("compare", words, lambda: ln.compare(first, second, **given))
    if how == 7:
        return Case("to_neo", f"to_neo({system} {one})", lambda: ln.to_neo(first) and None)
    if how == 8:
        return Case(
            "save and load",
            f"{system} {one}",
            lambda: _kept(first, one_of(rng, ("a.nc", "a.zarr", "a", "", "no/a.nc", "~/.nc"))),
        )
    name = one_of(rng, DRAWINGS)
    if name == "overview":
        return Case("plot", f"plot.overview({system} {one}, {two})", lambda: ln.plot.overview(first, second) and None)
    return Case(
        "plot", f"plot.{name}({system} {one})", lambda: ln.plot.figure_of(getattr(ln.plot, name), first) and None
    )


def _kept(data: Any, name: str) -> xr.Dataset:
    ln.save(data, name)
    again = ln.load(name)
    if not again.equals(data):
        raise AssertionError("load gives other values than save was given")
    return again.drop_vars(list(again.data_vars))


def text_files(rng: random.Random) -> Case:
    """A sweep file or the target of a fit, in a file."""
    text, _ = file_text(rng, 0.1)
    if rng.random() < 0.5:
        over = one_of(
            rng,
            ("{kind: grid, values: {tau: [1, 2]}}", "{kind: sobol, ranges: {tau: [1, 2]}, count: 4}", *AWKWARD_TEXTS),
        )
        text += f"\nsweep: {{over: {over}, run: {one_of(rng, ('limit', '[limit, network]', *AWKWARD_TEXTS))}}}\n"
        if rng.random() < 0.3:
            text = damaged(rng, text)

        def read() -> Any:
            pathlib.Path("s.yaml").write_text(text, encoding="utf-8", errors="replace")
            return read_sweep("s.yaml").model

        return Case("sweep file", text, read)
    from largen.commands.fit import read_target

    target = yaml.safe_dump(
        {"rate[e]": one_of(rng, (1.0, {"value": 1.0, "error": 0.1}, {"value": "x"}, None, [1, 2], {"error": 1}))}
    )
    target = damaged(rng, target) if rng.random() < 0.5 else target

    def read_aim() -> None:
        pathlib.Path("t.yaml").write_text(target, encoding="utf-8", errors="replace")
        read_target(pathlib.Path("t.yaml"))

    return Case("target of a fit", target, read_aim)


# The explorer ---------------------------------------------------------------------------------------------------


@functools.cache
def page_of(system: str) -> Any:
    """A page of the explorer without a browser; its limits are solved in this process."""
    from largen.explorer.jobs import Jobs
    from largen.explorer.page import Page

    return Page(system, small(system), Jobs())


def explorer(rng: random.Random) -> Case:
    """A link, a typed value or an upload of the explorer."""
    from largen.explorer.form import choices, numbers
    from largen.explorer.links import read_link
    from largen.explorer.state import BOXES

    system = one_of(rng, tuple(SYSTEMS))
    page = page_of(system)
    kind = rng.random()

    def back() -> None:
        page.load(page.own)
        page.status.object = ""

    if kind < 0.6:
        good = {row.name: float(row.value) for row in numbers(page.own)}
        names = [*good, *(row.name for row in choices(page.own)), *BOXES, "theme", "no_such", ""]
        query = {}
        for _ in range(rng.randrange(1, 4)):
            name = one_of(rng, names)
            text = repr(perturbed(rng, good[name])) if name in good else "16"
            query[name] = one_of(rng, (text, text, *AWKWARD_TEXTS))

        def follow_link() -> None:
            back()
            page.show(read_link(query, page.own, page.example))
            _said(page)

        def type_in() -> None:
            back()
            for name, text in query.items():
                page.take({"name": name, "text": text})
            _said(page)
            page.asked()

        if kind < 0.4:
            return Case("explorer's link", f"{system} {query!r}", follow_link)
        return Case("explorer's boxes", f"{system} {query!r}", type_in)
    text, _ = file_text(rng)

    def upload() -> None:
        back()
        page.sharing.take({"text": text})
        _said(page)

    return Case("explorer's upload", text, upload)


def _said(page: Any) -> None:
    words = str(page.status.object)
    if "fault of largen" in words:
        raise AssertionError(words)
    if words.startswith(("Not loaded", "Link not used", "No limit")):
        raise InputError(words)


# Whole runs ----------------------------------------------------------------------------------------------------------


def model_of(rng: random.Random) -> tuple[str, Any, str]:
    """A system, a model near its small one, and how it was made."""
    system = one_of(rng, tuple(SYSTEMS))
    model, words = small(system), []
    if system == "spiking" and rng.random() < 0.6:
        fields = widened(rng)
        with contextlib.suppress(InputError):
            model = model.replace(**fields)
            words.append(f"{fields}")
    plain = to_plain(model, strict=False)
    for name in rng.sample(sorted(plain), rng.randrange(0, 4)):
        value = perturbed(rng, plain[name])
        if rng.random() < 0.05:
            value = spoiled(rng, value, (0.0, 1e-3, 1e-6, 1e3, 1e6, 1e12, -1.0))
        with contextlib.suppress(InputError):
            model = model.replace(**{name: value})
            words.append(f"{name}={value!r}")
    return system, model, f"{system} {', '.join(words)}"


def times_of(rng: random.Random, system: str) -> np.ndarray:
    """Output times of a few shapes."""
    start, stop, step = map(float, TIMES[system].split(":"))
    grid = np.arange(start, stop + step / 2, step)
    return one_of(
        rng, (grid, grid, grid + 3.0, grid[:2], grid[:4], grid * 0.5 if not system.startswith("rate") else grid)
    )


def whole_call(rng: random.Random) -> Case:
    """A function of the library, run to its end on a small model."""
    system, model, words = model_of(rng)
    times = times_of(rng, system)
    n = one_of(rng, (*SIZES[system], *SIZES[system], None, 3, 7, 1))
    method = one_of(rng, (None, None, *model.methods))
    how = rng.choices(("simulate", "limit", "compare", "stationary", "statistics", "theory"), (6, 5, 5, 2, 3, 2))[0]
    text = f"{how}: {words}; times {times[0]:g} to {times[-1]:g} in {len(times)}; n={n}, method={method}"
    network = functools.partial(
        ln.simulate, model, times, n=n, realisations=rng.randrange(1, 4), seed=rng.randrange(99), method=method
    )
    if how == "simulate":
        return Case("simulate", text, network, {"model": model})
    if how == "limit":
        size = one_of(rng, (None, n))
        return Case(
            "solve_limit",
            f"{text}, size {size}",
            lambda: ln.solve_limit(model, times, n=size, strict=False),
            {"model": model},
        )
    if how == "compare":
        given = compared_how(rng)
        if n and rng.random() < 0.3:
            given["finite"] = n
        text += f"; {', '.join(map(str, given.items()))[:300]}"
        return Case("compare", text, lambda: _compared(network(), model, times, given))
    if how == "stationary":
        return Case("fixed_points", text, lambda: ln.analysis.fixed_points(model))
    if how == "statistics":
        return Case("summary", text, lambda: ln.analysis.summary(network(record=model.default_record)))
    names = ("fluctuations", "stationary", "phase_portrait", "lyapunov")
    if system == "rate_populations" and rng.random() < 0.6:
        name = one_of(rng, ("stationary", "static_states", "lyapunov_exponent", "dimension"))
        return Case(name, f"{name} {words}", lambda: getattr(model, name)())
    if system == "spiking" and rng.random() < 0.5:
        record = {"record": "spikes"} if rng.random() < 0.9 else {}
        return Case("spike_trains", text, lambda: ln.analysis.spike_trains(network(**record), window=5.0))
    name = one_of(rng, names)
    more = {
        "fluctuations": {"n": n or 16, **({"times": times} if system.startswith("rate") else {})},
        "lyapunov": {"duration": 5.0, "n": n},
    }.get(name, {})
    return Case(name, f"{name} {text}", lambda: getattr(ln.analysis, name)(model, **more))


def _compared(network: xr.Dataset, model: Any, times: np.ndarray, given: dict[str, Any]) -> xr.Dataset:
    if "finite" in given:
        given = given | {"finite": ln.solve_limit(model, times, n=given["finite"])}
    return ln.compare(network, ln.solve_limit(model, times), **given)


def whole_command(rng: random.Random) -> Case:
    """A command, run to its end on a small model file in an empty folder."""
    text, _ = file_text(rng, 0.05)
    found = re.search(r"spiking|balanced|rate", text)
    system = found[0] if found else "spiking"
    names = ("run", "simulate", "limit", "show", "equations", "convergence", "bifurcation", "fit", "sweep", "compare")
    name = rng.choices(names, (5, 5, 5, 1, 1, 2, 2, 1, 1, 1))[0]
    sizes = {"convergence": "16,24"}.get(name, str(one_of(rng, SIZES[system])))
    words = [name, "model.yaml"]
    if name in ("run", "simulate", "convergence"):
        words += ["--n", sizes, "--realisations", str(rng.randrange(1, 4)), "--times", TIMES[system]]
    if name == "limit":
        words += ["--times", TIMES[system]]
    if name == "bifurcation":
        words += ["--parameter", option_text(rng, "--parameter", system), "--to", one_of(rng, ("1.1", "0.5", "2"))]
        words += ["--points", "6", "--no-cycles"]
    if name == "fit":
        words += ["target.yaml", "--free", option_text(rng, "--free", system), "--starts", "1", "--no-check"]
        words += ["--times", TIMES[system]]
    if name == "compare":
        words = [name, one_of(rng, ("network.nc", "model.yaml", "")), "limit.nc"]
    words += words_of(rng, name, system, rng.randrange(0, 3)) if rng.random() < 0.6 else []

    def run() -> Any:
        pathlib.Path("model.yaml").write_text(text, encoding="utf-8", errors="replace")
        pathlib.Path("target.yaml").write_text("mean[e]: 0.1\n" if system != "spiking" else "rate[e]: 20.0\n")
        files = command(words)
        for file in files.values():
            if file.suffix == ".nc":
                look_at(ln.load(file))
        return None

    return Case(f"largen {name}", f"largen {' '.join(words)}\n--- model.yaml\n{text}", run)


def look_at(data: xr.Dataset) -> None:
    """Look at what a command wrote like at what a function returned."""
    from fuzz import complaint

    if words := complaint(data):
        raise AssertionError(words)
