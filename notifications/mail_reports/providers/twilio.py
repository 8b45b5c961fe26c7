"""Twilio: what became of text messages, and what their recipients answered.

https://www.twilio.com/docs/usage/webhooks/webhooks-security: `X-Twilio-Signature` is the HMAC-SHA1, under the account's
auth token, of the address that was called and every field of the form, by name. It has no time: what it says is stored
once for each message.
"""

import hmac
from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from urllib.parse import parse_qsl

from notifications.channels.sms.twilio import TwilioSettings
from notifications.mail_reports.number_report import OWNER, NumberReport
from notifications.mail_reports.providers.webhook import NotUnderstood, Proven, Unproven
from notifications.suppressions import HARD, STOPPED

NAME = "twilio"
NO_ANSWER = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML by which nothing is sent back; other answers are errors in Twilio's debugger."""
STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START = frozenset({"START", "UNSTOP", "YES"})
"""What Twilio takes for these answers (https://help.twilio.com/articles/223134027); others are not acted on."""
NO_SUCH_NUMBER = frozenset({"21211", "21614", "30005", "30006"})
REFUSES = frozenset({"21610"})


def prove(body: bytes, headers: Mapping[str, str], settings: TwilioSettings) -> Proven:
    """What a webhook says. Raises Unproven, NotUnderstood."""
    if not (settings.twilio_secret and settings.twilio_status_url):
        raise Unproven("set CARTMESH_TWILIO_SECRET and CARTMESH_TWILIO_STATUS_URL")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError as error:
        raise NotUnderstood("the body is no form in UTF-8") from error
    try:
        given = b64decode(headers.get("x-twilio-signature", ""), validate=True)
    except (Error, ValueError):
        given = b""
    signed = settings.twilio_status_url + "".join(name + fields[name] for name in sorted(fields))
    if not hmac.compare_digest(given, hmac.digest(settings.twilio_secret.encode(), signed.encode(), "sha1")):
        raise Unproven("the signature is not Twilio's for this address")
    report = _answered(fields) if "Body" in fields else _delivered(fields)
    id_ = fields.get("MessageSid", "")
    return Proven(numbers=(report,) if report else (), seen=f"twilio-{id_}" if report and id_ else "")


def _answered(fields: Mapping[str, str]) -> NumberReport | None:
    """Whether an answer ends or allows messages. `OptOutType` is Twilio's own reading of it, where that is on."""
    said = fields.get("OptOutType") or fields["Body"].strip().strip(".!\"'").upper()
    if said not in STOP | START:
        return None
    return NumberReport(phone=_number(fields, "From"), suppressed=said in STOP, reason=STOPPED, by=OWNER)


def _delivered(fields: Mapping[str, str]) -> NumberReport | None:
    """Whether a message came to nobody for good."""
    if fields.get("MessageStatus") not in ("failed", "undelivered"):
        return None
    code = fields.get("ErrorCode", "")
    if code in REFUSES:
        return NumberReport(phone=_number(fields, "To"), suppressed=True, reason=STOPPED, by=OWNER)
    if code in NO_SUCH_NUMBER:
        return NumberReport(phone=_number(fields, "To"), suppressed=True, reason=HARD, by="mail-reports")
    return None


def _number(fields: Mapping[str, str], name: str) -> str:
    number = fields.get(name, "")
    if not number.startswith("+"):
        raise NotUnderstood(f"{name} is no telephone number")
    return number
