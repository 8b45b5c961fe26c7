"""Live templates: those in force in this process's region, and every earlier revision that a decision names."""

import asyncio
from collections import OrderedDict

from mesh import Mesh
from notifications.documents.document import Document
from notifications.documents.publishing import find_revision
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import Template, template_of

KEPT = 256
PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Seconds before a revision is looked for again that a decision names and that cannot be read yet."""


class LiveTemplates:
    """The templates in force by name; `use` is called when one changes."""

    def __init__(self) -> None:
        self._in_force: dict[str, Document] = {}
        self._found: OrderedDict[tuple[str, int], Template] = OrderedDict()

    def use(self, document: Document) -> None:
        """Put a published revision in force in this process."""
        self._in_force[document.name] = document
        self._remember(document)

    def revision(self, name: str) -> int | None:
        """The revision in force; None where there is no such template."""
        found = self._in_force.get(name)
        return found.revision if found else None

    def missing(self, name: str, revision: int | None) -> str:
        """Why `get` finds nothing, and what to do."""
        if name in self._in_force:
            current = self._in_force[name].revision
            return f"its revision {revision} is not known here; revision {current} is in force and is for later offers"
        return f"there is no such template; there is {', '.join(sorted(self._in_force)) or 'none'}: publish it"

    async def get(self, name: str, revision: int | None, mesh: Mesh) -> Template | None:
        """A template as of a revision, by default the one in force; None where that is not known here."""
        if revision is None:
            current = self._in_force.get(name)
            return template_of(name, current.files) if current else None
        for pause in PAUSES:
            await asyncio.sleep(pause)
            known = self._found.get((name, revision))
            document = None if known else await find_revision(TEMPLATES, name, revision, mesh)
            if document is not None:
                known = self._remember(document)
            if known:
                return known
        return None

    def _remember(self, document: Document) -> Template:
        template = template_of(document.name, document.files)
        self._found[document.name, document.revision] = template
        self._found.move_to_end((document.name, document.revision))
        if len(self._found) > KEPT:
            self._found.popitem(last=False)
        return template
