"""Connecting to a region as one of its users."""

import asyncio
from collections.abc import Mapping

from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Unavailable
from mesh.mesh import Mesh
from mesh.topology.access import Access


async def connect(
    access: Access,
    region: str,
    user: str,
    *,
    others: tuple[str, ...] = (),
    zones: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> Mesh:
    """A user's mesh. Waits up to `patience` seconds for servers that are still starting; Denied at once."""
    login = access.login(region, user)
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        try:
            broker = await JetStreamBroker.connect(
                region,
                login.servers,
                user=login.user,
                password=login.password,
                inbox_prefix=login.inbox_prefix,
                name=f"{user}@{region}",
            )
        except Unavailable:
            if clock() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return Mesh(broker, user, others=others, zones=zones, layout=access.layout)
