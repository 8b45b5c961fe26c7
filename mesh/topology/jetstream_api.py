"""JetStream's API: one request, repeated while a cluster is still finding itself."""

import asyncio

import msgspec

from mesh.broker.connection import Connection, status
from mesh.errors import Unavailable
from mesh.topology.derive.nats import Config

PATIENCE = 60.0
_NO_LEADER = {10005, 10009}


async def api(connection: Connection, subject: str, asked: object = None, *, patience: float = PATIENCE) -> Config:
    """One request to `$JS.API.<subject>`, repeated while there is no leader. The reply, which may hold an `error`."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    body = b"" if asked is None else msgspec.json.encode(asked)
    while True:
        try:
            reply = await connection.request(f"$JS.API.{subject}", body)
        except Unavailable:
            if clock() > deadline:
                raise
        else:
            answer: Config = {} if status(reply) == "503" else msgspec.json.decode(reply.data)
            if answer and not _passes(answer.get("error") or {}):
                return answer
            if clock() > deadline:
                raise Unavailable(f"{connection.login.region}: JetStream does not do {subject}: {answer.get('error')}")
        await asyncio.sleep(0.2)


def _passes(error: Config) -> bool:
    """Whether an error is one of a cluster that is still finding itself: no leader, or peers not yet known."""
    return error.get("code") == 503 or error.get("err_code") in _NO_LEADER


async def listed(connection: Connection, subject: str, field: str, *, patience: float = PATIENCE) -> list[Config]:
    """Every entry of a list that comes in pages, such as `streams` of `STREAM.LIST`."""
    found: list[Config] = []
    while True:
        answer = await api(connection, subject, {"offset": len(found)}, patience=patience)
        page = answer.get(field) or []
        found += page
        if not page or len(found) >= answer.get("total", 0):
            return found
