"""Shell commands of the pages, for the kernel: their words without a terminal's bars, and a failure ends the build."""

import os
import subprocess


def run(command: str) -> None:
    """Print what a command says; raise if its exit status is not 0."""
    done = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout.replace(os.getcwd() + os.sep, ""), end="")
    if done.returncode:
        raise RuntimeError(f"`{command}` ended with status {done.returncode}.")


def load_ipython_extension(shell):
    """Let `!COMMAND` of a cell be run by `run`."""
    shell.system = run
