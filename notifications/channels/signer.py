"""Signer: signs mails with the key of the sender's domain (DKIM, RFC 6376), so that receivers know they are real.

The key is read once. dkimpy brings a message into the form that is hashed; the hash is signed by `cryptography`, as
dkimpy itself reads the key again for every mail and calculates with Python's own numbers.
"""

import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parseaddr
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.errors import DeclarationError

SIGNED = (
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
"""Headers that the signature covers where a mail has them. RFC 8058 (section 4) demands the last two."""
SIGNED_AGAIN = ("From", "Subject")
"""Named once more than they are there, so that a second one, which some programs would show, breaks the signature."""
SMALLEST = 1024
"""Bits of an RSA key (RFC 8301 section 3.2); receivers ignore smaller ones."""
HOW = "`cartmesh mail-keys` makes a key and says which settings and DNS records belong to it"
_is_name = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*").fullmatch
_between_fields = re.compile(rb"\r\n(?![ \t])").split
Key = RSAPrivateKey | Ed25519PrivateKey


class SigningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`dkim_key`: the private key in PEM, or the path of a file with it; without it mails are not signed.

    `dkim_selector` is the name under which DNS has the public half; `dkim_domain` is by default that of `mail_from`.
    """

    dkim_selector: str = ""
    dkim_domain: str = ""
    dkim_key: str = ""


class Signer:
    """Signs for one domain with one key."""

    def __init__(self, key: Key, *, selector: str, domain: str) -> None:
        from dkim.canonicalization import Relaxed  # noqa: PLC0415  takes 0.15 s, which only those need who sign

        self._key, self._relaxed = key, Relaxed
        self._begin = f"v=1; a={_algorithm(key)}; c=relaxed/relaxed; d={domain}; s={selector};\r\n t="

    def sign(self, message: bytes) -> bytes:
        """The message with its signature in front of its headers."""
        head, _, body = message.partition(b"\r\n\r\n")
        split = (one.partition(b":") for one in _between_fields(head))
        fields = {name.lower(): (name, value) for name, _, value in split}
        covered = [name for name in SIGNED if name.lower().encode() in fields]
        digest = b64encode(sha256(self._relaxed.canonicalize_body(body)).digest()).decode()
        names = ":".join([*covered, *SIGNED_AGAIN]).lower()
        at = int(datetime.now(UTC).timestamp())
        value = f" {self._begin}{at}; h={_folded(names, ':')};\r\n bh={digest};\r\n b=".encode()
        hashed = [fields[name.lower().encode()] for name in covered]
        text = b"".join(
            name + b":" + canonical
            for name, canonical in self._relaxed.canonicalize_headers([*hashed, (b"DKIM-Signature", value)])
        )
        signature = b64encode(self._signature(text.removesuffix(b"\r\n"))).decode()
        lines = "\r\n ".join(signature[at : at + 72] for at in range(0, len(signature), 72))
        return b"DKIM-Signature:" + value + lines.encode() + b"\r\n" + message

    def _signature(self, text: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(text, PKCS1v15(), SHA256())
        return self._key.sign(sha256(text).digest())  # RFC 8463 section 3: the hash is what is signed


def open_signer(settings: SigningSettings, mail_from: str) -> Signer | None:
    """The signer of these settings; None where they name no key. Raises DeclarationError, which never shows the key."""
    if not settings.dkim_key and not settings.dkim_selector:
        return None
    if not settings.dkim_key:
        raise DeclarationError(
            f"CARTMESH_DKIM_SELECTOR is set, but CARTMESH_DKIM_KEY is not: set both or neither; {HOW}"
        )
    if not settings.dkim_selector:
        raise DeclarationError(
            f"CARTMESH_DKIM_KEY is set, but CARTMESH_DKIM_SELECTOR is not: set both or neither; {HOW}"
        )
    domain = signing_domain(settings.dkim_domain, mail_from)
    return Signer(
        _read_key(settings.dkim_key), selector=dns_name("DKIM_SELECTOR", settings.dkim_selector), domain=domain
    )


def signing_domain(domain: str, mail_from: str) -> str:
    """The domain that signs: the one that is set, or that of the sender's address."""
    if domain:
        return dns_name("DKIM_DOMAIN", domain)
    return dns_name("MAIL_FROM", parseaddr(mail_from)[1].rpartition("@")[2])


def dns_name(setting: str, name: str) -> str:
    """A name as DNS has it: lower case, in IDNA. Raises DeclarationError, which names the setting."""
    try:
        found = name.strip().rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        found = ""
    if not _is_name(found):
        raise DeclarationError(f"CARTMESH_{setting}: {name!r} is no name that can be in DNS, such as shop.example.com")
    return found


def _read_key(given: str) -> Key:
    text = given.strip()
    if not text.startswith("-----BEGIN"):
        try:
            text = Path(text).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            why = type(error).__name__
            raise DeclarationError(
                f"CARTMESH_DKIM_KEY is neither a key in PEM nor the path of a readable file ({why}); {HOW}"
            ) from None
    try:
        key = load_pem_private_key(text.replace("\\n", "\n").encode(), password=None)
    except TypeError:
        raise DeclarationError(f"CARTMESH_DKIM_KEY is locked with a password: give it without one; {HOW}") from None
    except ValueError:
        raise DeclarationError(f"CARTMESH_DKIM_KEY is no private key in PEM; {HOW}") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < SMALLEST:
        raise DeclarationError(
            f"CARTMESH_DKIM_KEY has {key.key_size} bits, which receivers ignore: use an RSA key of 2048; {HOW}"
        )
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise DeclarationError(f"CARTMESH_DKIM_KEY is neither an RSA nor an Ed25519 key, as DKIM wants it; {HOW}")
    return key


def _algorithm(key: Key) -> str:
    return "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"


def _folded(words: str, after: str) -> str:
    """A list in lines of less than 78 signs."""
    lines, line = [], ""
    for word in words.replace(after, f"{after} ").split(" "):
        if len(line) + len(word) > 70:
            lines, line = [*lines, line], ""
        line += word
    return "\r\n ".join([*lines, line])
