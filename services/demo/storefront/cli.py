"""The command `cartmesh shop`: the demo shop, the console and the inbox, to be played with."""

import os
from collections.abc import Mapping
from pathlib import Path

from cyclopts import App

from services.demo.demo_settings import FLAGGED_ABROAD, WITHOUT_LIMITS


def commands(app: App) -> None:
    """Add it to the root command."""
    app.command(shop)


def shop(
    *, regions: str = "us,eu", nodes: int = 1, abandon_after: str = "20s", past: bool = True, dir: Path | None = None
) -> None:
    """Open the demo shop: leave a cart and see the offer, buy and follow the order, click and see the picks change.

    It is `cartmesh up` with a cart left after seconds, no quiet hours, and a simulated past to recommend from.

    Parameters
    ----------
    regions
        Where the shop is, separated by commas: us, eu, ap. Each is a shop of its own in one mesh.
    nodes
        Servers per region: 1, 3 or 5.
    abandon_after
        How long a cart rests before it counts as left (20s, 5m).
    past
        Tell the mesh of simulated shoppers of the last days. They have no address and get no mail.
    dir
        Where data, logs and servers.json are kept; a temporary folder when not given.
    """
    from mesh.cli.up import keep_up  # noqa: PLC0415  uvloop, rich and all services

    environment = {
        "CARTMESH_ABANDON_AFTER": abandon_after,
        "CARTMESH_SHOP_PAST": "true" if past else "false",
        **unless_set({"CARTMESH_SHOP_NAME": "Haru & Linde", **FLAGGED_ABROAD, **WITHOUT_LIMITS}, os.environ),
    }
    chosen = tuple(part.strip() for part in regions.split(","))
    keep_up(Path("mesh.toml"), chosen, nodes, dir, environment, first=("storefront", "console"))


def unless_set(defaults: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The demo's own settings, without those that whoever starts it has chosen: mails carry the name of their shop."""
    return {name: value for name, value in defaults.items() if name not in environment}
