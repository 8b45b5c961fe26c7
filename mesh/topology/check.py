"""Check: what is declared, judged without a server: errors that must not be deployed, and warnings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from mesh.errors import DeclarationError, InvalidKey
from mesh.event import Declaration, Event, declaration_of, declared, newer
from mesh.events.mesh import SERVICE_REPORTS, PersonalDataShown
from mesh.service import Service
from mesh.streams import RECORDS, StreamLayout, copies
from mesh.subjects import every, overlap, token
from mesh.topology.derive.accounts import SERVERS, STREAMS
from mesh.topology.derive.nats import consumers, distinct, streams
from mesh.topology.derive.schemas import broken, moved, schemas, unkept
from mesh.topology.derive.services import handlers
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR, SYSTEM

OPERATOR_PUBLISHES: tuple[type[Event], ...] = (PersonalDataShown,)
"""What the commands publish, as the operator."""
EVERY_SERVICE = "every service"
"""Who publishes the reports of services, in sentences."""


@dataclass(frozen=True)
class Committed:
    """What was generated before: wire contracts by type, and consumers by region, stream and durable."""

    schemas: Mapping[str, Any] = field(default_factory=dict)
    consumers: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


@dataclass
class Report:
    """What `check` found: errors and warnings as sentences that name the remedy, notes on what is right as it is."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(topology: Topology, services: Sequence[Service], committed: Committed | None = None) -> Report:
    """Judge the declarations of the events, of `services` and of the topology, against what was `committed`."""
    before, report = committed or Committed(), Report()
    _names(services, report)
    _writers(services, report)
    _acceptances(services, report)
    _pages(services, report)
    _streams(topology, report)
    _state(services, report)
    _consumers(topology, services, before, report)
    _contracts(before, report)
    return report


def contracts(before: Committed) -> list[str]:
    """What breaks a wire type that was committed, each as a sentence."""
    changed = [
        f"{type_}: {'; '.join(reasons)}. Stored events stay as they are: "
        f"declare version={int(type_.rpartition('.v')[2]) + 1} with an upcast from version {type_.rpartition('.v')[2]}"
        for type_, reasons in broken(before.schemas, schemas()).items()
    ]
    elsewhere = [
        f"{type_}: {'; '.join(reasons)}. Versions share one subject: make it another event"
        for type_, reasons in moved(before.schemas).items()
    ]
    return changed + elsewhere


def lost(before: Committed) -> list[str]:
    """What is not known any more of older versions, each as a sentence."""
    return [
        f"{type_}: its schema is not in what was rendered before. Take it back from version control, or render it "
        "before the version after it is declared"
        for type_ in unkept(before.schemas)
    ]


def _names(services: Sequence[Service], report: Report) -> None:
    reserved = {OPERATOR, SYSTEM, STREAMS, SERVERS}
    for service in services:
        if service.name in reserved or service.name.startswith("leaf_"):
            report.errors.append(f"service {service.name!r}: that name belongs to the mesh itself; choose another name")
        for name in handlers(service):
            _token(name, f"{service.name}: handler", report)
            if name.startswith(("handle-", "on-", "process-")):
                report.warnings.append(
                    f"{service.name}: handler {name.replace('-', '_')} names its cause; name its effect, "
                    "such as award_points"
                )
    for declaration in declared():
        _token(declaration.domain, f"{declaration.type}: domain", report)
        _token(declaration.action, f"{declaration.type}: action", report)
    known = {service.name for service in services}
    for service in services:
        for asked in service.asks:
            if asked not in known:
                report.errors.append(
                    f"{service.name} asks {asked!r}, which is no service; there are {', '.join(sorted(known))}"
                )


def _token(name: str, what: str, report: Report) -> None:
    try:
        token(name, what)
    except InvalidKey as error:
        report.errors.append(str(error))


def _writers(services: Sequence[Service], report: Report) -> None:
    writers: dict[Declaration, list[str]] = {declaration: [] for declaration in declared()}
    consumed = {kind for service in services for binding in service.bindings for kind in binding.kinds}
    for kind in OPERATOR_PUBLISHES:
        writers[declaration_of(kind)].append(OPERATOR)
        consumed.add(kind)
    for kind in SERVICE_REPORTS:
        writers[declaration_of(kind)].append(EVERY_SERVICE)
    for service in services:
        for kind in dict.fromkeys(service.publishes):
            writers[declaration_of(kind)].append(service.name)
    for declaration, names in writers.items():
        if not names:
            report.errors.append(
                f"{declaration.type} has no writer: name {declaration.kind.__name__} in some service's publishes, "
                "or remove the event"
            )
        elif len(names) > 1:
            report.errors.append(
                f"{declaration.type} has {len(names)} writers, {' and '.join(names)}: let one of them publish it, "
                "or make it two events"
            )
    if unread := sorted(declaration.type for declaration in writers if declaration.kind not in consumed):
        report.notes.append(f"{len(unread)} events are stored and consumed by no service: {', '.join(unread)}")


