"""Faults that the sandbox provider has on demand."""

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong from now on; by default nothing.

    `latency_s` before each answer. Of calls that move money a share of `unanswered` is booked and answered too late
    (after `unanswered_s`), and a share of `refused` is answered 503 without being booked. A share of `declined`
    authorisations is declined. Webhooks come `webhook_delay_s` late, `webhooks_doubled` times more than once, not at
    all (`webhooks_lost`), or are kept back until there are more than `webhooks_kept_back` and then sent, in another
    order where they are `webhooks_reordered`.
    """

    latency_s: float = 0
    unanswered: float = 0
    unanswered_s: float = 30
    refused: float = 0
    declined: float = 0
    webhook_delay_s: float = 0
    webhooks_doubled: int = 0
    webhooks_lost: bool = False
    webhooks_kept_back: int = 0
    webhooks_reordered: bool = False
