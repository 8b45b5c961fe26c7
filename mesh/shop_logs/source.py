"""Source: a log's file as a frame under the names it has there, with the place of each row."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mesh.shop_logs.delimited import LINE, MISFIT, converted
from mesh.shop_logs.style import UnreadableLog


@dataclass(frozen=True, kw_only=True)
class Source:
    """`frame` has `_line`, counted in `unit`s from 1 (a text's header is line 1), and `_misfit`; see `delimited`."""

    path: Path
    frame: pl.LazyFrame
    unit: str
    notes: tuple[str, ...] = ()

    def at(self, line: int) -> str:
        """A place in the file: `line 5`, or `row 5` of Parquet."""
        return f"{self.unit} {line}"


def source(path: Path, folder: Path) -> Source:
    """A file as it is: Parquet or text by its first bytes, whatever its name ends in.

    Text is laid down in `folder`. UnreadableLog says what is wrong with the file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise UnreadableLog(f"{path}: there is no such file") from None
    except OSError as error:
        raise UnreadableLog(f"{path} cannot be read: {error.strerror}") from error
    if head == b"PAR1":
        frame = pl.scan_parquet(path)
        try:
            frame.collect_schema()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UnreadableLog(f"{path} cannot be read as Parquet: {error}") from error
        frame = frame.with_row_index(LINE, offset=1).with_columns(
            pl.col(LINE).cast(pl.Int64), pl.lit(None, pl.String).alias(MISFIT)
        )
        return Source(path=path, frame=frame, unit="row")
    if head.startswith(b"PK\x03\x04"):
        raise UnreadableLog(f"{path} cannot be read: it is a ZIP archive; unpack it first")
    if path.suffix.lower() == ".parquet" and head:
        raise UnreadableLog(f"{path} cannot be read: it is no Parquet, whatever its name says")
    frame, encoding = converted(path, folder)
    notes = ("it is not UTF-8 and was read as Latin-1",) if encoding == "latin-1" else ()
    return Source(path=path, frame=frame, unit="line", notes=notes)
