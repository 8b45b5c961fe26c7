"""Example mail: the mail of an offer that a rehearsal would send, as nobody gets it."""

from datetime import timedelta

import msgspec
from litestar.exceptions import HTTPException, NotFoundException

from mesh import Mesh
from mesh.errors import InvalidKey, Unavailable
from notifications.channels.shown_mail import MailShown
from notifications.channels.tried_mail import MailTried
from notifications.real_cart import read_real_cart
from notifications.render_pool import RenderPool, TemplateError
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import Template, locale_for, template_of
from notifications.templates.trial import SampleChoice, chosen_variables

PATIENCE = timedelta(seconds=10)
"""How long a mail may take that the service `channels` renders, as it may read the shopper's language."""
NOBODY = SampleChoice(named=False)


async def example_mail(mesh: Mesh, pool: RenderPool, journey: str, cart_id: str, template: str, percent: int) -> str:
    """The HTML of an offer of so many percent for a real cart, by the template in force, in its shopper's language.

    In English, or the template's first language, where the shopper is in another region or the service `channels` does
    not answer. NotFoundException where there is no such cart or template; a code stands in it that redeems nothing.
    """
    cart, found = await read_real_cart(mesh, cart_id), await _template(mesh, template)
    if cart is None or found is None or not 0 <= percent <= 100:
        raise NotFoundException("there is no such cart or template any more: rehearse again")
    choice = msgspec.structs.replace(NOBODY, coupon=percent > 0)
    if cart.region == mesh.region:
        asked = MailTried(
            cart_id=cart_id, name=template, files=dict(found.files), choice=choice, named=False, percent=percent
        )
        try:
            shown = await mesh.ask("channels", "try-mail", asked, MailShown, within=PATIENCE)
        except Unavailable:
            shown = MailShown()
        if shown.why:
            raise HTTPException(f"journey {journey}: {shown.why}", status_code=422)
        if shown.html:
            return shown.html
    locale = locale_for(None, found.locales)
    variables = chosen_variables(found, locale, choice, cart, percent=percent)
    try:
        return (await pool.render(found, locale, variables)).html
    except TemplateError as error:
        raise HTTPException(f"journey {journey}: {error}", status_code=422) from None


async def _template(mesh: Mesh, name: str) -> Template | None:
    try:
        document = await mesh.state(TEMPLATES.bucket).get(name)
    except InvalidKey:
        return None
    return template_of(name, document.files) if document else None
