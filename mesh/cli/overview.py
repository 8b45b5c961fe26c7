"""Overview: the mesh as it is declared, for the eye of an operator."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from mesh.event import declared
from mesh.service import Service
from mesh.topology.derive.catalog import consumers_of, writers
from mesh.topology.derive.nats import streams
from mesh.topology.derive.services import handlers
from mesh.topology.mesh_toml import Topology


def tables(topology: Topology, services: Sequence[Service]) -> Iterator[Table]:
    """Regions, links, streams, services, events."""
    yield _table(
        "Regions",
        ("region", "servers", "copies", "time zone", "home to"),
        *(
            (r.name, ", ".join(r.servers), str(topology.replicas_in(r.name)), r.time_zone, " ".join(r.residency))
            for r in topology.regions
        ),
    )
    yield _table("Links", ("dials", "is dialled"), *((link.dialer, link.listener) for link in topology.links))
    yield _table(
        "Streams",
        ("stream", "takes", "copies from", "kept"),
        *(
            (
                stream.name,
                "\n".join(stream.subjects),
                "\n".join(f"{copy.stream} ({copy.filter})" for copy in stream.sources or ()),
                f"{stream.keep.days} days" if stream.keep else "until driven again",
            )
            for region in topology.names
            for stream in streams(topology, region)
        ),
    )
    yield _table(
        "Services",
        ("service", "what it does", "handlers", "state"),
        *(
            (
                service.name + (" (HTTP)" if service.serves_http else ""),
                service.summary,
                "\n".join(handlers(service)),
                "\n".join(
                    [
                        *(bucket.name for bucket in service.buckets),
                        *(object_store.name for object_store in service.object_stores),
                    ]
                ),
            )
            for service in services
        ),
    )
    yield _table(
        "Events",
        ("event", "published by", "consumed by", "reaches other regions"),
        *(
            (
                declaration.type,
                ", ".join(writers(declaration, services)),
                ", ".join(f"{name}*" if far else name for name, far in consumers_of(declaration, services).items()),
                "yes" if topology.layout.travels(declaration) else "no",
            )
            for declaration in declared()
        ),
    )


def _table(title: str, heads: Sequence[str], *rows: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
