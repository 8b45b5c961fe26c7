"""Many connections, and slow ones: neither keeps others from being answered."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import hosting
from mesh.runtime.serving import RESERVED_FILES, HttpSettings, serving
from mesh.web.health import health_app
from services.gateway import Accepted, app
from services.gateway.live import LiveOffers

PATIENCE = 60
LIVE_PAGES = 140
"""More than the 128 that granian takes where nothing is set."""
HOLD = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) for _ in range(int(sys.argv[2]))]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def serve(memory_broker, monkeypatch):
    """Serve the gateway of `us`; yields the ports of the gateway and of its health."""
    async with AsyncExitStack() as stack:

        async def served(*, live_pages=LIVE_PAGES, body_deadline="60s", **bounds):
            monkeypatch.setenv("CARTMESH_LIVE_PAGES", str(live_pages))
            monkeypatch.setenv("CARTMESH_LIVE_PAGES_EACH", str(live_pages))
            monkeypatch.setenv("CARTMESH_HTTP_BODY_DEADLINE", body_deadline)
            mesh = Mesh(memory_broker, "gateway")
            hosted = await stack.enter_async_context(hosting(discover(), mesh))
            offers = LiveOffers()
            gateway = app(mesh, offers, Accepted(hosted))
            port = await stack.enter_async_context(serving(gateway, "127.0.0.1", 0, HttpSettings(**bounds)))
            stack.callback(offers.close)
            return port, await stack.enter_async_context(serving(health_app(mesh), "127.0.0.1", 0))

        yield served


async def connect(stack, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return reader, writer


async def open_stream(stack, port):
    """Ask for a visitor's offers; returns the status."""
    reader, writer = await connect(stack, port)
    writer.write(b"GET /v1/visitors/v1/offers/live?key=demo HTTP/1.1\r\nHost: gateway\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        return int((await reader.readline()).split()[1])


async def answers(port, health):
    """What a new client is answered: an event, and the orchestrator's question."""
    time = datetime.now(UTC).isoformat()
    event = {"id": "e1", "type": "product_viewed", "time": time, "visitor_id": "v1", "product_id": "sku-1"}
    async with httpx.AsyncClient(timeout=PATIENCE, headers={"authorization": "Bearer demo"}) as client:
        stored = await client.post(f"http://127.0.0.1:{port}/v1/events", json={"events": [event]})
        return stored.status_code, (await client.get(f"http://127.0.0.1:{health}/healthz")).status_code


async def test_open_pages_keep_nobody_from_sending(serve):
    """With as many streams as may be open, one more is refused, and an event and the health check are answered."""
    port, health = await serve()
    async with AsyncExitStack() as stack:
        opened = [await open_stream(stack, port) for _ in range(LIVE_PAGES)]

        one_more = await open_stream(stack, port)

        assert (set(opened), one_more) == ({200}, 429)
        assert await answers(port, health) == (202, 200)


async def test_idle_connections_keep_nobody_from_sending(serve):
    """A thousand connections that send nothing, without a key, hold up nobody."""
    port, health = await serve()
    async with AsyncExitStack() as stack:
        for _ in range(1000):
            await connect(stack, port)

        assert await answers(port, health) == (202, 200)


@pytest.mark.drill
async def test_ten_thousand_idle_connections_keep_nobody_from_sending(serve):
    """Held by a process of their own, as files are counted by process."""
    port, health = await serve()
    command = (sys.executable, "-c", HOLD, str(port), "10000")
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert await asyncio.wait_for(holder.stdout.readline(), 300) == b"held\n"

        assert await answers(port, health) == (202, 200)
    finally:
        holder.kill()
        await holder.wait()


async def test_health_is_answered_when_no_connection_is_left(serve):
    """The orchestrator does not restart a process because clients hold all of its connections."""
    port, health = await serve(live_pages=4, http_connections=8)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await connect(stack, port)

        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            assert (await client.get(f"http://127.0.0.1:{health}/readyz")).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v1/updates HTTP/1.1\r\nHost: gat", b"GET /v1/updates HTTP/1.1\r\nHost: gateway\r\n\r\n"],
    ids=["nothing", "half a head", "one request"],
)
async def test_a_connection_that_asks_for_nothing_is_closed(serve, sent):
    """At once, in the middle of a head, and behind a request: it makes room for others."""
    port, _ = await serve(http_head_deadline=timedelta(milliseconds=300))
    async with AsyncExitStack() as stack:
        reader, writer = await connect(stack, port)

        writer.write(sent)

        async with asyncio.timeout(PATIENCE):
            await reader.read()


async def test_a_body_that_does_not_arrive_is_refused(serve):
    """408 in words; a stream that is open has no body and stays."""
    port, _ = await serve(body_deadline="300ms")
    async with AsyncExitStack() as stack:
        assert await open_stream(stack, port) == 200
        reader, writer = await connect(stack, port)

        writer.write(b"POST /v1/events?key=demo HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n{")

        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == b"408"


async def test_more_pages_than_connections_are_refused_at_the_start(serve):
    """The setting that would stop the gateway is named."""
    with pytest.raises(DeclarationError, match="CARTMESH_HTTP_CONNECTIONS"):
        await serve(live_pages=20_000)


def test_files_are_left_for_other_things():
    """Connections never use up the files that NATS needs to connect again; as many files are asked for as there are."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (700, 900));"
        "from mesh.runtime.serving import files_for_connections as files; print(files())"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)

    assert int(ran.stdout) == 900 - RESERVED_FILES
