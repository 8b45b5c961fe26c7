"""Steps input: the steps of a journey as rows of a form, each with the rows of its variants, and as TOML tables."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
import tomlkit
from tomlkit.items import AoT

from mesh.errors import DeclarationError
from mesh.settings import duration as read_duration
from notifications.journeys.steps import Step, Variant, check_steps
from notifications.journeys.texts import reentry_period
from notifications.studio.journey_pages.inputs import (
    Input,
    Texts,
    duration,
    duration_in_words,
    in_unit,
    percent,
    plain,
    whole,
)
from notifications.studio.journey_pages.step_differences import details, words

STEP = (
    "name",
    "after",
    "unit",
    "template",
    "channels",
    "gives",
    "discount",
    "when",
    "experiment",
    "winner",
    "choose_winner",
    "winner_size",
)
"""What a row of a step holds; `gives` is one of the keys of `GIVES`, and `discount` counts where it is `own`."""
VARIANT = ("of", "variant", "share", "mail", "offers", "percent", "wait", "wait_unit")
"""What a row of a variant holds; `of` is the place of its step, from 0, and `offers` and `percent` are as of a step."""
OWN = "own"
GIVES = {"0": "no discount (reminder only)", OWN: "a discount of"}
"""What a step or variant may give instead of what the journey does."""
UNIT = "d"
USUAL_SIZE = Step(name="").winner_size
Row = dict[str, str]


def steps() -> Input:
    """The steps, one after another."""
    return Input(
        control="steps",
        show=_show,
        read=_read,
        words=words,
        write=lambda value: [_table(one) for one in value],
        parts=(*STEP, *VARIANT),
        details=details,
    )


def reentry() -> Input:
    """For how long a shopper is not entered again; 0 for not at all."""
    lasting = duration()

    def read(texts: Texts) -> str:
        period = lasting.read(texts)
        return f"once per {''.join(in_unit(period))}" if period else "always"

    def period_of(value: str) -> timedelta:
        return reentry_period(value) or timedelta(0)

    return Input(
        control="duration",
        show=lambda value: lasting.show(period_of(value)) if period_of(value) else {"": ["0"], "unit": [UNIT]},
        read=read,
        words=lambda value: f"once per {duration_in_words(period_of(value))}" if period_of(value) else "always",
        parts=("", "unit"),
        same=lambda one, other: period_of(one) == period_of(other),
    )


def rows_of(texts: Texts) -> list[tuple[Row, list[Row]]]:
    """The rows of steps, each with those of its variants; what a form left out is empty."""
    steps = _rows(texts, STEP, "name")
    variants = _rows(texts, VARIANT, "of")
    return [(step, [one for one in variants if one["of"] == str(place)]) for place, step in enumerate(steps)]


def texts_of(rows: Sequence[tuple[Row, Sequence[Row]]]) -> Texts:
    """Rows as the texts of the form, the places of steps counted anew."""
    variants = [one | {"of": str(place)} for place, (_, own) in enumerate(rows) for one in own]
    return {part: [step[part] for step, _ in rows] for part in STEP} | {
        part: [one[part] for one in variants] for part in VARIANT
    }


def put_tables(document: Any, key: str, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Write tables `[[key]]` into a TOML document or table: those that keep their names keep their comments."""
    present = document.get(key)
    known = {str(one.get("name")): one for one in present} if isinstance(present, AoT) else {}
    if present is not None and (not wanted or not isinstance(present, AoT)):
        del document[key]
    if not wanted:
        return
    made = tomlkit.aot()
    for fields in wanted:
        table = known.pop(str(fields["name"]), None) or tomlkit.table()
        for gone in [one for one in table if one not in fields]:
            del table[gone]
        for name, value in fields.items():
            if name == "variants":
                put_tables(table, name, value)
            elif not _is_written(table.get(name), name, value):
                table[name] = value
        made.append(table)
    document[key] = made


def _is_written(present: Any, name: str, value: Any) -> bool:
    """Whether a table says so already, in whatever words: 24h is a day."""
    if name == "after" and present is not None:
        return read_duration(str(present)) == read_duration(value)
    return bool(present == value)


def _rows(texts: Texts, parts: Sequence[str], counted: str) -> list[Row]:
    def text(part: str, place: int) -> str:
        found = texts.get(part, ())
        return found[place] if place < len(found) else ""

    return [{part: text(part, place) for part in parts} for place in range(len(texts.get(counted, ())))]


def _show(value: Sequence[Step]) -> Texts:
    return texts_of([(_step_row(one), [_variant_row(each) for each in one.variants]) for one in value])


