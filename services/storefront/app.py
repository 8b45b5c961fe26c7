"""The shop's HTTP interface: its pages, its pictures, and what further routes it is given."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar

from mesh import Mesh, http


def build(mesh: Mesh, more: Sequence[Any] = ()) -> Litestar:
    """The app. `more` are further route handlers, such as the live picks."""
    return Litestar([*more, *http.health(mesh)], **http.shared(mesh))
