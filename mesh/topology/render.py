"""Render: everything derived, as files. Nobody edits them; `stale` lists those that differ from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from mesh.service import Service
from mesh.topology.check import Committed
from mesh.topology.derive.alerts import alerts
from mesh.topology.derive.asyncapi import asyncapi
from mesh.topology.derive.catalog import catalog
from mesh.topology.derive.dashboards import dashboard
from mesh.topology.derive.helm import RELEASE, nats_values, yaml
from mesh.topology.derive.link_permissions import link_permissions
from mesh.topology.derive.nats import holdings
from mesh.topology.derive.permissions import service_permissions
from mesh.topology.derive.schemas import schemas
from mesh.topology.derive.servers import Address, Certificates, Plan, server_configs
from mesh.topology.derive.services import deployed, described
from mesh.topology.derive.two_releases import Users
from mesh.topology.derive.values import reference
from mesh.topology.derive.variables import Setting, kinds, page
from mesh.topology.mesh_toml import Topology, known_fields
from mesh.topology.secrets import Placeholders

FOLDER = Path("deploy/generated")


def rendered(topology: Topology, services: Sequence[Service], before: Committed | None = None) -> dict[str, str]:
    """Path below the folder -> text. The schemas of older versions are kept from `before`."""
    known = schemas((before or Committed()).schemas)
    held = {name: holdings(topology, services, name) for name in topology.names}
    consumers: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in topology.names}
    for name, holding in held.items():
        for (stream, durable), config in sorted(holding.consumers.items()):
            consumers[name].setdefault(stream, {})[durable] = config
    documents: dict[str, Any] = {
        "streams.json": {name: holding.streams for name, holding in held.items()},
        "consumers.json": consumers,
        "permissions.json": _permissions(topology, services),
        "schemas.json": known,
        "asyncapi.json": asyncapi(sorted(topology.names), topology.layout, services),
        "services.json": described(services),
        "dashboard.json": dashboard(services),
    }
    files = {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in documents.items()}
    files["alerts.yaml"] = yaml(alerts(services), "Do not edit: `make render` writes this.")
    files["catalog.md"] = "<!-- Do not edit: `make render` writes this. -->\n\n" + catalog(services, topology.layout)
    files["README.md"] = "Do not edit: `make render` writes this folder from `mesh.toml` and the code.\n"
    for name, text in _servers(topology, services).items():
        files |= {f"servers/{name}.conf": text, f"servers/{name}.env": _checksum(text)}
    return files


def charted(
    services: Sequence[Service],
    settings: Sequence[Setting],
    *,
    written: str,
    values: str = "",
    before: Committed | None = None,
) -> dict[str, str]:
    """What the chart reads of the mesh, path below its folder -> text, and the references of values and settings.

    `written` is the text of mesh.toml, which the value `mesh` replaces; `values` are the chart's. A chart cannot read
    files outside its folder, so the little it needs of the services stands there again.
    """
    facts = {
        "topology": known_fields(),
        "services": deployed(services),
        "settings": sorted({one.name for one in settings}),
        "kinds": kinds(settings),
    }
    return {
        "settings.md": "<!-- Do not edit: `make render` writes this. -->\n\n# Settings\n\n" + page(settings),
        "values.md": "<!-- Do not edit: `make render` writes this. -->\n\n# Values\n\n" + reference(values),
        "mesh.json": json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
        "alerts.json": json.dumps(alerts(services), indent=2, ensure_ascii=False) + "\n",
        "dashboard.json": json.dumps(dashboard(services), ensure_ascii=False) + "\n",
        # The next upgrade's hook compares its own with these: what was running.
        "schemas.json": json.dumps(schemas((before or Committed()).schemas), indent=2, ensure_ascii=False) + "\n",
        "mesh.toml": "# Do not edit: `make render` copies this from mesh.toml.\n" + written,
        "README.md": "Do not edit: `make render` writes this folder from `mesh.toml` and the code.\n",
    }


def helm(
    topology: Topology,
    services: Sequence[Service],
    region: str,
    *,
    store: str,
    issuer: str,
    before: Users | None = None,
    login: str = "",
    monitoring: str = "",
) -> str:
    """Values of the official chart `nats` for a region; see mesh.derive.helm."""
    head = (
        f"helm install {RELEASE} nats/nats -f THIS-FILE\nMade by `cartmesh mesh render --region {region} --for helm`."
    )
    values = nats_values(
        topology,
        services,
        region,
        store=store,
        issuer=issuer,
        before=before,
        login=login,
        monitoring=monitoring,
    )
    return yaml(values, head)


def chart_folder(folder: Path) -> Path:
    """Where the chart reads what is rendered to `folder`: beside it."""
    return folder.parent / "chart" / "derived"


def write(files: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Make the folder hold these files and no others; returns the paths that changed."""
    changed = stale(files, folder)
    for path in changed:
        target = folder / path
        if path in files:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[path], encoding="utf-8")
        else:
            target.unlink()
    return changed


def stale(files: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """The paths in the folder that are missing, different or too many."""
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    differing = {path for path in files.keys() & there.keys() if there[path].read_text(encoding="utf-8") != files[path]}
    return sorted(differing | (files.keys() ^ there.keys()))


def committed(folder: Path = FOLDER) -> Committed:
    """What was rendered before, for `check`."""
    return Committed(schemas=_read(folder / "schemas.json"), consumers=_read(folder / "consumers.json"))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _checksum(configuration: str) -> str:
    """A variable that changes with a configuration: Compose makes a container anew whose environment has changed."""
    return f"CARTMESH_CONFIGURATION={sha256(configuration.encode()).hexdigest()}\n"


def _permissions(topology: Topology, services: Sequence[Service]) -> dict[str, Any]:
    users = {
        name: {
            service.name: asdict(
                service_permissions(service, name, services, topology.layout, others=topology.others(name))
            )
            for service in services
            if not service.hosted
        }
        for name in topology.names
    }
    links = {link.name: asdict(link_permissions(link, topology.layout)) for link in topology.links}
    return {"regions": users, "links": links}


def _servers(topology: Topology, services: Sequence[Service]) -> dict[str, str]:
    names = [name for region in topology.regions for name in region.servers]
    plan = Plan(
        addresses={name: Address(host=f"nats-{name}") for name in names},
        certificates=Certificates.below("/etc/nats/tls") if topology.tls else None,
    )
    secrets = Placeholders()
    head = "# Do not edit: `make render` writes this. Passwords and links' URLs come from the environment.\n"
    configs = server_configs(topology, services, names, plan, secrets)
    return {name: head + config for name, config in configs.items()}
