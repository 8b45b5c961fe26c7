"""Webhook: what providers' webhooks have in common: settings, what one that is proven says, and why one is refused."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from notifications.mail_reference import MailReference, opened
from notifications.mail_reports.number_report import NumberReport
from notifications.mail_reports.report import MailReport

AHEAD = timedelta(minutes=5)
"""How far a provider's clock may be ahead of ours."""
_message_id = re.compile(r"<?([0-9a-f]{32})@[^<>@\s]+>?").fullmatch
MOST_EVENTS = 1_000


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What proves the webhooks of each provider; of one that is not set every webhook is refused.

    `ses_topics`: the ARNs of the SNS topics that Amazon SES reports to. `sendgrid_webhook_key`: the public key of
    SendGrid's signed event webhook. `postmark_webhook_user` and `postmark_webhook_password`: the name and password in
    the address that Postmark was given. `mailgun_webhook_key`: Mailgun's HTTP webhook signing key.
    `mail_webhook_age`: webhooks that were signed longer ago are refused. Providers try again for hours, and one that
    comes twice changes nothing, so that a day is not too long.
    """

    ses_topics: tuple[str, ...] = ()
    sendgrid_webhook_key: str = ""
    postmark_webhook_user: str = "cartmesh"
    postmark_webhook_password: str = ""
    mailgun_webhook_key: str = ""
    mail_webhook_age: timedelta = timedelta(days=1)


class Unproven(Exception):
    """A webhook that the provider did not send just now; says why. Nothing of it is looked at further."""


class NotUnderstood(Exception):
    """It is proven, and says nothing that can be understood."""


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook says. `once` is what proves it, where that proves no body: it is good for these bytes alone.

    `confirm` is an address to be fetched, by which a subscription is confirmed. `numbers` is what is said of telephone
    numbers; `seen` names it, so that what comes again later changes nothing.
    """

    reports: tuple[MailReport, ...] = ()
    numbers: tuple[NumberReport, ...] = ()
    seen: str = ""
    once: str = ""
    confirm: str = ""


def fresh(at: float, longest: timedelta, now: datetime | None = None) -> None:
    """Raise Unproven for what was signed too long ago, or by a clock that is far ahead. `at`: seconds since 1970."""
    age = (now or datetime.now(UTC)).timestamp() - at
    if age > longest.total_seconds():
        raise Unproven(f"it was signed {age:.0f} s ago; {longest.total_seconds():.0f} s is the most")
    if age < -AHEAD.total_seconds():
        raise Unproven("it was signed in the future: a clock is wrong")


def decoded(body: bytes) -> Any:
    """A body as JSON. Raises NotUnderstood."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotUnderstood(f"the body is no JSON: {error}") from error


def text(value: Any, *path: str) -> str:
    """The text at a path in a value; empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value) if isinstance(value, str | int | float) else ""


def mail_of(message_id: str) -> str | None:
    """The id of the mail that one of our Message-IDs names."""
    found = _message_id(message_id.strip())
    return found[1] if found else None


def reference_of(header: str, secrets: tuple[str | None, ...]) -> MailReference | None:
    """The mail that the header names, where the provider repeats it."""
    return opened(header, *secrets) if header else None
