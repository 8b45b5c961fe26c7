"""Delivery settings: how attempts are made, how long is waited for answers, and when a webhook is disabled."""

from datetime import timedelta

import msgspec

from mesh.settings import duration


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`webhook_retries` are the pauses after each attempt that failed; after the last one a delivery is given up.

    `webhook_connect_deadline` bounds name, connection and TLS, `webhook_deadline` a whole attempt. An endpoint that
    failed for `webhook_disabled_after` is disabled. `webhook_connections` are the requests of one endpoint at once.
    `webhook_lease` is how long a delivery may wait in a process before the server delivers it again. Retry-After is
    obeyed up to `webhook_longest_pause`. `webhook_private_addresses` allows endpoints within one's own network, and
    without TLS, for a mesh on one machine. `webhook_brokers` are brokers as `host:port` that may be within one's own
    network and without TLS, and the only clusters of Kafka. `webhook_queue` bounds the deliveries that wait in one
    process.
    """

    webhook_retries: tuple[str, ...] = ("5s", "5m", "30m", "2h", "5h", "10h", "10h")
    webhook_connect_deadline: timedelta = timedelta(seconds=5)
    webhook_deadline: timedelta = timedelta(seconds=15)
    webhook_disabled_after: timedelta = timedelta(days=5)
    webhook_connections: int = 16
    webhook_lease: timedelta = timedelta(seconds=60)
    webhook_longest_pause: timedelta = timedelta(hours=24)
    webhook_private_addresses: bool = False
    webhook_brokers: tuple[str, ...] = ()
    webhook_queue: int = 20_000

    @property
    def retries(self) -> tuple[timedelta, ...]:
        """The pauses, without jitter. ValueError for one that is no duration."""
        return tuple(map(duration, self.webhook_retries))
