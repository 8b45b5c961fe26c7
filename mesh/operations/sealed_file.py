"""Sealed files: chunks of bytes, encrypted and in their order, so that nobody reads, changes or cuts a backup.

AES-256-GCM with a key for each file (HKDF of its name) from the backup's key (scrypt, RFC 7914). A chunk's number is
its nonce, and whether it is the last one is authenticated with it.
"""

from collections.abc import AsyncIterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mesh.errors import MeshError
from mesh.operations.backup_store import BackupStore

SALT_BYTES = 16
_LENGTH = 4
_MORE, _LAST = b"more", b"last"


def backup_key(secret: str, salt: bytes) -> bytes:
    """The key of a backup from the secret that the operator keeps; `salt` is random and stands beside the files."""
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(secret.encode())


class SealedWriter:
    """Writes chunks to a file. What was not closed is not complete, and is refused when it is read."""

    def __init__(self, store: BackupStore, path: str, key: bytes) -> None:
        self._file = store.writer(path)
        self._cipher, self._count = _cipher(key, path), 0

    async def write(self, chunk: bytes) -> None:
        """One more chunk."""
        await self._write(chunk, _MORE)

    async def close(self) -> None:
        """The end of the file."""
        await self._write(b"", _LAST)
        await self._file.close()

    async def _write(self, chunk: bytes, place: bytes) -> None:
        sealed = self._cipher.encrypt(self._count.to_bytes(12, "big"), chunk, place)
        await self._file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
        self._count += 1


async def chunks(store: BackupStore, path: str, key: bytes) -> AsyncIterator[bytes]:
    """The chunks of a file; MeshError where it was changed or cut, or the key is another one."""
    cipher, count = _cipher(key, path), 0
    async for sealed in _frames(store.read(path)):
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
                f"{store.path(path)} cannot be read: it was changed, "
                "or CARTMESH_BACKUP_KEY is not the one it was made with"
            )
        count += 1
    raise MeshError(f"{store.path(path)} is not complete")


async def _frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What stands behind each length; the last may be shorter than it should be."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        at = 0
        while at + _LENGTH <= len(held):
            end = at + _LENGTH + int.from_bytes(held[at : at + _LENGTH], "big")
            if end > len(held):
                break
            yield bytes(held[at + _LENGTH : end])
            at = end
        del held[:at]
    if held:
        yield bytes(held[_LENGTH:])


def _cipher(key: bytes, path: str) -> AESGCM:
    name = path.rpartition("/")[2].encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=name).derive(key))
