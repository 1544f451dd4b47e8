"""The file of a recording that a reader gives to a page: read in a worker, then compared with what is shown."""

import base64
import binascii
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

from largen.checks import InputError, require, shown
from largen.explorer.components import RecordingUpload
from largen.explorer.recording import Recording, recording_of
from largen.explorer.solvers import Answer
from largen.explorer.words import Words
from largen.io.reading import read_recording
from largen.io.results import load
from largen.io.typed import typed_pairs, typed_populations
from largen.system import AbstractSystem

if TYPE_CHECKING:
    from largen.explorer.page import Page

TABLES, HDF5 = (".csv", ".tsv", ".npz"), (".nwb", ".nc")
LARGEST = 12_000_000
"""Bytes of a file; the message of a browser that carries it is a third larger."""
MOST_BYTES = 1_000_000_000
"""Bytes of the arrays in a file; some kilobytes can be the compressed form of more than any memory holds."""


class Field(NamedTuple):
    """What a reader may say about a file.

    Attributes:
        name: The argument of `read_recording`.
        label: What stands at its box.
        like: An example.
    """

    name: str
    label: str
    like: str


FIELDS = (
    Field("populations", "populations: a column, or ids", "e=1-300 i=301-400"),
    Field("sizes", "sizes: neurons recorded", "e=300 i=100"),
    Field("network_sizes", "network_sizes: of a sample", "e=800 i=200"),
    Field("inhibitory", "inhibitory: populations", "i"),
    Field("t_start", "t_start (ms)", "0"),
    Field("t_stop", "t_stop (ms)", "2000"),
    Field("trials", "trials: table of an NWB file", "trials"),
    Field("realisations", "realisations: number of trials", "4"),
    Field("stretch", "stretch (ms): cut into pieces", "500"),
    Field("unit", "unit of time of a table", "ms"),
    Field("step", "step (ms)", "0.1"),
)
NUMBERS = {"t_start": float, "t_stop": float, "realisations": int, "stretch": float, "step": float}


def options_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `read_recording` as a reader typed them; boxes that are empty say nothing.

    Raises:
        InputError: Words that mean nothing; the message names their box.
    """
    found: dict[str, Any] = {}
    for name, _, like in FIELDS:
        text = str(words.get(name, ""))[:2000].strip()
        if not text:
            continue
        what = f"Box `{name}`"
        if name in ("sizes", "network_sizes"):
            found[name] = typed_pairs(what, text.split(), like=like.split()[0])
        elif name == "populations":
            found[name] = typed_populations(what, text.split())
        elif name == "inhibitory":
            found[name] = text.split()
        else:
            try:
                found[name] = NUMBERS.get(name, str)(text)
            except ValueError:
                raise InputError(f"{what} must be a number such as {like}, but is {shown(text)}.") from None
    return found


def recording_in(content: str, name: str, words: Mapping[str, Any], model: AbstractSystem) -> Recording:
    """The recording in a file; called in a worker.

    Args:
        content: The file in base64.
        name: Its name, of which the ending says what it is.
        words: What the reader says about it.
        model: The model that it is to be compared with.

    Raises:
        InputError: It cannot be read, or does not fit to the model.
    """
    name = re.sub(r"[^\w.-]", "_", name)[-80:]
    ending = Path(f"x{name}").suffix.lower()
    require(ending in TABLES + HDF5, "recording", f"end in {', '.join(TABLES + HDF5)}", name)
    try:
        image = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("The file came damaged: choose it again.") from None
    options = options_of(words)
    with tempfile.TemporaryDirectory(prefix="largen-recording-") as folder:
        path = Path(folder) / name
        path.write_bytes(image)
        try:
            runs = _read(path, ending, options)
        except InputError as error:  # without the folder, which only this server knows
            raise InputError(str(error).replace(f"{folder}/", "").replace(folder, "")) from None
    return recording_of(name, runs, model)


def _read(path: Path, ending: str, options: Mapping[str, Any]) -> xr.Dataset:
    if ending == ".npz":
        _require_small(path)
    if ending in HDF5:
        _require_alone(path)
    if ending == ".nc":
        require(not options, "recording", "say itself what it holds", ", ".join(options), "Empty these boxes.")
        return load(path).load()
    return read_recording(str(path), **options)


def _require_small(path: Path) -> None:
    """Refuse a table whose columns would fill the memory."""
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(one.file_size for one in file.infolist())
    except (zipfile.BadZipFile, OSError):
        return  # its reader says what is wrong with it
    require(size <= MOST_BYTES, "recording", f"have at most {MOST_BYTES} bytes", size)


def _require_alone(path: Path) -> None:
    """Refuse an HDF5 file that takes its numbers from other files, which are not the reader's, or that is too large."""
    import h5py

    total, seen = 0, set()  # groups may hold themselves

    def look(group: Any) -> None:
        nonlocal total
        for key in group:
            link = group.get(key, getlink=True)
            alone = not isinstance(link, h5py.ExternalLink)
            require(alone, "recording", "hold its own data", f"a link to another file, {shown(key)}")
            if isinstance(link, h5py.SoftLink):
                continue  # within the file; what it leads to has a name of its own
            one = group[key]
            if one in seen:
                continue
            seen.add(one)
            if isinstance(one, h5py.Group):
                look(one)
            elif isinstance(one, h5py.Dataset):
                away = one.external or one.is_virtual
                require(not away, "recording", "hold its own data", f"data of another file, {shown(key)}")
                total += one.nbytes
                require(total <= MOST_BYTES, "recording", f"have at most {MOST_BYTES} bytes", total)

    try:
        with h5py.File(path, "r") as file:
            look(file)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # RecursionError is one, too
        raise InputError(f"File `{path.name}` is no HDF5 file that can be read.") from error


class RecordingFile:
    """Where a page takes the file of a recording."""

    def __init__(self, page: "Page"):
        self.page = page
        fields = [field._asdict() for field in FIELDS]
        self.upload = RecordingUpload(
            self.take, fields=fields, endings=[*TABLES, *HDF5], most=LARGEST, sizing_mode="stretch_width"
        )
        self.words = Words()
        self.mark()

    def layout(self) -> list[Any]:
        """What stands on the page."""
        return [self.upload, self.words]

    def mark(self) -> None:
        """Offer to take away a recording that is there."""
        self.upload.there = self.page.beside.recording is not None

    def take(self, said: Mapping[str, Any]) -> None:
        """Take a file that the browser has read, or the wish to see no recording any more."""
        page = self.page
        if said.get("away"):
            page.solver.forget((page, "recording"))
            self.words.object = "The recording is taken away."
            self._show(None)
        elif "content" not in said:
            self.words.object = str(said.get("fault", "There is no file."))[:200]
        elif len(content := str(said["content"])) > 4 * LARGEST // 3 + 4:
            self.words.object = f"The file must be at most {LARGEST / 1e6:g} MB."
        else:
            words = said.get("words")
            args = (
                content,
                str(said.get("name", ""))[-200:],
                dict(words) if isinstance(words, dict) else {},
                page.model,
            )
            self.words.object = "Reading the recording ..."
            page.solver.ask((page, "recording"), recording_in, args, page.later(self._came))

    def _came(self, found: Answer) -> None:
        if found.message:
            self.words.object = f"Not compared. {found.message}"
            return
        self._show(found.content)
        self.words.object = f"{found.content.name} is compared with what the page shows, until it is reloaded."

    def _show(self, recording: Recording | None) -> None:
        self.page.beside.show(recording)
        self.page.stage.show_recording()
        self.mark()
