"""One page of the explorer: sliders made from the parameter table, the limit at once, the network behind it."""

import io
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import panel as pn
import xarray as xr

from largen.app.form import Number, numbers
from largen.app.jobs import Event, Job, Jobs, Task
from largen.app.views import VIEWS, View
from largen.checks import InputError, LimitError, integer
from largen.files import model_text, parse_model, time_grid
from largen.limits import solve_limit
from largen.results import netcdf_image
from largen.system import AbstractSystem

DELAY = 10  # ms between a slider's movement and the redrawing: a drag asks for far more pictures than it can see
POLL = 150  # ms between two looks at a running network
MOST_NEURONS, MOST_TIMES, MOST_REALISATIONS = 100_000, 20_001, 64


class Setting(NamedTuple):
    """How the explorer begins with a system.

    Attributes:
        stop: Last time.
        step: Step between times.
        n: Neurons.
        options: Options of the limit.
        record: What the first realisation of a network records.
        limit_record: What the limit records.
    """

    stop: float
    step: float
    n: int
    options: Mapping[str, Any] = {}
    record: tuple[str, ...] = ()
    limit_record: tuple[str, ...] = ()


SETTINGS = {
    "spiking": Setting(500.0, 0.1, 400, {"bin_width": 10.0}, ("spikes", "voltage_density"), ("voltage_density",)),
    "balanced": Setting(10.0, 0.05, 1000),
    "rate": Setting(20.0, 1.0, 1000),
}


