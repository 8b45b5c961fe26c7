"""Cookies: how a browser keeps its session, and the secret of a form that is filled in before signing in.

Cookies of one host are shared by all its ports, so their names have the region in them: several regions may stand
beside each other on one machine.
"""

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from mesh.web.opaque import digest, new_token


class CookieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url_console` is the console's address as people use it, such as https://console.shop.example."""

    url_console: str = ""


class Cookies:
    """The console's cookies in one region. With https they are `Secure` and named `__Host-` (RFC 6265bis, 4.1.3.2)."""

    def __init__(self, region: str, settings: CookieSettings) -> None:
        self._region, self._secure = region, settings.url_console.startswith("https://")

    def session(self, request: Request[Any, Any, Any]) -> str:
        """The session's token that a browser sent, or an empty string."""
        return request.cookies.get(self._name("session"), "")

    def keep_session(self, token: str) -> Cookie:
        """Let the browser keep a session's token until it is closed; the server may end it earlier."""
        return self._cookie("session", token)

    def drop_session(self) -> Cookie:
        """Let the browser forget its session."""
        return self._cookie("session", "", max_age=0)

    def attempt(self, request: Request[Any, Any, Any]) -> str:
        """What a browser keeps while it is at the identity provider, or an empty string."""
        return request.cookies.get(self._name("attempt"), "")

    def keep_attempt(self, value: str, *, seconds: int) -> Cookie:
        """Let the browser keep what belongs to one sign-in by the identity provider."""
        return self._cookie("attempt", value, max_age=seconds)

    def drop_attempt(self) -> Cookie:
        """Let the browser forget it: it is good for one response."""
        return self._cookie("attempt", "", max_age=0)

    def form(self, request: Request[Any, Any, Any]) -> tuple[str, Cookie | None]:
        """What a form that is filled in without a session must carry, and the cookie to set where there is none yet."""
        known = request.cookies.get(self._name("form"), "")
        secret = known or new_token()
        return digest(secret, "csrf"), None if known else self._cookie("form", secret)

    def _name(self, what: str) -> str:
        return f"{'__Host-' if self._secure else ''}cartmesh-{self._region}-{what}"

    def _cookie(self, what: str, value: str, *, max_age: int | None = None) -> Cookie:
        return Cookie(
            key=self._name(what),
            value=value,
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="lax",
            max_age=max_age,
        )
