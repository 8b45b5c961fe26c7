"""Where this region's shop and gateway are, and those of the other regions."""

import msgspec

from mesh.errors import DeclarationError


class AddressSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where this region's shop and gateway are (`url_...`), and all regions' (`urls_...`: `us=https://a eu=https://b`).

    `write_key` is the public key that the shop's pages tell the gateway with. `url_console` and `url_inbox` are the
    console, with its live board, and the inbox of a demonstration, which the pages name where they are there. With
    `push_public_key` the shop offers notifications.
    """

    url_storefront: str = ""
    urls_storefront: str = ""
    url_gateway: str = ""
    urls_gateway: str = ""
    url_console: str = ""
    url_inbox: str = ""
    write_key: str = "demo"
    push_public_key: str = ""


def parse(text: str) -> dict[str, str]:
    """Region -> address from `us=http://a eu=http://b`, in that order; DeclarationError where a part is neither."""
    found = {}
    for part in text.replace(",", " ").split():
        region, _, address = part.partition("=")
        if not region or not address.startswith(("http://", "https://")):
            raise DeclarationError(
                f"{part!r} is no region's address; write us=https://us.example eu=https://eu.example"
            )
        found[region] = address.rstrip("/")
    return found
