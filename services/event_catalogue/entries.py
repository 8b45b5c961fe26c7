"""Entries: what the catalogue says of each event, all from the declarations of events and services."""

import inspect
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import get_type_hints

import msgspec

from mesh.event import Declaration, declared
from mesh.events.mesh import SERVICE_REPORTS
from mesh.service import Service
from mesh.streams import StreamLayout
from mesh.topology.derive.asyncapi import summary
from mesh.topology.derive.catalog import type_in_words
from mesh.topology.derive.samples import as_json, cloud_event
from mesh.topology.derive.schemas import contract


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of an event; `everywhere` where it consumes every region's."""

    service: str
    handler: str
    does: str
    everywhere: bool


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `keep` is how long its stream has it, `ttl` how long the event is kept where that is less."""

    type: str
    title: str
    domain: str
    summary: str
    more: str
    older: tuple[str, ...]
    subject: str
    stream: str
    keep: timedelta
    ttl: timedelta | None
    personal: bool
    encrypted: tuple[str, ...]
    travels: bool
    publishers: tuple[str, ...]
    consumers: tuple[Consumer, ...]
    accepted: tuple[tuple[str, tuple[str, ...]], ...]
    fields: tuple[tuple[str, str], ...]
    schema: str
    sample: str

    @property
    def searched(self) -> str:
        """All that a search looks in."""
        names = (*self.publishers, *(one.service for one in self.consumers), *(name for name, _ in self.fields))
        return " ".join((self.type, self.title, self.summary, *self.older, *names)).casefold()


def entries(services: Sequence[Service], layout: StreamLayout, region: str) -> list[Entry]:
    """All events, by type."""
    return [_entry(one, services, layout, region) for one in declared()]


def search(found: Iterable[Entry], words: str) -> list[Entry]:
    """The entries in which every word occurs."""
    wanted = words.casefold().split()
    return [one for one in found if all(word in one.searched for word in wanted)]


def _entry(declaration: Declaration, services: Sequence[Service], layout: StreamLayout, region: str) -> Entry:
    kind, family = declaration.kind, layout.family_of(declaration)
    publishers = tuple(one.name for one in services if kind in one.publishes)
    _, _, more = (inspect.getdoc(kind) or "").partition("\n")
    return Entry(
        type=declaration.type,
        title=kind.__name__,
        domain=declaration.domain,
        summary=summary(declaration),
        more=" ".join(more.split()),
        older=declaration.older_types,
        subject=f"{declaration.root}.<region>.{declaration.name}.<{declaration.key}>",
        stream=family.stream(region),
        keep=family.keep,
        ttl=declaration.ttl,
        personal=declaration.personal,
        encrypted=declaration.encrypted,
        travels=layout.travels(declaration),
        publishers=("every service, of itself",) if kind in SERVICE_REPORTS else publishers,
        consumers=tuple(
            Consumer(
                service=service.name, handler=binding.name, does=binding.summary, everywhere=binding.reach == "mesh"
            )
            for service in services
            for binding in service.bindings
            if kind in binding.kinds
        ),
        accepted=tuple(
            (service.name, acceptance.by)
            for service in services
            for acceptance in service.acceptances
            if acceptance.kind is kind and not acceptance.joins
        ),
        fields=tuple((name, type_in_words(hint)) for name, hint in get_type_hints(kind).items()),
        schema=as_json(contract(declaration)["schema"]),
        sample=as_json(cloud_event(declaration)),
    )
