"""Steps: what a journey sends one after another, and the variants of a step among which chance decides."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec

from mesh.channels import CHANNELS, ChannelName
from mesh.errors import DeclarationError
from mesh.settings import duration

MOST_STEPS, MOST_VARIANTS = 20, 10
_name = re.compile(r"(?=.{1,48}\Z)[a-z0-9]+(-[a-z0-9]+)*").fullmatch
_when = re.compile(r"(?P<not>not )?(?P<event>[a-z]+)(?: (?P<step>[a-z0-9-]+))?").fullmatch
HAPPENINGS = ("clicked", "sent")
"""What a step's condition may ask of an earlier offer of its run."""
LEAST_WINNER_SIZE = 200
"""Of fewer shoppers nothing can be said (`notifications.experiments.effect`)."""
_Named = TypeVar("_Named", "Step", "Variant")


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the variants of a step: what it has not of its own is the step's.

    `share` is its weight beside the others: two variants with the same share are given to equally many shoppers.
    """

    name: str
    share: float = 1.0
    template: str = ""
    discount_percent: int | None = None
    after: timedelta | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One offer of a journey: what it has not of its own is the journey's.

    `after` counts from the moment when the cart fell due for the first step, and for a later one from the moment when
    the offer before was sent; where it was not, from the decision not to send it. `when` asks what became of earlier
    steps of the run: `clicked`, `not clicked`, `sent` or `not sent`, of any of them or of the one that is named behind
    it. `experiment` names the allocation of the variants; by default the step's name does. Where there is a `winner`,
    everybody who waits gets that variant. With `choose_winner` it is published by itself once it is known which variant
    brings the most `orders` or `margin` and does no harm, of `winner_size` shoppers of each variant at least.
    """

    name: str
    after: timedelta = timedelta(0)
    template: str = ""
    channels: tuple[ChannelName, ...] = ()
    discount_percent: int | None = None
    when: str = ""
    experiment: str = ""
    winner: str = ""
    choose_winner: Literal["", "orders", "margin"] = ""
    winner_size: int = 500
    variants: tuple[Variant, ...] = ()

    @property
    def allocation(self) -> str:
        """The name under which its variants are allocated."""
        return self.experiment or self.name

    @property
    def tested(self) -> tuple[str, ...]:
        """The variants that are tried against each other; none once there is a winner, or of one alone."""
        names = tuple(one.name for one in self.variants if one.share > 0)
        return names if len(names) > 1 and not self.winner else ()

    def variant(self, name: str) -> Variant | None:
        """A variant by its name."""
        return next((one for one in self.variants if one.name == name), None)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a step asks: whether `happening` is true, or `negated`, of `step` or, where that is empty, of any."""

    happening: str
    negated: bool = False
    step: str = ""

    @property
    def words(self) -> str:
        """Such as `greeting was not clicked`."""
        if self.step:
            return f"{self.step} was {'not ' * self.negated}{self.happening}"
        return f"{'none before' if self.negated else 'an earlier one'} was {self.happening}"


def condition_of(when: str) -> Condition | None:
    """`not clicked first` as a condition; None where nothing is asked. DeclarationError says what can be asked."""
    if not when:
        return None
    found = _when(when)
    if found and found["event"] == "opened":
        raise DeclarationError(
            "whether a mail was opened is not tracked, as mail programs load pictures by themselves: ask for clicked"
        )
    if not found or found["event"] not in HAPPENINGS:
        known = ", ".join(f"{one}, not {one}" for one in HAPPENINGS)
        raise DeclarationError(f"when = {when!r}: there is {known}, each with the name of an earlier step behind it")
    return Condition(happening=found["event"], negated=bool(found["not"]), step=found["step"] or "")


def steps_of(written: object) -> tuple[Step, ...]:
    """The tables `[[steps]]` of a journey's TOML. DeclarationError names the step and the field that is wrong."""
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        raise DeclarationError("steps: write each as a table [[steps]]")
    return tuple(_step(table, place) for place, table in enumerate(written, 1))


