"""Rates: token buckets that keep one storefront or address from taking the gateway for itself."""

import msgspec

from mesh.web.rate import Rate


class RateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one key and one client address may send to this process each second; twice that much in one burst.

    `key_rate` and `address_rate` count events, `key_bytes` and `address_bytes` bytes. A server's key has no bound by
    address: all of a shop comes from one. `history_rate` counts events of the past of one key. `trusted_proxies` is
    how many proxies stand in front and append to X-Forwarded-For (0: none is believed).
    """

    key_rate: float = 2_000
    address_rate: float = 500
    key_bytes: float = 8_000_000
    address_bytes: float = 2_000_000
    trusted_proxies: int = 0
    history_rate: float = 20_000


class Rates:
    """All allowances of the gateway: of events and of bytes, by key and by address."""

    def __init__(self, settings: RateSettings) -> None:
        self._key, self._address = Rate(settings.key_rate), Rate(settings.address_rate)
        self._key_bytes, self._address_bytes = Rate(settings.key_bytes), Rate(settings.address_bytes)

    def take(self, *, key: str | None, address: str | None, events: int, size: int = 0) -> float:
        """0 when a request of `events` and `size` bytes is within every allowance, else the seconds to wait.

        A request takes from all allowances or from none: one that is refused costs its sender nothing.
        """
        wanted = [
            (rate, name, count)
            for rate, name, count in (
                (self._address, address, events),
                (self._address_bytes, address, size),
                (self._key, key, events),
                (self._key_bytes, key, size),
            )
            if name is not None and count
        ]
        if wait := max((rate.wait(name, count) for rate, name, count in wanted), default=0.0):
            return wait
        for rate, name, count in wanted:
            rate.take(name, count)
        return 0.0
