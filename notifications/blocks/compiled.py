"""Compiled: a list of blocks as a page of MJML and as plain text, both in Jinja, and the texts that stand in them.

A text is no part of the Jinja of the page: it is rendered apart, and stands there as `written["b3.text"]`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from notifications.blocks.block import (
    BLOCKS,
    Block,
    Brand,
    Columns,
    Footer,
    Header,
    Recommendations,
    Shared,
    brand_of,
    decode,
    shared_file,
)
from notifications.blocks.block import Code as RawCode
from notifications.blocks.markup import end, head, outer, recommended_tiles, sheet_end, sheet_start
from notifications.blocks.parts import part
from notifications.templates.render_error import RenderError

Form = Literal["words", "plain", "address", "code"]


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a block: its source, in which form it is shown, and its place as a person finds it."""

    source: str
    form: Form
    file: str
    field: str


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """`body` and `text` are Jinja; `slots` are what `written` holds in them."""

    body: str
    text: str
    slots: dict[str, Slot]


FORMS: dict[str, Form] = {"src": "address", "href": "address", "alt": "plain", "mjml": "code"}
"""In which form a field is shown. All others are words."""
NOT_TEXTS = frozenset({"id", "colour", "size", "align", "name"})


def compiled(files: Mapping[str, str], name: str, locale: str) -> Compiled:
    """What the blocks of a language make of a mail. RenderError says which file, and what is wrong in it."""
    file = f"{locale}{BLOCKS}"
    brand = brand_of(files, name)
    page = _Page(brand)
    for prefix, place, block in _resolved(files, name, file):
        page.add(prefix, place, block)
    return page.done()


def _resolved(files: Mapping[str, str], name: str, file: str) -> list[tuple[str, str, Block]]:
    """The blocks with those of shared ones in their place: what their ids begin with here, their file, the block."""
    found: list[tuple[str, str, Block]] = []
    for block in decode(files[file], f"{name}/{file}"):
        if not isinstance(block, Shared):
            found.append(("", file, block))
            continue
        shared = shared_file(files, block.name, file.removesuffix(BLOCKS))
        if shared is None:
            where = f"{name}/{file} [{block.id}.name]"
            raise RenderError(where, f"the shared block {block.name or 'without a name'} is not part of the template")
        found += [
            (f"{block.id}/", shared, one)
            for one in decode(files[shared], f"{name}/{shared}")
            if not isinstance(one, Shared)
        ]
    return found


class _Page:
    """Puts blocks one below the other."""

    def __init__(self, brand: Brand) -> None:
        self._brand = brand
        self._body, self._text = [head(brand)], [""]
        self._slots: dict[str, Slot] = {}
        self._pending: list[str] = []
        self._in_sheet = False

    def add(self, prefix: str, file: str, block: Block) -> None:
        """Add a block."""
        self._collect(prefix, file, block)
        if isinstance(block, Header | Footer):
            self._close()
            made = outer(prefix, block, self._brand)
            self._body.append(made.mjml)
            self._text.append(made.text)
        elif isinstance(block, Columns):
            columns = [[part(prefix, one, self._brand) for one in column] for column in block.columns]
            width = f"{100 / max(len(columns), 1):.3f}%"
            inner = "\n".join(
                f'<mj-column width="{width}" vertical-align="top">\n{"".join(one.mjml for one in column)}</mj-column>'
                for column in columns
            )
            for one in (one for column in block.columns for one in column):
                self._collect(prefix, file, one)
            self._section(f"<mj-section>\n{inner}\n</mj-section>")
            self._text += [one.text for column in columns for one in column]
        elif isinstance(block, RawCode):
            made = part(prefix, block, self._brand)
            self._section(made.mjml)
        else:
            made = part(prefix, block, self._brand)
            if isinstance(block, Recommendations):
                self._section(recommended_tiles(prefix, block, self._brand))
            else:
                self._pending.append(made.mjml)
            self._text.append(made.text)

    def done(self) -> Compiled:
        """The whole."""
        self._close()
        self._body.append(end())
        return Compiled(body="\n".join(self._body), text="\n".join(self._text), slots=self._slots)

    def _collect(self, prefix: str, file: str, block: Block) -> None:
        for field in block.__struct_fields__:
            source = getattr(block, field)
            if isinstance(source, str) and field not in NOT_TEXTS:
                form = FORMS.get(field, "words")
                slot = Slot(source=source, form=form, file=file, field=f"{block.id}.{field}")
                self._slots[f"{prefix}{block.id}.{field}"] = slot

    def _section(self, mjml: str) -> None:
        self._flush()
        self._open()
        self._body.append(mjml)

    def _open(self) -> None:
        if not self._in_sheet:
            self._body.append(sheet_start(self._brand))
            self._in_sheet = True

    def _flush(self) -> None:
        if self._pending:
            self._open()
            self._body.append(f"<mj-section><mj-column>\n{''.join(self._pending)}</mj-column></mj-section>")
            self._pending = []

    def _close(self) -> None:
        self._flush()
        if self._in_sheet:
            self._body.append(sheet_end())
            self._in_sheet = False
