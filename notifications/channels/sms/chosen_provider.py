"""Chosen provider: the one that this shop has set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from mesh.settings import read
from notifications.channel_settings import ChannelSettings
from notifications.channels.sms.provider import Provider, SmsSettings
from notifications.channels.sms.sns import Sns, SnsSettings
from notifications.channels.sms.twilio import Twilio, TwilioSettings


@asynccontextmanager
async def open_provider(settings: SmsSettings) -> AsyncIterator[Provider | None]:
    """The provider that is set, until the block ends; None where there is none. Raises DeclarationError."""
    name = read(ChannelSettings).sms_provider
    if not name:
        yield None
        return
    limits = httpx.Limits(max_connections=settings.sms_connections)
    async with httpx.AsyncClient(timeout=settings.sms_timeout, limits=limits, follow_redirects=False) as client:
        if name == "twilio":
            yield Twilio(client, read(TwilioSettings), settings)
        else:
            yield Sns(client, read(SnsSettings), settings)
