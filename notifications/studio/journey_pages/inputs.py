"""Input: how a value of a journey is shown in a form, read from one, written as TOML, and said in words."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import eq
from typing import Any

from mesh.channels import CHANNELS
from mesh.errors import DeclarationError
from notifications.journeys.texts import amounts, quiet_hours

Texts = Mapping[str, Sequence[str]]
"""What the controls of one field hold, by the part of the field; the part of a single control is empty."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MICROSECONDS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}
_number = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?").fullmatch
_whole = re.compile(r"-?[0-9]{1,18}").fullmatch


@dataclass(frozen=True, kw_only=True)
class Input:
    """One kind of form control. `control` is its macro in `journey_controls.html.j2`.

    `show` gives the texts of a value, `read` the value of texts (DeclarationError says what to write instead), `write`
    the value in TOML, `words` the value for people. `read(show(value))` is the same value, as `same` compares two.
    `details` are the parts of a value that are compared each for itself, by their labels.
    """

    control: str
    show: Callable[[Any], Texts]
    read: Callable[[Texts], Any]
    words: Callable[[Any], str]
    write: Callable[[Any], Any] = lambda value: value
    parts: tuple[str, ...] = ("",)
    same: Callable[[Any, Any], bool] = eq
    details: Callable[[Any], Mapping[str, str]] | None = None

    def holds_same(self, one: Texts, other: Texts) -> bool:
        """Whether controls with these texts hold the same value; an empty row of amounts, for instance, is none."""
        try:
            return one == other or self.same(self.read(one), self.read(other))
        except DeclarationError:
            return False


def switch(on: str = "yes", off: str = "no") -> Input:
    """A checkbox."""
    return Input(
        control="switch",
        show=lambda value: {"": ["on"] if value else []},
        read=lambda texts: bool(texts[""]),
        words=lambda value: on if value else off,
    )


def text(control: str = "text") -> Input:
    """A line of text; with `control` one of several values."""
    return Input(
        control=control,
        show=lambda value: {"": [value]},
        read=lambda texts: _one(texts).strip(),
        words=lambda value: value or "none",
    )


def whole(unit: str = "") -> Input:
    """A whole number."""

    def read(texts: Texts) -> int:
        written = _one(texts).strip()
        if not _whole(written):
            raise DeclarationError("write a whole number, such as 10")
        return int(written)

    return Input(
        control="number",
        show=lambda value: {"": [str(value)]},
        read=read,
        words=lambda value: f"{value} {unit}".strip(),
    )


def percent() -> Input:
    """A number that is a percentage."""
    return Input(
        control="number",
        show=lambda value: {"": [plain(Decimal(repr(value)))]},
        read=lambda texts: float(_decimal(texts)),
        words=lambda value: f"{plain(Decimal(repr(value)))} %",
    )


def share(most: int | None = 100) -> Input:
    """A share from 0 to 1, shown in percent."""

    def read(texts: Texts) -> float:
        written = _decimal(texts)
        if most is not None and not 0 <= written <= most:
            raise DeclarationError(f"write a number from 0 to {most}")
        return float(written / 100)

    return Input(
        control="number",
        show=lambda value: {"": [_percent(value)]},
        read=read,
        words=lambda value: f"{_percent(value)} %",
    )


def duration() -> Input:
    """A number and the unit of time it is in."""

    def show(value: timedelta) -> Texts:
        number, unit = in_unit(value)
        return {"": [number], "unit": [unit]}

    def read(texts: Texts) -> timedelta:
        number, unit = _decimal(texts), _one(texts, "unit")
        if number < 0 or unit not in UNITS:
            raise DeclarationError("write 0 or more, and choose a unit of time")
        try:
            return timedelta(microseconds=round(number * _MICROSECONDS[unit]))
        except OverflowError:
            raise DeclarationError("this is longer than a journey can wait") from None

    return Input(
        control="duration",
        show=show,
        read=read,
        words=duration_in_words,
        write=lambda value: "".join(in_unit(value)),
        parts=("", "unit"),
    )


