"""Templates in folders: each folder is one, with a file for each locale. Who renders reads them without the mesh."""

from pathlib import Path

from mesh.errors import DeclarationError
from notifications.blocks.block import BLOCKS, BRAND, SHARED
from notifications.templates import FOLDER
from notifications.templates.shipped import shipped_layout
from notifications.templates.template import LAYOUTS, SUFFIX

PATTERNS = (f"*{SUFFIX}", f"{LAYOUTS}*.j2", f"*{BLOCKS}", BRAND, f"{SHARED}*/*{BLOCKS}")
"""The files of a template in its folder."""


def read(path: Path) -> tuple[str, dict[str, str]]:
    """A template's name and texts, with the layouts beside it that are its own; DeclarationError unless a folder."""
    if not path.is_dir():
        raise DeclarationError(f"{path}: a template is a folder with one file per locale, such as en{SUFFIX}")
    return path.resolve().name, {**_own_layouts(path.parent / LAYOUTS), **_texts(path)}


def read_folder(folder: str) -> dict[str, dict[str, str]]:
    """Name -> texts of every template in a folder, by default those that come with Cartmesh.

    DeclarationError where there is none.
    """
    where = Path(folder) if folder else FOLDER
    names = sorted(path.name for path in where.iterdir() if any(path.glob(f"*{SUFFIX}"))) if where.is_dir() else []
    found = {name: read(where / name)[1] for name in names if name != LAYOUTS.rstrip("/")}
    if not found:
        raise DeclarationError(f"no template in {where}: it needs at least one folder with a file en{SUFFIX}")
    return found


def _texts(path: Path) -> dict[str, str]:
    files = [file for pattern in PATTERNS for file in path.glob(pattern)]
    return {file.relative_to(path).as_posix(): file.read_text(encoding="utf-8") for file in sorted(files)}


def _own_layouts(folder: Path) -> dict[str, str]:
    """A folder's layouts that are not the ones that come with Cartmesh."""
    texts = {f"{LAYOUTS}{file.name}": file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.j2"))}
    return {name: text for name, text in texts.items() if text != shipped_layout(name)}