def check_steps(steps: Sequence[Step]) -> None:
    """Refuse what could only fail later, in front of a shopper."""
    if len(steps) > MOST_STEPS:
        raise DeclarationError(f"steps: {MOST_STEPS} at most")
    _check_names("step", [step.name for step in steps], "steps")
    for place, step in enumerate(steps):
        _check_step(step, [one.name for one in steps[:place]], f"steps: step {step.name}")


def _check_step(step: Step, earlier: Sequence[str], what: str) -> None:
    try:
        asked = condition_of(step.when)
    except DeclarationError as error:
        raise DeclarationError(f"{what}: {error}") from None
    _require(asked is None or bool(earlier), what, "the first step has none before it to ask about: leave out when")
    if asked and asked.step:
        known = ", ".join(earlier)
        _require(asked.step in earlier, what, f"when: there is no earlier step {asked.step}; there is {known}")
    _check_discount(step.discount_percent, what)
    for channel in step.channels:
        _require(channel in CHANNELS, what, f"channel {channel!r} is not registered; there are {', '.join(CHANNELS)}")
    if step.experiment:
        _require(bool(_name(step.experiment)), what, "experiment: lower-case words joined by single dashes")
    names = [one.name for one in step.variants]
    _require(len(names) <= MOST_VARIANTS, what, f"{MOST_VARIANTS} variants at most")
    _check_names("variant", names, what)
    for variant in step.variants:
        _require(0 <= variant.share < 1e9, f"{what}: variant {variant.name}", "share: 0 or more, such as 50")
        _check_discount(variant.discount_percent, f"{what}: variant {variant.name}")
    _require(not names or any(one.share > 0 for one in step.variants), what, "give one variant a share above 0")
    chosen = sum(one.share > 0 for one in step.variants)
    _require(not step.choose_winner or chosen > 1, what, "choose_winner: give two variants a share above 0")
    least = f"winner_size: {LEAST_WINNER_SIZE} shoppers of each variant at least"
    _require(LEAST_WINNER_SIZE <= step.winner_size <= 10**9, what, least)
    listed = ", ".join(names) or "none"
    _require(step.winner in ("", *names), what, f"winner: there is no variant {step.winner}; there is {listed}")


def _check_names(kind: str, names: Sequence[str], what: str) -> None:
    for name in names:
        _require(bool(_name(name)), what, f"{kind} {name!r}: name it with lower-case words joined by single dashes")
    for name in names:
        _require(names.count(name) == 1, what, f"there are two {kind}s {name}: give one another name")


def _check_discount(percent: int | None, what: str) -> None:
    _require(percent is None or 0 <= percent <= 100, what, "discount_percent: 0 to 100")


def _step(table: Mapping[str, Any], place: int) -> Step:
    what = f"steps: step {table.get('name') or place}"
    variants = table.get("variants", [])
    if not isinstance(variants, list) or not all(isinstance(one, dict) for one in variants):
        raise DeclarationError(f"{what}: write each variant as a table [[steps.variants]]")
    made = [_read(Variant, one, f"{what}: variant {one.get('name') or at}") for at, one in enumerate(variants, 1)]
    rest = {key: value for key, value in table.items() if key != "variants"}
    return msgspec.structs.replace(_read(Step, rest, what), variants=tuple(made))


def _read(kind: type[_Named], table: Mapping[str, Any], what: str) -> _Named:
    """A table as a step or a variant, durations such as `1d`."""
    unknown = sorted(set(table) - set(kind.__struct_fields__))
    if unknown:
        known = ", ".join(kind.__struct_fields__)
        raise DeclarationError(f"{what}: unknown {', '.join(unknown)}; it has {known}")
    values = dict(table)
    try:
        if "after" in values:
            values["after"] = duration(str(values["after"]))
        return msgspec.convert(values, kind)
    except (ValueError, OverflowError, msgspec.ValidationError) as error:
        raise DeclarationError(f"{what}: {error}") from None


def _require(holds: bool, what: str, wanted: str) -> None:
    if not holds:
        raise DeclarationError(f"{what}: {wanted}")
