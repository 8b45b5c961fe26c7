"""Names: ids of other systems as ids here, the same each time, and such that nobody guesses a visitor's."""

import hmac
import re
from hashlib import blake2b, sha256

from mesh.profiles import ProfileSettings
from mesh.settings import read

_plain = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII).fullmatch
_plain_part = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII).fullmatch


def plain_id(value: object) -> str:
    """An id as it is where it can be one here; else a digest of it, as of `gid://shop/Cart/1`. Empty stays empty."""
    if type(value) is str and _plain(value):
        return value  # as nearly all are, and thousands come in a second
    if value is None:
        return ""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or _plain(text):
        return text
    return f"x-{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def visitor_of(source: str, name: str) -> str:
    """The visitor id of somebody whom another system names by an id that can be guessed, such as a customer's number.

    Keyed by `address_secret`: whoever knows a visitor's id may see that visitor's offers.
    """
    secret = read(ProfileSettings).address_secret
    digest = hmac.digest(secret.encode(), f"{source}\x1f{name}".encode("utf-8", "surrogatepass"), sha256)
    return f"{source}-{digest[:16].hex()}"


def event_id(*parts: object) -> str:
    """An id that follows from these parts: the same request again is the same event."""
    if len(parts) == 1 and type(parts[0]) is str and _plain_part(parts[0]):
        return parts[0]
    texts = [str(part) for part in parts]
    whole = "-".join(texts)
    if all(_plain_part(one) for one in texts) and len(whole) <= 100:
        return whole
    return blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
