"""The browser script as it is served, and who may use which key."""

import gzip
import re

import pytest

from mesh import Mesh
from mesh.errors import DeclarationError
from services.gateway.origins import Origins, OriginSettings
from services.gateway.script import FOLDER, script, tag

# Words in addresses that EasyList and EasyPrivacy have rules for.
BLOCKED = (
    "track",
    "analytic",
    "pixel",
    "event",
    "collect",
    "beacon",
    "stat",
    "metric",
    "visitor",
    "offer",
    "ads",
    "log",
)
KEY = {"authorization": "Bearer demo"}


@pytest.fixture
def open_gateway(memory_broker, monkeypatch, gateway_client):
    def opened(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"CARTMESH_{name.upper()}", value)
        return gateway_client(Mesh(memory_broker, "gateway", others=("eu",)))

    return opened


def test_the_script_is_small():
    """At most 6,550 bytes gzipped: half of what a first round trip brings (RFC 6928)."""
    assert len(script().gzipped) <= 6550
    assert gzip.decompress(script().gzipped) == script().plain


def test_the_addresses_it_uses_have_no_word_that_blockers_block():
    """Neither its own path nor those it asks are on a blocker's list."""
    source = (FOLDER / "cartmesh.js").read_text()
    (path,) = re.findall(r'src="https://gw\.example(.*?)"', tag("https://gw.example", "k"))

    used = [path, *re.findall(r"'(/v1/[a-z]+)", source)]

    assert len(used) == 3
    assert [(word, path) for word in BLOCKED for path in used if word in path] == []


async def test_a_version_is_cached_for_ever_and_the_newest_is_not(open_gateway):
    """The hash in the path is the content's; the stable path is asked again after minutes."""
    async with open_gateway() as client:
        (path,) = re.findall(r'src="http://testserver\.local(.*?)"', (await client.get("/v1/tag?key=k1")).text)
        version, newest = await client.get(path), await client.get("/v1/cartmesh.js")
        again = await client.get("/v1/cartmesh.js", headers={"if-none-match": newest.headers["etag"]})
        gone = await client.get("/v1/lib/0123456789abcdef/cartmesh.js")

    assert version.content == newest.content == script().plain
    assert version.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "max-age=300" in newest.headers["cache-control"]
    assert (version.headers["content-encoding"], version.headers["access-control-allow-origin"]) == ("gzip", "*")
    assert (again.status_code, again.content, gone.status_code) == (304, b"", 404)


async def test_a_key_in_the_address_is_taken_and_needs_no_preflight(open_gateway):
    """A plain-text body with `?key=`, as closing pages send it, is a request like any other."""
    async with open_gateway() as client:
        said = await client.post(
            "/v1/updates?key=demo", content='{"events": []}', headers={"content-type": "text/plain"}
        )
        forged = await client.post("/v1/updates?key=other", content='{"events": []}')

    assert (said.status_code, forged.status_code) == (202, 401)


async def test_a_key_is_refused_from_another_shops_pages(open_gateway):
    """Forged with another shop's key: 403 in a browser there, and its own pages go on."""
    async with open_gateway(key_origins="demo=https://shop.example", write_keys="demo,free") as client:
        answers = [
            (await client.post(f"/v1/updates?key={key}", content='{"events": []}', headers=headers)).status_code
            for key, headers in (
                ("demo", {"origin": "https://shop.example"}),
                ("demo", {"origin": "https://evil.example"}),
                ("demo", {}),
                ("free", {"origin": "https://evil.example"}),
            )
        ]
        own = await client.get("/v1/updates", headers={"origin": "https://shop.example"})

    assert answers == [202, 403, 202, 202]
    assert own.headers["access-control-allow-origin"] == "https://shop.example"
    assert own.headers["access-control-expose-headers"] == "Date, Retry-After"


async def test_a_page_may_read_how_long_to_wait(open_gateway):
    """A refusal is as readable to a page as an answer: 429 comes with its origin and Retry-After."""
    headers = {"origin": "https://shop.example"}
    async with open_gateway(cors_origins="https://shop.example", key_rate="0.1") as client:
        answers = [
            await client.post("/v1/updates?key=demo", content='{"events": []}', headers=headers) for _ in range(2)
        ]

    assert [answer.status_code for answer in answers] == [202, 429]
    assert answers[1].headers["access-control-allow-origin"] == "https://shop.example"
    assert int(answers[1].headers["retry-after"]) >= 1


async def test_a_page_learns_whether_events_are_accepted_now(open_gateway, regions, eventually):
    """200 while JetStream answers, 503 with Retry-After while it does not."""
    regions.stop("us")
    async with open_gateway() as client:
        down = await client.get("/v1/updates")
        regions.start("us")

        async def taken():
            return (await client.get("/v1/updates")).status_code == 200

        assert await eventually(taken)
    assert (down.status_code, down.headers["retry-after"]) == (503, "1")


def test_a_key_without_an_origin_is_a_clear_error():
    """A setting that would let nobody in is refused at the start."""
    with pytest.raises(DeclarationError, match="write <key>=https"):
        Origins(OriginSettings(key_origins=("demo",)))
