"""Values: the reference of a Helm chart's values, from the comments that begin with `# --` in values.yaml."""

import re
from collections.abc import Iterator

_line = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?: (?P<value>.*))?").fullmatch
_HEAD = "| value | default | what |\n|---|---|---|\n"


def reference(text: str) -> str:
    """A table in Markdown: every value that has a comment, with its path, default and comment."""
    rows = (
        f"| `{path}` | {_cell(default)} | {comment.replace('|', chr(92) + '|')} |"
        for path, default, comment in commented_values(text)
    )
    return _HEAD + "\n".join(rows) + "\n"


def commented_values(text: str) -> Iterator[tuple[str, str, str]]:
    """(path, default as it is written, comment) of each value that has a comment."""
    lines, path, comment = text.splitlines(), list[tuple[int, str]](), list[str]()
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("# ") and comment:
            comment.append(stripped.removeprefix("# "))
        elif found := _line(line):
            indent = len(found["indent"])
            path = [(depth, key) for depth, key in path if depth < indent] + [(indent, found["key"])]
            if comment:
                default = found["value"] or " ".join(_below(lines[number + 1 :], indent))
                yield ".".join(key for _, key in path), default, " ".join(comment)
            comment = []


def _below(lines: list[str], indent: int) -> Iterator[str]:
    """The lines that belong to a key, until one that is no deeper."""
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if not line.strip() or depth <= indent:
            return
        if line.strip().startswith("#"):
            return
        yield line.strip()


def _cell(default: str) -> str:
    return f"`{default}`" if default and len(default) <= 80 else "see values.yaml"
