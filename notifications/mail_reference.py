"""Mail reference: what a mail carries so that its bounce or complaint finds it, and nobody can make one up.

The header `X-Cartmesh-Mail` is sealed, and names the mail and the digest of the address that it went to: whoever writes
a bounce with it can only speak of an address that got the mail. Many servers return no header, so the envelope sender
names the mail too (VERP, https://cr.yp.to/proto/verp.txt): `bounces+<token>@...`, where the token is authenticated
together with the address.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

import msgspec

from mesh.profiles import address_digest
from mesh.web import sealed_token

PURPOSE = "mail reference"
HEADER = "X-Cartmesh-Mail"
ID, SIGNED = 16, 10
"""Bytes of an id, and of what authenticates a token."""
LONGEST_LOCAL = 64
"""Signs of the part of an address before the `@` (RFC 5321 4.5.3.1.1)."""
KINDS = ("offer", "order", "confirmation")


class MailReference(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A mail of a kind by its id: an offer's, that of a mail about an order. `address` is the recipient's digest."""

    kind: Literal["offer", "order", "confirmation"]
    id: str
    address: str

    def header(self, secret: str) -> dict[str, str]:
        """The header that names the mail."""
        return {HEADER: sealed_token.seal(self, purpose=PURPOSE, secret=secret)}


def opened(token: str, *secrets: str | None) -> MailReference | None:
    """What a header of ours means; None for anything else."""
    return sealed_token.unseal("".join(token.split()), MailReference, purpose=PURPOSE, secrets=secrets)


def return_path(bounce_address: str, reference: MailReference, secret: str) -> str:
    """The envelope sender that names a mail: `bounces+<token>@domain`. As it was given where it would be too long."""
    local, _, domain = bounce_address.rpartition("@")
    try:
        known = bytes([KINDS.index(reference.kind)]) + bytes.fromhex(reference.id)
    except ValueError:
        return bounce_address
    token = b32encode(known + _signed(known, reference.address, secret)).decode().rstrip("=").lower()
    with_token = f"{local}+{token}"
    return f"{with_token}@{domain}" if len(known) == 1 + ID and len(with_token) <= LONGEST_LOCAL else bounce_address


def read_return_path(to: str, recipients: Iterable[str], secrets: Iterable[str | None]) -> MailReference | None:
    """Which mail an address that a bounce came to names, if it went to one of these recipients; None for no such."""
    token = to.partition("@")[0].rpartition("+")[2].upper()
    try:
        given = b32decode(token + "=" * (-len(token) % 8))
    except (Error, ValueError):
        return None
    known, signed = given[: 1 + ID], given[1 + ID :]
    if len(given) != 1 + ID + SIGNED or known[0] >= len(KINDS):
        return None
    for address in map(address_digest, recipients):
        for secret in filter(None, secrets):
            if hmac.compare_digest(_signed(known, address, secret), signed):
                return MailReference(kind=KINDS[known[0]], id=known[1:].hex(), address=address)  # type: ignore[arg-type]
    return None


def _signed(known: bytes, address: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"return path\x1f" + known + address.encode(), sha256)[:SIGNED]
