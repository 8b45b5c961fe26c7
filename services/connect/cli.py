"""The command `cartmesh import`."""

import os
import sys
from pathlib import Path

from cyclopts import App


def commands(app: App) -> None:
    """Add it to the root command."""
    app.command(import_history, name="import")


def import_history(
    file: Path,
    *,
    mapping: Path,
    gateway: str = "http://127.0.0.1:8080",
    key: str = "",
    journal: Path | None = None,
    refused: Path | None = None,
    patience: str = "10m",
) -> None:
    """Import what happened before the shop used Cartmesh. It begins nothing: no timer, no offer, no mail.

    0: every row is stored. 1: some rows are bad; all are listed with their lines. 2: the gateway could not take all of
    them; the same command again goes on.

    Parameters
    ----------
    file
        CSV or its kin, also compressed with gzip, or Parquet.
    mapping
        A TOML file that says what its columns mean; services/README.md has examples.
    gateway
        The address of a region's gateway.
    key
        A server key (CARTMESH_SERVER_KEYS); by default the environment's CARTMESH_IMPORT_KEY, which no list of
        processes shows.
    journal
        Where to write down which rows were imported; by default beside the file, with `.imported` after its name.
    refused
        Where to list bad rows; by default beside the file, with `.refused.tsv` after its name.
    patience
        How long to go on while the gateway is busy or away, such as 10m.
    """
    from rich.console import Console  # noqa: PLC0415  what a command needs is loaded when it runs

    from mesh.settings import duration  # noqa: PLC0415
    from services.connect.history.command import Plan, run_import  # noqa: PLC0415

    plan = Plan(
        file=file,
        mapping=mapping,
        gateway=gateway.rstrip("/"),
        key=key or os.environ.get("CARTMESH_IMPORT_KEY", ""),
        journal=journal,
        refused=refused,
        patience=duration(patience),
    )
    sys.exit(run_import(plan, Console(soft_wrap=True)))
