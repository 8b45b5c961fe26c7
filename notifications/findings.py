"""Finding: something to look at in a template."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`error`: it is not sent like this; `warning`: some shoppers see it wrong; `hint`: it could be better.

    `text` is the text of the front matter that it is about, `body` the body, `mail` the whole; `line` counts from 1
    within it.
    """

    level: Literal["error", "warning", "hint"]
    text: str
    line: int | None = None
    words: str
