"""Catalogue: a page for people: who publishes what to whom, every event with its fields, every service."""

from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mesh.event import Declaration, declaration_of, declared
from mesh.events.mesh import SERVICE_REPORTS
from mesh.service import Service
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from mesh.topology.derive.asyncapi import older_versions, summary

_FENCE = "```"


def catalog(services: Sequence[Service], layout: StreamLayout = DEFAULT_LAYOUT) -> str:
    """The page in Markdown, with the graph in Mermaid."""
    return "\n".join(
        [
            "# Who publishes what",
            "",
            f"{_FENCE}mermaid",
            *graph(services),
            _FENCE,
            "",
            "# Services",
            "",
            "| service | what it does | publishes | consumes |",
            "|---|---|---|---|",
            *(_service(service) for service in services),
            "",
            "# Events",
            *(line for declaration in declared() for line in _event(declaration, services, layout)),
            "",
        ]
    )


def graph(services: Sequence[Service]) -> list[str]:
    """One arrow from each publisher to each consumer, with the events; dotted where every region's are consumed."""
    arrows: dict[tuple[str, str, bool], list[str]] = {}
    for declaration in declared():
        for publisher in writers(declaration, services):
            for consumer, far in consumers_of(declaration, services).items():
                arrows.setdefault((publisher, consumer, far), []).append(f"{declaration.domain}.{declaration.action}")
    return [
        "flowchart LR",
        *(f"  {_id(service.name)}[{service.name}]" for service in services),
        *(
            f"  {_id(publisher)} {'-.->' if far else '-->'}|{'<br/>'.join(events)}| {_id(consumer)}"
            for (publisher, consumer, far), events in sorted(arrows.items())
        ),
    ]


def writers(declaration: Declaration, services: Sequence[Service]) -> list[str]:
    """The names of the services that publish an event."""
    return [service.name for service in services if declaration.kind in service.publishes]


def consumers_of(declaration: Declaration, services: Sequence[Service]) -> dict[str, bool]:
    """The names of the services that consume an event, and whether they consume every region's."""
    found: dict[str, bool] = {}
    for service in services:
        for binding in service.bindings:
            if declaration.kind in binding.kinds:
                found[service.name] = found.get(service.name, False) or binding.reach == "mesh"
    return found


def _service(service: Service) -> str:
    published = ", ".join(f"`{declaration_of(kind).type}`" for kind in service.publishes)
    consumed = dict.fromkeys(declaration_of(kind).type for binding in service.bindings for kind in binding.kinds)
    return (
        f"| {service.name} | {_cell(service.summary)} | {published} | {', '.join(f'`{name}`' for name in consumed)} |"
    )


def _event(declaration: Declaration, services: Sequence[Service], layout: StreamLayout) -> list[str]:
    where = "reaches every region" if layout.travels(declaration) else "never leaves its region"
    consumers = ", ".join(
        f"{name} (every region's)" if far else name for name, far in consumers_of(declaration, services).items()
    )
    published = ", ".join(writers(declaration, services)) or "nobody"
    if declaration.kind in SERVICE_REPORTS:
        published = "every service, of itself"
    older = older_versions(declaration)
    subject = f"{declaration.root}.<region>.{declaration.domain}.{declaration.action}.<{declaration.key}>"
    return [
        "",
        f"## `{declaration.type}`",
        "",
        summary(declaration),
        "",
        f"Published by {published}; consumed by {consumers or 'nobody'}; {where}. Subject `{subject}`.",
        *(("", older) if older else ()),
        "",
        "| field | type |",
        "|---|---|",
        *(f"| {name} | {_cell(type_in_words(hint))} |" for name, hint in get_type_hints(declaration.kind).items()),
    ]


def type_in_words(hint: Any) -> str:
    """A type as it is written: `tuple[CartLine, ...]`, `str | None`."""
    if hint is Ellipsis:
        return "..."
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return " | ".join(repr(value) for value in arguments)
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(type_in_words(argument) for argument in arguments)
    name = "None" if hint is type(None) else getattr(hint, "__name__", str(hint))
    return f"{name}[{', '.join(map(type_in_words, arguments))}]" if arguments else name


def _id(name: str) -> str:
    return f"s_{name.replace('-', '_')}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
