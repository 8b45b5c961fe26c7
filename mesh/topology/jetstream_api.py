"""JetStream's API: one request, repeated while a cluster is still finding itself."""

import asyncio
from collections.abc import Container

import msgspec

from mesh.broker.connection import Connection, status
from mesh.errors import TopologyError, Unavailable
from mesh.topology.derive.nats import Config

PATIENCE = 60.0
_SINGLE_COPY_PATIENCE = 10.0
"""Seconds after which a consumer with one copy is taken to be out of reach, with its server."""
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


async def answered(connection: Connection, subject: str, asked: object = None) -> Config:
    """The reply to a request that must succeed; TopologyError says why it did not."""
    answer = await api(connection, subject, asked)
    if error := answer.get("error"):
        raise TopologyError(f"{connection.login.region}: {subject}: {error.get('description')}")
    return answer


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


async def listed_in_full(
    connection: Connection,
    subject: str,
    field: str,
    wanted: Container[str],
    single_copy: Container[str] = frozenset(),
    *,
    patience: float = PATIENCE,
) -> tuple[list[Config], set[str]]:
    """The configurations of all that answer, and the names of those that do not.

    Waits for what is wanted; for what is in `single_copy`, whose only server may be down, no longer than a moment.
    """
    found, unanswered, offset = list[Config](), set[str](), 0
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        answer = await api(connection, subject, {"offset": offset}, patience=patience)
        if error := answer.get("error"):
            raise TopologyError(
                f"{connection.login.region}: {subject}: {error.get('description')} ({error.get('err_code')})"
            )
        silent = answer.get("missing") or []
        skip_single_copies = clock() > began + min(patience, _SINGLE_COPY_PATIENCE)
        if missing := [name for name in silent if name in wanted and not (skip_single_copies and name in single_copy)]:
            # They exist and have no leader yet: whoever takes them for absent creates them a second time.
            # Others may be a process's own, on a server that is down.
            if clock() > began + patience:
                raise Unavailable(f"{connection.login.region}: {subject}: {', '.join(missing)} did not answer")
            found, unanswered, offset = [], set(), 0
            await asyncio.sleep(0.2)
            continue
        page = [entry["config"] for entry in answer.get(field) or []]
        found += page
        unanswered.update(silent)
        offset += len(page) + len(silent)
        if not page or offset >= answer.get("total", 0):
            return found, unanswered