def quiet() -> Input:
    """Two times of the day, from and until; both are empty where there are no such hours."""

    def read(texts: Texts) -> str:
        start, end = _one(texts, "from"), _one(texts, "to")
        if bool(start) != bool(end):
            raise DeclarationError("write both times, or leave both empty")
        written = f"{start}-{end}" if start else ""
        quiet_hours(written)
        return written

    return Input(
        control="times",
        show=lambda value: {"from": [value.partition("-")[0]], "to": [value.partition("-")[2]]},
        read=read,
        words=lambda value: value.replace("-", " to ") or "none",
        parts=("from", "to"),
    )


def channels() -> Input:
    """Those of the registered channels that are chosen."""
    return _ticked("channels", words=lambda value: ", ".join(title_of(one) for one in value))


def regions() -> Input:
    """Those regions of the mesh that are chosen; none of them stands for every region."""
    return _ticked("regions", words=lambda value: ", ".join(value) or "every region")


def _ticked(control: str, words: Callable[[Any], str]) -> Input:
    """A checkbox for each of the form's options of this name."""
    return Input(
        control=control,
        show=lambda value: {"": list(value)},
        read=lambda texts: tuple(texts[""]),
        words=words,
        write=list,
        same=lambda one, other: set(one) == set(other),
    )


def percents() -> Input:
    """Whole percentages, separated by commas."""

    def read(texts: Texts) -> tuple[int, ...]:
        written = [one.strip() for one in _one(texts).split(",") if one.strip()]
        if wrong := [one for one in written if not _whole(one)]:
            raise DeclarationError(f"{wrong[0]!r} is no whole number: write them like 0, 5, 10, 15")
        return tuple(int(one) for one in written)

    return Input(
        control="text",
        show=lambda value: {"": [", ".join(map(str, value))]},
        read=read,
        words=lambda value: f"{', '.join(map(str, value))} %" if value else "none",
        write=list,
    )


def money() -> Input:
    """An amount in each of some currencies."""

    def show(value: tuple[str, ...]) -> Texts:
        split = [one.partition(" ") for one in value]
        return {"amount": [one[0] for one in split], "currency": [one[2] for one in split]}

    def read(texts: Texts) -> tuple[str, ...]:
        pairs = zip(texts["amount"], texts["currency"], strict=False)
        rows = [(amount.strip(), currency.strip().upper()) for amount, currency in pairs]
        written = tuple(f"{amount} {currency}".strip() for amount, currency in rows if amount)
        amounts(written)
        return written

    return Input(
        control="money",
        show=show,
        read=read,
        words=lambda value: ", ".join(value) or "none",
        write=list,
        parts=("amount", "currency"),
    )


def duration_in_words(value: timedelta) -> str:
    """Such as `7 days`."""
    number, unit = in_unit(value)
    return f"{number} {UNITS[unit].removesuffix('s') if number == '1' else UNITS[unit]}" if value else "none"


def title_of(channel: str) -> str:
    """A channel as people call it."""
    found = CHANNELS.get(channel)
    return found.title if found else channel


def _one(texts: Texts, part: str = "") -> str:
    return next(iter(texts[part]), "")


def _decimal(texts: Texts) -> Decimal:
    written = _one(texts).strip().replace(",", ".")
    if not _number(written):
        raise DeclarationError("write a number, such as 10 or 2.5")
    return Decimal(written)


def _percent(value: float) -> str:
    return plain(Decimal(repr(value)) * 100)


def plain(number: Decimal) -> str:
    """A number without an exponent, and without zeros at the end."""
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def in_unit(value: timedelta) -> tuple[str, str]:
    """A number and the largest unit in which it is whole; what is no whole second has decimals of one."""
    micros = value // timedelta(microseconds=1)
    unit = next((unit for unit, size in _MICROSECONDS.items() if micros % size == 0), "s") if micros else "s"
    return plain(Decimal(micros) / _MICROSECONDS[unit]), unit
