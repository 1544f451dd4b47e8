"""Sphinx: pages are MyST notebooks, run when the site is built; any warning ends the build.

Command: python -m sphinx -W --keep-going -j 2 -b html docs docs/_build/html
"""

import hashlib
import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
EXAMPLES = ROOT / "examples"

# Kernels inherit the environment: the scripts of examples/ are importable, compiled programs are kept, and the
# command line of this Python is the one that `!largen` finds.
FOLDERS = [str(HERE), str(EXAMPLES), str(EXAMPLES / "own_system")]
os.environ["PYTHONPATH"] = os.pathsep.join([*FOLDERS, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
sys.path.insert(0, str(HERE))
os.environ["IPYTHONDIR"] = str(HERE / "_ipython")
os.environ |= {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}  # commands print plain text
os.environ["RECORDINGS"] = str(HERE / "recordings")
os.environ["SLURM_EXAMPLE"] = str(EXAMPLES / "slurm" / "sweep.py")

from jupyter_cache import get_cache  # noqa: E402

from largen.runtime.compilation import keep_compiled_programs  # noqa: E402

keep_compiled_programs()

project = "largen"
author = "The largen developers"
copyright = "2026, the largen developers"
release = version = installed("largen")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
    "glossary_links",
    "results",
]
exclude_patterns = ["_build", "_ipython", "README.md"]
suppress_warnings = ["toc.empty_glob"]
nitpicky = True
nitpick_ignore = [  # of other projects
    ("py:class", name) for name in ("numpy.ndarray", "collections.abc.Callable", "collections.abc.Mapping")
]
default_role = "code"  # `name` in a docstring is code

# Pages -------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist", "substitution"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_render_markdown_format = "myst"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_execution_show_tb = True
nb_output_stderr = "remove-warn"  # a warning in a page is a fault of largen or of the page
nb_merge_streams = True


def _state_of_the_code() -> str:
    """What the pages' numbers depend on beside the pages: a change of any of it runs them again."""
    digest = hashlib.sha256()
    for folder in (ROOT / "src" / "largen", EXAMPLES, HERE / "_ipython", HERE / "tables.py", HERE / "result_tables.py"):
        for file in sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.yaml")) if folder.is_dir() else [folder]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    for package in ("numpy", "jax", "numba", "diffrax", "matplotlib", "xarray"):
        digest.update(installed(package).encode())
    return digest.hexdigest()[:16]


nb_execution_cache_path = str(HERE / "_build" / "executed" / _state_of_the_code())

# Reference ---------------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and units, which types do not
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def _plain_words(app, what, name, obj, options, lines):
    """Bars, stars and trailing underscores of a docstring are mathematics, not markup."""
    for k, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([|*\\])|(?<=\w)_(?!\w)", lambda found: "\\" + found[0], part) for part in parts[::2]]
        lines[k] = "`".join(parts)


def _plain_defaults(app, what, name, obj, options, signature, returned):
    """A model's defaults as one would type them."""
    from tables import shown

    from largen.parameters import AbstractComponent, parameters

    if not (isinstance(obj, type) and issubclass(obj, AbstractComponent) and signature):
        return None
    return f"({', '.join(f'{info.name}={shown(info.default)}' for info in parameters(obj).values())})", returned


def setup(app):
    """Before napoleon, whose own markup must stay."""
    app.connect("autodoc-process-docstring", _plain_words, priority=400)
    app.connect("autodoc-process-signature", _plain_defaults)
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True  # it copies files when all is done
    get_cache(nb_execution_cache_path).list_cache_records()  # made here, before two processes read pages (`-j 2`)


# Look --------------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "largen"
html_static_path = ["_static"]
html_css_files = ["largen.css"]
html_show_sourcelink = False
html_copy_source = False
