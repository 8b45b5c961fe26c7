"""An artifact: a model as bytes (skops), holding numbers and strings only, so that nothing in it can run.

No estimator is stored, only what it learnt as arrays: whichever scikit-learn trained a model, another one or
none at all serves it with the same result, so its version is noted for the record and never asked for.

Reading skops needs scikit-learn, 100 MB and a second of import. A serving process therefore lets a child
read it: `python -m ml.models.artifact` takes an artifact on stdin and writes plain arrays to stdout.
"""

import asyncio
import io
import math
import sys
import zipfile
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mesh.errors import Unavailable

FORMAT = 2
"""Counts up when what the parts of an artifact mean changes; artifacts of another format are refused."""
MOST_BYTES = 64 * 2**20
MOST_UNPACKED, MOST_PARTS = 256 * 2**20, 4_096
"""Bytes that an artifact's parts may have together once unpacked, and how many parts there may be."""
TRUSTED: list[str] = []
"""Types beyond numpy arrays and builtins that an artifact may hold: none."""
ENDLESS = ("threshold",)
"""Arrays that may hold infinities: a threshold above everything pads trees that are less deep than others."""
PATIENCE = 120.0


class ArtifactRefused(Exception):
    """Bytes that are no model this process would serve; the message says why."""


class Plain(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A model between processes. `kind` says who can make something of it, `features` what its rows hold.

    Numbers are finite; arrays are of floats, integers or booleans, without NaN and, but for `ENDLESS`, infinities.
    """

    kind: str
    features: tuple[str, ...]
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    arrays: dict[str, NDArray[Any]] = {}

    def number(self, name: str) -> float:
        """A number by name. ArtifactRefused where there is none."""
        return _present(self.numbers, name, self.kind)

    def array(self, name: str) -> NDArray[Any]:
        """An array by name. ArtifactRefused where there is none."""
        return _present(self.arrays, name, self.kind)


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What the child answers: a model, its arrays as (dtype, shape, bytes), or why there is none."""

    refused: str | None = None
    kind: str = ""
    features: tuple[str, ...] = ()
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    arrays: dict[str, tuple[str, tuple[int, ...], bytes]] = {}


def pack(plain: Plain) -> bytes:
    """A model as skops bytes. ArtifactRefused for what `unpack` would refuse: better now than when it must serve."""
    from skops.io import dumps  # noqa: PLC0415  needs scikit-learn

    _sound(plain)
    return dumps(
        {
            "format": FORMAT,
            "kind": plain.kind,
            "features": list(plain.features),
            "numbers": dict(plain.numbers),
            "texts": dict(plain.texts),
            "arrays": dict(plain.arrays),
        }
    )


def unpack(artifact: bytes, *, kind: str, features: tuple[str, ...] | None = None) -> Plain:
    """The model in skops bytes, read in this process.

    ArtifactRefused for anything else, for a model of another kind, and for one over other features than
    `features` where those are given.
    """
    return _fitting(_plain(artifact), kind, features)


async def unpack_in_child_process(artifact: bytes, *, kind: str, features: tuple[str, ...] | None = None) -> Plain:
    """Like `unpack`, with skops and scikit-learn in a child process. The event loop goes on meanwhile.

    Unavailable when the child takes too long, which says nothing about the artifact: try again.
    """
    _plausible(artifact)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ml.models.artifact", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            answer, _ = await child.communicate(artifact)
    except TimeoutError:
        raise Unavailable(f"the artifact could not be read within {PATIENCE:.0f} s: this machine is too busy") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    try:
        read = msgspec.msgpack.decode(answer, type=_Read)
    except msgspec.DecodeError:
        raise ArtifactRefused(f"the process that read it ended with {child.returncode}") from None
    if read.refused is not None:
        raise ArtifactRefused(read.refused)
    arrays = {name: np.frombuffer(data, dtype).reshape(shape) for name, (dtype, shape, data) in read.arrays.items()}
    plain = Plain(kind=read.kind, features=read.features, numbers=read.numbers, texts=read.texts, arrays=arrays)
    return _fitting(plain, kind, features)


def _fitting(plain: Plain, kind: str, features: tuple[str, ...] | None) -> Plain:
    if plain.kind != kind:
        raise ArtifactRefused(f"is a model of the kind {plain.kind!r}, not {kind!r}")
    if features is not None and plain.features != features:
        different = sorted(set(plain.features) ^ set(features)) or ["their order"]
        raise ArtifactRefused(f"made for other features than are served: {', '.join(different)}. Train again")
    return plain


def _plausible(artifact: bytes) -> None:
    if len(artifact) > MOST_BYTES:
        raise ArtifactRefused(f"{len(artifact):,} bytes; {MOST_BYTES:,} is the most")
    if not artifact.startswith(b"PK"):
        pickled = artifact[:1] == b"\x80"
        what = "a pickle, which could run code" if pickled else "no skops file, or a truncated one"
        raise ArtifactRefused(f"{what}; models are stored by `cartmesh train`")


def _plain(artifact: bytes) -> Plain:
    content = _content(artifact)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format", "unknown") if isinstance(content, dict) else "unknown"
        raise ArtifactRefused(f"its format is {found}, and this release reads format {FORMAT}. Train again")
    arrays = content.get("arrays")
    try:
        plain = msgspec.convert({**content, "arrays": {}}, type=Plain)
    except msgspec.ValidationError as error:
        raise ArtifactRefused(f"does not hold what a model is made of: {error}") from error
    if not isinstance(arrays, dict):
        raise ArtifactRefused("does not hold what a model is made of: no arrays")
    return _sound(msgspec.structs.replace(plain, arrays=arrays))


def _content(artifact: bytes) -> Any:
    from skops.io import get_untrusted_types, loads  # noqa: PLC0415  needs scikit-learn

    _plausible(artifact)
    _bounded(artifact)
    try:
        untrusted = sorted(set(get_untrusted_types(data=artifact)) - set(TRUSTED))
        if untrusted:
            raise ArtifactRefused(f"holds untrusted types: {', '.join(untrusted)}")
        return loads(artifact, trusted=TRUSTED)
    except ArtifactRefused:
        raise
    except Exception as error:
        raise ArtifactRefused(f"cannot be read: {type(error).__name__}: {error}") from error


def _bounded(artifact: bytes) -> None:
    """Refuse what would fill the memory, before any part is unpacked. None is read beyond the size it states."""
    try:
        with zipfile.ZipFile(io.BytesIO(artifact)) as parts:
            sizes = [part.file_size for part in parts.infolist()]
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ArtifactRefused(f"cannot be read: {type(error).__name__}: {error}") from error
    if len(sizes) > MOST_PARTS or sum(sizes) > MOST_UNPACKED:
        raise ArtifactRefused(
            f"{len(sizes):,} parts of {sum(sizes):,} bytes; {MOST_PARTS:,} and {MOST_UNPACKED:,} are the most"
        )


def _sound(plain: Plain) -> Plain:
    for name, number in plain.numbers.items():
        if not math.isfinite(number):
            raise ArtifactRefused(f"its number {name!r} is not finite")
    for name, array in plain.arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "ifbu":
            raise ArtifactRefused(f"its array {name!r} does not hold numbers")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ArtifactRefused(f"its array {name!r} is not finite: it holds NaN")
        if array.dtype.kind == "f" and name not in ENDLESS and np.isinf(array).any():
            raise ArtifactRefused(f"its array {name!r} is not finite: it holds infinities")
    return plain


def _present(parts: dict[str, Any], name: str, kind: str) -> Any:
    if name not in parts:
        raise ArtifactRefused(f"is no whole {kind} model: {name!r} is missing")
    return parts[name]


def _answer(artifact: bytes) -> _Read:
    try:
        plain = _plain(artifact)
    except ArtifactRefused as error:
        return _Read(refused=str(error))
    arrays = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in plain.arrays.items()}
    return _Read(kind=plain.kind, features=plain.features, numbers=plain.numbers, texts=plain.texts, arrays=arrays)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.msgpack.encode(_answer(sys.stdin.buffer.read())))
