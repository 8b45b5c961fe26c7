"""Delimited text: CSV and its kin, whatever separates, encodes or compresses it, as Parquet that polars can scan."""

import csv
import gzip
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Protocol, cast

import polars as pl

from mesh.shop_logs.style import UnreadableLog

SEPARATORS = ",;\t|"
BATCH = 100_000
"""Rows that are held at a time."""
LINE, MISFIT = "_line", "_misfit"
GZIP = b"\x1f\x8b"


class Lines(Protocol):
    """A `csv.reader`, whose type has no public name: rows, and how many lines were read for them."""

    @property
    def line_num(self) -> int:
        """The last line that was read, from 1."""
        ...

    def __iter__(self) -> Iterator[list[str]]:
        """The rows."""
        ...

    def __next__(self) -> list[str]:
        """The next row."""
        ...


def converted(path: Path, folder: Path) -> tuple[pl.LazyFrame, str]:
    """A text file as a frame of text, with `_line` and, where a row does not fit the header, how in `_misfit`.

    Written to `folder`, which must stay while the frame is used. Also returned: what the encoding is.
    UnreadableLog for a file without a header, or one that is damaged, with the line.
    """
    encoding = _encoding(path)
    with _opened(path) as file, TextIOWrapper(file, encoding=encoding, newline="") as text:
        first = text.readline(1_000_000)
        separator = max(SEPARATORS, key=first.count)
        text.seek(0)
        reader = csv.reader(text, delimiter=separator)
        try:
            header = [name.strip() for name in next(reader, [])]
            if not any(header):
                raise UnreadableLog(f"{path}, line 1: a header with the names of the columns is missing")
            if doubled := {name for name in header if name and header.count(name) > 1}:
                raise UnreadableLog(f"{path}, line 1: column {', '.join(sorted(doubled))} is there more than once")
            rows = _rows(reader, len(header))
            names = [name or f"_unnamed_{at}" for at, name in enumerate(header)]
            schema: dict[str, type[pl.DataType]] = dict.fromkeys(names, pl.String)
            schema |= {LINE: pl.Int64, MISFIT: pl.String}
            for part in range(1_000_000):
                batch = list(islice(rows, BATCH))
                if batch or part == 0:
                    pl.DataFrame(batch, schema=schema, orient="row").write_parquet(folder / f"{part:06}.parquet")
                if len(batch) < BATCH:
                    break
        except (csv.Error, EOFError, OSError) as error:
            raise UnreadableLog(f"{path}, after line {reader.line_num}: the file is damaged: {error}") from error
    return pl.scan_parquet(sorted(folder.glob("*.parquet"))), encoding


def _rows(reader: Lines, width: int) -> Iterator[list[str | int | None]]:
    begins = reader.line_num + 1
    for fields in reader:
        line, begins = begins, reader.line_num + 1
        while len(fields) > width and not fields[-1].strip():
            fields.pop()
        if not any(fields):
            continue  # a blank line
        misfit = None if len(fields) == width else f"{len(fields)} fields where the header has {width}"
        yield [*fields[:width], *[None] * (width - len(fields)), line, misfit]


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def _encoding(path: Path) -> str:
    """UTF-16 by its mark, UTF-8 where every byte fits, else Latin-1."""
    try:
        with _opened(path) as file:
            head = file.read(4096)
            if not head.strip():
                raise UnreadableLog(f"{path} is empty")
            if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                return "utf-16"
            if b"\0" in head:
                raise UnreadableLog(f"{path} cannot be read: it is neither Parquet nor text")
        with _opened(path) as file, TextIOWrapper(file, encoding="utf-8-sig") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    except (OSError, EOFError) as error:
        raise UnreadableLog(f"{path} cannot be read: {error}") from error
    return "utf-8-sig"
