"""Sent mail: the mail of an offer, or its message in another channel, rendered again from what the log has of it.

The bytes of a mail are not kept. Its decision names the template's revision and has everything that was offered, the
catalogue's log has the texts and prices of that moment, and the shopper's name and language are personal data.
"""

from datetime import datetime

import msgspec

from mesh import Mesh
from mesh.channels import EMAIL
from mesh.errors import InvalidKey
from mesh.events.offer import OfferDecided
from mesh.history import History
from notifications.cart_timeline import is_message, read_timeline
from notifications.channels.content import content_at
from notifications.documents.publishing import find_revision
from notifications.occasion import left_of
from notifications.render_pool import Rendered, RenderPool
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import Template, template_of
from notifications.templates.trial import PREFERENCES, SHORT_LINKS, UNSUBSCRIBE


class SentMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that was sent: what it offered, when (aware UTC) and where, and its template as of then.

    `template` is None where that revision is not known here.
    """

    offered: OfferDecided
    region: str
    sent: datetime
    channel: str
    left_at: datetime
    template: Template | None

    async def rendered(self, pool: RenderPool, shop: Shop, locale: str | None, profile: ShopperProfile) -> Rendered:
        """The mail in a language for a shopper, its links to unsubscribe without effect. Raises TemplateError."""
        if self.template is None:
            raise ValueError(f"revision {self.offered.template_revision} of the template is not known here")
        variables = template_variables(
            self.offered,
            profile,
            shop,
            left_at=self.left_at,
            unsubscribe_url=UNSUBSCRIBE,
            preferences_url=PREFERENCES,
            channel=self.channel,
        )
        return await pool.render(self.template, locale, variables | {"short_links": SHORT_LINKS})


async def read_sent_mail(mesh: Mesh, cart_id: str, offer_id: str, channel: str = EMAIL.name) -> SentMail | None:
    """The message of an offer in a channel; None where none was sent, as far as is known here. Raises Unavailable."""
    try:
        history = await read_timeline(mesh, cart_id)
    except InvalidKey:
        return None
    of_offer = [one for one in history if getattr(one.event, "offer_id", None) == offer_id]
    sent = next((one for one in of_offer if is_message(one) and one.event.channel == channel), None)
    decided = next(
        (one for one in of_offer if isinstance(one.event, OfferDecided) and one.event.outcome == "approved"), None
    )
    if sent is None or decided is None:
        return None
    name, revision = decided.event.template or decided.event.journey, decided.event.template_revision
    document = None if revision is None else await find_revision(TEMPLATES, name, revision, mesh)
    before = History(cart_id, tuple(one for one in history if one.time <= sent.time))
    return SentMail(
        offered=await content_at(decided, sent.time, mesh),
        region=decided.region,
        sent=sent.time,
        channel=channel,
        left_at=left_of(before, decided.event) or decided.event.due,
        template=template_of(name, document.files) if document else None,
    )
