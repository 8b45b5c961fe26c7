"""Server settings: what `[servers]` and `[quotas]` in `mesh.toml` may contain: how JetStream stores, and how much.

https://docs.nats.io/running-a-nats-service/configuration/resource_management (JetStream)
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mesh.errors import TopologyError
from mesh.streams import DEAD, INTERACTIONS, MESH, OPERATIONS, StreamFamily
from mesh.topology.secrets import Secrets

ALWAYS = "always"
CIPHERS = ("aes", "chachapoly")
SMALLEST_QUOTA = 1_000_000
_interval = re.compile(r"[1-9][0-9]*(ms|s|m)", re.ASCII).fullmatch
_size = re.compile(r"([1-9][0-9]*)(KB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII).fullmatch
_UNITS: dict[str, int] = {
    f"{prefix}{ending}": base**power
    for ending, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", 1)
}
DROPS_OLDEST = frozenset({INTERACTIONS.name, OPERATIONS.name, MESH})
"""Families that make room behind their quota. The others refuse what is new: what they hold exists nowhere else."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a region's servers store.

    `sync_interval`: how often files are synced to disk, or `always`: before each acknowledgement. `cipher`: with what
    they are encrypted (not at all where it is empty), by a key of the region's own. `cipher_key`: which one, from 1.
    A server that is alone opens by the one before what that stored, and stores it by the new one at its start. In a
    cluster nats-server 2.15.1 does not (its own log of the cluster stays closed): each fills an empty disk.
    """

    sync_interval: str = "2m"
    cipher: str = ""
    cipher_key: int = 1

    def checked(self) -> "ServerSettings":
        """Itself; TopologyError where a server would refuse it, or sync too rarely."""
        if self.sync_interval != ALWAYS and not _interval(self.sync_interval):
            raise TopologyError(f'servers.sync_interval = "{self.sync_interval}": write 500ms, 10s, 2m or {ALWAYS}')
        if self.cipher and self.cipher not in CIPHERS:
            raise TopologyError(f'servers.cipher = "{self.cipher}": write {" or ".join(CIPHERS)}, or leave it out')
        if self.cipher_key < 1 or (self.cipher_key > 1 and not self.cipher):
            raise TopologyError(f"servers.cipher_key = {self.cipher_key}: write 1, 2, ... beside a servers.cipher")
        return self

    def stored(self, region: str, secrets: Secrets, *, alone: bool) -> dict[str, Any]:
        """What stands in the block `jetstream` of a configuration; `alone`: the region has a single server."""
        made: dict[str, Any] = {"sync_interval": self.sync_interval}
        if self.cipher:
            made |= {"cipher": self.cipher, "key": secrets.setting_value(key_name(region, self.cipher_key))}
        if alone and self.cipher_key > 1:
            made["prev_encryption_key"] = secrets.setting_value(key_name(region, self.cipher_key - 1))
        return made

    def keys(self, regions: Iterable[str]) -> list[str]:
        """The secret settings with the regions' keys: the used one and the one before, which may be open yet."""
        used = range(max(1, self.cipher_key - 1), self.cipher_key + 1) if self.cipher else ()
        return [key_name(region, number) for region in regions for number in used]

    def asked(self, region: str, *, alone: bool) -> list[str]:
        """Those that the servers of a region ask for, as in `stored`."""
        found = self.keys([region])
        return found if alone else found[-1:]


def key_name(region: str, number: int) -> str:
    """The secret setting with a key of a region's files. Without it they cannot be read by anybody."""
    return f"jetstream_key_{region}" + (f"_{number}" if number > 1 else "")


def quotas_of(written: Mapping[str, str]) -> dict[str, int]:
    """Family (`INTERACTIONS`) -> the most bytes that its stream may take; TopologyError for what is no size."""
    return {name.upper(): _bytes(name, text) for name, text in written.items()}


def check_quotas(quotas: Mapping[str, int], families: Iterable[StreamFamily]) -> None:
    """Refuse a quota of a family that there is not or cannot have one, and one in which hardly anything fits.

    A stream with timers can only make room (nats-server 2.15: "message scheduling cannot use discard new"): behind a
    quota it would lose orders.
    """
    bounded = sorted({MESH, DEAD, *(family.name for family in families if not family.schedules)})
    for name, most in quotas.items():
        if name not in bounded:
            raise TopologyError(
                f"quotas.{name.lower()}: quotas are for {', '.join(one.lower() for one in bounded)}; "
                "the other streams keep all that their retention says, and take what these leave of the disk"
            )
        if most < SMALLEST_QUOTA:
            raise TopologyError(f"quotas.{name.lower()}: {most:,} bytes are too few, write 1MB or more")


def _bytes(name: str, text: str) -> int:
    found = _size(text)
    if not found:
        raise TopologyError(f'quotas.{name} = "{text}": write a size such as 500MB, 20GB or 1TiB')
    return int(found[1]) * _UNITS[found[2]]
