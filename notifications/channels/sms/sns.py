"""Amazon SNS: text messages by its action Publish, signed as other requests to Amazon are.

https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html
"""

import re

import httpx
import msgspec

from mesh.aws import AwsKey, endpoint_of, signed, sns_request
from mesh.errors import DeclarationError
from mesh.extras import missing
from notifications.channels.delivery_errors import Undelivered
from notifications.channels.sms.provider import SmsSettings, post

_message_id = re.compile(r"<MessageId>([^<]+)</MessageId>").search
_error = re.compile(r"<Code>([^<]+)</Code>\s*<Message>([^<]*)</Message>").search
LATER = frozenset({"Throttling", "Throttled", "ThrottlingException", "KMSThrottling", "RequestLimitExceeded"})
"""Codes of what may be taken later."""
NUMBER = "AWS.MM.SMS.OriginationNumber"
NAME = "AWS.SNS.SMS.SenderID"


class SnsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sns_region` is Amazon's, such as `eu-west-1`; key and secret are of an identity that may `sns:Publish`.

    `sns_url`: another address than Amazon's.
    """

    sns_region: str = ""
    sns_access_key: str = ""
    sns_secret_key: str = ""
    sns_url: str = ""


class Sns:
    """The provider Amazon SNS."""

    def __init__(self, client: httpx.AsyncClient, settings: SnsSettings, sms: SmsSettings) -> None:
        """Raises DeclarationError where a setting is missing."""
        if not (settings.sns_region and settings.sns_access_key and settings.sns_secret_key):
            raise DeclarationError("set CARTMESH_SNS_REGION, CARTMESH_SNS_ACCESS_KEY and CARTMESH_SNS_SECRET_KEY")
        if reason := missing("aws"):
            raise DeclarationError(f"SMS by Amazon SNS: {reason}")
        self._client, self._region, self._from = client, settings.sns_region, sms.sms_from
        self._key = AwsKey(id=settings.sns_access_key, secret=settings.sns_secret_key)
        self._url = f"{(settings.sns_url or endpoint_of('sns', settings.sns_region)).rstrip('/')}/"

    async def send(self, to: str, text: str) -> str:
        """Have a message sent. Raises Undelivered, Unknown."""
        attributes = {"AWS.SNS.SMS.SMSType": "Promotional"}
        if self._from:
            attributes[NUMBER if self._from.startswith("+") else NAME] = self._from
        fields = {"PhoneNumber": to, "Message": text}
        for at, (name, value) in enumerate(attributes.items(), start=1):
            entry = f"MessageAttributes.entry.{at}"
            fields |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
        headers, body = sns_request("Publish", fields)
        headers = signed(self._url, headers, body, service="sns", region=self._region, key=self._key)
        response = await post(self._client, self._url, headers=headers, body=body)
        if response.is_success:
            found = _message_id(response.text)
            return found[1] if found else ""
        error = _error(response.text)
        code, why = (error[1], error[2]) if error else (str(response.status_code), "")
        raise Undelivered(f"Amazon SNS {code}: {why}", again=code in LATER)
