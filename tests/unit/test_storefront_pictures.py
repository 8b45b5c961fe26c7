"""The demo shop's pictures: every product is drawn, each differently, for pages and for mails."""

import sys
from xml.etree import ElementTree as ET

from services.demo.storefront.catalogue import products
from services.demo.storefront.pictures.raster import png
from services.demo.storefront.pictures.scene import svg


def test_every_product_has_a_drawing_of_its_own():
    """Well-formed, small, and no two alike."""
    drawn = {product.product_id: svg(product.product_id) for product in products()}

    assert {ET.fromstring(picture).tag for picture in drawn.values()} == {"{http://www.w3.org/2000/svg}svg"}
    assert max(map(len, drawn.values())) < 50_000
    assert len(set(drawn.values())) == len(products()) == 36


def test_mails_get_the_same_as_png():
    """Many mail programs show no SVG."""
    picture = png("kyusu-red")

    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(picture[16:20]) == int.from_bytes(picture[20:24]) == 320


def test_what_the_shop_does_not_sell_has_no_picture():
    """Neither of the two makes one up."""
    assert svg("nothing") is None
    assert png("nothing") is None


def test_without_the_extra_there_are_no_raster_pictures(monkeypatch):
    """The shop runs all the same; only mails go without pictures."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    png.cache_clear()

    try:
        assert png("kyusu-red") is None
    finally:
        png.cache_clear()
