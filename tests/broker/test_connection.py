"""Opening a connection to a server that runs."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_asyncio

from mesh.broker.connection import Connection
from mesh.errors import Denied, Unavailable
from mesh.runtime.local_servers import LocalServers
from mesh.topology.mesh_toml import Topology

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def login():
    async with LocalServers(Topology.of(("us",))) as servers:
        yield servers.credentials("us")


@pytest_asyncio.fixture(loop_scope="module")
async def gate(login):
    """An address in front of the server, and how many of the connections that come next it ends at once."""
    gate = Gate(login.servers[0].rpartition(":")[2])
    listening = await asyncio.start_server(gate.let_in, "127.0.0.1", 0)
    gate.login = replace(login, servers=(f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}",))
    yield gate
    listening.close()


class Gate:
    def __init__(self, port):
        self.port, self.refusing = port, 0

    async def let_in(self, reading, writing):
        if self.refusing:
            self.refusing -= 1
            writing.close()
        else:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(pass_on(reading, to_server), pass_on(from_server, writing))


async def pass_on(reading, writing):
    with suppress(OSError):
        while data := await reading.read(65536):
            writing.write(data)
            await writing.drain()
    writing.close()


async def test_a_connection_that_is_ended_while_it_is_opened_is_opened_again(gate):
    """A server that shuts down, or shakes hands too late, closes it before its first message."""
    gate.refusing = 2

    connection = await Connection.open(gate.login)

    assert connection.client.is_connected
    await connection.drain()


async def test_who_always_hangs_up_is_not_asked_for_ever(gate):
    """Then no node answers."""
    gate.refusing = 1000

    with pytest.raises(Unavailable, match="none of nats://"):
        await Connection.open(gate.login)


async def test_a_wrong_password_is_tried_once(gate):
    """Trying it again makes it no better, and servers log each attempt."""
    with pytest.raises(Denied, match="'operator' or its password is not known"):
        await Connection.open(replace(gate.login, password="wrong"))
