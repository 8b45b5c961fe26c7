"""WooCommerce: webhooks of a shop, signed with the webhook's secret (https://woocommerce.com/document/webhooks/).

The signature covers the body alone: the topic in the header is believed only as far as the body bears it out.
"""

import re

import msgspec

from mesh.settings import read
from mesh.translate import Adapter, Foreign, Translated
from services.connect.signed_webhooks import body_digest, opened, secrets_of, signer
from services.connect.webhook import Webhook, translated
from services.connect.woocommerce_topics import TOPICS, TYPES, Shop

SIGNATURE, TOPIC = "X-WC-Webhook-Signature", "x-wc-webhook-topic"
SETTING = "CARTMESH_WOOCOMMERCE_SECRETS"
_greeting = re.compile(rb"webhook_id=\d{1,12}").fullmatch


class WooCommerceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_WOOCOMMERCE_SECRETS: `<name>=<secret>` for each shop, twice while its secret is changed.

    CARTMESH_WOOCOMMERCE_CURRENCY: the shops' currency, such as EUR. Products come without one.
    """

    woocommerce_secrets: tuple[str, ...] = ()
    woocommerce_currency: str = ""


def adapter() -> Adapter:
    """What reads them. What can never be taken is answered 200: a webhook that fails five times is disabled."""
    settings = read(WooCommerceSettings)
    secrets = secrets_of(SETTING, settings.woocommerce_secrets)
    shop = Shop(currency=settings.woocommerce_currency)

    def translate(request: Foreign) -> Translated:
        topic = request.headers.get(TOPIC, "").strip().lower()
        webhook = Webhook(opened(request), body_digest(request))
        reader = TOPICS.get(topic)
        read_topic = None if reader is None else lambda one: reader(one, shop)
        return translated(webhook, topic or "no X-WC-Webhook-Topic", read_topic)

    return Adapter(
        translate=translate,
        signed=lambda request: signer(request, SIGNATURE, secrets, SETTING),
        greets=lambda request: _greeting(request.body.strip()) is not None,
        types=TYPES,
        refused=200,
    )
