"""Permissions: what each service's NATS user may publish and subscribe to; nothing else passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesh.event import Event, declaration_of
from mesh.events.console import ConsoleChanged
from mesh.events.mesh import SERVICE_REPORTS
from mesh.observability.event_counts import event_counters
from mesh.personal_data import PERSONAL_KEYS, encrypts
from mesh.service import Service
from mesh.streams import DEFAULT_LAYOUT, Bucket, StreamLayout, copies, dead_stream, mesh_stream
from mesh.subjects import carrier_subject, every, subject
from mesh.topology.access import inbox_of
from mesh.topology.derive.nats import consumers
from mesh.topology.secrets import COPIES
from mesh.web.sign_in_buckets import READ_BY_PAGES

_Named = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """Allow lists. `answers` lets a user reply to requests it received, and to nothing else.

    `never` is what may not be published although a pattern in `publish` would allow it.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    never: tuple[str, ...] = ()
    answers: bool = False


def service_permissions(
    service: Service,
    region: str,
    services: Sequence[Service] = (),
    layout: StreamLayout = DEFAULT_LAYOUT,
    *,
    others: Sequence[str] = (),
) -> Permissions:
    """What a service needs in a region, from its declarations; `services` are all there are, `others` the regions."""
    inbox = f"{inbox_of(region, service.name)}.>"
    publish = [
        *_publishing(service, region, services, layout),
        *(subject(region, declaration_of(kind), service.name) for kind in SERVICE_REPORTS),  # of nobody else
        f"dead.{region}.{service.name}.>",
        *(f"rpc.{region}.{asked}.>" for asked in service.asks),
        "$JS.API.INFO",
        *_looking(service, region, services, layout),
        *_consuming(service, region, layout),
        *(_redriving(services, region) if service.redrives else ()),
        *(part for bucket in service.buckets for part in _bucket(bucket)),
        *(part for bucket in _views(service, services) for part in _bucket_view(bucket)),
        *_personal_keys(service, services),
        *(_page_permissions(region) if service.pages else ()),
        *(part for object_store in service.object_stores for part in _object_store(object_store.name)),
    ]
    subscribe = [inbox]
    answers = bool(service.answered or service.consumes)  # a service with handlers is asked to redo dead letters
    if answers:
        subscribe.append(f"rpc.{region}.{service.name}.>")
    if service.resets_copies:
        resetting = copies_permissions(region, others, layout)
        publish += (*resetting.publish, f"$JS.API.STREAM.INFO.{layout.commerce.stream(region)}")  # whether it is ready
        subscribe += resetting.subscribe
    return Permissions(
        publish=tuple(dict.fromkeys(publish)),
        subscribe=tuple(subscribe),
        never=tuple(_never(service, region, services, others, layout)),
        answers=answers or service.resets_copies,
    )


def copies_permissions(region: str, others: Sequence[str], layout: StreamLayout = DEFAULT_LAYOUT) -> Permissions:
    """To reset the consumers through which other regions copy, and to answer their servers that ask for it."""
    copied = [copy for other in others for copy in copies(layout, origin=region, target=other)]
    return Permissions(
        publish=tuple(copy.reset_api for copy in copied),
        subscribe=(f"{inbox_of(region, COPIES)}.>", *(copy.reset_on for copy in copied)),
        answers=True,
    )


def _publishing(service: Service, region: str, services: Sequence[Service], layout: StreamLayout) -> list[str]:
    published = [declaration_of(kind) for kind in _published(service, services)]
    families = {layout.family_of(declaration) for declaration in published}
    if service.consumes:
        families.add(layout.operations)  # where it notes deliveries that nobody answered (mesh.unanswered)
    return [
        *(every(declaration, region=region) for declaration in published),
        *(
            f"timer.{region}.{declaration.domain}.{declaration.action}.*"
            for declaration in map(declaration_of, _scheduled(service, services))
        ),
        *(
            carrier_subject(region, family.name, "*")
            for family in layout.families
            if family in families and family.atomic
        ),
    ]


def _scheduled(service: Service, services: Sequence[Service]) -> list[type[Event]]:
    hosting = [other for other in services if service.hosts and other.acceptances]
    return list(dict.fromkeys(kind for one in (service, *hosting) for kind in one.timers))


