"""What an offer's mail and card say of a fixed amount, a gift and free shipping, in each language."""

from datetime import UTC, datetime

import msgspec

from mesh import Money
from mesh.events.code import Discount
from notifications.render_pool import RenderSettings, open_render_pool
from notifications.sample import sample
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

SHIPPED = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])
CASES = [
    ("en", "amount", "$5.00 off what you left in your cart"),
    ("en", "gift", "A gift with what you left in your cart"),
    ("en", "free_shipping", "Free shipping for what you left in your cart"),
    ("de", "amount", "5,00\xa0€ auf Ihren Warenkorb"),
    ("de", "gift", "Ein Geschenk zu Ihrem Warenkorb"),
    ("ja", "free_shipping", "カートの商品を送料無料でお届けします"),
]


async def test_the_mail_says_what_the_code_brings():
    """Never a percentage that there is not; the reduced total stands there only where something is taken off."""
    async with open_render_pool(RenderSettings()) as pool:
        for locale, kind, subject in CASES:
            decided, profile = sample(locale)
            total = decided.total or Money(amount=0, currency="EUR")
            discount = Discount(kind=kind, product_id="tea" if kind == "gift" else None)
            if kind == "amount":
                discount = Discount(kind=kind, amounts=(Money(amount=500, currency=total.currency),))
            decided = msgspec.structs.replace(decided, discount_percent=0, discount=discount)
            values = template_variables(
                decided, profile, Shop(), left_at=datetime(2026, 5, 1, tzinfo=UTC), unsubscribe_url="https://l.test/u"
            )

            mail = await pool.render(SHIPPED, locale, values)

            assert " ".join(mail.subject.split()) == " ".join(subject.split())
            assert decided.coupon in mail.text
            assert "0%" not in mail.text.replace("\xa0", "").replace(" ", "")
            assert (values["reduced"] is None) == (kind != "amount")