class Page:
    """A session: a model, its limit, and at most one network."""

    def __init__(self, name: str, model: AbstractSystem, jobs: Jobs):
        self.name, self.base, self.model, self.jobs = name, model, model, jobs
        self.setting = SETTINGS[model.system]
        self.job: Job | None = None
        self.runs: list[xr.Dataset] = []
        self.limit: xr.Dataset | None = None
        self._scheduled = False
        self._quiet = False
        self.sliders: dict[str, pn.widgets.FloatSlider] = {}
        self.status = pn.pane.Str("", css_classes=["status"])
        self.network: xr.Dataset | None = None
        self.verdict = pn.pane.Str("Press “Run the network” to see how far it is from the limit.")
        self._make_controls()
        self.form = pn.Column()
        self._make_form()
        self.solve()
        assert self.limit is not None, self.status.object
        self.tabs: dict[str, list[View]] = VIEWS[model.system](self.limit)
        self.shown = pn.Tabs(
            *((title, pn.Column(*(pn.pane.Bokeh(view.figure, sizing_mode="stretch_width") for view in views)))
              for title, views in self.tabs.items()),
            dynamic=True,
        )  # fmt: skip
        self.shown.param.watch(lambda event: self.draw(), "active")
        self.draw()

    # What the reader moves ----------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        s = self.setting
        self.stop = pn.widgets.FloatInput(
            label="Duration", value=s.stop, start=s.step * 10, end=s.step * (MOST_TIMES - 1)
        )
        self.n = pn.widgets.IntInput(label="Neurons n", value=s.n, start=4, end=MOST_NEURONS)
        self.realisations = pn.widgets.IntInput(label="Networks", value=8, start=1, end=MOST_REALISATIONS)
        self.seed = pn.widgets.IntInput(label="Seed", value=1, start=0)
        for box in (self.stop, self.n, self.realisations, self.seed):
            box.width = 150
        self.run = pn.widgets.Button(label="Run the network", color="primary")
        self.stop_run = pn.widgets.Button(label="Cancel", disabled=True)
        self.progress = pn.indicators.Progress(value=0, max=100, sizing_mode="stretch_width")
        self.reset = pn.widgets.Button(label="Reset")
        self.upload = pn.widgets.FileInput(accept=".yaml,.yml", label="Load a model file")
        self.run.on_click(lambda event: self.start())
        self.stop_run.on_click(lambda event: self.cancel())
        self.reset.on_click(lambda event: self.load(self.base))
        self.upload.param.watch(self._uploaded, "value")
        self.stop.param.watch(self._moved, "value")
        self.downloads = [
            pn.widgets.FileDownload(callback=self._yaml, filename=f"{self.name}.yaml", label="Model (YAML)"),
            pn.widgets.FileDownload(callback=self._netcdf, filename=f"{self.name}-limit.nc", label="Limit (netCDF)"),
            pn.widgets.FileDownload(
                callback=self._network, filename=f"{self.name}-network.nc", label="Network (netCDF)"
            ),
        ]

    def _make_form(self) -> None:
        """Make one slider per number of the model, grouped by field."""
        self.sliders = {}
        groups: dict[str, list[Any]] = {}
        for number in numbers(self.model):
            self.sliders[number.name] = slider = self._slider(number)
            groups.setdefault(number.group, []).append(slider)
        cards = [
            pn.Card(*group, title=name, collapsed=k > 1, sizing_mode="stretch_width", tags=[name])
            for k, (name, group) in enumerate(groups.items())
        ]
        self.form.objects = cards

    def _slider(self, number: Number) -> Any:
        name = f"{number.name} ({number.unit})" if number.unit else number.name
        low, high = min(number.low, number.value), max(number.high, number.value)
        slider = pn.widgets.FloatSlider(
            label=name, value=number.value, start=low, end=high, step=number.step, format="0.[00000]",
            sizing_mode="stretch_width", tags=[number.name],
        )  # fmt: skip
        slider.param.watch(self._moved, "value")
        return slider

    # The limit -----------------------------------------------------------------------------------------------

    def _moved(self, event: Any) -> None:
        """Redraw soon, once, with the values there are then."""
        if self._scheduled or self._quiet:
            return
        if pn.state.curdoc is None:
            self._redraw()
            return
        self._scheduled = True
        pn.state.curdoc.add_timeout_callback(self._redraw, DELAY)

    def _redraw(self) -> None:
        self._scheduled = False
        if self.solve():
            self.cancel()
            self.runs, self.network = [], None
            self.verdict.object = "The parameters have changed: run the network again to compare."
            self.draw()
            self._write_link()

    @property
    def times(self) -> np.ndarray:
        """Output times, shape (time,)."""
        return time_grid(0.0, float(self.stop.value), self.setting.step)

    def changes(self) -> dict[str, float]:
        """The numbers whose sliders stand elsewhere than the model the page began with."""
        return {name: slider.value for name, slider in self.sliders.items() if slider.value != self.base.value(name)}

    def solve(self) -> bool:
        """Solve the limit of what the sliders say; a model without one gives a sentence, and the old picture stays."""
        began = time.perf_counter()
        try:
            model = self.base.replace(**self.changes())
            extra: dict[str, Any] = {"record": self.setting.limit_record} if self.setting.limit_record else {}
            limit = solve_limit(model, self.times, strict=False, **self.setting.options, **extra)
        except (InputError, LimitError) as error:
            self.status.object = f"No limit here. {error} The picture is the last one that had a limit."
            return False
        self.model, self.limit = model, limit
        words = limit.attrs["status"]
        self.status.object = f"Limit: {words}; solved in {1e3 * (time.perf_counter() - began):.0f} ms."
        return True

    def draw(self) -> None:
        """Draw the views of the tab that is open."""
        assert self.limit is not None
        if self.limit.sizes["time"] < 2:
            return
        for view in list(self.tabs.values())[self.shown.active]:
            view.draw(self.limit, self.runs)

    # The network ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Queue the network of the model on the page."""
        self.cancel()
        assert self.limit is not None
        try:
            options = self.setting.options
            boxes = (("n", self.n), ("realisations", self.realisations), ("seed", self.seed))
            n, realisations, seed = (integer(name, box.value, low=0) for name, box in boxes)
            task = Task(self.model, self.times, n, realisations, seed, self.setting.record, self.limit, options)
            self.job = self.jobs.submit(task)
        except (InputError, LimitError) as error:
            self.verdict.object = str(error)
            return
        self.network = None
        self.runs, self.run.disabled, self.stop_run.disabled = [], True, False
        self.draw()
        self.verdict.object = "Starting a process for the network ..."

    def poll(self) -> None:
        """Look for news of the network."""
        self.jobs.advance()
        job = self.job
        if job is None:
            return
        if job.waiting:
            self.verdict.object = f"Waiting: {self.jobs.position(job)} networks are before this one."
            return
        arrived = False
        for event in job.news():
            arrived |= event.kind == "realisation"
            self._take(event)
        if arrived:
            self.draw()
        if job.done:
            self._ended()

    def _take(self, event: Event) -> None:
        if event.kind == "progress":
            self.progress.value = int(100 * event.content)
            count = self.job.task.realisations if self.job else 0
            self.verdict.object = f"{len(self.runs)} of {count} networks are done."
        elif event.kind == "realisation":
            self.runs.append(event.content)
        elif event.kind == "network":
            self.network = event.content
            self.verdict.object = "Solving the theory of this size and comparing ..."
        elif event.kind == "verdict":
            sentences = [entry["sentence"] for entry in event.content["observables"].values()]
            self.verdict.object = "\n".join([f"Verdict: {event.content['verdict']}", *sentences])
        elif event.kind == "failed":
            self.verdict.object = event.content

    def cancel(self) -> None:
        """End the network that runs, if any."""
        if self.job is not None:
            self.job.cancel()
            self.verdict.object = f"Cancelled; {len(self.runs)} networks are shown."
            self._ended()

    def _ended(self) -> None:
        self.job, self.run.disabled, self.stop_run.disabled, self.progress.value = None, False, True, 0
        self.jobs.advance()

    # Files and links -----------------------------------------------------------------------------------------

    def load(self, model: AbstractSystem) -> None:
        """Put a model on the page; its own values become the sliders' middle."""
        self.base = self.model = model
        self._quiet = True
        self._make_form()
        self._quiet = False
        self._redraw()

    def _uploaded(self, event: Any) -> None:
        if not event.new:
            return
        try:
            text = bytes(event.new[:1_000_001]).decode("utf-8")
            if len(text) > 1_000_000:
                raise InputError("The file must be at most 1 MB.")
            model = parse_model(text, "The file")[0]
            if model.system != self.base.system:
                raise InputError(f"The file holds a model of the {model.system} system: open that system's page.")
            if model.populations != self.base.populations:
                raise InputError("The file's populations differ from the page's: start `largen explore FILE` instead.")
        except (InputError, UnicodeDecodeError) as error:
            self.status.object = f"Not loaded. {error}"
            return
        self.load(model)

    def read_link(self, query: dict[str, str]) -> None:
        """Set the parameters that a link carries, each checked like a file's; a wrong one gives a sentence."""
        known = {name: text for name, text in query.items() if name not in ("theme",)}
        try:
            for name, text in known.items():
                if name not in self.sliders:
                    raise InputError(f"The link names `{name}`, which is no number of this model.")
                try:
                    value = float(text)
                except ValueError:
                    raise InputError(f"The link gives `{name}` the value {text!r}, which is not a number.") from None
                self.base.replace(**{name: value})
            values = {name: float(text) for name, text in known.items()}
            self.base.replace(**values)
        except InputError as error:
            self.status.object = f"Link not used. {error}"
            return
        self._quiet = True
        for name, value in values.items():
            slider = self.sliders[name]
            slider.param.update(start=min(slider.start, value), end=max(slider.end, value), value=value)
        self._quiet = False
        if self.solve():
            self.draw()

    def _write_link(self) -> None:
        if pn.state.location is not None:
            names = [name for name in pn.state.location.query_params if name in self.sliders]
            kept = {k: v for k, v in pn.state.location.query_params.items() if k not in names}
            query = kept | {name: f"{value:.10g}" for name, value in self.changes().items()}
            pn.state.location.search = "?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else ""

    def _yaml(self) -> io.BytesIO:
        return io.BytesIO(model_text(self.model).encode())

    def _netcdf(self) -> io.BytesIO:
        assert self.limit is not None
        return netcdf_image(self.limit)

    def _network(self) -> io.BytesIO:
        if self.network is None:
            raise InputError("There is no finished network yet: run it first.")
        return netcdf_image(self.network)

    # Layout --------------------------------------------------------------------------------------------------

    def sidebar(self) -> list[Any]:
        """What stands at the side: settings, sliders, files."""
        files = pn.Card(self.upload, *self.downloads, title="Files", collapsed=True, sizing_mode="stretch_width")
        settings = pn.GridBox(self.stop, self.n, self.realisations, self.seed, ncols=2)
        return [settings, self.form, files, self.reset]

    def main(self) -> list[Any]:
        """What stands in the middle: status, figures, verdict."""
        controls = pn.Row(self.run, self.stop_run, self.progress)
        return [self.status, controls, self.verdict, self.shown]
