"""Trial: a template is rendered with sample offers before it may be published."""

from datetime import timedelta
from itertools import product

import msgspec

from mesh.errors import DeclarationError
from mesh.settings import read
from notifications.render_pool import RenderPool, TemplateError
from notifications.sample import sample
from notifications.template_variables import Shop, template_variables
from notifications.templates.template import Template

UNSUBSCRIBE = "http://127.0.0.1:8081/unsubscribe/sample"


async def render_samples(template: Template, pool: RenderPool) -> None:
    """Render it in each of its locales, with and without coupon, recommendations and the shopper's name.

    Raises DeclarationError with file, line and what to do.
    """
    for locale, coupon, recommended, named in product(template.locales, (True, False), (True, False), (True, False)):
        decided, profile = sample(locale)
        if not coupon:
            decided = msgspec.structs.replace(decided, coupon=None, discount_percent=0)
        if not recommended:
            decided = msgspec.structs.replace(decided, recommended=())
        if not named:
            profile = msgspec.structs.replace(profile, name=None)
        left_at = decided.due - timedelta(minutes=30)
        data = template_variables(decided, profile, read(Shop), left_at=left_at, unsubscribe_url=UNSUBSCRIBE)
        try:
            await pool.render(template, locale, data)
        except TemplateError as error:
            raise DeclarationError(str(error)) from None
