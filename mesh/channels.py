"""Channels and purposes: by which ways shoppers are reached, and what they are asked to allow it for.

Both are open: whoever sends by another channel registers it beside its events, and the gateway, the journeys and the
board take it along.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from mesh.vocabulary import PATTERN, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A way to reach shoppers. `title` is for people.

    `address` is what must be known of a shopper, a field of what they are known by (None: nothing); `needs` calls it by
    its name for people.
    `asks`: it is only used for shoppers who allowed it, unless the shop's policy assumes that they do. `explicit`: no
    policy assumes it. `reported`: the address counts only where the shop's own server reported it.
    """

    name: str
    title: str
    address: str | None = None
    needs: str = ""
    asks: bool = True
    explicit: bool = False
    reported: bool = False


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a shopper allows or forbids a channel for. `title` is for people."""

    name: str
    title: str


CHANNELS: Vocabulary[Channel] = Vocabulary("channel")
EMAIL = CHANNELS.register(Channel(name="email", title="e-mail", address="email", needs="e-mail address"))
ONSITE = CHANNELS.register(Channel(name="onsite", title="on site", asks=False))
SMS = CHANNELS.register(
    Channel(name="sms", title="SMS", address="phone", needs="phone number", explicit=True, reported=True)
)
PUSH = CHANNELS.register(
    Channel(name="push", title="web push", address="push", needs="browser that takes notifications", explicit=True)
)
ChannelName = Annotated[str, msgspec.Meta(pattern=PATTERN, extra={"vocabulary": CHANNELS})]
"""A channel's name in an event."""

PURPOSES: Vocabulary[Purpose] = Vocabulary("purpose")
MARKETING = PURPOSES.register(Purpose(name="marketing", title="offers and reminders"))
PurposeName = Annotated[str, msgspec.Meta(pattern=PATTERN, extra={"vocabulary": PURPOSES})]
"""A purpose's name in an event."""
