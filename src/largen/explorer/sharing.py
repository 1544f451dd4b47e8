"""How a page's model comes and goes: model files, downloads, text to copy."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import panel as pn
import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.buttons import Button
from largen.explorer.components import Downloads, Upload
from largen.explorer.copying import KINDS, text_of
from largen.explorer.examples import model_of
from largen.explorer.solvers import Answer
from largen.explorer.words import Words
from largen.io.model_files import model_text
from largen.io.results import netcdf_image

if TYPE_CHECKING:
    from largen.explorer.page import Page

NO_NETWORK = "There is no finished network of these parameters yet: run it first."
NO_LIMIT = "There is no limit of these parameters to save: the greyed figures are those of other parameters."


class Sharing:
    """The files of a page, and its text."""

    def __init__(self, page: "Page"):
        self.page = page
        self.upload = Upload(self.take)
        self.files: dict[str, tuple[str, Callable[[], io.BytesIO]]] = {
            "Save the model (YAML)": (".yaml", self.yaml),
            "Download the limit (netCDF)": ("-limit.nc", self.limit),
            "Download the network (netCDF)": ("-network.nc", self.network),
            "Download the figure (PDF)": (".pdf", self.pdf),
            "Download the figure (SVG)": (".svg", self.svg),
            "Download the page (HTML)": (".html", self.html),
        }
        self.downloads = Downloads(self.give, labels=list(self.files), sizing_mode="stretch_width")
        self.kind = pn.widgets.Select(label="Copy as", options=list(KINDS), width=160)
        self.copy = Button("Copy", align="end")
        self.text = pn.widgets.TextAreaInput(
            label="Text to copy", rows=6, sizing_mode="stretch_width", visible=False, disabled=False
        )
        self.copy.on_click(lambda event: self.copy_text())
        self.words = Words()
        self.link = Words("The address bar holds a link to what is shown.", aside=True)

    def layout(self) -> list[Any]:
        """What stands on the page."""
        row = pn.FlexBox(self.kind, self.copy)
        return [self.words, self.upload, self.downloads, row, self.text, self.link]

    def moved(self) -> None:
        """Put away the text of the state before."""
        if self.text.visible:
            self.text.param.update(value="", visible=False)
            self.words.object = ""

    def no_link(self, lost: bool) -> None:
        """Say whether the address bar holds the model."""
        words = "No link carries this model: save it as a file." if lost else None
        self.link.object = words or "The address bar holds a link to what is shown."

    def give(self, said: Mapping[str, Any]) -> None:
        """Give the file of a button, named after the model that is shown, or say why there is none."""
        ending, made = self.files.get(str(said.get("label", "")), ("", None))
        if made is None:
            return
        try:
            image = made()
        except (InputError, LimitError) as error:
            self.words.object = str(error)
            return
        self.words.object = ""
        self.downloads.save(f"{self.page.title}{ending}", image.getvalue())

    # Files ---------------------------------------------------------------------------------------------------

    def take(self, said: Mapping[str, Any]) -> None:
        """Take a file that the browser has read; it is parsed in a worker."""
        if "text" not in said:
            self.page.status.object = f"Not loaded. {str(said.get('fault', ''))[:200]}"
            return
        self.page.status.object = "Reading the file ..."
        owner = (self.page, "file")
        self.page.solver.ask(owner, model_of, (str(said["text"]),), self.page.later(self._parsed))

    def _parsed(self, found: Answer) -> None:
        page, message = self.page, found.message
        if not message and found.content.system != page.own.system:
            message = f"The file holds a model of the {found.content.system} system: open that system's page."
        if message:
            page.status.object = f"Not loaded. {message}"
        else:
            page.load(found.content)

    def yaml(self) -> io.BytesIO:
        """The model as a file."""
        state = self.page.asked()
        return io.BytesIO(model_text(state.model).encode())

    def limit(self) -> io.BytesIO:
        """The limit as a file."""
        return netcdf_image(self._limit())

    def _limit(self) -> xr.Dataset:
        page = self.page
        page.asked()
        if not page.has_limit or page.limit is None:
            raise InputError(NO_LIMIT)
        return page.limit

    def _network(self) -> xr.Dataset:
        self.page.asked()
        shown = self.page.runner.shown
        if shown is None or shown.network is None:
            raise InputError(NO_NETWORK)
        return shown.network

    def network(self) -> io.BytesIO:
        """The network as a file, once there is one."""
        return netcdf_image(self._network())

    def pdf(self) -> io.BytesIO:
        """Network and limit on a page made for print."""
        return self._figure("pdf")

    def svg(self) -> io.BytesIO:
        """Network and limit as SVG."""
        return self._figure("svg")

    def _figure(self, kind: str) -> io.BytesIO:
        from largen.plot import overview

        network, image = self._network(), io.BytesIO()
        overview(network, self._limit(), title=self.page.title).savefig(image, format=kind)
        image.seek(0)
        return image

    def html(self) -> io.BytesIO:
        """The page as one file."""
        from largen.explorer.export import page_html

        self._limit()
        return io.BytesIO(page_html(self.page).encode())

    # Text ----------------------------------------------------------------------------------------------------

    def copy_text(self) -> None:
        """Show the state as text, and put it into the clipboard."""
        page = self.page
        try:
            opening = page.opening._replace(options=page.options, network_options=page.network_options)
            text = text_of(str(self.kind.value), page.asked(), opening, page.title)
        except InputError as error:
            self.words.object = str(error)
            return
        self.text.param.update(value=text, visible=True)
        page.browser.do("copy", text=text)

    def copied(self, done: bool) -> None:
        """Say whether the browser let the text into the clipboard."""
        self.words.object = "Copied." if done else "The browser keeps its clipboard to itself: copy the text below."
