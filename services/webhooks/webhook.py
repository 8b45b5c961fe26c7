"""Webhook: an endpoint outside, what it gets, and how. A document that is in force in every region."""

import re
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from mesh.aws import arn_of
from mesh.errors import InvalidField
from mesh.filters import compiled
from mesh.partner_events import types
from mesh.streams import Bucket
from mesh.web.addresses import refusal
from mesh.web.sealed_token import seal, unseal
from services.webhooks.destinations.broker_form import (
    DEFAULT_ROUTING,
    check_aws,
    check_extra,
    check_kafka,
    check_rabbitmq,
)
from services.webhooks.signing import Kind, SigningKey

PURPOSE = "webhook"
Mode = Literal["structured", "binary"]
"""How a CloudEvent is sent: whole in the body, or its data in the body and the rest in headers."""
DestinationKind = Literal["https", "rabbitmq", "kafka", "aws"]
"""What takes the events; `aws` is a queue of SQS or a topic of SNS."""
LONGEST_SECRET = 512
LONGEST_URL, LONGEST_NAME, FASTEST = 2048, 80, 1000.0
_is_host = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]", re.ASCII).fullmatch


class WebhookForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people decide of a webhook, as the API takes it.

    `types` are wire types; none: all that may leave. `filters` are those of CloudEvents Subscriptions. `ordered`: one
    after the other for each subject. `throttle` is the most deliveries a second and region (None: no bound).

    With a broker `target` is the exchange, the topic or the ARN, and `user` and `password` sign in; of AWS they are the
    access key. `routing` is RabbitMQ's routing key, in which `{type}` and `{subject}` stand for the event's. The
    password is only ever sent here: none that is stored or answered has one.
    """

    name: str
    url: str = ""
    kind: DestinationKind = "https"
    target: str = ""
    routing: str = ""
    user: str = ""
    password: str | msgspec.UnsetType = msgspec.UNSET
    types: tuple[str, ...] = ()
    filters: tuple[dict[str, Any], ...] = ()
    ordered: bool = False
    throttle: float | None = None
    signature: Kind = "hmac"
    mode: Mode = "structured"

    @property
    def sent_mode(self) -> Mode:
        """The mode in which events are sent: to SQS and SNS, which have no binding, structured."""
        return "structured" if self.kind == "aws" else self.mode

    @property
    def completed(self) -> "WebhookForm":
        """The form with what follows from the rest: the address of AWS, and RabbitMQ's usual routing key."""
        if self.kind == "aws" and not self.url:
            try:
                return msgspec.structs.replace(self, url=arn_of(self.target).endpoint)
            except ValueError:
                return self
        if self.kind == "rabbitmq" and self.target and not self.routing:
            return msgspec.structs.replace(self, routing=DEFAULT_ROUTING)
        return self

    def check(self, *, private: bool = False, brokers: tuple[str, ...] = ()) -> None:
        """Raise InvalidField for what cannot be; `private` allows http and one's own network, `brokers` some of it."""
        if not 1 <= len(self.name.strip()) <= LONGEST_NAME or not self.name.isprintable():
            raise InvalidField("$.name", f"a name of 1 to {LONGEST_NAME} characters, such as Warehouse")
        self._check_destination(private=private, brokers=brokers)
        known = types()
        for at, one in enumerate(self.types):
            if one not in known:
                raise InvalidField(
                    f"$.types[{at}]", f"{one[:60]!r} does not leave the mesh; there are {', '.join(known)}"
                )
        compiled(self.filters)
        if self.throttle is not None and not 0.1 <= self.throttle <= FASTEST:
            raise InvalidField("$.throttle", f"deliveries a second, from 0.1 to {FASTEST:g}; leave it out for no bound")

    def _check_destination(self, *, private: bool, brokers: tuple[str, ...]) -> None:
        """Raise InvalidField for a destination that nothing is sent to, or whose library is not installed."""
        check_extra(self.kind)
        for name, value in (("user", self.user), ("password", self.password or "")):
            if len(value) > LONGEST_SECRET or not value.isprintable():
                raise InvalidField(f"$.{name}", f"at most {LONGEST_SECRET} characters, without line breaks")
        match self.kind:
            case "https":
                check_url(self.url, private=private)
                if self.target or self.routing or self.user or self.password:
                    raise InvalidField("$.target", "only brokers have a target, a routing key, a user and a password")
            case "rabbitmq":
                check_characters(self.url)
                check_rabbitmq(
                    self.url,
                    self.target,
                    self.routing,
                    lambda host: check_host(host, private=private),
                    plain=lambda host, port: private or f"{host}:{port}" in brokers,
                )
            case "kafka":
                check_characters(self.url)
                check_kafka(self.url, self.target, brokers, private=private)
            case "aws":
                check_aws(self.target, self.user)
                within = f"{urlsplit(self.url).hostname}:{urlsplit(self.url).port}" in brokers
                check_url(self.url, private=private or within)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it is in force. `disabled` says why nothing is sent, where that is so.

    `password` is the destination's. `ordered_since` is when strict order began: what was stored before is not waited
    for.
    """

    id: str
    form: WebhookForm
    created: datetime
    keys: tuple[SigningKey, ...]
    disabled: str | None = None
    ordered_since: datetime | None = None
    password: str = ""

    @property
    def leads_to(self) -> tuple[object, ...]:
        """What is the same as long as connections lead to the same place, signed in by the same password."""
        form = self.form
        return form.kind, form.url, form.target, form.routing, form.user, self.password

    @property
    def active(self) -> bool:
        """Whether anything is sent."""
        return self.disabled is None

    @property
    def host(self) -> str:
        """The destination's host, which is all of its URL that viewers see."""
        return urlsplit(self.form.url.partition(",")[0]).hostname or ""


class StoredWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A revision as it is in force: who published it, when (aware UTC) and in which region. `sealed` None: deleted."""

    webhook_id: str
    revision: int
    author: str
    time: datetime
    region: str
    sealed: str | None

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Of two revisions the greater one is in force. The same in every region."""
        return self.revision, self.time, self.region

    def opened(self, secrets: tuple[str, ...]) -> Webhook | None:
        """The webhook; None where it was deleted, or sealed with a secret that is not known here."""
        return unseal(self.sealed, Webhook, purpose=PURPOSE, secrets=secrets) if self.sealed else None


WEBHOOKS: Bucket[StoredWebhook] = Bucket("webhooks", StoredWebhook, history=8)


def sealed(webhook: Webhook, secret: str) -> str:
    """A webhook as it is stored: only those who know the secret can read its URL."""
    return seal(webhook, purpose=PURPOSE, secret=secret)


def check_url(url: str, *, private: bool = False) -> None:
    """Raise InvalidField for a URL that nothing is sent to. Where its name leads is checked at each connection."""
    port = check_characters(url)
    parts = urlsplit(url)
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise _wrong_url("it must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise _wrong_url("it may hold no user and password: the signature says who sends")
    if parts.fragment:
        raise _wrong_url("it may hold no fragment (#...)")
    if port == 0:
        raise _wrong_url("its port cannot be 0")
    check_host(parts.hostname or "", private=private)


def check_characters(url: str) -> int | None:
    """The port of a URL, if it names one. Raises InvalidField for what is no URL at all."""
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>') or len(url) > LONGEST_URL:
        raise _wrong_url(f"a URL of at most {LONGEST_URL} ASCII characters, such as https://partner.example/webhooks")
    try:
        parts = urlsplit(url)
        port = None if "," in parts.netloc else parts.port
    except ValueError as error:
        raise _wrong_url(str(error)) from None
    return port


def check_host(host: str, *, private: bool) -> None:
    """Raise InvalidField for a host that nothing is sent to. `private` allows one's own network."""
    if not _is_host(host) and not _is_host(f"[{host}]"):
        raise _wrong_url("its host is no name and no address")
    if private:
        return
    if (":" in host or re.fullmatch(r"[0-9.]+", host)) and (reason := refusal(host)):
        raise _wrong_url(reason)
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise _wrong_url(f"{host} is a name within one's own network")


def _wrong_url(reason: str) -> InvalidField:
    return InvalidField("$.url", reason)
