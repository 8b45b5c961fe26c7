"""Twilio: text messages by its Messages API.

https://www.twilio.com/docs/messaging/api/message-resource. The API knows no idempotency key: a request whose answer was
lost is not made again.
"""

from base64 import b64encode
from urllib.parse import urlencode

import httpx
import msgspec

from mesh.errors import DeclarationError
from notifications.channels.delivery_errors import Undelivered
from notifications.channels.sms.provider import SmsSettings, post

LATER = frozenset({20429, 30001, 30022, 63018})
"""Codes of what may be taken later: queues and rates (https://www.twilio.com/docs/api/errors)."""


class TwilioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The account's SID and its auth token, the secret. `twilio_messaging_service` sends instead of `sms_from`.

    `twilio_secret` also proves what Twilio reports (`mail-reports` needs it for that). `twilio_status_url` is the
    address of `/mail-reports/twilio` as Twilio reaches it; empty: no reports of delivery are asked for.
    """

    twilio_account: str = ""
    twilio_secret: str = ""
    twilio_messaging_service: str = ""
    twilio_status_url: str = ""
    twilio_url: str = "https://api.twilio.com"


class Twilio:
    """The provider Twilio."""

    def __init__(self, client: httpx.AsyncClient, settings: TwilioSettings, sms: SmsSettings) -> None:
        """Raises DeclarationError where a setting is missing."""
        if not (settings.twilio_account and settings.twilio_secret):
            raise DeclarationError("set CARTMESH_TWILIO_ACCOUNT and CARTMESH_TWILIO_SECRET")
        if not (settings.twilio_messaging_service or sms.sms_from):
            raise DeclarationError("set CARTMESH_SMS_FROM or CARTMESH_TWILIO_MESSAGING_SERVICE")
        self._client, self._settings, self._from = client, settings, sms.sms_from
        account = settings.twilio_account
        self._url = f"{settings.twilio_url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        secret = b64encode(f"{account}:{settings.twilio_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"}

    async def send(self, to: str, text: str) -> str:
        """Have a message sent. Raises Undelivered, Unknown."""
        service, status = self._settings.twilio_messaging_service, self._settings.twilio_status_url
        fields = {"To": to, "Body": text, **({"MessagingServiceSid": service} if service else {"From": self._from})}
        if status:
            fields["StatusCallback"] = status
        response = await post(self._client, self._url, headers=self._headers, body=urlencode(fields).encode())
        answer = _answer(response)
        if response.is_success:
            return answer.sid
        why = answer.message or f"answered {response.status_code}"
        raise Undelivered(f"Twilio {answer.code or ''}: {why}".replace(" :", ":"), again=answer.code in LATER)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    sid: str = ""
    code: int | None = None
    message: str = ""


def _answer(response: httpx.Response) -> _Answer:
    try:
        return msgspec.json.decode(response.content, type=_Answer)
    except msgspec.DecodeError:
        return _Answer()
