"""The image and the laptop's three regions: their files, held against the topology, the chart and the project."""

import json
import re
import shlex
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from mesh.extras import MODULES
from mesh.runtime.worker import variable
from mesh.settings import read
from mesh.topology.certificates import certificates
from mesh.topology.derive.environments import environments
from mesh.topology.derive.servers import users
from mesh.topology.mesh_toml import Topology
from mesh.topology.render import rendered
from mesh.topology.secrets import Secrets
from mesh.topology.server_settings import ServerSettings
from services.demo.payment_provider.command import GivenSettings
from services.demo.storefront.seeding import SeedSettings
from services.payments.configured import PaymentSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MESH = Topology.load(ROOT / "mesh.toml")


@pytest.fixture(scope="module")
def instructions():
    """The Containerfile's instructions by stage: [(word, rest), ...]."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Containerfile").read_text())
    found = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    stages = []
    for word, rest in found:
        if word == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((word, rest))
    return stages


def of(stage, word):
    return [rest for found, rest in stage if found == word]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_image_holds_what_the_wheel_is_made_of(instructions):
    """Every package of the project is copied into the build, and everything that is copied is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()

    copied = [word for stage in instructions for rest in of(stage, "COPY") for word in shlex.split(rest)[:-1]]
    sources = {word for word in copied if not word.startswith(("-", "/"))}

    assert packages < sources
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    assert of(instructions[-1], "ENTRYPOINT") == ['["cartmesh"]']
    assert "cartmesh" in project["project"]["scripts"]


def test_no_process_of_the_image_compiles_at_its_start(instructions):
    """It could not keep what it compiled: the build does it once."""
    build, last = instructions[-2:]

    assert "UV_COMPILE_BYTECODE=1" in " ".join(of(build, "ENV")).split()
    assert "PYTHONDONTWRITEBYTECODE=1" in " ".join(of(last, "ENV")).split()


