"""Discovery: services and events are found where they are declared, never listed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from mesh.errors import DeclarationError
from mesh.service import Service

GROUP = "cartmesh.services"
EVENTS = "cartmesh.events"
"""Entry points that name packages of event modules, one file per domain, as `mesh.events` is one."""
_declares_service = re.compile(r"^\w+ = Service\(", re.MULTILINE).search
_declares_event = re.compile(r"^@event\(", re.MULTILINE).search


def discover(packages: Iterable[str] | None = None) -> list[Service]:
    """Every service declared in these packages (default: those of the entry points `cartmesh.services`), by name.

    Only modules with a line `name = Service(` are imported, and those that declare events. DeclarationError when two
    services share a name.
    """
    return list(_installed() if packages is None else _declared(packages))


@cache
def _installed() -> tuple[Service, ...]:
    """Those of the entry points. Every source file is read for them, so they are looked for once in a process."""
    return _declared(_packages())


def _declared(packages: Iterable[str]) -> tuple[Service, ...]:
    declare_events()
    services: dict[str, Service] = {}
    for package in sorted(packages):
        for module in _declaring(package).services:
            for service in vars(import_module(module)).values():
                if isinstance(service, Service) and service.module == module:
                    _add(services, service)
    return tuple(services[name] for name in sorted(services))


@cache
def declare_events() -> None:
    """Import every module that declares events.

    Those are the modules of `mesh.events` and of the packages in the entry points `cartmesh.events`, and each file with
    a line `@event(` in packages with services: a service may declare the events that nobody else consumes.
    """
    for package in ("mesh.events", *sorted(found.value for found in entry_points(group=EVENTS))):
        for module in iter_modules(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    for package in sorted(_packages() - {"mesh"}):
        for declaring in _declaring(package).events:
            import_module(declaring)


def _packages() -> set[str]:
    """The packages in which services are looked for."""
    return {"mesh", *(found.value for found in entry_points(group=GROUP))}


def _add(services: dict[str, Service], service: Service) -> None:
    taken = services.setdefault(service.name, service)
    if taken is not service:
        raise DeclarationError(f"two services are called {service.name!r}: {taken.module} and {service.module}")


@dataclass(frozen=True)
class Declaring:
    """The modules of a package that declare services, and those that declare events."""

    services: list[str]
    events: list[str]


@cache  # the files of a package are read once in each process
def _declaring(package: str) -> Declaring:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DeclarationError(f"entry point {GROUP}: there is no package {package!r}")
    services, events = set(), set()
    for root in map(Path, found.submodule_search_locations):
        for path in root.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join((package, *parts)).removesuffix(".__init__")
            if _declares_service(text):
                services.add(module)
            if _declares_event(text):
                events.add(module)
    return Declaring(sorted(services), sorted(events))
