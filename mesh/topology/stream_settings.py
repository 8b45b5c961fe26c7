"""Streams of their own: what `[streams.<name>]` in `mesh.toml` may contain."""

import re
from collections.abc import Sequence
from datetime import timedelta

from mesh.errors import TopologyError
from mesh.streams import COMMERCE, DEAD, INTERACTIONS, MESH, OPERATIONS, PERSONAL, StreamFamily

_name = re.compile(r"[a-z][a-z0-9]{0,15}", re.ASCII).fullmatch
_domain = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII).fullmatch
_SHORTEST, _LONGEST = timedelta(days=1), timedelta(days=3660)
_TAKEN = {COMMERCE.name, INTERACTIONS.name, PERSONAL.name, OPERATIONS.name, MESH, DEAD, "KV", "OBJ"}


def own_family(name: str, domains: Sequence[str], *, keep: timedelta, copied: bool = True) -> StreamFamily:
    """The streams `<NAME>_<region>` for some domains. They take commits and timers, as the commerce stream does.

    Other regions get their events unless `copied` is off.
    """
    return StreamFamily(
        name=name.upper(),
        domains=tuple(domains),
        keep=keep,
        schedules=True,
        copied=copied,
        description=f"What happened in {' and '.join(domains)}",
    )


def check_streams(families: Sequence[StreamFamily]) -> None:
    """Refuse families that cannot work; the TopologyError names what to write instead."""
    homes: dict[str, str] = {}
    for family in families:
        where = f"streams.{family.name.lower()}"
        if not _name(family.name.lower()) or family.name in _TAKEN:
            taken = ", ".join(sorted(name.lower() for name in _TAKEN))
            raise TopologyError(
                f"{where}: 1 to 16 of a-z and 0-9, beginning with a letter, and none of the mesh's own ({taken})"
            )
        check_keep(f"{where}.keep", family.keep)
        if not family.domains:
            raise TopologyError(f'{where} takes no domain: write domains = ["{family.name.lower()}"]')
        for domain in family.domains:
            if not _domain(domain):
                raise TopologyError(f"{where}: domain {domain!r} is no module's name such as stock")
            if domain in INTERACTIONS.domains:
                raise TopologyError(f"{where}: the events of {domain} are interactions, which are stored one by one")
            if domain in OPERATIONS.domains:
                raise TopologyError(f"{where}: the events of {domain} are the mesh's own, and have a stream already")
            if domain in homes:
                raise TopologyError(f"{homes[domain]} and {where} both take {domain}: a domain is in one stream")
            homes[domain] = where


def check_keep(name: str, keep: timedelta) -> None:
    """Refuse a retention that is too short or too long."""
    if not _SHORTEST <= keep <= _LONGEST:
        raise TopologyError(f"{name} must be between 1d and 3660d")
