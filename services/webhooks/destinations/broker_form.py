"""Broker form: the addresses of brokers as people enter them, taken apart and checked."""

import re
from collections.abc import Callable, Collection
from urllib.parse import parse_qs, unquote, urlsplit

from mesh.aws import arn_of
from mesh.errors import InvalidField
from mesh.extras import MODULES, missing

AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
KAFKA_PORT = 9092
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_ROUTING = "{type}.{subject}"
LONGEST = 255
_is_topic = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII).fullmatch
_is_server = re.compile(r"([a-z0-9_.-]{1,253}|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.ASCII).fullmatch

CheckHost = Callable[[str], None]
"""Raises InvalidField for a host that nothing is sent to."""


def amqp_parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and virtual host of `amqps://host:5671/vhost`."""
    found = urlsplit(url)
    return found.scheme, found.hostname or "", found.port or AMQP_PORTS[found.scheme], unquote(found.path[1:]) or "/"


def kafka_parts(url: str) -> tuple[list[str], bool, str]:
    """Bootstrap servers as `host:port`, whether with TLS, and the SASL mechanism of `kafka+ssl://host:9093?sasl=PLAIN`."""
    found = urlsplit(url)
    servers = [one if _port(one) else f"{one}:{KAFKA_PORT}" for one in found.netloc.lower().split(",")]
    return servers, found.scheme == "kafka+ssl", parse_qs(found.query).get("sasl", ["PLAIN"])[0]


def check_extra(kind: str) -> None:
    """Raise InvalidField where the library of a kind of destination is not installed here."""
    if kind in MODULES and (reason := missing(kind)):
        raise InvalidField("$.kind", reason)


def check_rabbitmq(
    url: str, exchange: str, routing: str, check: CheckHost, *, plain: Callable[[str, int], bool]
) -> None:
    """Raise InvalidField for what is no exchange that can be sent to. `plain` says who may do without TLS."""
    found = urlsplit(url)
    if found.scheme not in AMQP_PORTS or not found.hostname:
        raise InvalidField("$.url", "it must begin with amqps://, such as amqps://rabbit.partner.example/shop")
    _check_rest(url)
    _, host, port, _ = amqp_parts(url)
    if not plain(host, port):
        if found.scheme != "amqps":
            raise InvalidField(
                "$.url", "it must begin with amqps://: without TLS only to brokers of CARTMESH_WEBHOOK_BROKERS"
            )
        check(host)
    for name, value in (("target", exchange), ("routing", routing)):
        if len(value.encode()) > LONGEST or not value.isprintable():
            raise InvalidField(f"$.{name}", f"at most {LONGEST} characters")
    if not exchange and not routing:
        raise InvalidField("$.routing", "an exchange, or without one the name of a queue as the routing key")


def check_kafka(url: str, topic: str, listed: Collection[str], *, private: bool) -> None:
    """Raise InvalidField for what is no topic of a cluster that the operator has listed, unless all are `private`."""
    found = urlsplit(url)
    if found.scheme not in ("kafka", "kafka+ssl"):
        raise InvalidField(
            "$.url", "it must begin with kafka+ssl:// or kafka://, such as kafka+ssl://one:9093,two:9093"
        )
    servers, _, mechanism = kafka_parts(url)
    if found.path not in ("", "/") or "@" in found.netloc or not all(_is_server(one) for one in servers):
        raise InvalidField("$.url", "hosts with ports, separated by commas; topic, user and password have fields")
    if mechanism not in MECHANISMS:
        raise InvalidField("$.url", f"sasl={mechanism[:20]!r}: there are {', '.join(MECHANISMS)}")
    if unlisted := [one for one in servers if not private and one not in listed]:
        raise InvalidField(
            "$.url", f"{unlisted[0]} is not in the operator's CARTMESH_WEBHOOK_BROKERS, as a Kafka must be"
        )
    if not _is_topic(topic):
        raise InvalidField("$.target", "a topic: 1 to 249 of a-z, A-Z, 0-9, dot, - and _")


def check_aws(arn: str, user: str) -> None:
    """Raise InvalidField for what is no queue or topic."""
    try:
        arn_of(arn)
    except ValueError as error:
        raise InvalidField("$.target", str(error)) from None
    if not user:
        raise InvalidField("$.user", "the id of an access key that may send there")


def _check_rest(url: str) -> None:
    found = urlsplit(url)
    if found.username is not None or found.password is not None:
        raise InvalidField("$.url", "user and password have fields of their own")
    if found.query or found.fragment or found.path.count("/") > 1:
        raise InvalidField("$.url", "after the host only a virtual host, with %2F for /")


def _port(server: str) -> str | None:
    found = _is_server(server)
    return found[2] if found else None
