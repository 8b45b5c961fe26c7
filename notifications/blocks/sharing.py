"""Sharing: a template holds copies of the shared blocks that it contains, so that each of its revisions is whole."""

from collections.abc import Mapping

from notifications.blocks.block import BLOCKS, BRAND, SHARED, Shared, decode, is_blocks_file
from notifications.templates.render_error import RenderError

Files = Mapping[str, str]
BRAND_NAME = "brand"
"""The name of the shared document that holds the brand, and no block."""


def shared_names(files: Files) -> list[str]:
    """The shared blocks that a template's blocks name, each once; those that cannot be read name none."""
    found: dict[str, None] = {}
    for file in sorted(files):
        if is_blocks_file(file):
            try:
                found |= {one.name: None for one in decode(files[file], file) if isinstance(one, Shared)}
            except RenderError:
                continue  # said where the file is checked
    return list(found)


def with_shared(files: Files, published: Mapping[str, Files]) -> dict[str, str]:
    """A template's files with copies of the shared blocks that it names, and of the brand, and with no others.

    A copy that is there stays where nothing of its name is published.
    """
    if not any(is_blocks_file(file) for file in files):
        return {file: text for file, text in files.items() if not file.startswith(SHARED) and file != BRAND}
    names = shared_names(files)
    own = {file: text for file, text in files.items() if not file.startswith(SHARED)}
    for name in names:
        copies = published.get(name) or {
            file.removeprefix(f"{SHARED}{name}/"): text
            for file, text in files.items()
            if file.startswith(f"{SHARED}{name}/")
        }
        own |= {f"{SHARED}{name}/{file}": text for file, text in copies.items() if file.endswith(BLOCKS)}
    if brand := published.get(BRAND_NAME, {}).get(BRAND):
        own[BRAND] = brand
    return own
