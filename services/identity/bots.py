"""Bots: crawlers that fill a cart and give an address of their own. Their visitors are no shoppers."""

from collections.abc import AsyncIterator
from functools import cache

import msgspec

from mesh import Mesh, Unchanged, settings
from mesh.accept import Refused
from mesh.events.customer import CustomerIdentified
from mesh.events.profile import ProfileLinked
from mesh.publish import Change, Draft

DOCUMENTED = ("storebotmail.joonix.net",)
"""Google StoreBot's, which fills carts to check prices: https://support.google.com/merchants/answer/13294660."""


class BotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`bot_addresses` are addresses, and domains with all addresses in them, that bots give; separated by commas.

    They are further ones besides `storebotmail.joonix.net`.
    """

    bot_addresses: tuple[str, ...] = ()


def is_bots(address: str) -> bool:
    """Whether an address is known to be a bot's: itself, its domain, or one that its domain is below."""
    address = address.strip().lower()
    domain = address.rpartition("@")[2]
    return any(one in (address, domain) or domain.endswith(f".{one}") for one in _known())


@cache
def _known() -> tuple[str, ...]:
    return (*DOCUMENTED, *(one.strip().lower() for one in settings.read(BotSettings).bot_addresses))


async def keep_bot(refused: Refused[CustomerIdentified], mesh: Mesh) -> AsyncIterator[Change]:
    """Whoever gives a bot's address is one: the visitor's carts are left alone from now on, in every region."""
    visitor, address = refused.fields.get("visitor_id"), refused.fields.get("email")
    if visitor is None or address is None or not is_bots(address):
        return
    before = await mesh.last(ProfileLinked, visitor)
    if before is not None and before.event.bot:
        return
    known = before.event if before else ProfileLinked(visitor_id=visitor, names=())
    at = max(refused.time, before.time) if before else refused.time
    yield Draft(event=msgspec.structs.replace(known, ended=(), bot=True), time=at)
    yield Unchanged(ProfileLinked, visitor, before.sequence if before else 0)
