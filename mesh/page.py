"""Page: a page of the console, declared by the service that serves it; navigation, access and routes follow from it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mesh.errors import DeclarationError

RESERVED = ("/v1",)
_path = re.compile(r"/[a-z0-9][a-z0-9-]*", re.ASCII).fullmatch


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the console and everything below its path.

    `build` takes the `Console`, and further parameters that are filled by type; it returns the page's route handlers,
    relative to `path`. Whoever looks must be signed in with `role`, or one that includes it. The navigation shows
    `title` under `section`, those of a smaller `position` first; a page without a section is reached by links alone.
    """

    service: str
    path: str
    title: str
    role: str
    section: str
    build: Callable[..., Any]
    position: int = 0

    def __post_init__(self) -> None:
        if not _path(self.path) or self.path in RESERVED:
            raise DeclarationError(f"{self.service}: page {self.path!r}: write one path segment such as /board")

    @property
    def summary(self) -> str:
        """The first line of what the page's function says."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]
