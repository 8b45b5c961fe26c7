"""Receipts: what proved a webhook without proving its body, and the body that it came with."""

from datetime import timedelta

import msgspec

from mesh import Bucket


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The digest of the body."""

    body: str


RECEIPTS: Bucket[Receipt] = Bucket("mail-report-receipts", Receipt, ttl=timedelta(days=3))
"""Kept for longer than a webhook may be old (`mail_webhook_age`)."""