def test_the_image_runs_as_the_user_the_chart_says(instructions, chart):
    """Not as root, from a stage without build tools, on the Python that the project asks for, as locked."""
    pod = chart()["Deployment", "carts"]["spec"]["template"]["spec"]["securityContext"]
    last = instructions[-1]

    assert of(last, "USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    assert f"--uid {pod['runAsUser']}" in of(last, "RUN")[0]
    assert not any("uv " in rest for rest in of(last, "RUN"))
    assert all("--locked" in rest for stage in instructions for rest in of(stage, "RUN") if "uv sync" in rest)
    brokers = next(rest for stage in instructions for rest in of(stage, "ARG") if rest.startswith("BROKERS="))
    assert set(re.findall(r"--extra (\w+)", brokers)) == set(MODULES)
    assert all("${BROKERS}" in rest for stage in instructions for rest in of(stage, "RUN") if "uv sync" in rest)
    assert "org.opencontainers.image.licenses" in of(last, "LABEL")[0]
    assert {"PYTHON=3.11"} == set(
        re.findall(r"^ARG (PYTHON=.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    )


def test_the_laptop_has_the_regions_of_the_topology(compose):
    """Every server with its configuration, certificates and passwords; the services of each region once."""
    servers = {f"nats-{name}" for region in MESH.regions for name in region.servers}
    steps = {f"{what}-{region}" for region in MESH.names for what in ("apply", "services")}

    assert compose["services"].keys() == servers | steps | {"inbox", "payment-provider"}
    assert compose["volumes"].keys() == servers
    for name in servers:
        node = name.removeprefix("nats-")
        region = node.partition("-")[0]
        assert compose["services"][name]["env_file"] == [
            f"secrets/{region}-servers.env",
            f"generated/servers/{node}.env",
        ]
        assert compose["services"][name]["volumes"] == [
            f"./generated/servers/{node}.conf:/etc/nats/nats.conf:ro",
            f"./secrets/{region}:/etc/nats/tls:ro",
            f"{name}:/data/jetstream",
        ]
        assert (DEPLOY / "generated" / "servers" / f"{node}.conf").exists()


def test_a_server_of_the_laptop_is_made_anew_when_its_configuration_changed():
    """Compose looks at a container's environment, not at what it mounts."""
    more = replace(MESH, servers=ServerSettings(sync_interval="always"))
    before, same, after = rendered(MESH, []), rendered(MESH, []), rendered(more, [])

    assert before["servers/eu-1.env"] == same["servers/eu-1.env"] != after["servers/eu-1.env"]
    assert before["servers/eu-1.env"] != before["servers/eu-2.env"]


def test_what_the_laptop_mounts_is_what_the_commands_make(compose, tmp_path):
    """`mesh certs` and `mesh secrets` leave exactly these names."""
    certificates(MESH, tmp_path, lasting=timedelta(days=1))
    kept = Secrets.kept(tmp_path / "secrets.json", users(MESH, []))
    made = {f"secrets/{name}.env" for name in environments(MESH, [], kept)}
    mounted = {
        volume.split(":")[0].removeprefix("./secrets/")
        for container in compose["services"].values()
        for volume in container.get("volumes", ())
        if volume.startswith("./secrets/")
    }

    read = {path for container in compose["services"].values() for path in container.get("env_file", ())}
    assert {path for path in read if not path.startswith("generated/")} <= made
    assert [name for name in mounted if not (tmp_path / name).exists()] == []


def test_the_laptops_services_are_reached_at_ports_of_their_own(compose):
    """Each HTTP service has a port inside, on loopback outside, and no two are the same."""
    known = json.loads((DEPLOY / "chart" / "derived" / "mesh.json").read_text())["services"]
    outside = []
    for region in MESH.names:
        container = compose["services"][f"services-{region}"]
        inside = {name: value for name, value in container["environment"].items() if name.startswith("CARTMESH_PORT_")}
        assert inside.keys() == {f"CARTMESH_PORT_{variable(name)}" for name, facts in known.items() if facts["http"]}
        behind_the_console = {
            f"CARTMESH_PORT_{name}"
            for name in (
                "BOARD",
                "CONNECT",
                "EVENT_CATALOGUE",
                "FRAUD_REVIEW",
                "FUNCTIONS",
                "IDENTITY",
                "LAKE",
                "STUDIO",
                "WEBHOOKS",
            )
        }
        outer = {name: port for name, port in inside.items() if name not in behind_the_console}
        assert sorted(port.split(":")[2] for port in container["ports"]) == sorted(outer.values())
        outside += container["ports"]
        assert container["command"][:3] == ["run", "--region", region]
        assert container["depends_on"] == {f"apply-{region}": {"condition": "service_completed_successfully"}}

    published = [port.rpartition(":")[0] for port in outside]
    assert len(set(published)) == len(published)
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_laptops_console_finds_the_pages_of_every_service(compose):
    """Where each listens within the container."""
    known = json.loads((DEPLOY / "chart" / "derived" / "mesh.json").read_text())["services"]
    with_pages = {variable(name) for name, facts in known.items() if facts.get("pages")} - {"CONSOLE"}
    for region in MESH.names:
        given = compose["services"][f"services-{region}"]["environment"]
        found = {name: url for name in with_pages if (url := given.get(f"CARTMESH_URL_{name}"))}
        inside = dict.fromkeys(with_pages, "127.0.0.1") | {"PAYMENTS": f"services-{region}"}
        assert found == {name: f"http://{inside[name]}:{given[f'CARTMESH_PORT_{name}']}" for name in with_pages}


def test_the_laptops_shop_takes_orders_and_its_payments_are_charged(compose):
    """The shop's server has a key and finds each interface of orders; payments and the provider know each other."""
    provider = compose["services"]["payment-provider"]
    listens = dict(zip(provider["command"][1::2], provider["command"][2::2], strict=True))
    for region in MESH.names:
        given = compose["services"][f"services-{region}"]["environment"]
        shop, payments = read(SeedSettings, given), read(PaymentSettings, given)
        known = read(GivenSettings, provider["environment"])

        assert shop.server_keys
        assert shop.url_orders == f"http://127.0.0.1:{given['CARTMESH_PORT_ORDERS']}"
        assert shop.url_order_views == f"http://127.0.0.1:{given['CARTMESH_PORT_ORDER_VIEWS']}"
        assert shop.url_stock == f"http://127.0.0.1:{given['CARTMESH_PORT_STOCK']}"
        assert payments.url_payment_provider == f"http://payment-provider:{listens['--port']}"
        assert payments.url_payments == f"http://services-{region}:{given['CARTMESH_PORT_PAYMENTS']}"
        assert known.payment_provider_key == payments.payment_provider_key
        assert known.payment_webhook_secrets == payments.payment_webhook_secrets


def test_nothing_of_the_laptop_runs_with_more_than_it_needs(compose):
    """Our containers write only to `/tmp` and have no capabilities."""
    for name, container in compose["services"].items():
        if not name.startswith("nats-"):
            assert (container["read_only"], container["tmpfs"], container["cap_drop"]) == (True, ["/tmp"], ["ALL"])


def test_the_version_is_one(instructions):
    """The project's, the chart's and the image's."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((DEPLOY / "chart" / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"VERSION={version}" in of(instructions[-1], "ARG")