def _published(service: Service, services: Sequence[Service]) -> list[type[Event]]:
    return list(dict.fromkeys((*service.publishes, *(_hosted(services) if service.hosts else ()))))


def _views(service: Service, services: Sequence[Service]) -> list[Bucket[Any]]:
    """The buckets of others that it reads; a host reads what those read whose events it takes."""
    hosted = [view for other in services if service.hosts and other.acceptances for view in other.views]
    return list(dict.fromkeys((*service.views, *hosted)))


def _hosted(services: Sequence[Service]) -> list[type[Event]]:
    """What follows from the events that services accept from outside: their host publishes it."""
    return [kind for service in services for acceptance in service.acceptances for kind in acceptance.publishes]


def _page_permissions(region: str) -> list[str]:
    """A service with pages looks up who is signed in, and puts on record what they change."""
    reading = [part for bucket in READ_BY_PAGES for part in _reading(f"KV_{bucket.name}")]
    return [*reading, every(declaration_of(ConsoleChanged), region=region)]


def _looking(service: Service, region: str, services: Sequence[Service], layout: StreamLayout) -> list[str]:
    """What it may read of streams: nothing, from within their account, as it can be sent anywhere (decisions/0026)."""
    if service.resets_copies:
        return []
    return _surveying(region, layout) if service.measures else _readings(service, region, services, layout)


def _readings(service: Service, region: str, services: Sequence[Service], layout: StreamLayout) -> list[str]:
    families = [family for family in layout.families if family != layout.personal or _is_personal(service, services)]
    streams = [*(family.stream(region) for family in families), mesh_stream(region)]
    further = [f"{family}_{region}" for family in service.reads]
    return [part for stream in (*streams, *further) for part in _reading(stream)]


def _is_personal(service: Service, services: Sequence[Service]) -> bool:
    """Whether a service has to do with personal events: publishes or consumes them, or reads their encrypted fields."""
    consumed = [kind for binding in service.bindings for kind in binding.kinds]
    kinds = (*_published(service, services), *consumed)
    return service.reads_personal_data or any(declaration_of(kind).personal for kind in kinds)


def _reading(stream: str) -> tuple[str, ...]:
    return (
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.STREAM.INFO.{stream}",
    )


def _surveying(region: str, layout: StreamLayout) -> list[str]:
    """To ask how streams and consumers are, to let streams count, and to read the heartbeats in the copies."""
    copied = mesh_stream(region)
    counting = dict.fromkeys(counter.stream for counter in event_counters(region, layout))
    written = [family.stream(region) for family in layout.families]
    return [
        f"$JS.API.STREAM.MSG.GET.{copied}",
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in (*written, copied, dead_stream(region))),
        *(f"$JS.API.CONSUMER.INFO.{stream}.*" for stream in (*written, copied)),
        # The last tokens are what is counted: nothing personal is.
        *(f"$JS.API.CONSUMER.CREATE.{stream}.*.ev.{region}.>" for stream in counting),
        *(f"$JS.API.CONSUMER.DELETE.{counter.stream}.{counter.name}" for counter in event_counters(region, layout)),
    ]


def _durables(services: Sequence[Service], region: str, others: Sequence[str], layout: StreamLayout) -> list[_Named]:
    """The consumers that these services are given, and those through which other regions copy: (stream, name)."""
    bound = [(spec.stream, spec.durable) for spec in consumers(services, region, layout)]
    copied = [copy for other in others for copy in copies(layout, origin=region, target=other)]
    return [*bound, *((copy.stream, copy.consumer) for copy in copied)]


def _consuming(service: Service, region: str, layout: StreamLayout) -> list[str]:
    allowed = []
    if service.consumes:
        allowed.append(f"$JS.API.STREAM.MSG.GET.{dead_stream(region)}")  # asked to redo a dead letter, it reads it
    for stream in _bound_later(service, region, layout):
        allowed += [*_private(stream), f"$JS.ACK.{stream}.*.>", f"$JS.ACK.{region}.*.{stream}.*.>"]
    for binding in service.bindings:
        for stream in binding.filters(region, layout):
            if binding.fanout:
                allowed += _private(stream)
            else:
                durable = f"{stream}.{binding.durable}"
                allowed += [
                    f"$JS.API.CONSUMER.MSG.NEXT.{durable}",
                    f"$JS.API.CONSUMER.INFO.{durable}",
                    f"$JS.ACK.{durable}.>",
                    f"$JS.ACK.{region}.*.{durable}.>",
                ]
                if binding.as_wanted:
                    allowed.append(f"$JS.API.CONSUMER.CREATE.{durable}")
    return allowed


