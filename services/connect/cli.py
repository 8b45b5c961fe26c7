"""Commands: `cartmesh import`."""

from cyclopts import App


def commands(app: App) -> None:
    """Add them."""
