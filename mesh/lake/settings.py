"""Settings of the lake, apart from what reads it: that brings polars, which not every process needs."""

from pathlib import Path

import msgspec

from mesh.settings import read


class LakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the lake is: a folder, or an address such as `s3://bucket/path`; nowhere without `lake`.

    `lake_options` are the object store's own (`key=value`, https://docs.rs/object_store); it finds credentials by
    itself in `AWS_ACCESS_KEY_ID` and the like. `lake_reserve_mb` is the space that is left free on a folder's disk.
    """

    lake: str = ""
    lake_options: tuple[str, ...] = ()
    lake_reserve_mb: int = 64

    def options(self) -> dict[str, str]:
        """`lake_options` as the object store takes them."""
        return dict(option.split("=", 1) for option in self.lake_options if "=" in option)


def beside(servers: Path | None) -> LakeSettings:
    """CARTMESH_LAKE, else the lake that `cartmesh up` keeps beside servers.json, else none."""
    settings, folder = read(LakeSettings), (servers or Path("servers.json")).parent / "lake"
    return msgspec.structs.replace(settings, lake=str(folder)) if not settings.lake and folder.is_dir() else settings
