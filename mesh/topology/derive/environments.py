"""Environments: every password and secret setting where a deployment wants it: a Secret's key, a process's variable."""

from collections.abc import Sequence

from mesh.service import Service
from mesh.topology.derive.accounts import leaf_user
from mesh.topology.derive.helm import link_key
from mesh.topology.derive.servers import users
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import (
    NEXT,
    OPERATOR,
    Placeholders,
    Secrets,
    secret_settings,
    setting_key,
    settings_as_variables,
)

Environment = dict[str, str]


def environments(topology: Topology, services: Sequence[Service], secrets: Secrets) -> dict[str, Environment]:
    """File -> variables: `eu` for the Secret of the chart, `eu-servers` and `eu-services` for processes."""
    made: dict[str, Environment] = {}
    for region in topology.names:
        made[region] = _keys(topology, services, secrets, region)
        made[f"{region}-servers"] = _servers(topology, services, secrets, region)
        made[f"{region}-services"] = {
            **{
                f"CARTMESH_{_variable(one.name)}_PASSWORD": secrets.password(region, f"{one.name}{secrets.used}")
                for one in services
                if not one.hosted
            },
            f"CARTMESH_NATS_PASSWORD_{_variable(region)}": secrets.password(region, f"{OPERATOR}{secrets.used}"),
            **({"CARTMESH_NATS_LOGIN": secrets.used[1:]} if secrets.used else {}),
            **settings_as_variables(secrets, services),
        }
    return made


def _keys(topology: Topology, services: Sequence[Service], secrets: Secrets, region: str) -> Environment:
    """A region's own users, the links it dials, and the secret settings."""
    dialed = {
        f"{link_key(link)}{login}": secrets.password(link.listener, f"{leaf_user(link)}{login}")
        for link in topology.links
        for login in ("", NEXT)
        if link.dialer == region
    }
    keys = topology.servers.keys([region])
    settings = {setting_key(name): secrets.setting(name) for name in [*secret_settings(services), *keys]}
    return {user: secrets.password(region, user) for user in users(topology, services)[region]} | dialed | settings


def _servers(topology: Topology, services: Sequence[Service], secrets: Secrets, region: str) -> Environment:
    """What the rendered configurations of a region's servers name; they find each other as `nats-<server>`."""
    named, scheme = Placeholders(), "tls" if topology.tls else "nats"
    made = {
        named.password(region, user)[1:]: secrets.password(region, user) for user in users(topology, services)[region]
    }
    asked = topology.servers.asked(region, alone=topology.region(region).nodes == 1)
    made |= {named.setting(key)[1:]: secrets.setting(key) for key in asked}
    for link in topology.links:
        if link.dialer == region:
            for server in topology.region(link.listener).servers:
                user, host = leaf_user(link), f"nats-{server}"
                login = f"{user}{secrets.used}"
                url = f"{scheme}://{login}:{secrets.password(link.listener, login)}@{host}:7422"
                made[named.url(link.listener, user, host, 7422)[1:]] = url
    return made


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
