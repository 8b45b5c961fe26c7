"""Differences: what changed between two states of a template, file by file and line by line, as a page shows it."""

import re
from collections.abc import Mapping
from difflib import unified_diff
from itertools import islice
from typing import Literal

import msgspec

from notifications.blocks.block import BLOCKS, BRAND, SHARED
from notifications.studio.template_pages.block_differences import block_sentences
from notifications.templates.template import SUFFIX

_hunk = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)").match


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is new, gone, or stays; `gap`: lines before it are left out. `number` is its line in its file."""

    kind: Literal["new", "gone", "same", "gap"]
    number: int | None
    text: str


class FileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a file that changed, with those around them. `state`: added, removed or changed."""

    file: str
    state: Literal["added", "removed", "changed"]
    lines: list[Line]
    words: list[str] | None = None
    """What changed in sentences, where the file holds blocks."""

    @property
    def locale(self) -> str:
        """The language of the file; empty for a layout, a shared block and the brand."""
        plain = self.file.removesuffix(SUFFIX).removesuffix(BLOCKS)
        return plain if "/" not in self.file and plain != self.file else ""

    @property
    def title(self) -> str:
        """What a file is called that is no language's."""
        if self.file.startswith(SHARED):
            return f"Shared block {self.file.split('/')[1]}"
        return "Brand" if self.file == BRAND else "Layout"


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[FileDifference]:
    """The files that differ, those of languages first."""
    found = []
    for file in sorted({*before, *after}, key=lambda one: ("/" in one, one)):
        old, new = before.get(file), after.get(file)
        if old != new:
            state = "added" if old is None else "removed" if new is None else "changed"
            words = block_sentences(old or "", new or "") if file.endswith(BLOCKS) else None
            lines = _lines(old or "", new or "") if words is None else []
            found.append(FileDifference(file=file, state=state, lines=lines, words=words))
    return found


def _lines(old: str, new: str) -> list[Line]:
    found: list[Line] = []
    before = after = 0
    for row in islice(unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=2), 2, None):
        hunk = _hunk(row)
        if hunk:
            before, after = int(hunk[1]), int(hunk[2])
            if found:
                found.append(Line(kind="gap", number=None, text=""))
        elif row.startswith("-"):
            found.append(Line(kind="gone", number=before, text=row[1:]))
            before += 1
        else:
            found.append(Line(kind="new" if row.startswith("+") else "same", number=after, text=row[1:]))
            before, after = before + (not row.startswith("+")), after + 1
    return found
