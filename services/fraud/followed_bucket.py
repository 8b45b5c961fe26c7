"""Followed bucket: what a process knows of a bucket's documents, kept as the bucket has them."""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from mesh.errors import MeshError
from mesh.observability.logs import log
from mesh.state import State

T = TypeVar("T")
PAUSE = 1.0
"""Seconds after losing the servers before it is tried again."""


class FollowedBucket(ABC, Generic[T]):
    """`name` is what the documents are called in logs and in the readiness check."""

    def __init__(self, state: State[T], name: str) -> None:
        self._state, self._name = state, name
        self._filled = False

    async def follow(self) -> None:
        """Keep the documents as the bucket has them, until cancelled. Losing the servers pauses it."""
        while True:
            try:
                async with self._state.watch() as entries:
                    async for entry in entries:
                        if entry is None:
                            self._filled = True
                        else:
                            self._apply(*entry)
            except MeshError as error:
                log.warning(f"{self._name} are not followed", error=str(error))
            await asyncio.sleep(PAUSE)

    def unready(self) -> str | None:
        """Why nothing can be judged yet."""
        return None if self._filled else f"the {self._name} are still being read"

    @abstractmethod
    def _apply(self, key: str, document: T | None) -> None:
        """Judge by a document from now on; None: it was removed."""
