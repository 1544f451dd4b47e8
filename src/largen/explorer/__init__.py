"""The explorer in the browser: move a parameter, watch the limit answer and the network follow (extra `explorer`)."""

from typing import Any

from largen.checks import InputError


def explore(model: Any = None, **options: Any) -> None:
    """Serve the explorer until it is stopped; see `largen.explorer.server.serve` for the options.

    Args:
        model: A model, a model file or the name of an example; by default the three systems' own examples.
        options: `port`, `address`, `show`, `functions`, `recording`.

    Raises:
        InputError: The extra `explorer` is not installed (the message has the line that installs it), or an argument
            cannot be used.
    """
    try:
        import panel  # noqa: F401
    except ImportError as error:
        raise InputError(
            "The explorer needs Panel, which is not installed: run  pip install 'largen[explorer]'."
        ) from error
    from largen.explorer.server import serve

    serve(model, **options)
