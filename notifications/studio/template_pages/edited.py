"""Edited template: what a template is while somebody edits it: the draft, what is in force, and what is typed."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.exceptions import ClientException, NotFoundException

from mesh import Mesh
from mesh.errors import InvalidKey
from notifications.blocks.as_code import as_code
from notifications.blocks.block import BLOCKS, BRAND, encode, is_blocks_file
from notifications.blocks.sharing import BRAND_NAME, with_shared
from notifications.documents.document import Document
from notifications.documents.drafts import DocumentDraft, read_draft
from notifications.documents.kind import Kind, is_name
from notifications.studio.template_pages.block_form import blocks_sent, brand_sent, has_blocks, plain
from notifications.templates.front_matter import OFFER, OWN_LINKS, TABLES, front_matter
from notifications.templates.kind import SHARED_BLOCKS
from notifications.templates.render_error import RenderError
from notifications.templates.template import SUFFIX, Template, template_of
from notifications.templates.texts import Texts, source_of, texts_of

TEXT = "text:"
"""What the name of a field begins with that holds a text of the front matter."""
MAY_BE_EMPTY = tuple(f"{table}.{key}" for table in OWN_LINKS for key in TABLES[table])
"""Texts that a form always has; an empty one is left out of the file."""
is_text_name = re.compile(r"(card\.|sms\.|push\.)?[a-z][a-z0-9_]{0,39}", re.ASCII).fullmatch


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in a language: its file of texts, whose body is code; or its file of blocks besides."""

    texts: str
    blocks: str | None = None
    brand: str | None = None
    """The shop's colours and font, of the shared document that holds them."""

    def files(self, locale: str) -> dict[str, str]:
        """The files by name."""
        blocks = {} if self.blocks is None else {f"{locale}{BLOCKS}": self.blocks}
        brand = {} if self.brand is None else {BRAND: self.brand}
        return {f"{locale}{SUFFIX}": self.texts, **blocks, **brand}

    def parsed(self, where: str) -> Texts:
        """The texts as a form shows them."""
        return texts_of(self.texts, where)


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """A template as the next save finds it. `version` is the draft's, which `save_draft` takes."""

    name: str
    files: dict[str, str]
    draft: DocumentDraft | None
    version: int
    in_force: Document | None
    shared: Mapping[str, Mapping[str, str]] = {}
    """The files of the shared blocks in force, by their names."""
    owns_brand: bool = False
    """Whether it is the shared document that holds the brand, and no copy."""

    @property
    def locales(self) -> list[str]:
        """Its languages, English first."""
        return sorted(template_of(self.name, self.files).locales, key=lambda one: (one != "en", one))

    @property
    def is_behind(self) -> bool:
        """Whether something was published since the draft was begun."""
        return self.draft is not None and self.draft.is_behind(self.in_force)

    def source(self, locale: str) -> Source:
        """The files of a language; NotFoundException where there is none."""
        if f"{locale}{SUFFIX}" not in self.files:
            raise NotFoundException(f"template {self.name} has no texts in {locale}")
        return Source(
            texts=self.files[f"{locale}{SUFFIX}"],
            blocks=self.files.get(f"{locale}{BLOCKS}"),
            brand=self.files.get(BRAND) if self.owns_brand else None,
        )

    def coded(self, locale: str, source: Source) -> Source:
        """What is written in a language, its blocks turned into code."""
        if source.blocks is None:
            return source
        file, files = f"{locale}{SUFFIX}", as_code(self.with_source(locale, source), self.name, locale)
        return Source(texts=files[file], brand=source.brand)

    def with_source(self, locale: str, source: Source) -> dict[str, str]:
        """All files, those of a language replaced, with the shared blocks that they now contain."""
        others = {
            file: text for file, text in self.files.items() if file not in (f"{locale}{SUFFIX}", f"{locale}{BLOCKS}")
        }
        return with_shared({**others, **source.files(locale)}, self.shared)


async def read_edited(kind: Kind, name: str, mesh: Mesh) -> Edited:
    """The draft of a template, or without one what is in force. NotFoundException where there is neither."""
    if not is_name(name):
        raise NotFoundException(f"there is no template {name}")
    try:
        current = await mesh.state(kind.bucket).get(name)
        draft, version = await read_draft(kind, name, mesh)
    except InvalidKey:
        raise NotFoundException(f"there is no template {name}") from None
    if draft is None and current is None:
        raise NotFoundException(f"there is no template {name}")
    files = draft.files if draft else current.files if current else {}
    owns_brand, shared = kind.name == SHARED_BLOCKS.name and name == BRAND_NAME, {}
    if not owns_brand and any(is_blocks_file(file) for file in files):
        shared = {one: found.files async for one, found in mesh.state(SHARED_BLOCKS.bucket).items()}
    if kind.name == SHARED_BLOCKS.name:
        shared = {one: found for one, found in shared.items() if one == BRAND_NAME}
    return Edited(
        name=name, files=files, draft=draft, version=version, in_force=current, shared=shared, owns_brand=owns_brand
    )


def typed_source(sent: Mapping[str, Any], *, add: str = "") -> Source:
    """The files that a form makes of its fields, with one more text, which is empty.

    ClientException (422) where it lacks fields that the editor's form has.
    """
    front = {name.removeprefix(TEXT): plain(sent[name]) for name in sent if name.startswith(TEXT)}
    front = {name: text for name, text in front.items() if text.strip() or name not in MAY_BE_EMPTY}
    if add:
        front.setdefault(add, "")
    texts = source_of(front, "" if has_blocks(sent) else plain(sent.get("body", "")))
    try:
        kind = front_matter(texts, "the form")["kind"]
    except RenderError as error:
        raise ClientException(f"{error}: load the page again", status_code=422) from None
    blocks = encode(blocks_sent(sent, kind)) if has_blocks(sent) else None
    return Source(texts=texts, blocks=blocks, brand=brand_sent(sent))


def digest(source: Source) -> str:
    """A short name of what is written in a language: whether it is still as it was read."""
    return hashlib.sha256(msgspec.json.encode(source)).hexdigest()[:32]


def purpose_of(edited: Edited) -> str:
    """What a template that is edited is for."""
    return purpose(template_of(edited.name, edited.files))


def purpose(template: Template) -> str:
    """What a template is for, by its first language; an offer where that cannot be read."""
    from notifications.templates.trial import kind_of  # noqa: PLC0415  brings the samples

    try:
        return kind_of(template)
    except (RenderError, IndexError):
        return OFFER
