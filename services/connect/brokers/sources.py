"""Sources: the queues and topics that the operator has declared, as feeds."""

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from mesh.errors import DeclarationError
from mesh.settings import read
from mesh.translate import Feed
from services.connect.brokers import kafka, rabbitmq, sqs
from services.connect.brokers.messages import ADAPTERS, adapter_of

HOW = (
    "CARTMESH_SOURCES: write <name>=<mapping>:<address>, separated by spaces, such as "
    "erp=cloudevents:amqps://user:password@rabbit.example/shop?queue=orders"
)
_is_name = re.compile("[a-z0-9_]{1,40}", re.ASCII).fullmatch
_KINDS = {
    "amqp": rabbitmq,
    "amqps": rabbitmq,
    "kafka": kafka,
    "kafka+ssl": kafka,
    "sqs": sqs,
    "sqs+http": sqs,
}
"""Scheme of an address -> what fetches from it."""


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_SOURCES: brokers that events are fetched from, as `<name>=<mapping>:<address>`, separated by spaces.

    The mapping is cloudevents, segment, shopify, woocommerce or stripe. Addresses, with user and password where there
    are any: `amqps://<host>/<virtual host>?queue=<queue>`, `kafka+ssl://<host>:<port>,.../<topic>?group=<group>`,
    `sqs://sqs.<region>.amazonaws.com/<account>/<queue>`, where without a key that of the process's role is used.
    """

    sources: str = ""


def declared_sources() -> list[Feed]:
    """The feeds of the setting. Raises DeclarationError; no error has a password."""
    feeds = [_feed(text) for text in read(SourceSettings).sources.split()]
    names = [feed.name for feed in feeds]
    if len(names) != len(set(names)):
        raise DeclarationError("CARTMESH_SOURCES: each source needs a name of its own")
    return feeds


def _feed(text: str) -> Feed:
    name, _, rest = text.partition("=")
    mapping, _, address = rest.partition(":")
    if not _is_name(name) or mapping not in ADAPTERS:
        raise DeclarationError(f"{HOW}; the mapping is {', '.join(ADAPTERS)}")
    try:
        url = urlsplit(address)
        options = {key: values[-1] for key, values in parse_qs(url.query).items()}
        broker = _KINDS[url.scheme]
    except (ValueError, KeyError):
        raise DeclarationError(f"{HOW}; of {name} the address is none of {', '.join(_KINDS)}") from None
    try:
        place, run = broker.opened(url, options, mapping)
    except ValueError as error:
        raise DeclarationError(f"CARTMESH_SOURCES: {name}: {error}") from None
    source = broker.__name__.rpartition(".")[2]
    return Feed(source=source, name=name, place=place, adapter=adapter_of(mapping), run=run)
