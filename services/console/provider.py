"""Provider: an identity provider that is asked who somebody is, by the authorization code flow with PKCE.

OpenID Connect Core 1.0, 3.1; OpenID Connect Discovery 1.0; RFC 7636.
"""

import asyncio
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet

from mesh.web.opaque import digest
from services.console.id_token import Unverified, Verified, key_set, verify
from services.console.oidc_settings import OidcSettings, is_protected

TIMEOUT = httpx.Timeout(5.0)
FRESH, PAUSE = 3600.0, 1.0
"""For how many seconds the discovery document is kept, and that it could not be read."""


class ProviderDown(Exception):
    """The identity provider does not respond, or not as one; why, for the log."""


class Provider:
    """The configured provider. A sign-in's `secret` is known to its browser alone; all else follows from it."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._document: dict[str, Any] | ProviderDown = {}
        self._until, self._reading = 0.0, asyncio.Lock()

    @staticmethod
    def state(secret: str) -> str:
        """What the provider sends back with the browser, so that nobody can slip another's sign-in in."""
        return digest(secret, "oidc-state")

    def is_mine(self, issuer: str) -> bool:
        """Whether a response names this provider, or none (RFC 9207)."""
        return issuer in ("", self._settings.oidc_issuer)

    async def address(self, secret: str, redirect_uri: str) -> str:
        """Where to send the browser. Raises ProviderDown."""
        endpoint = (await self._discovered())["authorization_endpoint"]
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": self.state(secret),
            "nonce": _nonce(secret),
            "code_challenge": create_s256_code_challenge(_verifier(secret)),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def redeem(self, code: str, secret: str, redirect_uri: str) -> Verified:
        """Whom a code stands for. Raises ProviderDown and Unverified."""
        document = await self._discovered()
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": _verifier(secret),
        }
        response = await self._request("POST", document["token_endpoint"], **self._authenticated(document, sent))
        granted = _json(response)
        if response.status_code >= 400 or not isinstance(granted.get("id_token"), str):
            raise Unverified(f"no ID token for the code: {response.status_code} {granted.get('error', '')}")
        return verify(
            granted["id_token"],
            await self._keys(document),
            issuer=self._settings.oidc_issuer,
            client_id=self._settings.oidc_client_id,
            nonce=_nonce(secret),
        )

    async def _discovered(self) -> dict[str, Any]:
        async with self._reading:
            if monotonic() >= self._until:
                try:
                    self._document = await self._discover()
                except ProviderDown as error:
                    self._document = error  # for whoever waits meanwhile: each would wait for the time limit in turn
                self._until = monotonic() + (PAUSE if isinstance(self._document, ProviderDown) else FRESH)
            found = self._document
        if isinstance(found, ProviderDown):
            raise ProviderDown(*found.args)
        return found

    async def _discover(self) -> dict[str, Any]:
        issuer = self._settings.oidc_issuer
        document = await self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise ProviderDown(f"the discovery document is of another issuer: {document.get('issuer')!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_protected(document.get(name)):
                raise ProviderDown(f"the discovery document has no https URL as its {name}")
        return document

    async def _keys(self, document: dict[str, Any]) -> KeySet:
        """The keys of now: a provider may exchange them at any time, and sign-ins are few."""
        return key_set(await self._read(document["jwks_uri"]))

    async def _read(self, url: str) -> dict[str, Any]:
        response = await self._request("GET", url)
        if response.status_code != 200:
            raise ProviderDown(f"{url} responds with {response.status_code}")
        return _json(response)

    async def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, headers={"Accept": "application/json"}) as client:
                response = await client.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderDown(f"{url} does not respond: {error!r}") from None
        if response.status_code >= 500:
            raise ProviderDown(f"{url} responds with {response.status_code}")
        return response

    def _authenticated(self, document: dict[str, Any], sent: dict[str, str]) -> dict[str, Any]:
        """The form with this client's id and secret as the provider takes them (RFC 6749, 2.3.1)."""
        known, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        if not secret:
            return {"data": {**sent, "client_id": known}}
        if "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            return {"data": sent, "auth": (quote(known, safe=""), quote(secret, safe=""))}
        return {"data": {**sent, "client_id": known, "client_secret": secret}}


def _nonce(secret: str) -> str:
    return digest(secret, "oidc-nonce")


def _verifier(secret: str) -> str:
    return digest(secret, "oidc-verifier")


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ProviderDown(f"{response.url} responds with something that is no JSON object")
    return body
