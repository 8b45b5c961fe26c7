"""Front matter: the texts of a template's file, TOML between two lines `+++`, and the body behind them."""

import tomllib

from notifications.templates.render_error import RenderError

TABLES = {"card": ("title", "body", "action"), "sms": ("text",), "push": ("title", "body")}
"""The texts of other channels, each in a table of its own: card on the site, text message, notification."""
CARD = TABLES["card"]
BESIDE_MAIL, YES = "sms.beside_mail", "yes"
"""The switch of a template about orders: its text message goes to who gets the mail, too. `yes`, or left out."""
OWN_LINKS = ("sms", "push")
"""Tables whose links are not the mail's, and which a language may leave to another one."""
OFFER, CONFIRMATION, ORDER, BLOCK = "offer", "confirmation", "order", "block"
NEEDED = {OFFER: tuple(f"card.{key}" for key in CARD), CONFIRMATION: (), ORDER: (), BLOCK: ()}
"""The texts that a template must have beside subject and preheader, by its `kind`: what it is for.

A `block` is a block that many templates contain.
"""


def front_matter(source: str, name: str) -> dict[str, str]:
    """The texts: `subject`, `preheader`, whatever the layout uses, `card.title`, ...; and `kind`, what the mail is for.

    RenderError says what is wrong.
    """
    if not source.startswith("+++\n") or "\n+++\n" not in source[3:]:
        raise RenderError(f"{name} line 1", "it must begin with front matter between two lines +++")
    try:
        front = tomllib.loads("\n" + source[4:].partition("\n+++\n")[0])
    except tomllib.TOMLDecodeError as error:
        raise RenderError(name, f"front matter: {error}") from None
    texts = {key: text for key, text in front.items() if key not in TABLES}
    for table in TABLES:
        written = front.get(table, {})
        if not isinstance(written, dict):
            raise RenderError(name, f"front matter: [{table}] must be a table")
        texts |= {f"{table}.{key}": text for key, text in written.items()}
    kind = texts.setdefault("kind", OFFER)
    if not isinstance(kind, str) or kind not in NEEDED:
        raise RenderError(name, f"front matter: kind = {kind!r}: there is {', '.join(NEEDED)}")
    if texts.get(BESIDE_MAIL, YES) != YES or (BESIDE_MAIL in texts and kind != ORDER):
        raise RenderError(
            name, f'front matter: [sms] beside_mail is "{YES}" or left out, and for kind = "{ORDER}" alone'
        )
    missing = [key for key in ("subject", "preheader", *NEEDED[kind]) if key not in texts]
    if missing:
        raise RenderError(name, f"front matter lacks {', '.join(missing)}")
    wrong = [key for key, text in texts.items() if not isinstance(text, str)]
    if wrong:
        raise RenderError(name, f"front matter: {', '.join(wrong)} must be text in quotes")
    return texts


def body_of(source: str) -> str:
    """What follows the front matter, its lines where they are in the file."""
    if not source.startswith("+++\n"):
        return source
    front, _, body = source[4:].partition("\n+++\n")
    return "\n" * (front.count("\n") + 3) + body
