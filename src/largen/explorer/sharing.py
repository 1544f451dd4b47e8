"""How a page's model comes and goes: links, model files, downloads."""

import io
import math
import urllib.parse
from typing import TYPE_CHECKING, Any

import panel as pn

from largen.checks import InputError
from largen.explorer.settings import check_run
from largen.explorer.words import Words
from largen.io.model_files import model_text, parse_model
from largen.io.plain_files import LARGEST_FILE
from largen.io.results import netcdf_image
from largen.parameters.plain import to_plain
from largen.system import AbstractSystem

if TYPE_CHECKING:
    from largen.explorer.page import Page

OTHERS = ("theme",)
"""Keys of a link that are not the model's."""
THEMES = {"default": "default", "light": "default", "dark": "dark"}
"""Words of a link for Panel's themes."""


class Sharing:
    """The card with the files, and the link in the address bar."""

    def __init__(self, page: "Page"):
        self.page = page
        self.upload = pn.widgets.FileInput(accept=".yaml,.yml", label="Load a model file (YAML)")
        self.upload.param.watch(self._uploaded, "value")
        name = page.name
        files = (
            ("Save the model (YAML)", f"{name}.yaml", self.yaml),
            ("Download the limit (netCDF)", f"{name}-limit.nc", self.limit),
            ("Download the network (netCDF)", f"{name}-network.nc", self.network),
            ("Download the figure (PDF)", f"{name}.pdf", self.figure),
        )
        self.downloads = [
            pn.widgets.FileDownload(callback=callback, filename=file, label=label, sizing_mode="stretch_width")
            for label, file, callback in files
        ]
        self.words = Words()

    def card(self) -> Any:
        """What stands at the side."""
        note = Words("The address bar holds a link to what is shown.", aside=True)
        return pn.Card(self.upload, *self.downloads, self.words, note, title="Files and link", margin=(2, 5),
                       sizing_mode="stretch_width")  # fmt: skip

    # Files ---------------------------------------------------------------------------------------------------

    def _uploaded(self, event: Any) -> None:
        if not event.new:
            return
        page = self.page
        try:
            text = bytes(event.new[: LARGEST_FILE + 1]).decode("utf-8")
            if len(text) > LARGEST_FILE:
                raise InputError("The file must be at most 1 MB.")
            model = parse_model(text, "The file")[0]
            if model.system != page.base.system:
                raise InputError(f"The file holds a model of the {model.system} system: open that system's page.")
            if model.populations != page.base.populations:
                raise InputError("The file's populations differ from the page's: start `largen explore FILE` instead.")
        except UnicodeDecodeError:
            page.status.object = "Not loaded. The file is not a text in UTF-8."
        except InputError as error:
            page.status.object = f"Not loaded. {error}"
        else:
            page.load(model)

    def yaml(self) -> io.BytesIO:
        """The model as a file."""
        return io.BytesIO(model_text(self.page.model).encode())

    def limit(self) -> io.BytesIO:
        """The limit as a file."""
        return netcdf_image(self.page.limit)

    def network(self) -> io.BytesIO | None:
        """The network as a file, once there is one."""
        if self.page.network is None:
            self.words.object = "There is no finished network yet: run it first."
            return None
        self.words.object = ""
        return netcdf_image(self.page.network)

    def figure(self) -> io.BytesIO | None:
        """Network and limit on a page made for print."""
        from largen.plot import overview

        page = self.page
        if page.network is None:
            self.words.object = "There is no finished network yet: run it first. Every figure has its own save tool."
            return None
        self.words.object = ""
        image = io.BytesIO()
        overview(page.network, page.limit, title=page.name).savefig(image, format="pdf")
        image.seek(0)
        return image

    # Links ---------------------------------------------------------------------------------------------------

    def read_link(self, query: dict[str, str]) -> None:
        """Set what a link carries, each value checked like a file's; a wrong one gives a message and sets nothing."""
        page = self.page
        try:
            if (theme := query.get("theme", "default").strip("'\"")) not in THEMES:
                raise InputError(f"The link asks for the theme {theme[:80]!r}; there are {', '.join(THEMES)}.")
            values = {name: self._value(name, text) for name, text in query.items() if name not in OTHERS}
            boxes = {name: values.get(name, box.value) for name, box in page.boxes.items()}
            check_run(page.opening, page.base.time_unit, *boxes.values())
            page.base.replace(**{name: value for name, value in values.items() if name not in page.boxes})
        except InputError as error:
            page.status.object = f"Link not used. {error}"
            return
        if values:
            page.set_values(values)

    def _value(self, name: str, text: str) -> Any:
        page = self.page
        if name in page.choices:
            page.base.replace(**{name: text})
            return text
        if name not in page.sliders and name not in page.boxes:
            raise InputError(f"The link names {name[:80]!r}, which is no parameter of this page.")
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"The link gives `{name}` the value {text[:80]!r}, which is not a number.") from None
        if name in page.sliders:
            page.base.replace(**{name: value})
        elif name != "duration":
            if not math.isfinite(value) or value != int(value):
                raise InputError(f"The link gives `{name}` the value {text[:80]!r}, which is not an integer.")
            value = int(value)
        return value

    def write_link(self) -> None:
        """Put what is shown into the address bar; a model that no link can carry leaves it bare."""
        location = pn.state.location
        if location is None:
            return
        asked = self.asked()
        kept = {name: text for name, text in location.query_params.items() if name in OTHERS}
        query = urllib.parse.urlencode({**kept, **(asked or {})}, safe="[],.")
        self.words.object = "" if asked is not None else "This model came from a file: the link does not carry it."
        if location.search != (search := f"?{query}" if query else ""):
            location.search = search

    def asked(self) -> dict[str, str] | None:
        """What is shown, as the link writes it; None where the page's own model cannot be changed into it."""
        page = self.page
        base, changes, run = page.solved
        values: dict[str, Any] = dict(changes)
        if base is not page.origin:
            model = base.replace(**changes)
            found = _differences(page.origin, model, [*page.sliders, *page.choices])
            if found is None:
                return None
            values = found
        begin = {"duration": page.opening.stop, "n": page.opening.n, "networks": 8, "seed": 1}
        values |= {name: value for name, value in run._asdict().items() if value != begin[name]}
        return {name: value if isinstance(value, str) else repr(float(value)).removesuffix(".0")
                for name, value in values.items()}  # fmt: skip


def _differences(origin: AbstractSystem, model: AbstractSystem, names: list[str]) -> dict[str, Any] | None:
    """The parameters in which two models differ, where that is all in which they do."""
    try:
        values = {name: model.value(name) for name in names}
        found = {
            name: value if isinstance(value, str) else float(value)
            for name, value in values.items()
            if value != origin.value(name)
        }
        same = to_plain(origin.replace(**found)) == to_plain(model)
    except (InputError, TypeError, ValueError, AttributeError):
        return None
    return found if same else None
