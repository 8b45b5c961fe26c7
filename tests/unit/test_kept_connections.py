"""Kept connections: as many as there are requests at once, used again, and replaced where the server closed them."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from mesh.web.kept_connections import KeptConnections, kept_client

PATIENCE = timedelta(seconds=60)


class Server:
    """Answers every request with `ok`; `wait` holds back the answers, and `lines` are the request lines that came."""

    def __init__(self):
        self.connections, self.lines, self.wait = [], [], asyncio.Event()
        self.wait.set()
        self.came = asyncio.Condition()

    async def serve(self, reader, writer):
        self.connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.lines.append(head.partition(b"\r\n")[0].decode())
                async with self.came:
                    self.came.notify_all()
                await self.wait.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def asked(self, count):
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.lines) >= count)


@asynccontextmanager
async def running():
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    try:
        async with kept_client(PATIENCE, base_url=f"http://{host}:{port}") as client:
            yield server, client
    finally:
        listening.close()
        for writer in server.connections:
            writer.close()


async def test_requests_one_after_the_other_share_a_connection():
    """Twenty requests, one connection."""
    async with running() as (server, client):
        answers = [await client.get("/a") for _ in range(20)]

    assert [one.text for one in answers] == ["ok"] * 20
    assert (len(server.connections), set(server.lines)) == (1, {"GET /a HTTP/1.1"})


async def test_there_are_as_many_connections_as_requests_at_once():
    """None waits for another; all are used again afterwards."""
    async with running() as (server, client):
        server.wait.clear()
        first = [asyncio.create_task(client.get("/a")) for _ in range(100)]
        await server.asked(100)
        server.wait.set()
        await asyncio.gather(*first)
        await asyncio.gather(*(client.get("/b") for _ in range(50)))

    assert (len(server.connections), len(server.lines)) == (100, 150)


async def test_a_connection_that_the_server_closed_is_replaced():
    """Nobody notices that an idle connection was lost."""
    async with running() as (server, client):
        await client.get("/a")
        server.connections[0].close()
        await server.connections[0].wait_closed()
        answer = await client.get("/b")

    assert (answer.text, len(server.connections)) == ("ok", 2)


async def test_a_request_that_is_given_up_leaves_no_connection_to_the_next():
    """Its answer may still come, and is not taken for the next request's."""
    async with running() as (server, client):
        server.wait.clear()
        given_up = asyncio.create_task(client.get("/a"))
        await server.asked(1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        server.wait.set()
        answer = await client.get("/b")

    assert (answer.text, len(server.connections)) == ("ok", 2)


async def test_a_server_that_does_not_listen_is_a_connect_error():
    """Httpx's own error, as who catches httpx.HTTPError expects."""
    async with kept_client(PATIENCE, base_url="http://127.0.0.1:1") as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/a")


async def test_what_the_environment_says_of_proxies_still_holds(monkeypatch):
    """A shop that reaches its payment provider through a proxy goes on doing so."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with kept_client(PATIENCE) as client:
        https, http = (client._transport_for_url(httpx.URL(f"{one}://a.example")) for one in ("https", "http"))

    assert (isinstance(https, KeptConnections), isinstance(http, KeptConnections)) == (False, True)
