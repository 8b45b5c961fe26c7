"""Beginnings: what a new block says until somebody writes it, by what the mail is for; and the mails that begin so."""

from functools import cache
from pathlib import Path
from typing import Any

from notifications.blocks.block import BLOCKS, BRAND, TYPES, Block, Columns, Heading, Paragraphs, encode
from notifications.templates import FOLDER as TEMPLATES
from notifications.templates.folder import read
from notifications.templates.front_matter import BLOCK, CONFIRMATION, OFFER, ORDER

FOLDER = Path(__file__).parent / "starts"
LINKS = {OFFER: "{{ cart_url }}", BLOCK: "{{ shop.url }}", ORDER: "{{ order.url }}", CONFIRMATION: "{{ confirm_url }}"}
BUTTONS = {OFFER: "Return to my cart", BLOCK: "To the shop", ORDER: "See your order", CONFIRMATION: "Confirm"}
_ADDRESS = "{% if shop.address %}\n{{ shop.name }}, {{ shop.address }}{% endif %}"
_STOP = "[No more e-mails like this]({{ unsubscribe_url }})"
FOOTERS = {
    OFFER: f"You get this e-mail because you left a cart at {{{{ shop.name }}}}.\n{_STOP}{_ADDRESS}",
    BLOCK: f"{{% if unsubscribe_url is defined %}}{_STOP}{{% endif %}}{_ADDRESS}",
    ORDER: f"You get this e-mail because you ordered at {{{{ shop.name }}}}.{_ADDRESS}",
    CONFIRMATION: f"You get this e-mail because somebody left this address at {{{{ shop.name }}}}.{_ADDRESS}",
}


def beginning(wanted: str, number: int, kind: str) -> Block:
    """A new block of a type (`shared footer`: the shared block of that name), with ids from `number` on."""
    tag, _, name = wanted.partition(" ")
    if tag == "columns":
        left, right = (
            Heading(id=f"b{number + 1}", text="Left", size="small"),
            Paragraphs(id=f"b{number + 2}", text="Right"),
        )
        return Columns(id=f"b{number}", columns=((left,), (right,)))
    values: dict[str, Any] = {
        "heading": {"text": "A heading"},
        "text": {"text": "Write here. A link: [words](https://example.com)"},
        "button": {"text": BUTTONS[kind], "href": LINKS[kind]},
        "lines": {"title": "In your cart" if kind == OFFER else "What you ordered"},
        "recommendations": {"title": "Goes well with it"},
        "coupon": {"label": "Your personal code", "note": "Works once."},
        "footer": {"text": FOOTERS[kind]},
        "mjml": {"mjml": "<mj-section><mj-column>\n<mj-text>{{ shop.name }}</mj-text>\n</mj-column></mj-section>"},
        "shared": {"name": name},
    }.get(tag, {})
    return TYPES[tag](id=f"b{number}", **values)  # type: ignore[return-value]  the union of all types


@cache
def start(name: str) -> dict[str, str]:
    """The files of a mail of blocks, or of one that is ready, from which a new template begins."""
    if name in READY:
        return read(TEMPLATES / name)[1]
    return {
        file.relative_to(FOLDER / name).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted((FOLDER / name).rglob("*"))
        if file.is_file()
    }


READY = {
    "browse-abandoned": "Ready: products that were looked at",
    "price-dropped": "Ready: a price that fell",
    "back-in-stock": "Ready: a product that is back",
    "win-back": "Ready: no order for some time",
}
"""The mails that come with Cartmesh for journeys that start by more than a left cart."""
STARTS = {
    "offer": "Blocks: an offer",
    "order": "Blocks: a mail about an order",
    "empty": "Blocks: empty",
    **READY,
}
"""The mails that a new template may begin as, in words."""
SHARED_STARTS = {
    "footer": "The foot of mails",
    "header": "The top of mails",
    "banner": "A banner",
    "brand": "The brand: colours and font",
}
"""What a new shared block may begin as, in words."""
_BLOCK_TEXTS = '+++\nkind = "block"\nsubject = "A shared block"\npreheader = "Only for looking at it."\n+++\n'


def shared_start(name: str) -> dict[str, str]:
    """The files of a new shared block."""
    if name == "brand":
        blocks = tuple(beginning(one, at, BLOCK) for at, one in enumerate(("header", *_SHOWN, "footer"), 1))
        return {"en.mjml.j2": _BLOCK_TEXTS, f"en{BLOCKS}": encode(blocks), BRAND: "{}\n"}
    tags = ("heading", "button") if name == "banner" else (name,)
    blocks = tuple(beginning(one, at, BLOCK) for at, one in enumerate(tags, 1))
    return {"en.mjml.j2": _BLOCK_TEXTS, f"en{BLOCKS}": encode(blocks)}


_SHOWN = ("heading", "text", "lines", "button")
"""What a brand is looked at with."""
