"""Block fields: what a form shows of each type of block."""

from typing import Literal

import msgspec

from notifications.blocks.block import TYPES
from notifications.templates.front_matter import BLOCK, CONFIRMATION, OFFER, ORDER

NAMES = {
    "heading": "Heading",
    "text": "Text",
    "image": "Picture",
    "button": "Button",
    "lines": "Cart lines",
    "recommendations": "Recommendations",
    "coupon": "Code",
    "divider": "Line",
    "columns": "Columns",
    "header": "Top of the page",
    "footer": "Foot of the page",
    "mjml": "MJML",
    "shared": "Shared block",
}
"""What each type is called."""
_NOT_SHARED = tuple(one for one in TYPES if one != "shared")
ADDED = {
    OFFER: _NOT_SHARED,
    BLOCK: tuple(one for one in TYPES if one != "shared"),
    ORDER: tuple(one for one in _NOT_SHARED if one not in ("coupon", "recommendations")),
    CONFIRMATION: tuple(one for one in _NOT_SHARED if one not in ("coupon", "recommendations", "lines")),
}
"""Which types may be added, by what the mail is for."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a block: how it is written, its label, what to know, and what may be chosen."""

    name: str
    label: str
    kind: Literal["text", "line", "choice", "tick", "code", "number"] = "line"
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()


_ALIGN = Field(
    name="align",
    label="Where",
    kind="choice",
    options=(("left", "left"), ("center", "in the middle"), ("right", "right")),
)
_LINK = "An address that begins with https://, or a variable such as {{ cart_url }}."
FIELDS: dict[str, tuple[Field, ...]] = {
    "heading": (
        Field(name="text", label="Words"),
        Field(name="size", label="Size", kind="choice", options=(("large", "large"), ("small", "small"))),
        _ALIGN,
    ),
    "text": (
        Field(name="text", label="Words", kind="text", hint="A link is [words](address)."),
        Field(name="size", label="Size", kind="choice", options=(("normal", "normal"), ("small", "small"))),
        _ALIGN,
    ),
    "image": (
        Field(name="src", label="Address of the picture", hint="It begins with https://."),
        Field(name="alt", label="What it shows", hint="For who cannot see it."),
        Field(name="decorates", label="It only decorates", kind="tick"),
        Field(name="href", label="Link", hint="Where a click leads; may be empty."),
        Field(name="width", label="Width in pixels", kind="number", hint="0: as wide as its place."),
    ),
    "button": (
        Field(name="text", label="Words"),
        Field(name="href", label="Link", hint=_LINK),
        Field(name="colour", label="Colour", hint="Such as #9a6414; empty: the brand's."),
    ),
    "lines": (
        Field(name="title", label="Above them"),
        Field(name="total", label="Total"),
        Field(name="reduced", label="Total with the code"),
        Field(name="more", label="Lines that are left out", hint="Shown below a cart that is longer than the mail."),
    ),
    "recommendations": (
        Field(name="title", label="Above them"),
        Field(name="most", label="How many", kind="choice", options=(("3", "three"), ("2", "two"), ("1", "one"))),
    ),
    "coupon": (Field(name="label", label="Above the code"), Field(name="note", label="Below the code")),
    "divider": (Field(name="colour", label="Colour", hint="Such as #eceae7; may be empty."),),
    "columns": (),
    "header": (Field(name="text", label="Words"),),
    "footer": (
        Field(
            name="text",
            label="Words",
            kind="text",
            hint="An offer needs its link to unsubscribe: [words]({{ unsubscribe_url }}).",
        ),
    ),
    "mjml": (Field(name="mjml", label="MJML", kind="code", hint="Whole sections; in a column what stands in one."),),
    "shared": (),
}
"""The fields of each type in their order."""
