"""Results of the studies in pages: the directive `results` makes tables from files of `docs/data/`.

    ```{results} validation/balanced_theory/law
    :table: law
    ```

Without `:table:` every table of the file is shown. Below the last one stands where the numbers come from.
"""

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from result_tables import DATA, load, provenance, table
from sphinx.util.docutils import SphinxDirective


class ResultsDirective(SphinxDirective):
    """Tables of one file of results, and where they come from."""

    required_arguments = 1
    option_spec = {"table": str, "no-provenance": lambda _: True}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Parse the tables as Markdown of the page."""
        name = self.arguments[0]
        self.env.note_dependency(str(DATA / f"{name}.json"))
        record = load(name)
        chosen = [self.options["table"]] if "table" in self.options else list(record["tables"])
        lines: list[str] = []
        for one in chosen:
            lines += [*table(record, one), ""]
        if "no-provenance" not in self.options:
            lines += [":::{div} provenance", provenance(record), ":::"]
        holder = nodes.container(classes=["results"])
        self.state.nested_parse(StringList(lines, source=name), self.content_offset, holder)
        return holder.children


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results", ResultsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
