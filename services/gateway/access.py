"""Access: who may send to the gateway, and how often."""

from dataclasses import replace
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException

from mesh.accept import PAGE, SERVER
from mesh.translate import Key
from mesh.web.client_address import address_of
from mesh.web.rate import Rate
from mesh.web.server_keys import bearer
from mesh.web.signature import BadSignature
from services.gateway.bots import Bots
from services.gateway.judged import Sender
from services.gateway.keys import Keys
from services.gateway.origins import Origins
from services.gateway.rates import Rates, RateSettings
from services.gateway.request_body import body_of

SIGNATURE = "Cartmesh-Signature"
"""The header in which a party without a key sends the signature of its request."""
BEARER = "`Authorization: Bearer <write key>`"


class AccessGuard:
    """Who may send, and how often."""

    def __init__(self, keys: Keys, rates: RateSettings, origins: Origins, bots: Bots) -> None:
        self._keys, self._proxies, self._origins, self._bots = keys, rates.trusted_proxies, origins, bots
        self._rates, self._history = Rates(rates), Rate(rates.history_rate)

    def sender(self, request: Request[Any, Any, Any], query: str | None) -> Sender:
        """Whose key the request has. Raises 401, and 403 for a page the key is not meant for."""
        header = bearer(request.headers.get("authorization"))
        return self.sender_of(request, Key(header or query, secret=bool(header)), BEARER)

    def sender_of(self, request: Request[Any, Any, Any], key: Key, wanted: str) -> Sender:
        """Whose key it is; `wanted` says where a key belongs. Raises 401, and 403 for a page it is not meant for."""
        header, query = (key.value, None) if key.secret else (None, key.value)
        sender = self._keys.sender(header, query)
        if sender is not None and self._origins.refuse(key.value, origin := request.headers.get("origin")):
            raise HTTPException(
                f"this key is not for pages of {origin}; a key's pages are the setting CARTMESH_KEY_ORIGINS",
                status_code=403,
            )
        if sender is None:
            self.admit(request, None)
            raise HTTPException(
                f"send {wanted}; the gateway's keys are its setting CARTMESH_WRITE_KEYS",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        return sender

    async def signer(self, request: Request[Any, Any, Any]) -> Sender | None:
        """Who signed the request; None for one without a signature. Raises 401, and 413 for a body that is too long."""
        if (given := request.headers.get(SIGNATURE)) is None:
            return None
        try:
            return self._keys.signer(await body_of(request), given)
        except BadSignature as bad:
            self.admit(request, None)
            raise HTTPException(
                f"{SIGNATURE}: {bad}; the secrets are the gateway's setting CARTMESH_WEBHOOK_SECRETS",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            ) from None

    def judged(self, request: Request[Any, Any, Any], sender: Sender) -> Sender:
        """The sender, with what shows that it is a bot. The shop's own servers are none, and neither is who signs."""
        bot = None if sender.by != PAGE else self._bots.named(request.headers.get("user-agent"))
        return sender if bot is None else replace(sender, bot=bot)

    def admit_history(self, _: Request[Any, Any, Any], sender: Sender, *, count: int) -> None:
        """Take `count` events of the past from their own allowance. Raises 429, and 401 for a page's key."""
        if sender.by != SERVER:
            raise HTTPException(
                "history is taken with `Authorization: Bearer <server key>` alone; server keys are the gateway's "
                "setting CARTMESH_SERVER_KEYS",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        if wait := self._history.take(sender.scope, count):
            seconds = int(wait) + 1
            raise HTTPException(
                f"too much at once: {count} events of the past can be sent in {seconds} s",
                status_code=429,
                headers={"Retry-After": str(seconds)},
            )

    def admit(self, request: Request[Any, Any, Any], sender: Sender | None, *, count: int = 1, size: int = 0) -> None:
        """Take `count` events of together `size` bytes from the allowances. Raises 429."""
        by_server = sender is not None and sender.by != PAGE
        address = None if by_server else address_of(request, self._proxies)
        if wait := self._rates.take(key=sender and sender.scope, address=address, events=count, size=size):
            seconds = int(wait) + 1
            raise HTTPException(
                f"too much at once: {count} events of {size} bytes can be sent in {seconds} s",
                status_code=429,
                headers={"Retry-After": str(seconds)},
            )