def _step_row(step: Step) -> Row:
    number, unit = in_unit(step.after)
    return {
        "name": step.name,
        "after": number,
        "unit": unit,
        "template": step.template,
        "channels": ",".join(step.channels),
        "gives": _gives(step.discount_percent),
        "discount": _number(step.discount_percent),
        "when": step.when,
        "experiment": step.experiment,
        "winner": step.winner,
        "choose_winner": step.choose_winner,
        "winner_size": str(step.winner_size),
    }


def _variant_row(variant: Variant) -> Row:
    number, unit = in_unit(variant.after) if variant.after is not None else ("", UNIT)
    return {
        "variant": variant.name,
        "share": plain(Decimal(repr(variant.share))),
        "mail": variant.template,
        "offers": _gives(variant.discount_percent),
        "percent": _number(variant.discount_percent),
        "wait": number,
        "wait_unit": unit,
    }


def _read(texts: Texts) -> tuple[Step, ...]:
    made = []
    for place, (row, variants) in enumerate(rows_of(texts), 1):
        what = f"step {row['name'].strip() or place}"
        if not row["name"].strip():
            raise DeclarationError(f"{what}: give it a name, such as reminder")
        try:
            made.append(_step(row, [_variant(one) for one in variants]))
        except DeclarationError as error:
            raise DeclarationError(f"{what}: {error}") from None
    try:
        check_steps(made)
    except DeclarationError as error:
        raise DeclarationError(str(error).removeprefix("steps: ")) from None
    return tuple(made)


def _step(row: Row, variants: Sequence[Variant]) -> Step:
    return Step(
        name=row["name"].strip(),
        after=duration().read({"": [row["after"]], "unit": [row["unit"]]}),
        template=row["template"],
        channels=tuple(one for one in row["channels"].split(",") if one),
        discount_percent=_percent(row["gives"], row["discount"]),
        when=row["when"],
        experiment=row["experiment"].strip(),
        winner=row["winner"],
        choose_winner=_judge(row["choose_winner"]),
        winner_size=_optional(row["winner_size"]) or USUAL_SIZE,
        variants=tuple(variants),
    )


def _judge(text: str) -> Literal["", "orders", "margin"]:
    try:
        return msgspec.convert(text, Literal["", "orders", "margin"])
    except msgspec.ValidationError:
        raise DeclarationError(f"choose winner: by orders or margin, not {text!r}") from None


def _variant(row: Row) -> Variant:
    name = row["variant"].strip()
    try:
        waits = row["wait"].strip()
        return Variant(
            name=name,
            share=percent().read({"": [row["share"]]}),
            template=row["mail"],
            discount_percent=_percent(row["offers"], row["percent"]),
            after=duration().read({"": [waits], "unit": [row["wait_unit"]]}) if waits else None,
        )
    except DeclarationError as error:
        raise DeclarationError(f"variant {name}: {error}") from None


def _table(step: Step) -> dict[str, Any]:
    """A step as a TOML table, without what is as usual."""
    table: dict[str, Any] = {"name": step.name}
    if step.after:
        table["after"] = "".join(in_unit(step.after))
    table |= {name: value for name in ("template", "when", "experiment", "winner") if (value := getattr(step, name))}
    if step.choose_winner:
        table["choose_winner"] = step.choose_winner
    if step.winner_size != USUAL_SIZE:
        table["winner_size"] = step.winner_size
    if step.channels:
        table["channels"] = list(step.channels)
    if step.discount_percent is not None:
        table["discount_percent"] = step.discount_percent
    if step.variants:
        table["variants"] = [_variant_table(one) for one in step.variants]
    return table


def _variant_table(variant: Variant) -> dict[str, Any]:
    share = int(variant.share) if variant.share.is_integer() else variant.share
    table: dict[str, Any] = {"name": variant.name, "share": share}
    if variant.template:
        table["template"] = variant.template
    if variant.discount_percent is not None:
        table["discount_percent"] = variant.discount_percent
    if variant.after is not None:
        table["after"] = "".join(in_unit(variant.after))
    return table


def _gives(percent: int | None) -> str:
    return OWN if percent else "" if percent is None else "0"


def _percent(gives: str, text: str) -> int | None:
    if gives not in ("", *GIVES):
        raise DeclarationError(f"choose what it gives: there is no {gives!r}")
    if gives != OWN:
        return 0 if gives else None
    return int(whole().read({"": [text]}))


def _number(value: int | None) -> str:
    return str(value) if value else ""


def _optional(text: str) -> int | None:
    return int(whole().read({"": [text]})) if text.strip() else None
