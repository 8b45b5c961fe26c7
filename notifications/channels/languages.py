"""Languages: how many of some mails would be in which language, counted where shoppers' languages may be read."""

import asyncio
from collections import Counter

import msgspec

from mesh import Mesh
from notifications.shopper_profile import profile_of
from notifications.templates.template import locale_for

AT_A_TIME = 8
"""How many shoppers are read at once: mails that are really sent wait for the same servers."""


class LanguagesAsked(msgspec.Struct, frozen=True, kw_only=True):
    """To how many of these mails, each named by the visitor that it goes to, which of a template's `locales` fits.

    The visitors are those of this region.
    """

    visitors: tuple[str, ...]
    locales: tuple[str, ...]


class LanguageCount(msgspec.Struct, frozen=True, kw_only=True):
    """So many mails to shoppers of the language `wanted` (such as `de`; empty: not known) are in the locale `given`."""

    wanted: str
    given: str
    mails: int

    @property
    def falls_back(self) -> bool:
        """Whether the shopper's language is known and the template has it not."""
        return bool(self.wanted) and language_of(self.given) != self.wanted


class LanguagesCounted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: numbers alone, so that nobody's language leaves the service that may read it."""

    counts: tuple[LanguageCount, ...]


async def counted_languages(asked: LanguagesAsked, mesh: Mesh) -> LanguagesCounted:
    """Count them as the mails would be rendered. Raises Unavailable."""
    turns, found = asyncio.Semaphore(AT_A_TIME), dict[str, str | None]()

    async def read(visitor: str) -> None:
        async with turns:
            found[visitor] = profile_of(await mesh.history(visitor, "customer")).locale

    await asyncio.gather(*(read(visitor) for visitor in set(asked.visitors)))
    counts = Counter(
        (language_of(found[visitor] or ""), locale_for(found[visitor], asked.locales)) for visitor in asked.visitors
    )
    return LanguagesCounted(
        counts=tuple(
            LanguageCount(wanted=wanted, given=given, mails=mails) for (wanted, given), mails in counts.most_common()
        )
    )


def language_of(locale: str) -> str:
    """The language of a locale: `de` of `de-AT` and of `de_AT`."""
    return locale.replace("_", "-").partition("-")[0].lower()
