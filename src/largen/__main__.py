"""The command `largen`, also as `python -m largen`."""

from largen.runtime import signals


def main() -> None:
    """Run the command line; Ctrl-C is answered from here on, before anything heavy is imported."""
    signals.stop_at_once()
    from largen.commands.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
