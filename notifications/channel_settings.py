"""Channel settings: which channels this shop has set up. Every service that offers or uses one reads the same."""

from typing import Literal

import msgspec

from mesh.channels import CHANNELS, PUSH, SMS, ChannelName
from mesh.settings import read


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sms_provider` is who sends text messages, `twilio` or `sns`; empty: nobody does.

    `push_public_key` is what browsers subscribe for notifications with, as `cartmesh push-keys` prints it. Set for
    `channels`, `offers` and `studio` alike.
    """

    sms_provider: Literal["", "twilio", "sns"] = ""
    push_public_key: str = ""


def not_set_up() -> dict[ChannelName, str]:
    """The channels that are not set up, each with the variable that is to be set."""
    settings = read(ChannelSettings)
    missing = {
        SMS.name: "" if settings.sms_provider else "CARTMESH_SMS_PROVIDER",
        PUSH.name: "" if settings.push_public_key else "CARTMESH_PUSH_PUBLIC_KEY",
    }
    return {channel: missing[channel] for channel in CHANNELS if missing.get(channel)}
