"""Filled: the texts of the blocks with their values, as they stand in the HTML of a mail and in its plain text."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from notifications.blocks.compiled import Compiled, Slot
from notifications.blocks.words import address, as_html, as_text, has_variables, marked

Render = Callable[[str, str], str]
"""Renders a source; its first argument says where that is."""


def sources(made: Compiled) -> Compiled:
    """The same with its links marked, once for all mails."""
    marks = {
        key: Slot(source=marked(slot.source), form=slot.form, file=slot.file, field=slot.field)
        if slot.form == "words"
        else slot
        for key, slot in made.slots.items()
    }
    return Compiled(body=made.body, text=made.text, slots=marks)


def filled(made: Compiled, name: str, plain: Render, code: Render) -> tuple[dict[str, Any], dict[str, str]]:
    """Every text for HTML, and for plain text. `plain` escapes nothing; `code` renders what is markup itself.

    A link that leads nowhere is `#` and the name of its text, by which the checks find it; one whose variable has no
    value here is empty.
    """
    html: dict[str, Any] = {}
    text: dict[str, str] = {}
    for key, slot in made.slots.items():
        where = f"{name}/{slot.file} [{slot.field}]"
        if slot.form == "code":
            html[key], text[key] = Markup(code(where, slot.source)), ""  # noqa: S704  escaped as it was rendered
            continue
        rendered = plain(where, slot.source)
        if slot.form == "address":
            missing = has_variables(slot.source) and rendered.strip() in ("", "None")
            nowhere = "" if missing or slot.field.endswith(".src") else f"#{key}"
            html[key] = text[key] = address(rendered, nowhere)
        elif slot.form == "plain":
            html[key] = text[key] = " ".join(rendered.split())
        else:
            html[key] = Markup(as_html(rendered, f"#{key}"))  # noqa: S704  escaped there
            text[key] = as_text(rendered)
    return html, text
