"""Exchanges with an endpoint over kept connections: what ends a response, what may follow it, and what is no HTTP."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from mesh.web.checked_network import CheckedNetwork
from mesh.web.endpoint_client import EndpointClient
from mesh.web.http_connection import request_head

OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def endpoint(answer):
    """A client, the address of a server that gives this answer to each request, and the requests of each connection."""
    connections: list[list[bytes]] = []

    async def serve(reader, writer):
        requests: list[bytes] = []
        connections.append(requests)
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                writer.write(answer)
                if b"close" in answer or b"HTTP/1.0" in answer or b"until the end" in answer:
                    writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    network = CheckedNetwork(private=True)
    client = EndpointClient(
        network, ssl.create_default_context(), connect=timedelta(seconds=5), deadline=timedelta(seconds=5)
    )
    try:
        yield client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b", connections
    finally:
        await client.close()
        network.close()
        server.close()


@pytest.mark.parametrize(
    ("answer", "said", "kept"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", "hi", True),
        (OK + b"content-length:0\r\n\r\n", "", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "", True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "x", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n", "hello", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", "hi", True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi", "hi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", False),
        (OK + b"Content-Length: 2\r\n\r\nhi and more", "hi", False),
        (OK + b"\r\nuntil the end", "until the end", False),
        (OK + b"Content-Length: 400000\r\n\r\n" + b"x" * 400000, "x" * 300, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", "", False),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nuntil the end", "until the end", False),
    ],
)
async def test_a_response_ends_where_it_says_and_its_connection_is_kept_where_that_is_certain(answer, said, kept):
    """RFC 9112 (6.3): by its length, its chunks, its status or its connection; whatever is odd is not built upon."""
    async with endpoint(answer) as (client, url, connections):
        responses = [await client.send(url, {"X-One": "1"}, b"{}") for _ in range(2)]

    assert [(one.status in (200, 204), one.error, one.answer) for one in responses] == [(True, None, said)] * 2
    assert [len(requests) for requests in connections] == ([2] if kept else [1, 1])
    assert connections[0][0].startswith(b"POST /hook?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert connections[0][0].endswith(b"\r\nX-One: 1\r\nContent-Length: 2\r\nAccept-Encoding: identity\r\n\r\n{}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "it did not answer by HTTP"),
        (b"HTTP/2 200 OK\r\n\r\n", "it did not answer by HTTP"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
        (OK + b"no field\r\n\r\n", "Invalid header"),
        (OK + b"Name : folded\r\n\r\n", "Invalid header"),
        (OK + b"Content-Length: no\r\n\r\nhi", "Content-Length"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi", "Content-Length"),
        (OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n", "too long"),
    ],
)
async def test_what_is_no_response_is_an_attempt_that_failed(answer, words):
    """It says why, and the connection is not used again."""
    async with endpoint(answer) as (client, url, connections):
        responses = [await client.send(url, {}, b"{}") for _ in range(2)]

    assert [words in (one.error or "") for one in responses] == [True, True]
    assert len(connections) == 2


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/", ("X-One", "1\r\nX-Two: 2")),
        ("/", ("X-One", "1\n")),
        ("/", ("X One", "1")),
        ("/", ("X-One:", "1")),
        ("/", ("X-One", "\u20ac")),
        ("/a b", ("X-One", "1")),
        ("/\r\nX-Two: 2", ("X-One", "1")),
    ],
)
def test_no_field_and_no_address_is_several_lines(target, field):
    """Whatever a partner, a file or an event has in it: a request is one."""
    with pytest.raises(ValueError, match=r"no header|the address"):
        request_head("POST", target, [field])