def _redriving(services: Sequence[Service], region: str) -> list[str]:
    """To ask each service with handlers to handle a dead letter again, nothing else, and to remove what was handled."""
    asked = [f"rpc.{region}.{other.name}.redo" for other in services if other.consumes]
    return [*asked, f"$JS.API.STREAM.MSG.DELETE.{dead_stream(region)}"]


def _never(
    service: Service, region: str, services: Sequence[Service], others: Sequence[str], layout: StreamLayout
) -> list[str]:
    """Whoever may make consumers with free names must leave the durables of others alone."""
    followed = {stream for binding in service.bindings if binding.fanout for stream in binding.filters(region, layout)}
    later = set(_bound_later(service, region, layout))
    counting = {counter.stream for counter in event_counters(region, layout)} if service.measures else set()
    if not (followed or later or counting):
        return []
    strangers = [other for other in services if other.name != service.name]
    return [
        *(
            f"$JS.API.CONSUMER.{what}.{stream}.{durable}"
            for stream, durable in _durables(strangers, region, others, layout)
            if stream in followed | later
            for what in ("CREATE", "DELETE", "INFO", "MSG.NEXT")
        ),
        *(
            f"$JS.ACK.{place}{stream}.{durable}.>"
            for stream, durable in _durables(strangers, region, others, layout)
            if stream in later
            for place in ("", f"{region}.*.")
        ),
        *(
            f"$JS.API.CONSUMER.CREATE.{stream}.{durable}.>"
            for stream, durable in _durables(services, region, others, layout)
            if stream in counting
        ),
    ]


def _bound_later(service: Service, region: str, layout: StreamLayout) -> list[str]:
    """The streams of which it makes durables while it runs."""
    families = [one for one in layout.families if one not in (layout.personal, layout.operations)]
    return [family.stream(region) for family in families] if service.binds_later else []


def _private(stream: str) -> tuple[str, ...]:
    """A private consumer that is created, read and removed."""
    return tuple(f"$JS.API.CONSUMER.{what}.{stream}.*" for what in ("CREATE", "DELETE", "INFO", "MSG.NEXT"))


def _following(stream: str) -> tuple[str, ...]:
    """Private consumers, and nats-py's ordered ones, which are created under other subjects and use flow control."""
    return (
        *_private(stream),
        f"$JS.API.CONSUMER.CREATE.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.FC.{stream}.>",
    )


def _bucket(bucket: Bucket[Any]) -> tuple[str, ...]:
    erasing = (f"$JS.API.STREAM.MSG.DELETE.KV_{bucket.name}",) if bucket.erasable else ()
    return (f"$KV.{bucket.name}.>", *_bucket_view(bucket), f"$JS.API.STREAM.PURGE.KV_{bucket.name}", *erasing)


def _bucket_view(bucket: Bucket[Any]) -> tuple[str, ...]:
    return (*_reading(f"KV_{bucket.name}"), *_following(f"KV_{bucket.name}"))


def _personal_keys(service: Service, services: Sequence[Service]) -> tuple[str, ...]:
    """Who reads personal data reads single keys; who publishes it makes them as well."""
    made = (f"$KV.{PERSONAL_KEYS.name}.*",) if encrypts(_published(service, services)) else ()
    read = (f"$JS.API.STREAM.MSG.GET.KV_{PERSONAL_KEYS.name}",) if made or service.reads_personal_data else ()
    return (*made, *read)


def _object_store(name: str) -> tuple[str, ...]:
    stream = f"OBJ_{name}"
    return (
        f"$O.{name}.>",
        *_reading(stream),
        *_following(stream),
        f"$JS.API.STREAM.PURGE.{stream}",
        "$JS.API.STREAM.NAMES",
    )
