"""AfterShip: what more than a thousand carriers report of parcels, signed with the account's webhook secret.

https://www.aftership.com/docs/tracking/webhook/webhook-overview. The order is `order_id` of the tracking, as the shop
gave it when it registered the parcel's number there.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from mesh.errors import InvalidField
from mesh.settings import read
from mesh.translate import Adapter, Foreign, Translated
from services.connect.names import plain_id
from services.connect.signed_webhooks import body_digest, opened, secrets_of, signer
from services.connect.webhook import Webhook, inner, required, text, translated

SIGNATURE, SETTING = "aftership-hmac-sha256", "CARTMESH_AFTERSHIP_SECRETS"
STATUSES = {
    "InfoReceived": "shipment_created",
    "InTransit": "shipment_dispatched",
    "OutForDelivery": "shipment_dispatched",
    "AvailableForPickup": "shipment_dispatched",
    "Delivered": "shipment_delivered",
}
"""The status of a tracking (https://www.aftership.com/docs/tracking/enum/delivery-statuses), and what it means here."""
NOTHING = (
    "nothing follows from the status {status!r}: pieces that come back count when the warehouse reports "
    "shipment_returned, which names them"
)


class AfterShipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_AFTERSHIP_SECRETS: `<name>=<webhook secret>` for each account, twice while its secret is changed."""

    aftership_secrets: tuple[str, ...] = ()


def adapter() -> Adapter:
    """What reads them. What can never be taken is answered 200: AfterShip would send it again for three days."""
    secrets = secrets_of(SETTING, read(AfterShipSettings).aftership_secrets)
    return Adapter(
        translate=translate,
        signed=lambda request: signer(request, SIGNATURE, secrets, SETTING),
        types=frozenset(STATUSES.values()),
        refused=200,
    )


def translate(request: Foreign) -> Translated:
    """What a webhook means. Raises Unreadable."""
    body = opened(request)
    name = str(body.get("event") or "no event")
    webhook = Webhook(body, plain_id(body.get("event_id")) or body_digest(request))
    return translated(webhook, name, KINDS.get(name), kind="aftership")


def _update(webhook: Webhook) -> None:
    """tracking_update: the status of a parcel. Raises InvalidField."""
    tracking = inner(webhook.body, "msg")
    status = str(tracking.get("tag") or "")
    if status not in STATUSES:
        webhook.nothing = NOTHING.format(status=status[:40])
        return
    at = webhook.body.get("ts")
    if isinstance(at, bool) or not isinstance(at, int) or not 0 < at < 10**11:
        raise InvalidField("$.ts", "seconds since 1970")
    webhook.shared["time"] = datetime.fromtimestamp(at, UTC).isoformat()
    type_ = STATUSES[status]
    webhook.add(
        type_,
        order_id=required(tracking, "order_id", "$.msg"),
        carrier=text(tracking.get("slug")),
        tracking=text(tracking.get("tracking_number")),
        tracking_url=text(tracking.get("courier_tracking_link")) if type_ == "shipment_dispatched" else None,
    )


KINDS: dict[str, Callable[[Webhook], None]] = {"tracking_update": _update}
"""AfterShip's name of an event, and what it means here."""
