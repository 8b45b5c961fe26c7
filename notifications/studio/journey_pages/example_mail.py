"""Example mail: the mail of an offer that a rehearsal would send, as nobody gets it."""

import msgspec
from litestar.exceptions import HTTPException, NotFoundException

from mesh import Mesh
from mesh.errors import InvalidKey
from notifications.real_cart import read_real_cart
from notifications.render_pool import RenderPool, TemplateError
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import Template, template_of
from notifications.templates.trial import SampleChoice, chosen_variables

ENGLISH = "en"
NOBODY = SampleChoice(named=False)


async def example_mail(mesh: Mesh, pool: RenderPool, journey: str, cart_id: str, template: str, percent: int) -> str:
    """The HTML of an offer of so many percent for a real cart, by the template in force.

    NotFoundException where there is no such cart or template; a code stands in it that redeems nothing.
    """
    cart, found = await read_real_cart(mesh, cart_id), await _template(mesh, template)
    if cart is None or found is None or not 0 <= percent <= 100:
        raise NotFoundException("there is no such cart or template any more: rehearse again")
    locale = ENGLISH if ENGLISH in found.locales else found.locales[0]
    choice = msgspec.structs.replace(NOBODY, coupon=percent > 0)
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
