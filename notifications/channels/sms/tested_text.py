"""Tested text: a text message of a template that is edited, sent to whoever edits it."""

import msgspec

from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.sms.text_sender import TextSender


class TextTested(msgspec.Struct, frozen=True, kw_only=True):
    """A text is to be sent to a number (E.164).

    Whoever asks has checked who may, bounded how often, and put it on record.
    """

    to: str
    text: str


class TestedText(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; `why` is empty where the provider took it."""

    why: str = ""


async def tested_text(asked: TextTested, sender: TextSender) -> TestedText:
    """Have it sent once. No offer is claimed or counted."""
    if sender.provider is None:
        return TestedText(why="no provider of text messages is set: CARTMESH_SMS_PROVIDER")
    try:
        await sender.provider.send(asked.to, asked.text)
    except Undelivered as error:
        return TestedText(why=reason_of(str(error)))
    except Unknown as error:
        return TestedText(why=f"it is not known whether it was sent: {reason_of(str(error))}")
    return TestedText()
