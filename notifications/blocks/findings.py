"""Findings about blocks: what the checks found in a mail, by the blocks that it is about."""

from notifications.blocks.block import Code, decode, each
from notifications.blocks.problems import problems
from notifications.findings import Finding
from notifications.template_checks import unsupported

NOWHERE = "“#"


def with_blocks(found: list[Finding], source: str) -> list[Finding]:
    """The findings of a mail and of its blocks. `text` is a block and its field, such as `b3.href`."""
    blocks = decode(source, "the form")
    own = [
        Finding(
            level="warning" if one.level == "warning" else "error", text=f"{one.block}.{one.field}", words=one.words
        )
        for one in problems(blocks)
    ]
    named = {one.text for one in own}
    for block in each(blocks):
        if isinstance(block, Code):
            own += unsupported(block.mjml, f"{block.id}.mjml")
    return [*(one for every in found if (one := _of_a_block(every)).text not in named), *own]


def _of_a_block(found: Finding) -> Finding:
    """A finding about the body is about a block: a link that leads nowhere is `#` and the name of its text."""
    if found.text != "body":
        return found
    _, there, rest = found.words.partition(NOWHERE)
    key = rest.partition("”")[0]
    if not there or "." not in key:
        return Finding(level=found.level, text="mail", words=found.words)
    if "/" in key:
        words = "A link of a shared block leads nowhere: edit it on the page Blocks."
        return Finding(level=found.level, text=f"{key.partition('/')[0]}.name", words=words)
    words = "It leads nowhere: give it an address that begins with https://, or a variable that holds one."
    return Finding(level=found.level, text=key, words=words)
