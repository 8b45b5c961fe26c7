"""Labels: what each text of a template is, for who writes it, and what to know about it."""

from collections.abc import Callable

from notifications.templates.front_matter import BESIDE_MAIL, BLOCK, CONFIRMATION, OFFER, ORDER
from notifications.templates.trial import SampleChoice

KINDS = {OFFER: "Offer", CONFIRMATION: "Asks to confirm an address", ORDER: "Order mail", BLOCK: "Shared block"}
"""What a template is for, by its `kind`."""
LINES = {
    "none": "no lines, as for a win-back",
    "one": "one line",
    "dropped": "one line whose price fell",
    "two": "two lines",
    "many": "30 lines",
}
"""How many lines the cart or order of a sample has."""
CAUSES = {
    "none": "as it was ordered",
    "customer": "a part cancelled by the customer",
    "shop": "cancelled by the shop",
    "payment": "not paid",
    "sold_out": "sold out",
}
"""What happened to the order of a sample."""
LABELS: dict[str, tuple[str, str]] = {
    "subject": ("Subject", "Telephones show about 60 characters."),
    "preheader": ("Preheader", "What the inbox shows behind the subject."),
    "headline": ("Headline", ""),
    "greeting": ("Greeting", ""),
    "intro": ("First paragraph", ""),
    "coupon_label": ("Above the code", ""),
    "coupon_note": ("Below the code", ""),
    "in_cart": ("Above the cart's lines", ""),
    "lines": ("Above the order's lines", ""),
    "more": ("Below a cart that is longer than the mail", "Shown where the mail leaves lines out."),
    "total": ("Total", ""),
    "reduced": ("Total with the code", ""),
    "refund": ("Paid back", ""),
    "button": ("Button", "The button leads to the cart, or to where the address is confirmed."),
    "order_page": ("Button to the order", ""),
    "track": ("Button to the parcel", ""),
    "number": ("Order number", ""),
    "recommended": ("Above the recommendations", ""),
    "because": ("Why a product is recommended", "Written below each of them, which is “line” in this text."),
    "otherwise": ("If it was not them", ""),
    "why": ("Why they get this mail", ""),
    "unsubscribe": ("Link to unsubscribe", ""),
    "preferences": ("Link to what shoppers allow", ""),
    "plain": ("Plain text of the mail", "For who reads mails without HTML."),
    "card.title": ("Card: title", "The card is the same offer on a page of the shop."),
    "card.body": ("Card: text", ""),
    "card.action": ("Card: button", ""),
    "sms.text": ("SMS", "Plain text. Empty: shoppers get that of the language which stands in for this one."),
    BESIDE_MAIL: (
        "Also text it to buyers who get the mail",
        "In this language. Otherwise it goes to those alone who gave a telephone number and no e-mail address.",
    ),
    "push.title": ("Notification: title", "Empty: the card's title."),
    "push.body": ("Notification: text", "Empty: the card's text."),
}
"""The label of each text, and a hint. A text that is not here is shown under its own name."""
OF_ORDER = {"sms.text": "Plain text, to the buyer's telephone number. Empty: that of the language which stands in."}
"""Hints that are other ones in a template about orders."""


def label(text: str) -> str:
    """What a text is called."""
    return LABELS.get(text, (text, ""))[0]


def hint(text: str) -> str:
    """What to know about a text; empty where there is nothing."""
    return LABELS.get(text, ("", ""))[1]


def hint_for(kind: str) -> Callable[[str], str]:
    """The same, in a template of a kind."""
    return lambda text: OF_ORDER.get(text, hint(text)) if kind == ORDER else hint(text)


def language_name(locale: str) -> str:
    """A locale in English, such as German (Austria); the locale itself where that is not known."""
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415  only the pages name languages

    try:
        return Locale.parse(locale, sep="-" if "-" in locale else "_").get_display_name("en") or locale
    except (ValueError, UnknownLocaleError):
        return locale


def sample_words(choice: SampleChoice) -> str:
    """How a sample differs from the one that a preview begins with; empty where it does not."""
    first = SampleChoice()
    found = [
        *(["without a code"] if not choice.coupon else []),
        *(["without recommendations"] if not choice.recommended else []),
        *(["to a shopper without a name"] if not choice.named else []),
        *([f"of {LINES[choice.lines]}"] if choice.lines != first.lines else []),
        *([CAUSES[choice.cause]] if choice.cause != first.cause else []),
    ]
    return ", ".join(found)


def sentence(error: Exception) -> str:
    """An error as a sentence."""
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."
