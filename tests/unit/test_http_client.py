"""The HTTP client: as many connections as requests at once, used again, and responses of every shape of RFC 9112."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import uvloop

from mesh.topology.certificates import certificates
from mesh.topology.mesh_toml import Topology
from mesh.web.http_client import MOST_BODY, ByHttpx, http_client
from mesh.web.http_connection import CallFailed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request with `answer`; `wait` holds the answers back, `lines` are the request lines that came."""

    def __init__(self, answer=OK, *, closes=False):
        self.connections, self.lines, self.bodies, self.wait = [], [], [], asyncio.Event()
        self.answer, self.closes = answer, closes
        self.wait.set()
        self.came = asyncio.Condition()

    async def serve(self, reader, writer):
        self.connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                self.bodies.append((head, await reader.readexactly(int(length or 0))))
                self.lines.append(head.partition(b"\r\n")[0].decode())
                async with self.came:
                    self.came.notify_all()
                await self.wait.wait()
                for part in self.answer if isinstance(self.answer, list) else [self.answer]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def asked(self, count):
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.lines) >= count)


@asynccontextmanager
async def running(answer=OK, *, closes=False, tls=None):
    server = Server(answer, closes=closes)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    host, port = listening.sockets[0].getsockname()
    try:
        async with http_client(f"{'https' if tls else 'http'}://{host}:{port}/base/") as client, asyncio.timeout(60):
            yield server, client
    finally:
        listening.close()
        for writer in server.connections:
            writer.close()


async def test_requests_one_after_the_other_share_a_connection():
    """Twenty requests, one connection."""
    async with running() as (server, client):
        answers = [await client.request("GET", "/a") for _ in range(20)]

    assert [one.body for one in answers] == [b"ok"] * 20
    assert (len(server.connections), set(server.lines)) == (1, {"GET /base/a HTTP/1.1"})


async def test_there_are_as_many_connections_as_requests_at_once():
    """None waits for another; all are used again afterwards."""
    async with running() as (server, client):
        server.wait.clear()
        first = [asyncio.create_task(client.request("GET", "/a")) for _ in range(100)]
        await server.asked(100)
        server.wait.set()
        await asyncio.gather(*first)
        await asyncio.gather(*(client.request("GET", "/b") for _ in range(50)))

    assert (len(server.connections), len(server.lines)) == (100, 150)


async def test_a_connection_that_the_server_closed_is_replaced():
    """Nobody notices that an idle connection was lost."""
    async with running() as (server, client):
        await client.request("GET", "/a")
        server.connections[0].close()
        await server.connections[0].wait_closed()
        answer = await client.request("GET", "/b")

    assert (answer.body, len(server.connections)) == (b"ok", 2)


async def test_a_request_that_is_given_up_leaves_no_connection_to_the_next():
    """Its answer may still come, and is not taken for the next request's."""
    async with running() as (server, client):
        server.wait.clear()
        given_up = asyncio.create_task(client.request("GET", "/a"))
        await server.asked(1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        server.wait.set()
        answer = await client.request("GET", "/b")

    assert (answer.body, len(server.connections)) == (b"ok", 2)


async def test_what_is_sent_is_what_was_asked():
    """JSON, forms as Stripe reads them, and a query; each body with its length."""
    async with running() as (server, client):
        await client.request("POST", "/a", json={"amount": 1}, headers={"Idempotency-Key": "k"})
        await client.request("POST", "/b", data={"expand[]": ["x", "y"], "card[number]": "4 2"})
        await client.request("GET", "/c", params={"created[gt]": 1, "expand[]": ["x"]})
        await client.request("POST", "/d")

    assert server.lines[2] == "GET /base/c?created%5Bgt%5D=1&expand%5B%5D=x HTTP/1.1"
    assert [body for _, body in server.bodies] == [
        b'{"amount":1}',
        b"expand%5B%5D=x&expand%5B%5D=y&card%5Bnumber%5D=4+2",
        b"",
        b"",
    ]
    assert b"Idempotency-Key: k\r\n" in server.bodies[0][0]
    assert (b"Content-Length" in server.bodies[2][0], b"Content-Length: 0\r\n" in server.bodies[3][0]) == (False, True)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ([OK[:9], OK[9:30], OK[30:]], b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", b""),
        (
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r",
                b"\n01;a=b\r\nk\r\n0\r\nT: x\r\n\r\n",
            ],
            b"ok",
        ),
    ],
)
async def test_every_shape_of_a_response_is_read(answer, body):
    """However it is cut into pieces; the connection goes on behind it."""
    async with running(answer) as (server, client):
        answers = [await client.request("GET", "/a") for _ in range(2)]

    assert ([one.body for one in answers], len(server.connections)) == ([body, body], 1)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_a_body_without_a_length_ends_with_its_connection(head):
    """As old servers send it."""
    async with running(head + b"o" + b"k" * 3000, closes=True) as (server, client):
        answers = [await client.request("GET", "/a") for _ in range(2)]

    assert ([len(one.body) for one in answers], len(server.connections)) == ([3001, 3001], 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"H" * 100_000,
    ],
)
async def test_what_cannot_be_understood_is_no_response(answer):
    """Whether the request was obeyed is not known then, and its connection is not used again."""
    async with running(answer, closes=True) as (server, client):
        with pytest.raises(CallFailed):
            await client.request("POST", "/a")
        server.answer = OK
        again = await client.request("POST", "/a")

    assert (again.body, len(server.connections)) == (b"ok", 2)


