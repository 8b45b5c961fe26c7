"""Folder: the files of functions as they are now."""

from dataclasses import dataclass
from pathlib import Path

from mesh.subjects import token

LARGEST = 1 << 20
"""Bytes of the largest file."""
EXAMPLE = Path(__file__).parent / "example.py"
KINDS = (".py", ".toml")


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file as it was read. What it imports from the folder is part of its `text` for telling whether it changed."""

    path: Path
    text: str
    beside: tuple[tuple[str, int], ...] = ()
    wrong: str | None = None


def found_files(folder: Path) -> dict[str, FoundFile]:
    """File name -> the file: those of functions (`.py`) and of addresses (`.toml`), none that begins with `_` or `.`.

    Files that begin with `_` can be imported by the others: when one changes, all are read again.
    """
    if not folder.is_dir():
        return {}
    paths = sorted(path for path in folder.iterdir() if path.suffix in KINDS and path.is_file())
    beside = tuple((path.name, path.stat().st_mtime_ns) for path in paths if path.name.startswith("_"))
    return {path.name: _read(path, beside) for path in paths if not path.name.startswith(("_", "."))}


def write_example(folder: Path) -> None:
    """Make a folder that is not there yet, with the example in it."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stamps.py").write_bytes(EXAMPLE.read_bytes())


def _read(path: Path, beside: tuple[tuple[str, int], ...]) -> FoundFile:
    try:
        token(path.stem, "file name")
        if path.stat().st_size > LARGEST:
            return FoundFile(path=path, text="", beside=beside, wrong=f"larger than {LARGEST >> 20} MB")
        return FoundFile(path=path, text=path.read_text(encoding="utf-8"), beside=beside)
    except UnicodeDecodeError:
        return FoundFile(path=path, text="", beside=beside, wrong="no UTF-8 text")
    except (OSError, ValueError) as error:
        return FoundFile(path=path, text="", beside=beside, wrong=str(error))
