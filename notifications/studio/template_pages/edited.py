"""Edited template: what a template is while somebody edits it: the draft, what is in force, and what is typed."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.exceptions import ClientException, NotFoundException

from mesh import Mesh
from mesh.errors import InvalidKey
from notifications.documents.document import Document
from notifications.documents.drafts import DocumentDraft, read_draft
from notifications.documents.kind import Kind, is_name
from notifications.templates.front_matter import OFFER, front_matter
from notifications.templates.render_error import RenderError
from notifications.templates.template import SUFFIX, Template, template_of
from notifications.templates.texts import Texts, source_of, texts_of

TEXT = "text:"
"""What the name of a field begins with that holds a text of the front matter."""
is_text_name = re.compile(r"(card\.)?[a-z][a-z0-9_]{0,39}", re.ASCII).fullmatch


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """A template as the next save finds it. `version` is the draft's, which `save_draft` takes."""

    name: str
    files: dict[str, str]
    draft: DocumentDraft | None
    version: int
    in_force: Document | None

    @property
    def locales(self) -> list[str]:
        """Its languages, English first."""
        return sorted(template_of(self.name, self.files).locales, key=lambda one: (one != "en", one))

    @property
    def is_behind(self) -> bool:
        """Whether something was published since the draft was begun."""
        current = self.in_force.revision if self.in_force else None
        return self.draft is not None and self.draft.based_on != current

    def source(self, locale: str) -> str:
        """The file of a language; NotFoundException where there is none."""
        if f"{locale}{SUFFIX}" not in self.files:
            raise NotFoundException(f"template {self.name} has no texts in {locale}")
        return self.files[f"{locale}{SUFFIX}"]

    def texts(self, locale: str) -> Texts:
        """The texts of a language."""
        return texts_of(self.source(locale), f"{self.name}/{locale}{SUFFIX}")

    def with_source(self, locale: str, source: str) -> dict[str, str]:
        """All files, that of a language replaced."""
        return {**self.files, f"{locale}{SUFFIX}": source}


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
    return Edited(name=name, files=files, draft=draft, version=version, in_force=current)


def typed_source(sent: Mapping[str, Any], *, add: str = "") -> str:
    """The file that a form makes of its fields, with one more text, which is empty.

    ClientException (422) where it lacks fields that the editor's form has.
    """
    front = {name.removeprefix(TEXT): _plain(sent[name]) for name in sent if name.startswith(TEXT)}
    if add:
        front.setdefault(add, "")
    source = source_of(front, _plain(sent.get("body", "")))
    try:
        front_matter(source, "the form")
    except RenderError as error:
        raise ClientException(f"{error}: load the page again", status_code=422) from None
    return source


def digest(source: str) -> str:
    """A short name of a file's text: whether it is still as it was read."""
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def purpose(template: Template) -> str:
    """What a template is for, by its first language; an offer where that cannot be read."""
    from notifications.templates.trial import kind_of  # noqa: PLC0415  brings the samples

    try:
        return kind_of(template)
    except (RenderError, IndexError):
        return OFFER


def _plain(value: Any) -> str:
    """A field's text. Browsers end lines with two characters."""
    return str(value).replace("\r\n", "\n").replace("\r", "\n")
