"""The command `cartmesh`: the mesh's own commands, and those that other packages bring.

A module with commands has a function `commands(app)` and is named in the entry points
`cartmesh.commands`; the mesh's own modules of that kind stand in `OWN`. All are imported at the start
of a command, so they import what is heavy inside their functions.
"""

import os
import signal
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

from cyclopts import App

from mesh.errors import MeshError
from mesh.observability.logs import configure_logs

GROUP = "cartmesh.commands"
OWN = (
    "mesh.cli.operations",
    "mesh.cli.logs",
    "mesh.cli.backup",
    "mesh.cli.topology",
    "mesh.cli.console",
    "mesh.cli.events",
    "mesh.cli.trace",
    "mesh.cli.new",
)
"""Modules of the mesh itself that bring commands; each is one group of commands."""


def app(first: str | None = None) -> App:
    """The whole command line, freshly built; where the command is known, only the part that holds it.

    Every process of a deployment begins with `run`: what other commands bring would be a fifth of its start.
    """
    root = App(name="cartmesh", help="An event mesh for commerce on NATS JetStream.")
    for name in OWN:
        if find_spec(name):
            import_module(name).commands(root)
        if first is not None and not first.startswith("-") and first in [*root]:
            return root
    for found in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            bring = found.load()
        except (ImportError, AttributeError) as error:
            # One broken package must not take away the commands with which it can be looked into.
            sys.stderr.write(f"cartmesh: no commands of {found.name}: {error}\n")
        else:
            bring(root)
    return root


def main() -> None:
    """Run the command line; errors of the mesh are printed in one line and end with status 1.

    Where whoever reads the output has seen enough, as `head` has, the command ends without a word.
    """
    configure_logs(level="WARNING")  # commands print their results; a worker configures its own
    try:
        try:
            app(*sys.argv[1:2])()
        finally:
            sys.stdout.flush()
    except MeshError as error:
        sys.stderr.write(f"cartmesh: {error}\n")
        sys.exit(1)
    except (BrokenPipeError, BaseExceptionGroup) as error:
        if not is_broken_pipe(error):
            raise
        # What is still in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def is_broken_pipe(error: BaseException) -> bool:
    """Whether an error is that nobody reads any more; several tasks may have met it."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_broken_pipe, error.exceptions))
    return isinstance(error, BrokenPipeError)
