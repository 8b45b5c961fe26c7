"""Unsubscribe token: lets whoever holds the link unsubscribe one visitor from one channel. Sealed, without an expiry.

A link in a mail must work for years and is forwarded with it: it shows neither an address nor the visitor's id.
"""

import msgspec

from mesh.channels import ChannelName
from mesh.settings import Secret
from mesh.web import sealed_token

PURPOSE = "unsubscribe"


class Unsubscription(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link stands for: this visitor unsubscribes from this channel, because of this offer."""

    visitor_id: str
    channel: ChannelName
    offer_id: str


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url_links` is where shoppers reach the service `links` of their region.

    `secret` seals links. When it is changed, the one before goes into `secret_before`, so that mails sent until then
    can still be unsubscribed from.
    """

    secret: Secret
    url_links: str = "http://127.0.0.1:8081"
    secret_before: Secret | None = None


def seal(unsubscription: Unsubscription, secret: str) -> str:
    """The token of an unsubscription."""
    return sealed_token.seal(unsubscription, purpose=PURPOSE, secret=secret)


def unseal(token: str, *secrets: str | None) -> Unsubscription | None:
    """What a token of ours means, sealed with any of the secrets; None for anything else."""
    return sealed_token.unseal(token, Unsubscription, purpose=PURPOSE, secrets=secrets)


def link(unsubscription: Unsubscription, settings: LinkSettings) -> str:
    """The address that goes into the mail and its List-Unsubscribe header."""
    return f"{settings.url_links.rstrip('/')}/unsubscribe/{seal(unsubscription, settings.secret)}"
