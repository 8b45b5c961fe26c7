"""Open pixel: the picture in a mail by which its opens are counted. Everybody gets the same one, counted or not."""

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.channels import EMAIL
from mesh.envelope import derive_id
from mesh.errors import DeclarationError, InvalidKey, Unavailable
from mesh.events.offer import OfferOpened, OfferSent
from mesh.observability.logs import log
from mesh.profiles import PROFILES, visitor_key
from mesh.publish import Draft
from mesh.web.client_address import address_of
from mesh.web.rate import Rate
from notifications.journeys.kind import JOURNEYS, journey_of
from notifications.open_token import PATH, OpenLink, unseal
from notifications.opened_by import opened_by
from notifications.shopper_profile import shopper_of
from notifications.unsubscribe_token import LinkSettings

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One pixel that is not seen."""
HEADERS = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Mail services on the web show it on pages of their own."""


class OpenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`open_rate`: how many pictures of one client address are counted each second, twice as many in one burst.

    A mail service loads those of all of its users from few addresses. `trusted_proxies` as for the gateway.
    """

    open_rate: float = 100
    trusted_proxies: int = 0


def open_pixel(mesh: Mesh, links: LinkSettings, settings: OpenSettings) -> list[HTTPRouteHandler]:
    """GET and HEAD answer with the picture whatever happens, and change nothing but the count."""
    rate = Rate(settings.open_rate)

    @route(PATH + "/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], media_type="image/gif")
    async def show_pixel(token: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        """A token that is none of ours gets the same picture, and so does who asks too often."""
        link = unseal(token, links.secret, links.secret_before)
        if link and not rate.take(address_of(request, settings.trusted_proxies), 1):
            try:
                await count_open(link, request, mesh)
            except Unavailable:
                log.warning("an open could not be stored, and is not counted", offer=link.offer_id)
        return Response(GIF, media_type="image/gif", headers=HEADERS)

    return [show_pixel]


async def count_open(link: OpenLink, request: Request[Any, Any, Any], mesh: Mesh) -> None:
    """Store that a mail was opened, once for each way, while it may be counted. Raises Unavailable."""
    at = datetime.now(UTC)
    history = await mesh.history(link.cart_id, OfferSent, OfferOpened)
    mails = [one for one in history.of(OfferSent) if one.event.channel == EMAIL.name]
    sent = next((one.time for one in mails if one.event.offer_id == link.offer_id), None)
    agent = request.headers.get("user-agent", "")
    found = opened_by(agent, head=request.method == HttpMethod.HEAD, sent=sent, at=at)
    known = {(one.event.offer_id, one.event.by) for one in history.of(OfferOpened)}
    if (link.offer_id, found.by) in known or not await _may_be_counted(link, sent or at, mesh):
        return
    event = OfferOpened(cart_id=link.cart_id, offer_id=link.offer_id, by=found.by, reason=found.reason)
    await mesh.publish(Draft(event=event, id=derive_id("opened", link.offer_id, found.by)))


async def _may_be_counted(link: OpenLink, sent: datetime, mesh: Mesh) -> bool:
    """Whether the journey counts opens by now, and the shopper refused no mails and was not erased since."""
    try:
        document = await mesh.state(JOURNEYS.bucket).get(link.journey)
        if document is None or not journey_of(document).count_opens:
            return False
        record = await mesh.state(PROFILES).get(visitor_key(link.visitor_id))
    except (DeclarationError, InvalidKey):
        return False
    if record and record.erased and record.erased >= sent:
        return False
    profile, _ = await shopper_of(link.visitor_id, mesh)
    return EMAIL.name not in profile.unsubscribed and profile.consent.get(EMAIL.name) is not False
