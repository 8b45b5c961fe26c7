"""Confirmation token: lets whoever reads the mail to an address confirm one visitor's consent for it. Sealed."""

from datetime import UTC, datetime, timedelta

import msgspec

from mesh.channels import ChannelName
from mesh.web import sealed_token
from notifications.unsubscribe_token import LinkSettings

PURPOSE = "confirmation"


class ConfirmationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`confirm_within` is how long the link in a mail that asks for a confirmation works."""

    confirm_within: timedelta = timedelta(days=7)


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link stands for: the owner of this address (a digest) confirms this visitor's consent for the channel.

    `asked` is when the consent was stored, in seconds since 1970.
    """

    visitor_id: str
    channel: ChannelName
    address: str
    asked: int

    def age(self, now: datetime) -> timedelta:
        """How long ago the consent was stored."""
        return now - datetime.fromtimestamp(self.asked, UTC)


def seal(confirmation: Confirmation, secret: str) -> str:
    """The token of a confirmation."""
    return sealed_token.seal(confirmation, purpose=PURPOSE, secret=secret)


def unseal(token: str, *secrets: str | None) -> Confirmation | None:
    """What a token of ours means, sealed with any of the secrets; None for anything else."""
    return sealed_token.unseal(token, Confirmation, purpose=PURPOSE, secrets=secrets)


def link(confirmation: Confirmation, settings: LinkSettings) -> str:
    """The address that goes into the mail."""
    return f"{settings.url_links.rstrip('/')}/confirm/{seal(confirmation, settings.secret)}"
