"""Accounts: a region's streams are in one of their own, and so is each service, which reaches them by imports alone.

A server answers to whatever subject a request names, as itself (decisions/0026). The subject of an answer is resolved
in the account of whoever asked. In a service's account there are no streams: only its inboxes, and its own imports.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mesh.service import Service
from mesh.streams import copies
from mesh.subjects import covers
from mesh.topology.access import inbox_of
from mesh.topology.derive.link_permissions import asked_by, link_permissions, operator_never
from mesh.topology.derive.permissions import Permissions, copies_permissions, service_permissions
from mesh.topology.derive.two_releases import Users, either
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link, Region
from mesh.topology.secrets import COPIES, NEXT, OPERATOR, SYSTEM, Secrets

Config = dict[str, Any]

STREAMS = "SHOP"
"""The account in which a region's streams are. Its operator and the links are in it too."""
SERVERS = "SYS"
"""The account of the servers themselves."""

_STORED = ("ev.>", "pii.>", "timer.>", "carrier.>", "dead.>", "$KV.>", "$O.>", "$JS.ACK.>", "$JS.FC.>")
"""What is answered once, or not at all."""
_ASKED = "$JS.API.>"
"""What may have many answers: messages that are pulled or read."""
_SILENCE = "30s"
"""After so long without another answer the server forgets where they go. A pull that waits is sent heartbeats."""


def accounts(
    topology: Topology, services: Sequence[Service], region: Region, secrets: Secrets, before: Users | None = None
) -> Config:
    """Who may connect to a region's servers, and what each may do: with `before` also what that release's pods need."""
    others = topology.others(region.name)
    users = {
        service.name: service_permissions(service, region.name, services, topology.layout, others=others)
        for service in services
        if not service.hosted
    }
    users = either(users, before or {})
    # It answers other regions' servers, on subjects of the account that the links are in.
    resetting = users.pop(COPIES, None) or copies_permissions(region.name, others, topology.layout)
    return {
        "system_account": SERVERS,
        "accounts": {
            SERVERS: {"users": _logins({"user": SYSTEM}, region, secrets)},
            STREAMS: {
                "jetstream": "enabled",
                "users": [
                    *_operator(topology, region, secrets),
                    *_user(region, COPIES, resetting, secrets),
                    *_links(topology, region, secrets),
                ],
                "mappings": _mappings(region, topology),
                **_offered(region.name, users),
            },
            **{name: _service(region, name, users, secrets) for name in users},
        },
    }


def leaf_user(link: Link) -> str:
    """The user as whom a link's dialer comes in."""
    return f"leaf_{link.dialer}"


def _offered(region: str, users: dict[str, Permissions]) -> Config:
    """What the account of the streams offers to services, and the requests to them that its operator may make."""
    known = sorted(users)
    exports = [
        *({"service": subject, "accounts": known} for subject in _STORED),
        {"service": _ASKED, "response_type": "stream", "response_threshold": _SILENCE, "accounts": known},
        *({"stream": f"{inbox_of(region, name)}.>", "accounts": [name]} for name in known),
    ]
    imports = [_import("service", name, _requests(region, name)) for name, may in users.items() if may.answers]
    return ({"exports": exports} if known else {}) | ({"imports": imports} if imports else {})


def _service(region: Region, name: str, users: dict[str, Permissions], secrets: Secrets) -> Config:
    may = users[name]
    imports = [
        # Of a service that does not run here there is no account: `check` says so, and a request finds nobody.
        *(
            _import("service", owner, subject)
            for subject in broadest(may.publish)
            if (owner := _owner(subject, region.name)) == STREAMS or owner in users
        ),
        # Where consumers deliver that push: watched buckets, and objects.
        _import("stream", STREAMS, f"{inbox_of(region.name, name)}.>"),
    ]
    account: Config = {"users": _user(region, name, may, secrets), "imports": imports}
    if may.answers:
        requests = _requests(region.name, name)
        asking = [other for other, theirs in users.items() if other != name and _asks(theirs, requests)]
        account["exports"] = [{"service": requests, "accounts": [STREAMS, *asking]}]
    return account


def broadest(subjects: Iterable[str]) -> list[str]:
    """Without those that others among them cover: what two imports take arrives twice."""
    found = list(dict.fromkeys(subjects))
    # Most are told apart by what stands before the first wildcard.
    patterns = [(one, re.split(r"[*>]", one)[0]) for one in found if "*" in one or one.endswith(">")]
    return [
        one
        for one in found
        if not any(one.startswith(head) and pattern != one and covers(pattern, one) for pattern, head in patterns)
    ]


def _requests(region: str, service: str) -> str:
    return f"rpc.{region}.{service}.>"


def _asks(may: Permissions, requests: str) -> bool:
    """Whether somebody may make some of the requests to a service."""
    return any(subject.startswith(requests.removesuffix(">")) for subject in may.publish)


def _owner(subject: str, region: str) -> str:
    """The account that offers a subject: the service's for requests to it, else that of the streams."""
    root, _, rest = subject.partition(".")
    return rest.removeprefix(f"{region}.").split(".")[0] if root == "rpc" else STREAMS


def _import(kind: str, account: str, subject: str) -> Config:
    return {kind: {"account": account, "subject": subject}}


def _operator(topology: Topology, region: Region, secrets: Secrets) -> list[Config]:
    refused = operator_never(region.name, topology.others(region.name), topology.layout)
    permissions = {"permissions": {"publish": {"deny": list(refused)}}} if refused else {}
    return _logins({"user": OPERATOR, **permissions}, region, secrets)


def _links(topology: Topology, region: Region, secrets: Secrets) -> list[Config]:
    return [
        login | {"allowed_connection_types": ["LEAFNODE"]}
        for link in topology.links
        if link.listener == region.name
        for login in _user(region, leaf_user(link), link_permissions(link, topology.layout), secrets)
    ]


def _mappings(region: Region, topology: Topology) -> Config:
    """Only what is mapped is offered over links by its own name.

    A JetStream domain offers its whole API as one subject, which a link either carries or does not.
    """
    others, layout = topology.others(region.name), topology.layout
    return {
        asked: copy.reset_on
        for other in sorted(others)
        for asked, copy in zip(
            asked_by(other, region.name, layout), copies(layout, origin=region.name, target=other), strict=True
        )
    }


def _user(region: Region, name: str, may: Permissions, secrets: Secrets) -> list[Config]:
    permissions: Config = {"publish": {"allow": list(may.publish)}, "subscribe": {"allow": list(may.subscribe)}}
    if may.never:
        permissions["publish"]["deny"] = list(may.never)
    if may.answers:
        permissions["allow_responses"] = {"max": 1, "expires": "1m"}
    return _logins({"user": name, "permissions": permissions}, region, secrets)


def _logins(user: Config, region: Region, secrets: Secrets) -> list[Config]:
    """A user's two logins: the password of one can be changed while everybody uses the other."""
    names = (user["user"], f"{user['user']}{NEXT}")
    return [{**user, "user": name, "password": secrets.value(region.name, name)} for name in names]
