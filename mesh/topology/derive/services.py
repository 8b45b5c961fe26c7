"""Services: what must run, in a form that any deployment tool can read."""

from collections.abc import Sequence
from typing import Any

from mesh.event import declaration_of
from mesh.service import Service


def described(services: Sequence[Service]) -> dict[str, Any]:
    """Service -> where it is, whether it serves HTTP, what it publishes, consumes, answers, asks and keeps."""
    return {service.name: _one(service) for service in services}


def secrets_of(service: Service, services: Sequence[Service]) -> tuple[str, ...]:
    """The secret settings that a service does not start without; a host needs those of the services that it hosts."""
    hosting = [other for other in services if service.hosts and other.acceptances]
    return tuple(sorted({name for one in (service, *hosting) for name in one.secrets}))


def deployed(services: Sequence[Service]) -> dict[str, Any]:
    """Service -> what a deployment needs to know of it: little, so that it changes only when a deployment must.

    The code wins over values, but for `enabled`, with which a demo only begins.
    """
    return {service.name: _facts(service, services) for service in services if service.needs_process}


def handlers(service: Service) -> list[str]:
    """The names of all its handlers."""
    return [
        *(binding.name for binding in service.bindings),
        *(tick.name for tick in service.ticks),
        *(answer.name for answer in service.answered),
    ]


def _facts(service: Service, services: Sequence[Service]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "http": service.serves_http,
        "durables": [binding.durable for binding in service.bindings if not binding.fanout],
    }
    if service.pages:
        facts["pages"] = [page.path for page in service.pages]
    if secrets := secrets_of(service, services):
        facts["secrets"] = list(secrets)
    return facts | {"enabled": False} if service.demo else facts


def _one(service: Service) -> dict[str, Any]:
    return {
        "module": service.module,
        "summary": service.summary,
        "http": service.serves_http,
        "demo": service.demo,
        "publishes": [declaration_of(kind).type for kind in service.publishes],
        "consumes": [
            {
                "handler": binding.name,
                "durable": None if binding.fanout else binding.durable,
                "events": [declaration_of(kind).type for kind in binding.kinds],
                "reach": binding.reach,
                "batch": binding.batch,
                "does": binding.summary,
            }
            for binding in service.bindings
        ],
        "ticks": {tick.name: tick.period.total_seconds() for tick in service.ticks},
        "accepts": {
            acceptance.type: {"by": list(acceptance.by), "does": acceptance.summary}
            for acceptance in service.acceptances
            if not acceptance.joins
        },
        "joins": {
            acceptance.type: {"does": acceptance.summary} for acceptance in service.acceptances if acceptance.joins
        },
        "answers": [answer.name for answer in service.answered],
        "asks": list(service.asks),
        "buckets": [bucket.name for bucket in service.buckets],
        "object_stores": [object_store.name for object_store in service.object_stores],
    }
