"""Webhook: an endpoint outside, what it gets, and how. A document that is in force in every region."""

import re
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from mesh.errors import InvalidField
from mesh.filters import compiled
from mesh.partner_events import types
from mesh.streams import Bucket
from mesh.web.addresses import refusal
from mesh.web.sealed_token import seal, unseal
from services.webhooks.signing import Kind, SigningKey

PURPOSE = "webhook"
Mode = Literal["structured", "binary"]
"""How a CloudEvent is sent over HTTP: whole in the body, or its data in the body and the rest in headers."""
LONGEST_URL, LONGEST_NAME, FASTEST = 2048, 80, 1000.0
_is_host = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]", re.ASCII).fullmatch


class WebhookForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people decide of a webhook, as the API takes it.

    `types` are wire types; none: all that may leave. `filters` are those of CloudEvents Subscriptions. `ordered`: one
    after the other for each subject. `throttle` is the most deliveries a second and region (None: no bound).
    """

    name: str
    url: str
    types: tuple[str, ...] = ()
    filters: tuple[dict[str, Any], ...] = ()
    ordered: bool = False
    throttle: float | None = None
    signature: Kind = "hmac"
    mode: Mode = "structured"

    def check(self, *, private: bool = False) -> None:
        """Raise InvalidField for what cannot be; `private` allows http and one's own network."""
        if not 1 <= len(self.name.strip()) <= LONGEST_NAME or not self.name.isprintable():
            raise InvalidField("$.name", f"a name of 1 to {LONGEST_NAME} characters, such as Warehouse")
        check_url(self.url, private=private)
        known = types()
        for at, one in enumerate(self.types):
            if one not in known:
                raise InvalidField(
                    f"$.types[{at}]", f"{one[:60]!r} does not leave the mesh; there are {', '.join(known)}"
                )
        compiled(self.filters)
        if self.throttle is not None and not 0.1 <= self.throttle <= FASTEST:
            raise InvalidField("$.throttle", f"deliveries a second, from 0.1 to {FASTEST:g}; leave it out for no bound")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it is in force. `disabled` says why nothing is sent, where that is so.

    `ordered_since` is when strict order began: what was stored before is not waited for.
    """

    id: str
    form: WebhookForm
    created: datetime
    keys: tuple[SigningKey, ...]
    disabled: str | None = None
    ordered_since: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether anything is sent."""
        return self.disabled is None

    @property
    def host(self) -> str:
        """The endpoint's host, which is all of its URL that viewers see."""
        return urlsplit(self.form.url).hostname or ""


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
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>') or len(url) > LONGEST_URL:
        raise _wrong_url(f"a URL of at most {LONGEST_URL} ASCII characters, such as https://partner.example/webhooks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong_url(str(error)) from None
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise _wrong_url("it must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise _wrong_url("it may hold no user and password: the signature says who sends")
    if parts.fragment:
        raise _wrong_url("it may hold no fragment (#...)")
    if port == 0:
        raise _wrong_url("its port cannot be 0")
    _check_host(parts.hostname or "", private=private)


def _check_host(host: str, *, private: bool) -> None:
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
