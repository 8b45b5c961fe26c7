"""A small shop for tea and pottery, to try the mesh with: its pages tell what shoppers do and show them offers."""

from typing import TYPE_CHECKING

from mesh import Mesh, Service

if TYPE_CHECKING:
    from litestar import Litestar

service = Service("storefront", demo=True)


@service.http
def app(mesh: Mesh) -> "Litestar":
    """The shop's pages."""
    from services.storefront.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh)
