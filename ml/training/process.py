"""The training process: a child that reads the log, trains a model, reports the result and ends.

What learning needs, scikit-learn, polars and the log itself, is never in the memory of the service that asked.
`python -m ml.training.process` takes a task on stdin and writes what was learnt to stdout.
"""

import asyncio
import os
import sys

import msgspec

from mesh import Mesh
from mesh.broker.connection import Connection, Login
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from ml.lifecycle.version import Version
from ml.training.recipes import recipe
from ml.training.result import ServingVersion, TrainingRequest, TrainingResult


class TrainingFailed(Exception):
    """The child ended without an answer; the message says how."""


class TrainingTask(msgspec.Struct, frozen=True, kw_only=True):
    """Which model to learn, from which region's log (as whom to read it, in which streams), and what serves now."""

    name: str
    login: dict[str, str | list[str] | None]
    order: TrainingRequest
    layout: StreamLayout = DEFAULT_LAYOUT
    running: Version | None = None
    artifact: bytes | None = None


async def train_in_child_process(
    mesh: Mesh, name: str, order: TrainingRequest, running: ServingVersion | None
) -> TrainingResult:
    """What a region's log teaches, learnt in a child process; beside the event loop where there is no server.

    TrainingFailed when the child dies. A child whose parent is killed ends by itself: its stdout is gone.
    """
    if not isinstance(mesh.broker, JetStreamBroker):
        rows = await recipe(name).read([mesh])
        return await asyncio.to_thread(lambda: recipe(name).fit(rows, order).judge(running))
    login = mesh.broker.connection.login
    task = TrainingTask(
        name=name,
        login={
            "region": login.region,
            "servers": list(login.servers),
            "user": login.user,
            "password": login.password,
            "inbox_prefix": login.inbox_prefix,
        },
        order=order,
        layout=mesh.layout,
        running=running.version if running else None,
        artifact=running.artifact if running else None,
    )
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ml.training.process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        answer, _ = await child.communicate(msgspec.msgpack.encode(task))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise TrainingFailed(f"the process that learnt {name} ended with {child.returncode}")
    return msgspec.msgpack.decode(answer, type=TrainingResult)


async def _learn(task: TrainingTask) -> TrainingResult:
    given = task.login
    login = Login(
        region=str(given["region"]),
        servers=tuple(given["servers"] or ()),
        user=_text(given["user"]),
        password=_text(given["password"]),
        inbox_prefix=str(given["inbox_prefix"]),
    )
    connection = await Connection.open(login, name=f"training-{task.name}")
    try:
        rows = await recipe(task.name).read(
            [Mesh(JetStreamBroker(connection), login.user or "training", layout=task.layout)]
        )
    finally:
        await connection.drain()
    running = ServingVersion(version=task.running, artifact=task.artifact) if task.running else None
    return recipe(task.name).fit(rows, task.order).judge(running)


def _text(value: str | list[str] | None) -> str | None:
    return value if isinstance(value, str) else None


def main() -> None:
    """Read the task, train, write the result."""
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=TrainingTask)
    try:
        learnt = asyncio.run(_learn(task))
    except MeshError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.buffer.write(msgspec.msgpack.encode(learnt))


if __name__ == "__main__":
    main()