@pytest.mark.parametrize("behind", [OK, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_what_nobody_asked_for_answers_no_request(behind):
    """A second response, or one to a connection that was idle for too long, is not taken for the next one's."""
    async with running(OK + behind) as (server, client):
        await client.request("GET", "/a")
        server.answer = OK
        answer = await client.request("GET", "/b")
        server.connections[-1].write(behind)
        await server.connections[-1].drain()
        last = await client.request("GET", "/c")

    assert (answer.status, last.status, len(server.connections)) == (200, 200, 3)


async def test_it_is_the_same_in_the_event_loop_of_services():
    """Which is uvloop, whose transports are of classes of their own."""

    async def scenario():
        async with running() as (server, client):
            first = [await client.request("GET", "/a") for _ in range(3)]
            server.connections[0].close()
            await server.connections[0].wait_closed()
            last = await client.request("GET", "/b")
        return [one.status for one in (*first, last)], len(server.connections)

    assert await asyncio.to_thread(uvloop.run, scenario()) == ([200] * 4, 2)


async def test_a_path_or_a_header_that_would_be_several_is_refused():
    """What comes from elsewhere adds no header and no request."""
    async with running() as (server, client):
        for path, headers in (("/a b", {}), ("/a", {"X": "1\r\nY: 2"}), ("/a\n", {})):
            with pytest.raises(ValueError, match=r"blank|header"):
                await client.request("GET", path, headers=headers)

    assert server.lines == []


async def test_a_server_that_does_not_listen_is_no_response():
    """It says where nobody answers."""
    async with http_client("http://127.0.0.1:1") as client:
        with pytest.raises(CallFailed, match=r"127\.0\.0\.1: Connect"):
            await client.request("GET", "/a")


async def test_a_server_is_known_by_its_certificate(tmp_path, monkeypatch):
    """One that the machine's authorities vouch for is asked; any other is not."""
    files = certificates(Topology.of(["us"], nodes=1), tmp_path, lasting=timedelta(days=1))["us"]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)

    async with running(tls=tls) as (_, client):
        with pytest.raises(CallFailed, match="certificate verify failed"):
            await client.request("GET", "/a")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    async with running(tls=tls) as (_, client):
        assert (await client.request("GET", "/a")).body == b"ok"


@pytest.mark.parametrize("url", ["ftp://a.example", "a.example", "http://", "https://ada:secret@a.example"])
async def test_what_is_no_address_of_a_server_is_refused(url):
    """The sentence does not repeat a password."""
    with pytest.raises(ValueError, match="no address of a server") as refused:
        async with http_client(url):
            pass

    assert "secret" not in str(refused.value)


async def test_what_the_environment_says_of_proxies_still_holds(monkeypatch):
    """A shop that reaches its payment provider through a proxy goes on doing so."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "near.example")
    through = {}
    for url in ("https://a.example", "https://near.example", "http://a.example"):
        async with http_client(url) as client:
            through[urlsplit(url).geturl()] = isinstance(client._sender, ByHttpx)

    assert list(through.values()) == [True, False, False]
