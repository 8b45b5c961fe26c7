"""Kind: what distinguishes kinds of documents: its event, its bucket, its files, and what makes one valid."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mesh import Bucket, Mesh
from mesh.errors import DeclarationError
from mesh.events.block import BlockPublished
from mesh.events.journey import JourneyPublished
from mesh.events.template import TemplatePublished
from notifications.documents.document import Document, UnknownDocument

LARGEST = 256 * 1024
"""Bytes of all texts of a document together: an event must fit into one message."""
Files = Mapping[str, str]
Published = JourneyPublished | TemplatePublished | BlockPublished
is_name = re.compile(r"(?=.{1,48}\Z)[a-z0-9]+(-[a-z0-9]+)*").fullmatch


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of documents. `name` is its singular, such as `journey`.

    `read` reads one document from a path as (name, files), `read_folder` the seeds of a folder (empty: those that come
    with Cartmesh) as name -> files. `check` raises DeclarationError for files that are wrong in themselves; `verify`
    checks all that can be checked before a document is saved or published, and may take a second.
    """

    name: str
    published: type[JourneyPublished] | type[TemplatePublished] | type[BlockPublished]
    read: Callable[[Path], tuple[str, dict[str, str]]]
    read_folder: Callable[[str], dict[str, dict[str, str]]]
    check: Callable[[str, Files], None]
    verify: Callable[[str, Files, Mesh], Awaitable[None]]

    @property
    def plural(self) -> str:
        """The name of its commands, its address and its bucket, such as `journeys`."""
        return f"{self.name}s"

    @property
    def bucket(self) -> Bucket[Document]:
        """The documents in force by name, with their latest revisions."""
        return Bucket(self.plural, Document, history=64)

    async def validate(self, name: str, files: Files, mesh: Mesh) -> None:
        """Refuse a document that may not be saved or published. DeclarationError says what to do."""
        if not is_name(name):
            raise DeclarationError(
                f"{self.name} {name!r}: name it with lower-case words joined by single dashes, 48 characters at most"
            )
        size = sum(len(text.encode()) for text in files.values())
        if size > LARGEST:
            raise DeclarationError(
                f"{self.name} {name}: {size:,} bytes are more than the {LARGEST:,} that one may have"
            )
        self.check(name, files)
        await self.verify(name, files, mesh)

    def unknown(self, name: str, names: list[str]) -> UnknownDocument:
        """The error for a name that there is no document of; it names the nearest of `names`."""
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(names)) or 'none yet'}"
        return UnknownDocument(f"there is no {self.name} {name}: {hint}")
