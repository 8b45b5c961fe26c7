"""The same drawings as PNG, for mail programs that show no SVG."""

from functools import lru_cache

from mesh.observability.logs import log
from services.demo.storefront.pictures.scene import svg

SIDE = 320


@lru_cache(maxsize=64)
def png(product_id: str) -> bytes | None:
    """A product's picture as a PNG file of 320 by 320 pixels; None where there is no such product.

    None, too, where the extra `demo` is not installed, with a warning that says so.
    """
    try:
        import resvg_py  # noqa: PLC0415  only the shop's own process draws
    except ModuleNotFoundError:
        log.warning("mails show no pictures of products: install cartmesh[demo]")
        return None
    drawn = svg(product_id)
    if drawn is None:
        return None
    return bytes(resvg_py.svg_to_bytes(svg_string=drawn.decode(), width=SIDE, skip_system_fonts=True))
