"""Origins: the web pages whose scripts may call, for all keys or for one."""

import msgspec

from mesh.errors import DeclarationError


class OriginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Origins such as `https://shop.example`, separated by commas.

    CARTMESH_CORS_ORIGINS: pages that may call with any key; `*` for all. CARTMESH_KEY_ORIGINS:
    `<key>=<origin>`, once for each of a key's origins; then that key is refused from any other page.
    """

    cors_origins: tuple[str, ...] = ()
    key_origins: tuple[str, ...] = ()


class Origins:
    """Which pages may use which key. Programs that are no browser send no origin and are admitted."""

    def __init__(self, settings: OriginSettings) -> None:
        self._of: dict[str, set[str]] = {}
        for setting in settings.key_origins:
            key, _, origin = setting.partition("=")
            if not key or "://" not in origin:
                raise DeclarationError(f"CARTMESH_KEY_ORIGINS={setting!r}: write <key>=https://shop.example")
            self._of.setdefault(key, set()).add(origin.rstrip("/"))
        bound = {origin for origins in self._of.values() for origin in origins}
        self.all = sorted({*settings.cors_origins, *bound})
        """Every origin that may read answers."""

    def refuse(self, key: str | None, origin: str | None) -> bool:
        """Whether a page of `origin` may not use a key."""
        allowed = self._of.get(key or "")
        return allowed is not None and origin is not None and origin not in allowed
