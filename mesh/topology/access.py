"""Access: where a mesh's servers are and as whom to connect; kept in `servers.json` for other processes."""

import os
from pathlib import Path

import msgspec

from mesh.broker.connection import Login
from mesh.errors import TopologyError
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from mesh.topology.secrets import OPERATOR


def inbox_of(region: str, user: str) -> str:
    """The prefix of the inboxes a user may listen on: its own, so that no user receives another's answers."""
    return f"_INBOX_{region}_{user}"


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """A region's servers: client and monitoring addresses by server name, and the users' passwords."""

    urls: dict[str, str]
    monitors: dict[str, str] = {}
    passwords: dict[str, str] = {}


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """All regions' servers, which streams the mesh has, and the secret settings of its services, by variable."""

    regions: dict[str, Servers]
    settings: dict[str, str] = {}
    layout: StreamLayout = DEFAULT_LAYOUT

    def login(self, region: str, user: str = OPERATOR) -> Login:
        """How a user connects to a region; TopologyError lists the regions or users there are."""
        servers = self.regions.get(region)
        if servers is None:
            raise TopologyError(f"no servers of region {region!r} are known; there are {', '.join(self.regions)}")
        if user not in servers.passwords:
            raise TopologyError(f"{user!r} is no user of {region}; there are {', '.join(sorted(servers.passwords))}")
        return Login(
            region=region,
            servers=tuple(servers.urls.values()),
            user=user,
            password=servers.passwords[user],
            inbox_prefix=inbox_of(region, user),
        )

    def has(self, region: str, user: str) -> bool:
        """Whether a user's password in a region is known."""
        return region in self.regions and user in self.regions[region].passwords

    def write(self, path: Path) -> None:
        """Keep it in a file that only its owner may read; readers see the old one or the new one, never half."""
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))
        fresh.replace(path)

    @staticmethod
    def read(path: Path | str) -> "Access":
        """What `write` kept; TopologyError when there is none."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=Access)
        except OSError as error:
            raise TopologyError(f"cannot read {path}: {error.strerror}. Is the mesh up?") from error
        except msgspec.DecodeError as error:
            raise TopologyError(f"{path} is no list of servers: {error}") from error
