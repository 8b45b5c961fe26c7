"""Signed webhooks: what shop systems sign with HMAC-SHA256 in base64, and how their secrets are set."""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha256
from typing import Any

from mesh.errors import DeclarationError
from mesh.lenient_json import decoded
from mesh.translate import Foreign, Unreadable
from mesh.web.signature import BadSignature

SHORTEST_SECRET = 16


def secrets_of(setting: str, given: Sequence[str]) -> dict[str, str]:
    """Secret -> the name of the shop that signs with it, from `<name>=<secret>`. Raises DeclarationError."""
    found: dict[str, str] = {}
    for text in given:
        name, _, secret = text.partition("=")
        if not re.fullmatch("[a-z0-9_]{1,40}", name) or len(secret) < SHORTEST_SECRET:
            raise DeclarationError(
                f"{setting}: {name[:40]!r}: write <name>=<secret>, the name of a-z, 0-9 and _, the secret of "
                f"{SHORTEST_SECRET} characters or more; twice while a secret is changed"
            )
        found[secret] = name
    return found


def signer(request: Foreign, header: str, secrets: Mapping[str, str], setting: str) -> str:
    """The name of who signed exactly these bytes: base64 of HMAC-SHA256 in a header. Raises BadSignature."""
    if not secrets:
        raise BadSignature(f"no secret is set here: {setting}=<name>=<secret>")
    given = request.headers.get(header.lower(), "")
    if not given:
        raise BadSignature(f"the signature is missing: {header}")
    found = None
    for secret, name in secrets.items():  # all of them, so that the time taken says nothing
        right = base64.b64encode(hmac.digest(secret.encode(), request.body, sha256))
        if hmac.compare_digest(right, given.strip().encode("utf-8", "replace")):
            found = name
    if found is None:
        raise BadSignature(f"{header} does not match the body; the secrets are the setting {setting}")
    return found


def opened(request: Foreign) -> dict[str, Any]:
    """The body as a JSON object. Raises Unreadable."""
    try:
        body = decoded(request.body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body must be JSON: {error}") from None
    if not isinstance(body, dict):
        raise Unreadable("the body must be a JSON object")
    return body


def body_digest(request: Foreign) -> str:
    """What names a webhook: its bytes, which are signed, as the ids in its headers are not."""
    return blake2b(request.body, digest_size=12).hexdigest()
