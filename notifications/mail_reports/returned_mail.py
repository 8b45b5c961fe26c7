"""Returned mail: bounces (DSN, RFC 3464) and complaints (ARF, RFC 5965) as mails, which anybody can send.

So only those count that name a mail of ours: by the sealed header in what they return, or by the authenticated address
that they were sent to. What they say of other addresses is nothing.
"""

import re
from collections.abc import Iterable, Iterator
from email import message_from_bytes, message_from_string
from email.message import Message
from email.utils import getaddresses
from hashlib import sha256

import msgspec

from mesh.envelope import derive_id
from notifications.channels.delivery_errors import reason_of
from notifications.mail_reference import HEADER, MailReference, opened, read_return_path
from notifications.mail_reports.report import MailReport, enhanced_status, is_hard

LARGEST = 1024 * 1024
"""Bytes of a mail that are looked at: what is returned stands behind what is said."""
MOST_PARTS, MOST_RECIPIENTS = 50, 100
ARRIVED = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "Resent-To")
DELIVERY_STATUS = ("message/delivery-status", "message/global-delivery-status")
RETURNED = (
    "message/rfc822",
    "message/global",
    "message/rfc822-headers",
    "text/rfc822-headers",
    "message/global-headers",
)
NO_COMPLAINT = ("not-spam", "opt-out", "virus")
Fields = dict[str, str]


class ReturnedMail(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail reports. `understood`: nothing in it is left for people; it may report nothing, as of a delay."""

    understood: bool
    reports: tuple[MailReport, ...] = ()


def read_returned_mail(raw: bytes, secrets: Iterable[str | None]) -> ReturnedMail:
    """The reports in a mail. Whatever the bytes are, it raises nothing."""
    try:
        message = message_from_bytes(raw[:LARGEST])
        return _read(message, raw, tuple(secrets))
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError):  # what `email` raises for nonsense
        return ReturnedMail(understood=False)


def _read(message: Message, raw: bytes, secrets: tuple[str | None, ...]) -> ReturnedMail:
    parts = [part for part, _ in zip(message.walk(), range(MOST_PARTS), strict=False)]
    status = next((part for part in parts if part.get_content_type() in DELIVERY_STATUS), None)
    feedback = next((part for part in parts if part.get_content_type() == "message/feedback-report"), None)
    if status is None and feedback is None:
        return ReturnedMail(understood=False)
    original = _original(parts)
    named = str(message.get("Message-ID", "")).strip() or sha256(raw).hexdigest()
    sealed = opened(original.get(HEADER.lower(), ""), *secrets)
    if feedback is not None:
        fields = (_blocks(feedback) or [{}])[0]
        complaint = tuple(_complaint(fields, sealed, named, secrets))
        return ReturnedMail(understood=bool(complaint) or _kind(fields) in NO_COMPLAINT, reports=complaint)
    assert status is not None  # noqa: S101  one of the two is there
    given = [str(one) for name in ARRIVED for one in message.get_all(name, [])]
    arrived = [address for _, address in getaddresses(given)]
    failed = [one for one in _blocks(status)[:MOST_RECIPIENTS] if _action(one) == "failed"]
    bounces = tuple(_bounces(failed, sealed, arrived, named, secrets))
    return ReturnedMail(understood=bool(bounces) or not failed, reports=bounces)


def _bounces(
    failed: list[Fields],
    sealed: MailReference | None,
    arrived: list[str],
    named: str,
    secrets: tuple[str | None, ...],
) -> Iterator[MailReport]:
    """A mail of ours has one recipient: of several that a report names, the first that failed is meant."""
    for fields in failed:
        recipients = [one for name in ("original-recipient", "final-recipient") if (one := _address(fields.get(name)))]
        found = (read_return_path(to, recipients, secrets) for to in arrived)
        reference = sealed or next((one for one in found if one), None)
        if reference is None:
            continue
        status, diagnostic = fields.get("status", ""), fields.get("diagnostic-code", "")
        yield MailReport(
            about="bounce",
            id=derive_id("returned mail", named, reference.id),
            source="mailbox",
            address=recipients[0] if recipients else None,
            reference=reference,
            hard=is_hard(status, diagnostic),
            status=enhanced_status(status, diagnostic),
            reason=reason_of(diagnostic),
        )
        return


def _complaint(
    fields: Fields, sealed: MailReference | None, named: str, secrets: tuple[str | None, ...]
) -> Iterator[MailReport]:
    kind = _kind(fields)
    recipient = _address(fields.get("original-rcpt-to"))
    sender = _address(fields.get("original-mail-from")) or ""
    reference = sealed or read_return_path(sender, [recipient] if recipient else [], secrets)
    if reference is not None and kind not in NO_COMPLAINT:
        yield MailReport(
            about="complaint",
            id=derive_id("returned mail", named, reference.id),
            source="mailbox",
            address=recipient,
            reference=reference,
            kind=re.sub(r"[^a-z0-9-]", "", kind)[:40] or "abuse",
        )


def _kind(fields: Fields) -> str:
    return fields.get("feedback-type", "abuse").strip().lower()


def _action(fields: Fields) -> str:
    return fields.get("action", "").partition(" ")[0].lower()


def _blocks(part: Message) -> list[Fields]:
    """The groups of fields in a part: of the message, then of each recipient."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return [fields for fields in map(_fields, map(message_from_string, _chunks(str(payload)))) if fields]
    blocks = [_fields(one) for one in payload if isinstance(one, Message)]
    if len(payload) == 1 and isinstance(payload[0], Message) and isinstance(text := payload[0].get_payload(), str):
        blocks += [_fields(message_from_string(chunk)) for chunk in _chunks(text)]
    return [fields for fields in blocks if fields]


def _chunks(text: str) -> list[str]:
    """The groups of lines between empty lines."""
    return re.split(r"\n\n+", text.replace("\r\n", "\n"))


def _fields(message: Message) -> Fields:
    """Names in lower case; of a field that is there twice the first."""
    found: Fields = {}
    for name, value in message.items():
        found.setdefault(name.lower(), " ".join(str(value).split()))
    return found


def _original(parts: list[Message]) -> Fields:
    """The headers of the mail that is returned, as far as they are."""
    for part in parts:
        if part.get_content_type() in RETURNED:
            for fields in _blocks(part):
                if HEADER.lower() in fields:
                    return fields
    return {}


def _address(field: str | None) -> str | None:
    """The address of `rfc822; ada@example.com`, `<ada@example.com>`; None where there is none."""
    if not field:
        return None
    kind, between, value = field.partition(";")
    text = value if between and kind.strip().lower() in ("rfc822", "utf-8") else field
    found = text.strip().strip("<>").strip()
    return found if "@" in found and len(found) <= 320 else None
