"""Access: where a mesh's servers are and as whom to connect; kept in `servers.json` for other processes."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mesh.broker.connection import Login
from mesh.errors import TopologyError
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR, SYSTEM, login_ending

SERVERS = Path("servers.json")
"""Where an embedded mesh keeps its access."""
TOPOLOGY = Path("mesh.toml")
_URL = "CARTMESH_NATS_URL_"


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
    login_ending: str = ""
    """How the names of the logins end that are used: each user has two (mesh.topology.secrets)."""
    mesh: tuple[str, ...] = ()
    """All regions of the mesh, where more are known than those with servers."""

    @property
    def names(self) -> tuple[str, ...]:
        """All regions of the mesh."""
        return self.mesh or tuple(self.regions)

    def login(self, region: str, user: str = OPERATOR) -> Login:
        """How a user connects to a region; TopologyError lists the regions or users there are."""
        servers = self.regions.get(region)
        if servers is None:
            raise TopologyError(
                f"there is no region {region!r} here; there are {', '.join(self.regions)}. {_how_to_name(region)}"
            )
        if user not in servers.passwords:
            raise TopologyError(f"{user!r} is no user of {region}; there are {', '.join(sorted(servers.passwords))}")
        return Login(
            region=region,
            servers=tuple(servers.urls.values()),
            user=f"{user}{self.login_ending}",
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
    def find(path: Path | str | None = None) -> "Access":
        """Where commands find the servers: in `path`, else in the environment, else in `servers.json` here.

        In the environment `CARTMESH_NATS_URL_<REGION>` (several with commas) and `CARTMESH_NATS_PASSWORD_<REGION>`, the
        operator's; a `mesh.toml` here says which streams there are. TopologyError says what to set.
        """
        if path:
            return Access.read(path)
        named = sorted(name.removeprefix(_URL) for name, urls in os.environ.items() if name.startswith(_URL) and urls)
        if named:
            return _in_environment(named)
        if SERVERS.exists():
            return Access.read(SERVERS)
        raise TopologyError(f"where are the servers? {_how_to_name('<region>')}")

    @staticmethod
    def read(path: Path | str) -> "Access":
        """What `write` kept; TopologyError when there is none."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=Access)
        except OSError as error:
            raise TopologyError(f"cannot read {path}: {error.strerror}. Is the mesh up?") from error
        except msgspec.DecodeError as error:
            raise TopologyError(f"{path} is no list of servers: {error}") from error


def _in_environment(named: Iterable[str]) -> Access:
    """The regions whose names in capitals are given, by variables; and what `mesh.toml` says, if it is here."""
    regions = {}
    for name in named:
        urls = [url.strip() for url in os.environ[f"{_URL}{name}"].split(",") if url.strip()]
        passwords = {OPERATOR: os.environ.get(f"CARTMESH_NATS_PASSWORD_{name}", "")}
        if system := os.environ.get(f"CARTMESH_NATS_SYS_PASSWORD_{name}"):
            passwords[SYSTEM] = system
        region = name.lower()
        regions[region] = Servers(
            urls={f"{region}-{index}": url for index, url in enumerate(urls, start=1)}, passwords=passwords
        )
    if not TOPOLOGY.exists():
        return Access(regions=regions, login_ending=login_ending(os.environ))
    topology = Topology.load(TOPOLOGY)
    return Access(regions=regions, layout=topology.layout, mesh=topology.names, login_ending=login_ending(os.environ))


def _how_to_name(region: str) -> str:
    capitals = region.upper()
    return (
        f"Set {_URL}{capitals} and CARTMESH_NATS_PASSWORD_{capitals}, "
        "or give --servers, the servers.json of an embedded mesh"
    )
