"""The provider that the settings name, connected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import msgspec

from mesh.observability.logs import log
from mesh.settings import Secret, read
from mesh.web.http_client import http_client
from mesh.web.signature import TOLERANCE
from services.payments.http import ProviderHttp
from services.payments.provider import OutcomeUnknown, Provider, RequestRefused
from services.payments.sandbox import Sandbox
from services.payments.stripe import VERSION, Stripe
from services.payments.webhooks import PATH


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which provider takes the payments.

    `payment_provider_key` is its API key. `payment_webhook_secrets` are the secrets by which its webhooks are signed,
    several while one is changed; without one every webhook is refused, and payments follow responses alone. A webhook
    older than `payment_webhook_tolerance` is refused. `payment_deadline` bounds one call. `url_payments` is where the
    sandbox sends its webhooks to; Stripe is told in its dashboard.
    """

    payment_provider: Literal["sandbox", "stripe"] = "sandbox"
    url_payment_provider: str = ""
    payment_provider_key: Secret | None = None
    payment_webhook_secrets: tuple[str, ...] = ()
    payment_webhook_tolerance: timedelta = TOLERANCE
    payment_deadline: timedelta = timedelta(seconds=10)
    url_payments: str = ""


@asynccontextmanager
async def open_provider(settings: PaymentSettings) -> AsyncIterator[Provider | None]:
    """The configured provider until the block ends; None where the settings name none."""
    stripe, key = settings.payment_provider == "stripe", settings.payment_provider_key
    url = settings.url_payment_provider or ("https://api.stripe.com" if stripe and key else "")
    if not url:
        log.warning("no payment provider is configured: payments wait", provider=settings.payment_provider)
        yield None
        return
    headers = {"Authorization": f"Bearer {key or ''}"} | ({"Stripe-Version": VERSION} if stripe else {})
    async with http_client(url, headers) as client:
        http = ProviderHttp(client, settings.payment_deadline)
        if stripe:
            yield Stripe(http)
            return
        sandbox = Sandbox(http)
        registering = asyncio.create_task(_register(sandbox, settings.url_payments))
        try:
            yield sandbox
        finally:
            registering.cancel()


async def _register(sandbox: Sandbox, url: str) -> None:
    """Have webhooks sent here, as soon as the sandbox can be reached."""
    pause = 0.5
    while url:
        try:
            await sandbox.register(f"{url}{PATH}")
        except (OutcomeUnknown, RequestRefused) as error:
            log.warning("the sandbox provider does not take the webhooks' address yet", error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30)
        else:
            return


def payment_settings() -> PaymentSettings:
    """The settings, from the environment."""
    return read(PaymentSettings)
