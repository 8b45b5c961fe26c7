"""Journeys: how a left cart is answered, as configuration. One TOML file each."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from mesh.channels import CHANNELS, ChannelName
from mesh.errors import DeclarationError
from mesh.settings import read
from notifications.conditions.check import check as check_audience
from notifications.conditions.file_form import read_audience
from notifications.conditions.tree import Condition
from notifications.journeys.steps import Step, check_steps, steps_of
from notifications.journeys.texts import amounts, quiet_hours, reentry_period
from notifications.journeys.triggers import (
    CART_ABANDONED,
    USUAL_DROP,
    USUALLY_AFTER,
    USUALLY_WITHIN,
    check_trigger,
)

FOLDER = Path(__file__).parent
PREFIX = "CARTMESH_JOURNEY_"
NOT_OVERRIDDEN = (
    *("name", "template", "regions", "audience", "steps"),
    *("trigger", "trigger_after", "trigger_within", "price_drop_percent"),
)
"""What is each journey's own: no variable sets it for all of them."""
_product = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch
_name = re.compile(r"(?=.{1,48}\Z)[a-z0-9]+(-[a-z0-9]+)*").fullmatch


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about an offer. Amounts read `20 EUR`, durations `500ms` or `1d`, hours `22:00-08:00`.

    A journey that is not `active` starts no runs, and ends those under way; so does one that names `regions` (none:
    every region) in all others. Where a frequency cap leaves too few contacts for all journeys of a cart, those of
    higher `priority` get them.
    `trigger` is what starts its runs (`triggers.py`), by default a cart that was left. `trigger_after` is how long it
    is after the last view (0: 1 h) or the last order (0: 60 d); `trigger_within` how long ago a cart may have been left
    whose products cost less or can be bought again (0: 30 d), `price_drop_percent` the least fall of a price (0: 5).
    `score_limit` is how long a score is waited for. An offer goes by those of `channels` that are open to the shopper.
    No more than `cap` offers reach a shopper within `cap_window`, and none within `contact_interval` of the last:
    it is held until then. Both count all contacts of the shopper's devices, customer and e-mail address together.
    Among `discount_depths` (whole percent; none: `discount_percent` alone) the one is taken that promises the
    most money: `margin_percent` is what is left of a price after the goods are paid, `contact_cost` what one
    offer costs to send. Nothing is sent where nothing pays. `explore` is the share, 0 to 1, of shoppers whose
    offer is drawn by allocation instead (no offer, or one of the depths), so that it can be learnt what offers change.
    `quiet` hours hold until their end in the shopper's zone; where that is unknown by the offset their cart was sent
    with, else in `time_zone`, else in the region's zone.
    `holdout` is the share, 0 to 1, that gets nothing, to measure lift.
    `double_opt_in` mails only addresses that the shop's server reported or their owner confirmed, where the law of a
    region wants that; who leaves an address and allows e-mail gets a mail that asks.
    `count_opens`: mails have a picture by which it is counted who opens them (`notifications/open_pixel.py`).
    `assume_consent` is the policy for e-mail to shoppers who were never asked; the shop's own pages need
    no permission, though a refusal counts there too.
    The discount is left out for those who return unaided with at least `no_discount_from` probability.
    A shopper known in several regions is held while nothing arrived from one of them for `stale_after`, no
    longer than `stale_hold`. An offer that could not be decided for `expires` is dropped.
    With `offer_amounts` a fixed amount is given instead of a percentage, with `gift` a product, with
    `free_shipping` the shipping; `offer_cost` is what one of the latter two costs the shop. Codes are those of
    `code_list`, where it names an imported one. `budget` is the most that all offers may give away, `budget_day` in
    a day (UTC), `budget_customer` to one shopper. Who was offered `discount_habit` discounts (0: no bound) within
    its window gets a reminder.
    `audience` is which carts the journey is for (`notifications.conditions`); none: every cart.
    A journey sends its `steps` one after another; without any it has one step, which is all of this. `reentry` is
    `always`, or `once per 7d`: a shopper who got an offer of this journey gets none for another cart for so long.
    """

    name: str
    template: str
    active: bool = True
    regions: tuple[str, ...] = ()
    priority: int = 0
    trigger: str = CART_ABANDONED
    trigger_after: timedelta = timedelta(0)
    trigger_within: timedelta = timedelta(0)
    price_drop_percent: float = 0.0
    channels: tuple[ChannelName, ...] = ("email", "onsite")
    score_limit: timedelta = timedelta(milliseconds=500)
    discount_percent: int = 10
    max_discount_percent: int = 20
    max_discount: tuple[str, ...] = ()
    discount_depths: tuple[int, ...] = ()
    margin_percent: float = 40.0
    contact_cost: tuple[str, ...] = ()
    explore: float = 0.0
    no_discount_from: float = 0.9
    minimum_value: tuple[str, ...] = ()
    cap: int = 3
    cap_window: timedelta = timedelta(days=7)
    contact_interval: timedelta = timedelta(0)
    quiet: str = "22:00-08:00"
    time_zone: str = ""
    holdout: float = 0.0
    assume_consent: bool = False
    double_opt_in: bool = False
    count_opens: bool = False
    stale_after: timedelta = timedelta(seconds=5)
    stale_hold: timedelta = timedelta(minutes=10)
    expires: timedelta = timedelta(days=2)
    coupon_prefix: str = ""
    offer_amounts: tuple[str, ...] = ()
    gift: str = ""
    free_shipping: bool = False
    offer_cost: tuple[str, ...] = ()
    code_list: str = ""
    budget: tuple[str, ...] = ()
    budget_day: tuple[str, ...] = ()
    budget_customer: tuple[str, ...] = ()
    discount_habit: int = 0
    discount_habit_window: timedelta = timedelta(days=90)

    def is_on_in(self, region: str) -> bool:
        """Whether it starts runs in a region, and goes on with those under way there."""
        return self.active and (not self.regions or region in self.regions)

    @property
    def has_budget(self) -> bool:
        """Whether what the journey's codes take off has a bound."""
        return bool(self.budget or self.budget_day or self.budget_customer)

    @property
    def triggered_after(self) -> timedelta:
        """How long nothing must have followed a view or an order."""
        return self.trigger_after or USUALLY_AFTER.get(self.trigger, timedelta(0))

    @property
    def triggered_within(self) -> timedelta:
        """How long ago a cart may have been left at most."""
        return self.trigger_within or USUALLY_WITHIN

    @property
    def least_drop(self) -> float:
        """By how much a price must have fallen at least, in percent."""
        return self.price_drop_percent or USUAL_DROP

    audience: Condition | None = None
    reentry: str = "always"
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could only fail later, in front of a shopper."""
        _require(bool(_name(self.name)), "name", "lower-case words joined by single dashes, 48 characters at most")
        _require(bool(self.channels), "channels", "name at least one")
        for channel in self.channels:
            _require(channel in CHANNELS, "channels", f"{channel!r} is not registered; there are {', '.join(CHANNELS)}")
        _require(0 <= self.discount_percent <= 100, "discount_percent", "0 to 100")
        _require(0 <= self.holdout <= 1, "holdout", "a share from 0 to 1")
        _require(0 <= self.explore <= 1, "explore", "a share from 0 to 1, such as 0.1 for every tenth shopper")
        _require(0 < self.margin_percent <= 100, "margin_percent", "above 0, up to 100 percent of a price")
        for depth in self.discount_depths:
            most = self.max_discount_percent
            _require(0 <= depth <= most, "discount_depths", f"{depth} is not from 0 to max_discount_percent = {most}")
        _require(self.cap >= 0, "cap", "0 or more")
        quiet_hours(self.quiet)
        amounts(self.minimum_value)
        amounts(self.max_discount)
        amounts(self.contact_cost)
        for texts in (self.offer_amounts, self.offer_cost, self.budget, self.budget_day, self.budget_customer):
            amounts(texts)
        _require(not self.gift or bool(_product(self.gift)), "gift", "the id of a product, as the catalogue has it")
        kinds = [name for name in ("offer_amounts", "gift", "free_shipping") if getattr(self, name)]
        _require(len(kinds) < 2, " and ".join(kinds), "an offer is one of these: empty the others")
        _require(self.discount_habit >= 0, "discount_habit", "0 or more, where 0 sets no bound")
        words = "a journey gives a fixed amount or percentages: leave discount_depths empty"
        _require(not (self.offer_amounts and self.discount_depths), "offer_amounts", words)
        reentry_period(self.reentry)
        check_trigger(self.trigger, self.trigger_after, self.trigger_within, self.price_drop_percent)
        check_steps(self.steps)
        if self.time_zone:
            try:
                ZoneInfo(self.time_zone)
            except (KeyError, ValueError, OSError):
                raise DeclarationError(f"time_zone = {self.time_zone!r}: write one like Europe/Berlin") from None
        if self.audience is not None:
            check_audience(self.audience)

    @property
    def listed_steps(self) -> tuple[Step, ...]:
        """Its steps; the only one of a journey without `steps` has no name."""
        return self.steps or (Step(name=""),)

    @property
    def templates(self) -> tuple[str, ...]:
        """Every template that it sends, each once."""
        own = [name for step in self.listed_steps for name in (step.template, *(one.template for one in step.variants))]
        needs_usual = any(not step.template and not _all_own(step) for step in self.listed_steps)
        return tuple(dict.fromkeys(([self.template] if needs_usual else []) + [name for name in own if name]))


def load(journey: str = "abandoned-cart", environment: Mapping[str, str] | None = None) -> Journey:
    """The journey of a name in this folder or a TOML file anywhere; `CARTMESH_JOURNEY_<FIELD>` overrides a field.

    DeclarationError names the file, or the variable, and the field that is wrong.
    """
    path = Path(journey) if journey.endswith(".toml") else FOLDER / f"{journey}.toml"
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = ", ".join(sorted(found.stem for found in FOLDER.glob("*.toml")))
        raise DeclarationError(f"no journey {journey!r}: there is {there}; or give the path of a .toml file") from None
    return parse(path.stem, source, overrides_of(os.environ if environment is None else environment))


def parse(name: str, source: str, overrides: Mapping[str, str]) -> Journey:
    """A journey's TOML text as the journey `name`. DeclarationError names the journey and the field that is wrong."""
    try:
        fields = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"journey {name}: {error}") from None
    except RecursionError:
        raise DeclarationError(f"journey {name}: its lists or tables are nested too deeply to be read") from None
    unknown = set(fields) - (set(Journey.__struct_fields__) - {"name"})
    if unknown:
        raise DeclarationError(f"journey {name}: unknown {', '.join(sorted(unknown))}; a journey has {_fields()}")
    try:
        steps, audience = steps_of(fields.pop("steps", [])), fields.pop("audience", None)
        values = {field: _text(value) for field, value in fields.items()} | dict(overrides) | {"name": name}
        journey = read(Journey, {f"CARTMESH_{field.upper()}": value for field, value in values.items()})
        return replace(journey, steps=steps, audience=None if audience is None else read_audience(audience))
    except (DeclarationError, TypeError) as error:
        raise DeclarationError(f"journey {name} (or {PREFIX}...): {error}") from None


def sources(folder: str = "") -> dict[str, str]:
    """A folder's TOML texts by name; without a folder those that come with Cartmesh. DeclarationError."""
    where = Path(folder) if folder else FOLDER
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(where.glob("*.toml"))}
    if not found:
        raise DeclarationError(f"no journey in {where}: it needs at least one .toml file")
    return found


def overrides_from_environment() -> dict[str, str]:
    """The overrides of this process."""
    return overrides_of(os.environ)


def overrides_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The journey's fields that the environment overrides, for every journey. DeclarationError for one it has not."""
    fields = [field for field in Journey.__struct_fields__ if field not in NOT_OVERRIDDEN]
    found = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    for name in found:
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else f"there are {', '.join(fields)}"
            raise DeclarationError(f"{PREFIX}{name.upper()}: a journey has no field {name} to override; {hint}")
    return found


def _all_own(step: Step) -> bool:
    """Whether every variant of a step has a template of its own."""
    return bool(step.variants) and all(one.template for one in step.variants)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields() -> str:
    return ", ".join(Journey.__struct_fields__)


def _require(holds: bool, field: str, wanted: str) -> None:
    if not holds:
        raise DeclarationError(f"{field}: {wanted}")
