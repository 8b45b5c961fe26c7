"""Servers during a rollout: the values let the pods of the release that runs and of the new one work side by side."""

import asyncio
import json
import os
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import yaml as pyyaml

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Denied, Unavailable
from mesh.events.cart import CartClosed, CartIdle, CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.process import Process, server_binary
from mesh.service import Service
from mesh.topology.apply import apply
from mesh.topology.derive.helm import nats_values, yaml
from mesh.topology.derive.servers import users
from mesh.topology.derive.two_releases import read_permissions
from mesh.topology.jetstream_api import api
from mesh.topology.render import rendered
from mesh.topology.secrets import OPERATOR, Secrets
from tests.chart.test_nats_values import MESH, dealt, login, variables

shop = Service("shop", publishes=(CartUpdated,))
older = Service("shop", publishes=(CartIdle,))
gone = Service("gone", publishes=(CartClosed,))


async def test_old_and_new_pods_may_both_work_during_a_rollout(tmp_path, eventually):
    """With what the running release was rendered with: one user may say what either says; without it, the new alone."""
    topology = replace(MESH.only("us", nodes=1), links=(), tls=False)
    written = tmp_path / "permissions.json"
    written.write_text(rendered(topology, [older, gone])["permissions.json"])
    before = read_permissions(written)["us"]
    ports = dealt(topology)
    for name, running in (("expanded", before), ("contracted", None)):
        folder = tmp_path / name
        folder.mkdir()
        async with plain_server(topology, ports, folder, running) as connect:
            operator = await connect(OPERATOR)
            await eventually(partial(ready, operator), within=20)
            await apply(topology, [shop], {"us": operator})
            mesh = Mesh(JetStreamBroker(await connect("shop")), "shop")
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
            old = mesh.publish(CartIdle(cart_id="c1", update_id="u"))
            if running:
                await old
                await Mesh(JetStreamBroker(await connect("gone")), "gone").publish(
                    CartClosed(cart_id="c", visitor_id="v", order_id="o", region="eu")
                )
            else:
                with pytest.raises(Denied):
                    await old
                with pytest.raises(Denied):
                    await connect("gone")


async def test_passwords_are_changed_and_nobody_is_locked_out(tmp_path):
    """Renew, switch, renew: at each step servers that have restarted take clients that have and that have not."""
    topology = replace(MESH.only("us", nodes=1), links=(), tls=False)
    ports = dealt(topology)
    begun = Secrets.kept(tmp_path / "secrets.json", users(topology, [shop, gone]))
    renewed = begun.renewed()
    switched = renewed.switched()
    done = switched.renewed()
    for step, servers, clients in (
        ("begun", begun, [begun, renewed]),
        ("renewed", renewed, [begun, renewed, switched]),
        ("done", done, [switched, done]),
    ):
        (tmp_path / step).mkdir()
        async with plain_server(topology, ports, tmp_path / step, secrets=servers) as connect:
            for known in clients:
                for user in ("shop", OPERATOR):
                    await connect(f"{user}{known.used}", known)
            if step == "done":
                with pytest.raises(Denied):
                    await connect("shop", begun)

    assert (begun.used, done.used) == ("", ".next")
    assert done.password("us", "shop") != begun.password("us", "shop")


async def ready(operator):
    return "error" not in await api(operator, "INFO", patience=20)


@asynccontextmanager
async def plain_server(topology, ports, folder, before=None, secrets=None):
    """One server without TLS from the values alone; yields how to connect as a user, with those or other secrets."""
    secrets = secrets or Secrets.kept(folder.parent / "secrets.json", users(topology, [shop, gone]))
    values = pyyaml.safe_load(yaml(nats_values(topology, [shop], "us", before=before)))
    made = {user: secrets.password("us", user) for user in users(topology, [shop, gone])["us"]}
    config = values["config"] | {"nats": {}, "leafnodes": {}}
    text = json.dumps(
        {
            "server_name": "us-nats-0",
            "listen": f"127.0.0.1:{ports['us'][0]['client']}",
            "jetstream": {"store_dir": str(folder), **config["jetstream"]["merge"]},
            **config["merge"],
        }
    )
    (folder / "nats.conf").write_text(re.sub(r'"<<\s+(.*?)\s+>>"', r"\1", text))
    command = [server_binary(), "-c", str(folder / "nats.conf")]
    process = await Process.start(command, log=folder / "server.log", environment=os.environ | variables(values, made))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(process.end)

        async def connect(user, known=secrets):
            at = replace(login(ports, known, "us", user), servers=(f"nats://127.0.0.1:{ports['us'][0]['client']}",))
            clock = asyncio.get_running_loop().time
            deadline = clock() + 20
            while True:
                try:
                    opened = await Connection.open(at)
                except Unavailable:
                    assert clock() < deadline
                    await asyncio.sleep(0.1)
                else:
                    stack.push_async_callback(opened.drain)
                    return opened

        yield connect
