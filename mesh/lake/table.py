"""Table: one Delta Lake table for each stream of a region, with the place up to which it holds that stream.

The place is the version of the table's application transaction, stored in the same commit as the rows:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
"""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import PrimitiveType

from mesh.errors import MeshError, Unavailable
from mesh.lake.settings import LakeSettings
from mesh.mesh import Mesh
from mesh.settings import read
from mesh.streams import StreamFamily

_TEXT, _MOMENT = pl.String(), pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    [
        ("type", _TEXT),
        ("day", pl.Date()),
        ("id", _TEXT),
        ("subject", _TEXT),
        ("time", _MOMENT),
        ("stored", _MOMENT),
        ("region", _TEXT),
        ("sequence", pl.Int64()),
        ("source", _TEXT),
        ("cause", _TEXT),
        ("traceparent", _TEXT),
        ("data", _TEXT),
    ]
)
"""A row is one CloudEvent: its attributes, `data` as the JSON that was stored, and where the stream has it."""
_KINDS = {pl.String: "string", pl.Date: "date", pl.Datetime: "timestamp", pl.Int64: "long"}
"""What Delta Lake calls them."""
PARTITIONS = ["type", "day"]
CONFIGURATION = {
    "delta.dataSkippingStatsColumns": "id,subject,time,stored,sequence",
    "delta.checkpointInterval": "50",
}
_MEGABYTE = 2**20


class LakeUnavailable(Unavailable):
    """The lake cannot be read or written just now; nothing was changed."""


class WrittenMeanwhile(MeshError):
    """Another process wrote to the table meanwhile; nothing was changed."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a table: its place in the stream, and of each type `type`, `rows`, `bytes`, `files` and `newest`."""

    version: int
    place: int
    types: list[dict[str, Any]]


class LakeTable:
    """The table of one stream. Its methods block: call them in a thread."""

    def __init__(self, settings: LakeSettings, region: str, family: StreamFamily) -> None:
        self.stream, self.name = family.stream(region), family.name.lower()
        self._settings, self._options = settings, settings.options()
        self._folder = None if "://" in settings.lake else Path(settings.lake)
        self.address = f"{settings.lake.rstrip('/')}/{region}/{self.name}"
        self._delta: DeltaTable | None = None

    def load(self) -> DeltaTable | None:
        """The table as it is now; None where there is none yet. Raises LakeUnavailable."""
        try:
            self._delta = DeltaTable(self.address, storage_options=self._options)
        except TableNotFoundError:
            self._delta = None
        except (DeltaError, OSError) as error:
            raise LakeUnavailable(f"{self.address} cannot be read: {error}") from error
        return self._delta

    @property
    def place(self) -> int:
        """The sequence up to which the table, as it was loaded, has every event of its stream; 0: it has none."""
        return (self._delta.transaction_version(self.stream) or 0) if self._delta else 0

    def id_at_place(self) -> str | None:
        """The id of the last event that it has; None where it has none. Raises LakeUnavailable."""
        if self._delta is None or not self.place:
            return None
        try:
            rows = pl.scan_delta(self._delta).filter(pl.col("sequence") == self.place).select("id").collect()
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            raise LakeUnavailable(f"{self.address} cannot be read: {error}") from error
        return rows["id"][0] if len(rows) else None

    def contents(self) -> Contents | None:
        """What is in it by its log, read anew beside a writer; None where there is no table. Raises LakeUnavailable."""
        try:
            delta = DeltaTable(self.address, storage_options=self._options)
            files = pl.DataFrame(delta.get_add_actions(flatten=True))
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise LakeUnavailable(f"{self.address} cannot be read: {error}") from error
        types: list[dict[str, Any]] = []
        if len(files):
            kept = files.group_by(type="partition.type").agg(
                rows=pl.col("num_records").sum(),
                bytes=pl.col("size_bytes").sum(),
                files=pl.len(),
                newest=pl.col("max.time").max(),
            )
            types = kept.sort("type").to_dicts()
        return Contents(version=delta.version(), place=delta.transaction_version(self.stream) or 0, types=types)

    def append(self, rows: pl.DataFrame, *, after: int, place: int) -> None:
        """Add what the stream holds behind `after` up to `place`, which is the table's place from the same commit on.

        Raises WrittenMeanwhile where the table is at another place than `after`, LakeUnavailable where it cannot be
        written.
        """
        if self.place != after:
            raise WrittenMeanwhile(f"{self.address} is at {self.place}, not at {after}")
        self.check_space(rows.estimated_size())
        try:
            if self._delta is None:
                self._delta = self._create()
            write_deltalake(
                self._delta,
                rows,
                mode="append",
                writer_properties=WriterProperties(compression="ZSTD"),
                commit_properties=CommitProperties(app_transactions=[Transaction(self.stream, place)]),
            )
        except CommitFailedError as error:
            raise WrittenMeanwhile(f"{self.address}: another process writes it as well: {error}") from error
        except (DeltaError, OSError) as error:
            raise LakeUnavailable(f"{self.address} cannot be written: {error}") from error

    def compact(self, keep: timedelta) -> None:
        """Put small files together, and delete files that no version needs that is younger than `keep`.

        Raises as `append`.
        """
        if (delta := self.load()) is None:
            return
        self.check_space(_MEGABYTE)
        try:
            delta.optimize.compact()
            delta.create_checkpoint()
            delta.cleanup_metadata()
            hours = int(keep / timedelta(hours=1))
            delta.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
        except CommitFailedError as error:
            raise WrittenMeanwhile(f"{self.address}: another process writes it as well: {error}") from error
        except (DeltaError, OSError) as error:
            raise LakeUnavailable(f"{self.address} cannot be written: {error}") from error

    def check_space(self, size: float) -> None:
        """Raises LakeUnavailable before anything is written where a folder's disk has too little space for it."""
        if self._folder is None:
            return
        free = shutil.disk_usage(next(one for one in (self._folder, *self._folder.parents) if one.exists())).free
        needed = size + self._settings.lake_reserve_mb * _MEGABYTE
        if free < needed:
            raise LakeUnavailable(
                f"the disk of {self._folder} has {free // _MEGABYTE} MB left, and {-(-needed // _MEGABYTE):.0f} are "
                "needed (CARTMESH_LAKE_RESERVE_MB): make space, and the lake goes on by itself"
            )

    def _create(self) -> DeltaTable:
        return DeltaTable.create(
            self.address,
            schema=Schema([Field(name, PrimitiveType(_KINDS[kind.base_type()])) for name, kind in SCHEMA.items()]),
            mode="error",
            partition_by=PARTITIONS,
            configuration=CONFIGURATION,
            storage_options=self._options,
        )


def lake_tables(mesh: Mesh, settings: LakeSettings | None = None) -> list[LakeTable]:
    """The tables of a region's lake, none where there is no lake.

    Streams that other regions copy have one, and that of the personal events; what the mesh tells of itself has none.
    """
    chosen = settings or read(LakeSettings)
    layout = mesh.layout
    families = [one for one in layout.families if one.copied and one != layout.operations]
    return [LakeTable(chosen, mesh.region, family) for family in families] if chosen.lake else []
