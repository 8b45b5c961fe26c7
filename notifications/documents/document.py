"""Document: one revision of what marketers write, a version of it in the history, and the difference of two."""

from collections.abc import Mapping
from datetime import datetime
from difflib import unified_diff

import msgspec

from mesh.errors import Conflict, DeclarationError

SEED = "seed"
"""The author of revision 0, which comes from files."""
WINNER_RULE = "winner-rule"
"""The author of revisions that name the winner of a step because its rule says so."""
AUTHORS = {SEED: "Cartmesh", WINNER_RULE: "the winner rule"}
"""What authors are called who are nobody."""


class UnknownDocument(DeclarationError):
    """There is no document, revision or draft of that name or number."""


class Superseded(Conflict):
    """Somebody else saved or published meanwhile; the message names who, and what to do."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: its texts by file name, who published it, when (aware UTC) and in which region.

    Runs under way go on with revision `runs_from`, or a later one that they have already; None: with this one.
    """

    name: str
    revision: int
    author: str
    time: datetime
    region: str
    files: dict[str, str]
    runs_from: int | None = None

    def is_newer_than(self, other: "Document") -> bool:
        """Whether this one is in force where both are known. The same in every region."""
        return self.order > other.order

    @property
    def order(self) -> tuple[int, datetime, str]:
        """What decides between two revisions: the greater one is in force."""
        return self.revision, self.time, self.region


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A revision in the history. `state`: in force, replaced by a later one, or lost to a concurrent one."""

    document: Document
    state: str


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What changed from the one to the other, as a unified diff of each file. Empty where nothing did."""
    lines: list[str] = []
    for file in sorted({*before, *after}):
        old, new = before.get(file), after.get(file)
        names = file if old is not None else "/dev/null", file if new is not None else "/dev/null"
        made = unified_diff((old or "").splitlines(), (new or "").splitlines(), *names, lineterm="")
        lines += (f"{line}\n" for line in made)
    return "".join(lines)
