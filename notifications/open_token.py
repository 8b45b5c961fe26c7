"""Open token: names an offer's mail in the address of the picture by which its opens are counted. Sealed."""

import msgspec

from mesh.web import sealed_token
from notifications.unsubscribe_token import LinkSettings

PURPOSE = "open"
PATH = "/opened"


class OpenLink(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a picture stands for: the mail of this offer, which a journey sent to this visitor."""

    visitor_id: str
    cart_id: str
    offer_id: str
    journey: str


def seal(link: OpenLink, secret: str) -> str:
    """The token of a mail."""
    return sealed_token.seal(link, purpose=PURPOSE, secret=secret)


def unseal(token: str, *secrets: str | None) -> OpenLink | None:
    """What a token of ours means, sealed with any of the secrets; None for anything else."""
    return sealed_token.unseal(token, OpenLink, purpose=PURPOSE, secrets=secrets)


def with_pixel(html: str, link: OpenLink, settings: LinkSettings) -> str:
    """A mail's HTML with its picture, which takes no room, at the end of its body."""
    address = f"{settings.url_links.rstrip('/')}{PATH}/{seal(link, settings.secret)}"
    pixel = f'<img src="{address}" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">'
    body, end, rest = html.rpartition("</body>")
    return f"{body}{pixel}{end}{rest}" if end else html + pixel
