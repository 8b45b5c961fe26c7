"""Backup store: where backups are kept, a folder or `s3://bucket/prefix`, by the same calls.

Credentials, region and endpoint of S3 are the standard variables: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or
a role by `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`, or the machine's own; `AWS_REGION`; `AWS_ENDPOINT_URL` for
another service than Amazon's. https://developmentseed.org/obstore/latest/api/store/aws/
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from mesh.errors import MeshError, Unavailable

COVER = "backup.json"
"""The file that is written last: what has none is no backup."""
_S3 = "s3://"
_code = re.compile(r"<Code>(\w+)</Code>").search
_PART_BYTES = 32 * 1024 * 1024
"""Of a file that is sent in parts: S3 takes 10,000 of them, so a stream may have 320 GB."""
_READ_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_CLIENT: dict[str, Any] = {"connect_timeout": "10s", "timeout": "300s"}
"""`timeout` is for one request: a part, not a file."""


class FileWriter:
    """A file that is written piece by piece and is there once it is closed, whole."""

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where

    async def write(self, piece: bytes) -> None:
        """One more piece. Raises Unavailable."""
        with _told(self._where):
            await self._file.write(piece)

    async def close(self) -> None:
        """The end. Raises Unavailable; then there is no such file."""
        with _told(self._where):
            await self._file.close()


@dataclass(frozen=True)
class BackupStore:
    """A folder or a bucket's prefix with files in it, and folders of them. Make one with `open`."""

    where: str
    """As it was written, without a `/` at the end."""
    store: LocalStore | S3Store

    @staticmethod
    def open(where: str, *, make: bool = False) -> "BackupStore":
        """What is at `where`; with `make` a folder that is not there is made, for its owner alone. Raises MeshError."""
        where = where if where in ("/", _S3) else where.rstrip("/")
        try:
            if where.startswith(_S3):
                return BackupStore(where, _bucket(where))
            if "://" in where:
                raise MeshError(f"{where}: a backup is kept in a folder or in s3://BUCKET/PREFIX")
            if make:
                Path(where).mkdir(parents=True, exist_ok=True, mode=0o700)
            if not Path(where).is_dir():
                raise MeshError(f"{where} is no backup: there is no such folder")
            return BackupStore(where, LocalStore(Path(where).absolute()))
        except (BaseError, OSError) as error:
            raise MeshError(f"{where}: {error}") from error

    def path(self, name: str) -> str:
        """Where a file or folder in it is."""
        return f"{self.where}/{name}"

    def writer(self, name: str) -> FileWriter:
        """A new file."""
        file = obstore.open_writer_async(self.store, name, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        return FileWriter(file, self.path(name))

    async def put(self, name: str, content: bytes) -> None:
        """A new small file, whole. Raises Unavailable."""
        with _told(self.path(name)):
            await obstore.put_async(self.store, name, content)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """A file's content in pieces. Raises Unavailable; MeshError where there is none."""
        with _told(self.path(name)):
            size, at = (await obstore.head_async(self.store, name))["size"], 0
            while at < size:
                # Each piece is a request of its own, so that a slow one is asked again and not all of them.
                end = min(size, at + _READ_BYTES)
                yield bytes(await obstore.get_range_async(self.store, name, start=at, end=end))
                at = end

    async def folders(self) -> list[str]:
        """The names of the folders in it, sorted."""
        with _told(self.where):
            found = await obstore.list_with_delimiter_async(self.store)
        return sorted(str(one).rstrip("/") for one in found["common_prefixes"])

    async def files(self, folder: str) -> dict[str, int]:
        """The paths of a folder's files, and their sizes in bytes."""
        found: dict[str, int] = {}
        with _told(self.path(folder)):
            async for page in obstore.list(self.store, f"{folder}/"):
                found |= {one["path"]: one["size"] for one in page}
        return found

    async def remove(self, folder: str) -> None:
        """Delete a folder: its cover first, so that what is left of it is no backup. Raises Unavailable."""
        files = await self.files(folder)
        with _told(self.path(folder)):
            for path in sorted(files, key=lambda path: not path.endswith(f"/{COVER}")):
                await obstore.delete_async(self.store, path)
        if isinstance(self.store, LocalStore):  # files that were begun, which only the folder itself shows
            shutil.rmtree(Path(self.where) / folder, ignore_errors=True)


def _bucket(where: str) -> S3Store:
    bucket, _, prefix = where.removeprefix(_S3).partition("/")
    if not bucket:
        raise MeshError(f"{where}: write s3://BUCKET/PREFIX")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    own: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    in_the_clear = {"allow_http": True} if endpoint.startswith("http://") else {}
    options: Any = _CLIENT | in_the_clear
    return S3Store(bucket, prefix=prefix or None, config=own or None, client_options=options)  # type: ignore[arg-type]


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What a store says, as our errors."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise MeshError(f"{where} is not there: {_reason(error)}") from error
    except (BaseError, OSError) as error:
        raise Unavailable(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The error code that S3 answers with, such as `NoSuchBucket`, or what the client says in its first line."""
    text = str(error).strip()
    code = _code(text)
    return code[1] if code else text.partition("\n")[0]
