"""Editor: a journey as a form that is saved while it is filled in, what is wrong beside the field it is in."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any
from zoneinfo import available_timezones

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh.channels import CHANNELS
from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.channel_settings import not_set_up
from notifications.documents.document import Superseded
from notifications.journeys import Journey, load
from notifications.journeys.triggers import CART_ABANDONED, TRIGGERS
from notifications.studio.journey_pages.audience_builder import OPTIONS, after_button, said
from notifications.studio.journey_pages.changes import conflicts, merged, typed_in_text
from notifications.studio.journey_pages.fields import FIELDS, SECTIONS
from notifications.studio.journey_pages.form import Typed, placed, typed_in, typed_of, write
from notifications.studio.journey_pages.inputs import UNITS, duration_in_words, title_of
from notifications.studio.journey_pages.opened import (
    Opened,
    PageRequest,
    numbers_sent,
    open_journey,
    readable,
    rights,
    subject,
)
from notifications.studio.journey_pages.overridden import as_decided, kept, variables
from notifications.studio.journey_pages.overridden import shown as overridden
from notifications.studio.journey_pages.picture import picture
from notifications.studio.journey_pages.saving import save, who_was_quicker
from notifications.studio.journey_pages.sentence import only_for, sentence
from notifications.studio.journey_pages.step_builder import changed, choices
from notifications.studio.journey_pages.step_words import alike_variants, running_tests
from notifications.studio.journey_pages.trigger_input import left_after
from notifications.studio.studio import Studio
from notifications.studio.template_pages.edited import purpose
from notifications.templates.front_matter import OFFER
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

MERGE, REVIEW = "merge", "review"
STEPS = "steps"


def editor_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """The form, and what saves it."""
    show = partial(_show, studio)

    @get("/{name:str}")
    async def edit_journey(
        request: PageRequest,
        name: FromPath[str],
        done: FromQuery[str] = "",
        before: FromQuery[int | None] = None,
        at: FromQuery[str] = "",
    ) -> Response[Any]:
        opened = await open_journey(studio, name)
        if readable(name, opened.text) is None:
            return Redirect(f"{studio.path}/{name}/text", status_code=303)
        return await show(request, opened, done=done, before=before, at=at)

    @post("/{name:str}/draft", status_code=200)
    async def save_journey_draft(request: PageRequest, name: FromPath[str]) -> Response[Any]:
        """Save the form; with `then=merge` what it changed is put on top of what somebody else saved."""
        author = require(request, MARKETER.name).account.id
        opened, sent, seen = await open_journey(studio, name), await request.form(), await numbers_sent(request)
        then, typed = str(sent.get("then", "")), typed_in(lambda key: [str(one) for one in sent.getall(key, [])])
        typed, at = _after_step_button(typed, str(sent.get("step_edit", "")))
        base, version, revision = _lines(str(sent.get("base", ""))), seen["version"], seen["revision"]
        typed, edit = after_button(typed, sent)
        typed = _kept(typed, name, base)
        carried: dict[str, Any] = {"typed": typed, "base": base, "version": version, "revision": revision}
        try:
            if then == MERGE and seen["theirs"] == opened.version:
                typed = merged(typed_in_text(name, base), typed_in_text(name, opened.text), typed)
                base, version, revision = opened.text, opened.version, opened.revision
                carried = {"typed": typed, "base": base, "version": version, "revision": revision}
            written = write(name, base, typed)
            if written.wrong:
                return await show(request, opened, **carried, edit=edit, **said(written.wrong, edit))
            saved = await save(studio, opened, written.text, author, version=version, revision=revision)
        except Superseded:
            opened = await open_journey(studio, name)
            found = conflicts(typed_in_text(name, base), typed_in_text(name, opened.text), typed)
            return await show(request, opened, **carried, edit=edit, conflicts=found, status=409)
        except DeclarationError as error:
            return await show(request, opened, **carried, wrong=placed(error), status=422)
        note(request, subject(name), **({"draft_version": str(saved)} if saved else {"changed": "nothing"}))
        if edit or "hx-request" in request.headers:
            carried |= {"base": written.text, "version": saved or version}
            return await show(request, await open_journey(studio, name), **carried, edit=edit, done="saved")
        to = f"/{REVIEW}" if then == REVIEW else f"?done=saved&at={at}" if at else "?done=saved"
        return Redirect(f"{studio.path}/{name}{to}", status_code=303)

    return [edit_journey, save_journey_draft]


def _kept(typed: Typed, name: str, base: str) -> Typed:
    """What was typed, without what cannot be; as it was where the base cannot be read, which is refused later."""
    try:
        return kept(typed, name, base)
    except DeclarationError:
        return typed


def _after_step_button(typed: Typed, action: str) -> tuple[Typed, str]:
    """What was typed with what a button of the steps did to it, and the id of what is looked at next."""
    if not action:
        return typed, ""
    texts, at = changed(typed[STEPS], action)
    return {**typed, STEPS: texts}, at


async def _show(
    studio: Studio,
    request: PageRequest,
    opened: Opened,
    *,
    typed: Typed | None = None,
    wrong: Mapping[str, str] | None = None,
    status: int = 200,
    **shown: Any,
) -> Response[bytes]:
    text = shown.get("base", opened.text)
    journey, decided = readable(opened.name, text), as_decided(opened.name, text)
    shown_typed = typed or (typed_of(journey) if journey else {})
    options = await _options(studio, opened.name, journey)
    shown_typed, own_words = overridden(shown_typed, opened.name, text)
    options |= {"overridden": variables(), "own_words": own_words}
    if STEPS in shown_typed:
        options["at"] = shown.get("at", "")
        usual = next(iter(shown_typed["template"][""]), "")
        options["steps"] = choices(shown_typed[STEPS], options["choice"], usual)
        options["steps"]["alike"] = alike_variants(decided) if decided else {}
    values = {
        "opened": opened,
        "sections": SECTIONS,
        "opened_sections": _not_as_usual(shown_typed, wrong or {}),
        "options": options,
        "picture": picture(decided) if decided else (),
        "sentence": sentence(decided) if decided else "",
        "tests": running_tests(decided) if decided else {},
        "audience_sentence": only_for(journey.audience) if journey else "",
        "active": journey.active if journey else False,
        "typed": shown_typed,
        "at": "",
        "base": opened.text,
        "version": opened.version,
        "revision": opened.revision,
        "wrong": wrong or {},
        "conflicts": None,
        "edit": "",
        "quicker": who_was_quicker(opened),
        "done": "",
        "before": None,
        **rights(request),
    }
    template = "journey_saved.html.j2" if "hx-request" in request.headers else "journey.html.j2"
    return studio.show(request, template, values | shown, status=status)


def _not_as_usual(typed: Typed, wrong: Mapping[str, str]) -> set[str]:
    """The sections that are shown unfolded: something in them is wrong, or neither unset nor as it comes."""
    usual = [typed_of(Journey(name="usual", template="")), typed_of(load(environment={}))]

    def is_usual(name: str) -> bool:
        return any(FIELDS[name].input.holds_same(typed[name], one[name]) for one in usual)

    fields = [(section.title, field.name) for section in SECTIONS for field in section.fields]
    return {title for title, name in fields if name in wrong or (name in typed and not is_usual(name))}


async def _options(studio: Studio, name: str, journey: Journey | None) -> dict[str, Any]:
    trigger = journey.trigger if journey else CART_ABANDONED
    return {
        "choice": await _mails(studio),
        "left_after": duration_in_words(left_after()),
        "first_wait": f"Wait after {'the cart counts as left' if trigger == CART_ABANDONED else 'that'}",
        "zone": _zones(),
        "trigger": {name: one.words for name, one in TRIGGERS.items()},
        "channels": {name: title_of(name) for name in CHANNELS},
        "not_set_up": not_set_up(),
        "regions": {name: name for name in sorted((studio.mesh.region, *studio.mesh.others))},
        "units": UNITS,
        "audience": {**OPTIONS, "to": f"{studio.path}/{name}/draft"},
    }


async def _mails(studio: Studio) -> list[str]:
    """The templates that a journey can send: those for offers."""
    in_force = [document async for _, document in studio.mesh.state(TEMPLATES.bucket).items()]
    return sorted(one.name for one in in_force if purpose(template_of(one.name, one.files)) == OFFER)


@cache
def _zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))


def _lines(text: str) -> str:
    """A text as it was before a form sent it: forms end lines with CR LF."""
    return text.replace("\r\n", "\n")
