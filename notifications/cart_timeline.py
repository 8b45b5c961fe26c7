"""Cart timeline: the events of one cart and its offers, in every region, oldest first."""

from mesh import Mesh, Received
from mesh.channels import ONSITE
from mesh.events.offer import OfferSent

DOMAINS = ("cart", "offer")
"""The domains whose events, under the cart's id, are its timeline. None of them is personal."""


async def read_timeline(mesh: Mesh, cart_id: str) -> list[Received]:
    """The events of a cart in every region, as far as they are here, oldest first. Raises Unavailable, InvalidKey."""
    found = [*await mesh.history(cart_id, *DOMAINS)]
    for region in mesh.others:
        found += await mesh.history_elsewhere(region, cart_id, *DOMAINS)
    several = len({one.region for one in found}) > 1  # one region's are in the order of its log already
    return sorted(found, key=lambda one: one.event_time) if several else found


def is_message(received: Received) -> bool:
    """Whether a message was sent with this event: a mail, or what another channel sends from a template."""
    return isinstance(received.event, OfferSent) and received.event.channel != ONSITE.name
