"""Sealed files: chunks of bytes, encrypted and in their order, so that nobody reads, changes or cuts a backup.

AES-256-GCM with a key for each file (HKDF of its name) from the backup's key (scrypt, RFC 7914). A chunk's number is
its nonce, and whether it is the last one is authenticated with it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mesh.errors import MeshError

SALT_BYTES = 16
_LENGTH = 4
_MORE, _LAST = b"more", b"last"


def backup_key(secret: str, salt: bytes) -> bytes:
    """The key of a backup from the secret that the operator keeps; `salt` is random and stands beside the files."""
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(secret.encode())


class SealedWriter:
    """Writes chunks to a file. What was not closed is not complete, and is refused when it is read."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._file: BinaryIO = path.open("xb")
        self._cipher, self._count = _cipher(key, path.name), 0

    def write(self, chunk: bytes) -> None:
        """One more chunk."""
        self._write(chunk, _MORE)

    def close(self) -> None:
        """The end of the file."""
        self._write(b"", _LAST)
        self._file.close()

    def _write(self, chunk: bytes, place: bytes) -> None:
        sealed = self._cipher.encrypt(self._count.to_bytes(12, "big"), chunk, place)
        self._file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
        self._count += 1


def chunks(path: Path, key: bytes) -> Iterator[bytes]:
    """The chunks of a file; MeshError where it was changed or cut, or the key is another one."""
    cipher, count = _cipher(key, path.name), 0
    with path.open("rb") as file:
        while length := file.read(_LENGTH):
            sealed = file.read(int.from_bytes(length, "big"))
            for place in (_MORE, _LAST):
                try:
                    chunk = cipher.decrypt(count.to_bytes(12, "big"), sealed, place)
                except InvalidTag:
                    continue
                if place == _LAST:
                    return
                yield chunk
                break
            else:
                raise MeshError(
                    f"{path} cannot be read: it was changed, or CARTMESH_BACKUP_KEY is not the one it was made with"
                )
            count += 1
    raise MeshError(f"{path} is not complete")


def _cipher(key: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=name.encode()).derive(key))
