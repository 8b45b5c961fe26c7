"""Short links: addresses of a few signs that lead to a long one, for messages in which every sign counts.

A link's code follows from the address and the secret, so that the same address always has the same one, and nobody can
guess another's. Only addresses that the shop itself writes into a message have one.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256

import msgspec
from cachetools import LRUCache

from mesh import Bucket, Mesh
from notifications.unsubscribe_token import LinkSettings

SIGNED = 9
"""Bytes of a code, which is twelve signs."""
REMEMBERED = 10_000


class ShortLink(msgspec.Struct, frozen=True, kw_only=True):
    """Where a short link leads."""

    url: str


SHORT_LINKS: Bucket[ShortLink] = Bucket("short-links", ShortLink, ttl=timedelta(days=90))
"""Kept by `channels`, by code. `links` reads it."""


class ShortLinks:
    """Makes short links, each stored before it is used."""

    def __init__(self, mesh: Mesh, settings: LinkSettings) -> None:
        self._state, self._settings = mesh.state(SHORT_LINKS), settings
        self._stored: LRUCache[str, str] = LRUCache(REMEMBERED)

    async def shorten(self, url: str) -> str:
        """The short link to an address; an empty one stays empty. Raises Unavailable."""
        if not url:
            return url
        code = self._stored.get(url)
        if code is None:
            signed = hmac.digest(self._settings.secret.encode(), f"short link\x1f{url}".encode(), sha256)
            code = urlsafe_b64encode(signed[:SIGNED]).decode()
            await self._state.put(code, ShortLink(url=url))
            self._stored[url] = code
        return f"{self._settings.url_links.rstrip('/')}/s/{code}"