def _acceptances(services: Sequence[Service], report: Report) -> None:
    accepted = Counter(one.type for service in services for one in service.acceptances if not one.joins)
    for type_, count in accepted.items():
        if count > 1:
            report.errors.append(f"{type_} is accepted by {count} services: let one accept it, and the others join")
    for service in services:
        for one in service.acceptances:
            if one.type not in accepted:
                report.errors.append(f"{one.source} joins in {one.type}, which no service accepts")


def _pages(services: Sequence[Service], report: Report) -> None:
    """Every page has a path of its own: one address leads to one service."""
    owners: dict[str, list[str]] = {}
    for service in services:
        for page in service.pages:
            owners.setdefault(page.path, []).append(service.name)
    for path, names in owners.items():
        if len(names) > 1:
            report.errors.append(
                f"{path} is the page of {' and '.join(names)}: give each page a path of its own, "
                "or browsers would reach only one of them"
            )


def _streams(topology: Topology, report: Report) -> None:
    for region in topology.names:
        made = streams(topology, region)
        for declaration in declared():
            homes = {
                stream.name for stream in made for s in stream.subjects if overlap(s, every(declaration, region=region))
            }
            if homes != {topology.layout.stream_of(declaration, region)}:
                found = " and ".join(sorted(homes)) or "none"
                report.errors.append(
                    f"{declaration.type} belongs to {topology.layout.stream_of(declaration, region)}, "
                    f"but is taken by {found}"
                )
        subjects = [(subject, stream.name) for stream in made for subject in stream.subjects]
        for (one, home), (other, away) in combinations(subjects, 2):
            if overlap(one, other):
                report.errors.append(f"{home} and {away} overlap: {one} and {other} take the same messages")

    domains = {declaration.domain for declaration in declared()}
    report.warnings += [
        f"streams.{family.name.lower()} takes the domain {domain}, of which no event is declared"
        for family in topology.streams
        for domain in family.domains
        if domain not in domains
    ]
    if topology.streams:  # who has none wants few streams
        report.warnings += _records(topology.layout, domains)


def _records(layout: StreamLayout, domains: set[str]) -> list[str]:
    """What is copied everywhere and kept for long of what services note of their own work."""
    homes = [family.name.lower() for family in layout.own if not family.copied and set(RECORDS) & set(family.domains)]
    where = f"domains of [streams.{homes[0]}]" if homes else "domains of a [streams.deliveries] with copied = false"
    return [
        f"{domain}: its events would be kept {layout.commerce.keep.days} days in {layout.commerce.name} and copied to "
        f'every region, where nobody needs them. Add "{domain}" to the {where} in mesh.toml, before a release with '
        "these events runs: later `cartmesh mesh apply` refuses to move them without --force"
        for domain in RECORDS
        if domain in domains and layout.family_of_domain(domain) == layout.commerce
    ]


def _state(services: Sequence[Service], report: Report) -> None:
    for kind in ("buckets", "object_stores"):
        try:
            distinct(one for service in services for one in getattr(service, kind))
        except DeclarationError as error:
            report.errors.append(str(error))


def _consumers(topology: Topology, services: Sequence[Service], before: Committed, report: Report) -> None:
    for service in services:
        for binding in service.bindings:
            if binding.reach == "mesh":
                report.errors += [
                    f"{binding.durable}: {declaration_of(kind).type} never leaves its region: "
                    'reach="mesh" would receive nothing'
                    for kind in binding.kinds
                    if not topology.layout.travels(declaration_of(kind))
                ]
    region = topology.names[0]
    for (stream, durable), count in Counter(
        (c.stream, c.durable) for c in consumers(services, region, topology.layout)
    ).items():
        if count > 1:
            report.errors.append(
                f"{durable} is bound {count} times to {stream.rpartition('_')[0]}: give each handler a name of its own"
            )
    for name in topology.names:
        here = {(spec.stream, spec.durable) for spec in consumers(services, name, topology.layout)}
        here |= {
            (copy.stream, copy.consumer)
            for target in topology.others(name)
            for copy in copies(topology.layout, origin=name, target=target)
        }
        gone = {
            (stream, durable) for stream, durables in before.consumers.get(name, {}).items() for durable in durables
        } - here
        report.warnings += [
            f"{durable} on {stream} is no longer declared: renaming a handler is a migration. The new one starts at "
            f"the beginning, the old one stays until `cartmesh mesh apply --force {stream}/{durable}`"
            for stream, durable in sorted(gone)
        ]


def _contracts(before: Committed, report: Report) -> None:
    report.errors += contracts(before)
    for type_ in sorted(before.schemas.keys() - schemas(before.schemas).keys()):
        known = newer(type_)
        report.warnings.append(
            f"{type_} is no longer declared: stored ones wait until it is, for {known.type} cannot read them"
            if known
            else f"{type_} is no longer declared: stored ones can no longer be read"
        )
