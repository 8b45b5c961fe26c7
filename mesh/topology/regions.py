"""Regions and the links between them, and what is refused of them. Every refusal is a TopologyError."""

import re
from dataclasses import dataclass
from itertools import combinations, pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mesh.errors import TopologyError

_region_name = re.compile(r"[a-z][a-z0-9]{0,15}", re.ASCII).fullmatch
_host_and_port = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}", re.ASCII).fullmatch
_country = re.compile(r"[A-Z]{2}", re.ASCII).fullmatch


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region: a cluster of `nodes` servers with a JetStream domain of its own.

    `residency` are the countries (ISO 3166 alpha-2) whose shoppers live here. `leafnode_address` is the `host:port`
    that the servers of other regions dial.
    """

    name: str
    nodes: int = 3
    time_zone: str = "UTC"
    residency: tuple[str, ...] = ()
    leafnode_address: str = ""

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of its servers: `eu-1`, `eu-2`, ..."""
        return tuple(f"{self.name}-{index}" for index in range(1, self.nodes + 1))


@dataclass(frozen=True, kw_only=True)
class Link:
    """Two regions joined: every server of `dialer` dials a server of `listener`."""

    dialer: str
    listener: str

    def joins(self, region: str) -> bool:
        """Whether the link ends in a region."""
        return region in (self.dialer, self.listener)

    @property
    def name(self) -> str:
        """The link as text."""
        return f"{self.dialer} -> {self.listener}"


def check_names(names: list[str]) -> None:
    """Refuse no region at all, and a region that is written twice."""
    if not names:
        raise TopologyError("there is no region: write [regions.us] with nodes = 3")
    for one, other in pairwise(sorted(names)):
        if one == other:
            raise TopologyError(f"region {one!r} is written twice")


def check_region(region: Region) -> None:
    """Refuse a region that cannot be run as it is written."""
    if not _region_name(region.name):
        raise TopologyError(f"region name {region.name!r}: 1 to 16 of a-z and 0-9, beginning with a letter")
    if region.nodes < 1 or region.nodes > 9 or region.nodes % 2 == 0:
        raise TopologyError(
            f"region {region.name!r} has nodes = {region.nodes}: write 1, 3, 5, 7 or 9; "
            "an even number survives no more failures than one less, and two survive none"
        )
    try:
        ZoneInfo(region.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise TopologyError(
            f"region {region.name!r} has time_zone = {region.time_zone!r}: write an IANA name such as Europe/Berlin"
        ) from None
    if region.leafnode_address and not _host_and_port(region.leafnode_address):
        raise TopologyError(
            f"region {region.name!r} has leafnode_address = {region.leafnode_address!r}: "
            "write the host and port that other regions dial, such as nats.eu.example.com:7422"
        )


def check_residency(regions: tuple[Region, ...]) -> None:
    """Refuse a country that is none, or that two regions are home to."""
    homes: dict[str, str] = {}
    for region in regions:
        for country in region.residency:
            if not _country(country):
                raise TopologyError(f"region {region.name!r}: residency {country!r} is no ISO 3166 code such as DE")
            if country in homes:
                raise TopologyError(
                    f"regions {homes[country]!r} and {region.name!r} overlap: both are home to {country}"
                )
            homes[country] = region.name


def check_links(links: tuple[Link, ...], names: tuple[str, ...]) -> None:
    """Refuse links that do not join every two regions exactly once."""
    joined: dict[frozenset[str], Link] = {}
    for link in links:
        for end in (link.dialer, link.listener):
            if end not in names:
                raise TopologyError(
                    f"link {link.name} ends in {end!r}, which is no region; there are {', '.join(names)}"
                )
        if link.dialer == link.listener:
            raise TopologyError(f"link {link.name} joins a region with itself: remove it")
        pair = frozenset((link.dialer, link.listener))
        if pair in joined:
            raise TopologyError(f"{link.dialer} and {link.listener} are linked twice: one link carries both directions")
        joined[pair] = link
    for one, other in combinations(names, 2):
        if frozenset((one, other)) not in joined:
            raise TopologyError(
                f"{one} and {other} are not linked, so neither would receive the other's events: "
                f'add [[links]] from = "{other}" to = "{one}"'
            )
