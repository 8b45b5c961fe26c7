"""Two releases: what users may do while pods of an old and a new one run side by side, which is what either needs."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mesh.errors import TopologyError
from mesh.topology.derive.permissions import Permissions

Users = Mapping[str, Permissions]


def either(now: Users, before: Users) -> dict[str, Permissions]:
    """Each user's permissions in either release; one that has only the old release is kept."""
    return {name: _either(now.get(name), before.get(name)) for name in [*now, *sorted(before.keys() - now.keys())]}


def read_permissions(path: Path) -> dict[str, dict[str, Permissions]]:
    """The users of each region, from the `permissions.json` that a release was rendered with."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(written["regions"], dict[str, dict[str, Permissions]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TopologyError(f"{path} is no deploy/generated/permissions.json of a release: {error}") from error


def running_users(path: Path, region: str) -> dict[str, Permissions]:
    """The users of one region in such a file. TopologyError where it is of a mesh without this region."""
    regions = read_permissions(path)
    if region not in regions:
        raise TopologyError(
            f"{path} has no region {region}, only {', '.join(regions)}. With the release that runs and your mesh.toml "
            "make it by `cartmesh mesh render --file mesh.toml --folder before/generated`; a new region needs none"
        )
    return regions[region]


def _either(now: Permissions | None, before: Permissions | None) -> Permissions:
    if now is None or before is None:
        return now or before or Permissions(publish=(), subscribe=())
    return Permissions(
        publish=tuple(dict.fromkeys((*now.publish, *before.publish))),
        subscribe=tuple(dict.fromkeys((*now.subscribe, *before.subscribe))),
        never=tuple(one for one in now.never if one in before.never),
        answers=now.answers or before.answers,
    )
