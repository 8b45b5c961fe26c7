"""Offered: whether the code of an offer ever reached its shopper."""

from mesh import Mesh, Received
from mesh.events.offer import OfferDecided, OfferFailed, OfferSent, OfferWithdrawn
from services.promotions.code_key import code_id


async def code_never_sent(received: Received[OfferWithdrawn | OfferFailed], mesh: Mesh) -> str | None:
    """The key of an offer's code, where each of its channels gave the offer up and none has sent it.

    What failed after a crash may have been sent: its code stays valid.
    """
    ended = received.event
    history = await mesh.history(ended.cart_id, OfferDecided, OfferSent, OfferWithdrawn, OfferFailed)
    mine = [one for one in (*history, received) if one.event.offer_id == ended.offer_id]
    decided = next((one.event for one in mine if isinstance(one.event, OfferDecided) and one.event.coupon), None)
    if decided is None or decided.coupon is None or any(isinstance(one.event, OfferSent) for one in mine):
        return None
    given_up = {one.event.channel for one in mine if isinstance(one.event, OfferWithdrawn)}
    return code_id(decided.coupon) if given_up >= set(decided.channels) else None
