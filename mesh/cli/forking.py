"""Forking: a Python that has imported every service forks a process for each command that it is asked to run.

`mesh.runtime.fork_server` starts it, as `python -m mesh.cli.forking DESCRIPTOR`.
"""

import gc
import socket
import sys
from importlib import import_module

from litestar import Litestar

from mesh import cli
from mesh.runtime.discovery import discover
from mesh.runtime.forking import serve

PRELOADED = ("cryptography.x509", "granian.server.embed", "httpx", "mesh.runtime.worker", "mesh.web.console_app")
"""What many processes import when they start, besides the modules that declare services."""


def main() -> None:
    """Import what processes need; serve the descriptor of the command line; in each fork, be `cartmesh`."""
    cli.app()
    discover()
    for name in PRELOADED:
        import_module(name)
    Litestar([], logging_config=None)  # an app imports the plugins it finds installed; without logging it has no thread
    # What is imported stays, and a collection in one fork is not to copy what all share.
    gc.collect()
    gc.freeze()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        cli.main()


if __name__ == "__main__":
    main()
