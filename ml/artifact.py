"""An artifact: a model as bytes (skops), holding numbers and words only, so that nothing in it can run.

Reading skops needs scikit-learn, 100 MB and a second of import. A serving process therefore lets a child
read it: `python -m ml.artifact` takes an artifact on stdin and writes plain arrays to stdout.
"""

import asyncio
import sys
from typing import Any

import msgspec
import numpy as np

from mesh.errors import Unavailable
from ml.features import names
from ml.models.trees import Trees
from ml.serving import Model

FORMAT = 1
MOST_BYTES = 64 * 2**20
TRUSTED: list[str] = []
"""Types beyond numpy arrays and builtins that an artifact may hold: none."""
PATIENCE = 120.0
_ARRAYS = ("feature", "threshold", "value", "knots")


class ArtifactRefused(Exception):
    """Bytes that are no model this process would serve; the message says why."""


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """A model between processes: arrays as (dtype, shape, bytes); or why it was refused."""

    refused: str | None = None
    features: tuple[str, ...] = ()
    baseline: float = 0.0
    arrays: dict[str, tuple[str, tuple[int, ...], bytes]] = {}


def pack(model: Model) -> bytes:
    """A model as skops bytes."""
    from skops.io import dumps  # noqa: PLC0415  needs scikit-learn

    trees = model.trees
    return dumps(
        {
            "format": FORMAT,
            "features": list(model.features),
            "baseline": trees.baseline,
            "feature": trees.feature,
            "threshold": trees.threshold,
            "value": trees.value,
            "knots": model.knots,
        }
    )


def unpack(artifact: bytes, *, features: tuple[str, ...] | None = None) -> Model:
    """The model in skops bytes, in this process. ArtifactRefused for anything else, and for other features."""
    content = _content(artifact)
    wanted = names() if features is None else features
    if tuple(content["features"]) != wanted:
        different = sorted(set(content["features"]) ^ set(wanted)) or ["their order"]
        raise ArtifactRefused(f"made for other features than are served: {', '.join(different)}. Train again")
    trees = Trees(
        feature=content["feature"],
        threshold=content["threshold"],
        value=content["value"],
        baseline=float(content["baseline"]),
        features=len(wanted),
    )
    return _sound(Model(features=wanted, trees=trees, knots=content["knots"]))


async def unpack_apart(artifact: bytes) -> Model:
    """Like `unpack`, with skops and scikit-learn in a child process. The event loop goes on meanwhile.

    Unavailable when the child takes too long, which says nothing about the artifact: try again.
    """
    _plausible(artifact)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ml.artifact", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            told, _ = await child.communicate(artifact)
    except TimeoutError:
        raise Unavailable(f"the artifact could not be read within {PATIENCE:.0f} s: this machine is too busy") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    try:
        plain = msgspec.msgpack.decode(told, type=Plain)
    except msgspec.DecodeError:
        raise ArtifactRefused(f"the process that read it ended with {child.returncode}") from None
    if plain.refused is not None:
        raise ArtifactRefused(plain.refused)
    arrays = {name: np.frombuffer(data, kind).reshape(shape) for name, (kind, shape, data) in plain.arrays.items()}
    trees = Trees(
        feature=arrays["feature"],
        threshold=arrays["threshold"],
        value=arrays["value"],
        baseline=plain.baseline,
        features=len(plain.features),
    )
    return Model(features=plain.features, trees=trees, knots=arrays["knots"])


def _plausible(artifact: bytes) -> None:
    if len(artifact) > MOST_BYTES:
        raise ArtifactRefused(f"{len(artifact):,} bytes; {MOST_BYTES:,} is the most")
    if not artifact.startswith(b"PK"):
        pickled = artifact[:1] == b"\x80"
        what = "a pickle, which could run code" if pickled else "no skops file, or a truncated one"
        raise ArtifactRefused(f"{what}; models are stored by `cartmesh train`")


def _content(artifact: bytes) -> dict[str, Any]:
    from skops.io import get_untrusted_types, loads  # noqa: PLC0415  needs scikit-learn

    _plausible(artifact)
    try:
        untrusted = sorted(set(get_untrusted_types(data=artifact)) - set(TRUSTED))
        if untrusted:
            raise ArtifactRefused(f"holds untrusted types: {', '.join(untrusted)}")
        content = loads(artifact, trusted=TRUSTED)
    except ArtifactRefused:
        raise
    except Exception as error:
        raise ArtifactRefused(f"cannot be read: {type(error).__name__}: {error}") from error
    lacking = {"format", "features", "baseline", *_ARRAYS} - set(content if isinstance(content, dict) else ())
    if lacking or content["format"] != FORMAT:
        raise ArtifactRefused(f"is no propensity model of format {FORMAT}")
    return content


def _sound(model: Model) -> Model:
    """The model, unless following its trees would lead out of its arrays or to something infinite."""
    trees, knots = model.trees, model.knots
    arrays = (trees.feature, trees.threshold, trees.value, knots)
    if not all(isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "if" for array in arrays):
        raise ArtifactRefused("its arrays are not numbers in rows")
    count, nodes = trees.value.shape
    inner = (count, (nodes - 1) // 2)
    if (nodes + 1) & nodes or trees.feature.shape != inner or trees.threshold.shape != inner or len(knots) != 2:
        raise ArtifactRefused("its arrays do not fit together")
    if trees.feature.size and not 0 <= trees.feature.min() <= trees.feature.max() < trees.features:
        raise ArtifactRefused("its trees ask for features that there are not")
    if not (np.isfinite(trees.value).all() and np.isfinite(knots).all() and np.isfinite(trees.baseline)):
        raise ArtifactRefused("its values are not finite")
    if knots.shape[1] < 1 or (np.diff(knots) < 0).any() or knots[1].min() < 0 or knots[1].max() > 1:
        raise ArtifactRefused("its calibration does not rise from 0 towards 1")
    return model


def _told(artifact: bytes) -> Plain:
    try:
        model = unpack(artifact)
    except ArtifactRefused as error:
        return Plain(refused=str(error))
    trees = model.trees
    arrays = {"feature": trees.feature, "threshold": trees.threshold, "value": trees.value, "knots": model.knots}
    return Plain(
        features=model.features,
        baseline=trees.baseline,
        arrays={name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()},
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.msgpack.encode(_told(sys.stdin.buffer.read())))
