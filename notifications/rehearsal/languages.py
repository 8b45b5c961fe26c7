"""Languages: in which language the mails of a rehearsal would be, as far as this region knows its shoppers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from mesh import Mesh
from mesh.errors import Unavailable
from notifications.channels.languages import LanguageCount, LanguagesAsked, LanguagesCounted
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

MOST, AT_ONCE = 2_000, 500
"""Of more mails the newest are looked at; so many are asked about with one question."""
PATIENCE = timedelta(seconds=20)


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that would be sent: by which template, to whom, and in which region the shopper is."""

    template: str
    visitor_id: str
    region: str


class TemplateLanguages(msgspec.Struct, frozen=True, kw_only=True):
    """The mails of one template."""

    template: str
    counts: tuple[LanguageCount, ...]


class Languages(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of `mails` mails. `elsewhere` go to shoppers of other regions, whose languages stay there.

    `older` are not looked at, and those `without` a template in force cannot be.
    """

    mails: int
    templates: tuple[TemplateLanguages, ...]
    elsewhere: int = 0
    older: int = 0
    without: int = 0


async def languages_of(mails: Iterable[Mail], mesh: Mesh) -> Languages | None:
    """Ask the service `channels`, which may read languages; None where it does not answer."""
    every = list(mails)
    here = [one for one in every if one.region == mesh.region]
    asked, by_template = here[-MOST:], defaultdict[str, list[str]](list)
    for one in asked:
        by_template[one.template].append(one.visitor_id)
    known = await mesh.state(TEMPLATES.bucket).entries(list(by_template))
    locales = {name: template_of(name, kept.files).locales for name, (kept, _) in known.items() if kept}
    try:
        found = [
            TemplateLanguages(template=name, counts=await _counted(visitors, locales[name], mesh))
            for name, visitors in by_template.items()
            if locales.get(name)
        ]
    except Unavailable:
        return None
    return Languages(
        mails=len(every),
        templates=tuple(found),
        elsewhere=len(every) - len(here),
        older=len(here) - len(asked),
        without=sum(len(visitors) for name, visitors in by_template.items() if not locales.get(name)),
    )


async def _counted(visitors: list[str], locales: list[str], mesh: Mesh) -> tuple[LanguageCount, ...]:
    total: dict[tuple[str, str], int] = defaultdict(int)
    for first in range(0, len(visitors), AT_ONCE):
        question = LanguagesAsked(visitors=tuple(visitors[first : first + AT_ONCE]), locales=tuple(locales))
        answer = await mesh.ask("channels", "count-languages", question, LanguagesCounted, within=PATIENCE)
        for one in answer.counts:
            total[one.wanted, one.given] += one.mails
    return _sorted(total)


def _sorted(total: Mapping[tuple[str, str], int]) -> tuple[LanguageCount, ...]:
    """The most frequent first."""
    return tuple(
        LanguageCount(wanted=wanted, given=given, mails=mails)
        for (wanted, given), mails in sorted(total.items(), key=lambda one: (-one[1], one[0]))
    )
