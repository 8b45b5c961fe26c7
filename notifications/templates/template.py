"""Template: all texts that an offer is rendered from, one file per locale and the layouts that are its own."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

import msgspec

SUFFIX = ".mjml.j2"
LAYOUTS = "layouts/"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template's name and its files as (name, text): `de.mjml.j2`, and its own layouts as `layouts/...`.

    Two with the same texts are equal, whatever their revision.
    """

    name: str
    files: tuple[tuple[str, str], ...]

    @property
    def locales(self) -> list[str]:
        """The locales that it has a file for, such as de or de-AT."""
        return [file.removesuffix(SUFFIX) for file, _ in self.files if is_locale_file(file)]


def template_of(name: str, files: Mapping[str, str]) -> Template:
    """A document's files as a template."""
    return Template(name=name, files=tuple(sorted(files.items())))


@lru_cache(maxsize=64)
def digest_of(template: Template) -> str:
    """What names its texts: equal for equal templates alone."""
    return sha256(msgspec.json.encode(template)).hexdigest()


def locale_for(wanted: str | None, there: Sequence[str]) -> str:
    """Of the locales that a template has the one that a shopper gets: theirs, its language, English, or the first."""
    return locales_for(wanted, there)[0]


def locales_for(wanted: str | None, there: Sequence[str]) -> list[str]:
    """Those that a shopper may get, the best first."""
    tag = (wanted or "").replace("_", "-")
    return list(dict.fromkeys(one for one in (tag, tag.partition("-")[0], "en", there[0]) if one in there))


def is_locale_file(file: str) -> bool:
    """Whether a file is a locale's, and no layout."""
    return file.endswith(SUFFIX) and "/" not in file
