"""Segments: how many messages a text is sent and billed as (3GPP TS 23.038 and 23.040).

In the alphabet GSM 7 bit a message has 160 signs, and 153 as a part of a longer one; some signs take two places. One
sign that is not in it makes the whole text UCS-2: 70 and 67 units of UTF-16, of which an emoji takes two.
"""

import msgspec

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
"""These take two places."""


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """How a text is sent: in how many messages, how many places it takes, and how many there are in so many messages.

    `unusual` are the signs because of which it is not in GSM 7 bit, each once; empty where it is.
    """

    count: int
    length: int
    room: int
    unusual: str = ""


def segments_of(text: str) -> Segments:
    """The segments of a text; an empty one is sent as one message, too."""
    unusual = "".join(dict.fromkeys(sign for sign in text if sign not in BASIC and sign not in EXTENSION))
    places = [1 + (ord(sign) > 0xFFFF if unusual else sign in EXTENSION) for sign in text]
    single, part = (70, 67) if unusual else (160, 153)
    length = sum(places)
    if length <= single:
        return Segments(count=1, length=length, room=single, unusual=unusual)
    count, used = 1, 0
    for place in places:  # what takes two places is not cut in the middle
        if used + place > part:
            count, used = count + 1, 0
        used += place
    return Segments(count=count, length=length, room=count * part, unusual=unusual)
