"""Preference token: lets whoever holds the link see and change what one visitor allows. Sealed.

It refuses for ever, as a mail may be found years later. It allows for 90 days: a mail that was forwarded long ago must
be no way to have somebody written to again.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from mesh.web import sealed_token
from notifications.unsubscribe_token import LinkSettings

PURPOSE = "preferences"
ALLOWS_FOR = timedelta(days=90)


class PreferenceLink(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link stands for: this visitor, whose mail went to this address (a digest) because of this offer.

    `due` is when the offer was due, in seconds since 1970.
    """

    visitor_id: str
    address: str
    offer_id: str
    due: int

    def may_allow(self, now: datetime) -> bool:
        """Whether the link is young enough to allow something."""
        return now - datetime.fromtimestamp(self.due, UTC) <= ALLOWS_FOR


def seal(preferences: PreferenceLink, secret: str) -> str:
    """The token of a link."""
    return sealed_token.seal(preferences, purpose=PURPOSE, secret=secret)


def unseal(token: str, *secrets: str | None) -> PreferenceLink | None:
    """What a token of ours means, sealed with any of the secrets; None for anything else."""
    return sealed_token.unseal(token, PreferenceLink, purpose=PURPOSE, secrets=secrets)


def link(preferences: PreferenceLink, settings: LinkSettings) -> str:
    """The address that goes into the mail."""
    return f"{settings.url_links.rstrip('/')}/preferences/{seal(preferences, settings.secret)}"
