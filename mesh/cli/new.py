"""Command `cartmesh new`: a package with a service, its events and a test."""

from pathlib import Path

from cyclopts import App


def commands(app: App) -> None:
    """Add the command."""
    app.command(new)


def new(name: str, *, folder: Path = Path()) -> None:
    """Write a new package: a service with events of its own, a test, and the entry points by which it is found.

    Parameters
    ----------
    name
        The service's name, such as loyalty-points; the package is called loyalty_points.
    folder
        Where its folder is made.
    """
    from mesh.operations.new_package import new_package  # noqa: PLC0415  other commands write no package

    for path in new_package(name, folder):
        print(path)
    print(f"install it beside Cartmesh (pip install -e {folder / name} --group test), then: cartmesh mesh check")
