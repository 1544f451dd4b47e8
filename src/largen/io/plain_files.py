"""Text files as plain data and back: YAML and JSON that never run code."""

import json
import os
from pathlib import Path
from typing import Any

from largen.checks import InputError, require
from largen.io.atomic import write_atomically

LARGEST_FILE = 1_000_000
"""Bytes of a file that is read; a model of 256 x 256 populations fits."""


def read_text(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8.

    Raises:
        InputError: No such file, too large, or not text.
    """
    file = Path(path)
    require(file.is_file(), "path", "name an existing file", str(path))
    size = file.stat().st_size
    if size > LARGEST_FILE:
        raise InputError(f"File `{path}` must have at most {LARGEST_FILE} bytes, but has {size}.")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"File `{path}` cannot be read as text: {error}.") from error


def parse_yaml(text: str) -> Any:
    """Parse YAML (or JSON) safely: plain data only; tags, aliases and repeated keys are refused.

    Raises:
        InputError: The text is not YAML of plain values.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader without aliases (an alias bomb grows exponentially) and without repeated keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise InputError("YAML aliases (*name) are not allowed: write the value out.")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for i, key in enumerate(keys):
                if key in keys[:i]:
                    raise InputError(f"Key `{key}` must appear once, but appears twice.")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        first = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"not a YAML file of plain values: {first}.") from error


def write_json(plain: Any, path: Path) -> Path:
    """Write plain data as JSON, whole or not at all."""
    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    return write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))
