"""Shopify: webhooks of a shop, signed with its app's secret (https://shopify.dev/docs/apps/build/webhooks).

The signature covers the body alone: topic and ids in the headers are believed only as far as the body bears them out.
"""

import msgspec

from mesh.settings import read
from mesh.translate import Adapter, Foreign, Translated
from services.connect.shopify_topics import TOPICS, TYPES, Shop
from services.connect.signed_webhooks import body_digest, opened, secrets_of, signer
from services.connect.webhook import Webhook, translated

SIGNATURE, TOPIC = "X-Shopify-Hmac-Sha256", "x-shopify-topic"
SETTING = "CARTMESH_SHOPIFY_SECRETS"


class ShopifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_SHOPIFY_SECRETS: `<name>=<secret>` for each shop, twice while its secret is changed.

    CARTMESH_SHOPIFY_CURRENCY: the shops' currency, such as EUR. Products and carts come without one.
    """

    shopify_secrets: tuple[str, ...] = ()
    shopify_currency: str = ""


def adapter() -> Adapter:
    """What reads them. A webhook that can never be taken is answered 200: Shopify ends a subscription that fails."""
    settings = read(ShopifySettings)
    secrets = secrets_of(SETTING, settings.shopify_secrets)
    shop = Shop(currency=settings.shopify_currency)

    def translate(request: Foreign) -> Translated:
        topic = request.headers.get(TOPIC, "").strip().lower()
        webhook = Webhook(opened(request), body_digest(request))
        reader = TOPICS.get(topic)
        read_topic = None if reader is None else lambda one: reader(one, shop)
        return translated(webhook, topic or "no X-Shopify-Topic", read_topic)

    return Adapter(
        translate=translate,
        signed=lambda request: signer(request, SIGNATURE, secrets, SETTING),
        types=TYPES,
        refused=200,
    )
