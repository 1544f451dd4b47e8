"""`largen examples`: the models that ship with largen."""

from largen.commands.options import AsJson
from largen.commands.output import Output


def examples(as_json: AsJson = False) -> None:
    """List the examples that ship with largen."""
    from largen.commands.tables import show_examples
    from largen.io.model_files import examples

    found = examples()
    Output(as_json).result(found, lambda: show_examples(found))
