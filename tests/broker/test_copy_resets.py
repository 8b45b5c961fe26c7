"""What a server that copies is answered when it asks for a reset: never with a place behind what it still lacks."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from mesh.broker import copy_resets
from mesh.broker.connection import Connection, Login
from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process, server_binary
from mesh.runtime.server_monitor import accepts
from mesh.runtime.waiting import until
from mesh.streams import Copy
from mesh.topology.apply import api

COPY = Copy(stream="COMMERCE_ap", origin="ap", target="us")
ASKED_AS = {"Nats-Required-Api-Level": "5", "Nats-Stream-Identity": "IjplnE7S"}


def position(consumer, stream):
    return {"consumer_seq": consumer, "stream_seq": stream}


# What nats-server 2.15.1 answered while the consumer delivered, and a moment later.
STALE = {"delivered": position(821, 821), "ack_floor": position(0, 0), "num_pending": 821, "reset_seq": 1}
CONSISTENT = {"delivered": position(0, 0), "ack_floor": position(0, 0), "num_pending": 822, "reset_seq": 1}


@asynccontextmanager
async def server(tmp_path, *options):
    """A connection to a server of its own."""
    (port,) = free_ports(1)
    process = await Process.start(
        [server_binary(), "-a", "127.0.0.1", "-p", str(port), *options], log=tmp_path / "server.log"
    )
    try:
        await until(lambda: accepts(process, port), "the server to listen")
        connection = await Connection.open(Login(region="ap", servers=(f"nats://127.0.0.1:{port}",)))
        try:
            yield connection
        finally:
            await connection.drain()
    finally:
        await process.end()


class Asking:
    """A server that copies: asks under the name of a region's link, and is answered on a subject of its own."""

    def __init__(self, connection):
        self._client, self._answers, self._asked = connection.client, asyncio.Queue(), 0

    async def reset(self, body=b""):
        self._asked += 1
        reply = f"{copy_resets.ANSWERED}{self._asked}"
        listening = await self._client.subscribe(reply, cb=self._answers.put)
        await self._client.publish(COPY.reset_on, body, reply=reply, headers=ASKED_AS)
        answer = await asyncio.wait_for(self._answers.get(), 60)
        await listening.unsubscribe()
        return answer


async def test_an_answer_from_before_the_reset_is_not_passed_on(tmp_path):
    """What is reported as delivered would be skipped by who copies: it is asked again until nothing is."""
    async with server(tmp_path) as connection:
        prepared, asked = [STALE, STALE, CONSISTENT], []

        async def answer(request):
            asked.append((request.headers, request.data))
            await connection.publish(
                request.reply, json.dumps(prepared.pop(0)).encode(), {"Nats-Stream-Identity": "IjplnE7S"}
            )

        await connection.client.subscribe(COPY.reset_api, cb=answer)
        await copy_resets.serve(connection, [COPY])

        answered = await Asking(connection).reset()

        assert json.loads(answered.data) == CONSISTENT
        assert answered.headers == {"Nats-Stream-Identity": "IjplnE7S"}
        assert asked == [(ASKED_AS, b"")] * 3


async def test_an_error_is_passed_on(tmp_path):
    """A consumer that is not there, for example: who asks does something about it, or asks again."""
    async with server(tmp_path) as connection:
        refused = {"error": {"code": 404, "err_code": 10014, "description": "consumer not found"}}

        async def answer(request):
            await connection.publish(request.reply, json.dumps(refused).encode())

        await connection.client.subscribe(COPY.reset_api, cb=answer)
        await copy_resets.serve(connection, [COPY])

        assert json.loads((await Asking(connection).reset()).data) == refused


async def test_only_servers_that_copy_are_answered(tmp_path):
    """A reply subject of somebody else's choice, a stream's for example, is not answered on."""
    async with server(tmp_path) as connection:
        asked, stored = asyncio.Queue(), []

        async def answer(request):
            await connection.publish(request.reply, json.dumps(CONSISTENT).encode())
            await asked.put(request)

        async def store(message):
            stored.append(message)

        await connection.client.subscribe(COPY.reset_api, cb=answer)
        await connection.client.subscribe("ev.>", cb=store)
        await copy_resets.serve(connection, [COPY])

        await connection.client.publish(COPY.reset_on, b"", reply="ev.ap.cart.updated.c1")
        await Asking(connection).reset()

        assert (asked.qsize(), stored) == (1, [])


@pytest.mark.timeout(300)
async def test_a_consumer_that_delivers_is_reset_to_where_it_was_acknowledged(tmp_path):
    """On a real stream, with somebody who listens until just before: every answer says that delivery begins again."""
    async with server(tmp_path, "-js", "-sd", str(tmp_path / "data")) as connection:
        assert "error" not in await api(
            connection, f"STREAM.CREATE.{COPY.stream}", {"name": COPY.stream, "subjects": ["ev.>"]}
        )
        for number in range(500):
            await connection.publish(f"ev.ap.cart.updated.c{number}", b"x" * 300)
        consumer = {
            "durable_name": COPY.consumer,
            "name": COPY.consumer,
            "deliver_subject": COPY.delivered_on,
            "ack_policy": "flow_control",
            "max_deliver": -1,
            "max_ack_pending": 5000,
            "flow_control": True,
            "idle_heartbeat": 1_000_000_000,
        }
        made = {"stream_name": COPY.stream, "config": consumer, "action": "create"}
        assert "error" not in await api(connection, f"CONSUMER.CREATE.{COPY.stream}.{COPY.consumer}", made)
        await copy_resets.serve(connection, [COPY])
        asking, answers = Asking(connection), []

        for _ in range(40):
            arrived = asyncio.Event()

            async def take(_, arrived=arrived):
                arrived.set()

            listening = await connection.client.subscribe(COPY.delivered_on, cb=take)
            await asyncio.wait_for(arrived.wait(), 60)
            await listening.unsubscribe()
            answers.append(json.loads((await asking.reset()).data))

        assert [answer["delivered"]["stream_seq"] for answer in answers] == [0] * 40
        assert {answer["reset_seq"] for answer in answers} == {1}
