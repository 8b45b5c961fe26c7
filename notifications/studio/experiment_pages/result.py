"""Result: what is known of one journey's effect, from the sums of its days."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

import msgspec

from mesh.money import minor_digits
from notifications.exact_sums import Figures, total
from notifications.experiment import NONE
from notifications.experiments.effect import Effect, Sums, effect, enough
from notifications.experiments.participant import BOUGHT, CONFIRMED, OF_STEP, OFFER, REPORTED, REVENUE
from notifications.experiments.ratio_check import SUSPECT, chance_of_ratio
from notifications.studio.experiment_pages.guardrails import Mails, Rate, rates
from notifications.studio.experiment_pages.margins import Margin, currencies_of

SHOPPERS = 100
"""Effects are said per so many shoppers."""
RECENT = 14
"""The days by which it is judged how many shoppers take part per day."""
LONGEST = 400
"""A forecast of more days says no number."""
Read = Mapping[tuple[str, date], Mapping[str, Figures]]
SumsOf = Callable[[str, int], Sums]
"""The sums of an arm, `stratum/arm`, of so many participants."""


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """Shoppers who had a chance of both arms and were given this one: how many, and how many of them bought."""

    participants: int
    bought: int

    @property
    def rate(self) -> float:
        """The share that bought, 0 to 1."""
        return self.bought / self.participants if self.participants else 0.0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome: its unit (`orders`, or a currency) and the effect per 100 shoppers in that unit, with its interval.

    `days` is how many more days it takes at this rate until the effect is told from none, if it is what it seems; None
    where that cannot be said.
    """

    unit: str
    effect: Effect
    scale: float
    days: int | None

    @property
    def estimate(self) -> float:
        """Per 100 shoppers."""
        return self.effect.estimate * self.scale

    @property
    def low(self) -> float:
        """Per 100 shoppers."""
        return self.effect.low * self.scale

    @property
    def high(self) -> float:
        """Per 100 shoppers."""
        return self.effect.high * self.scale


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of the orders at the end of a day, per 100 shoppers."""

    day: date
    estimate: float
    low: float
    high: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A journey's experiment. `young` are participants whose time to buy is not over, `certain` those without a choice.

    `ready` says whether both arms are large enough; before that `orders` and `revenue` are not to be shown.
    `ratio` bounds the chance of such numbers of participants in the two arms. `margin` is empty where the journey's is
    not known; `mails` are all that the journey sent, whoever took part.
    """

    journey: str
    since: date | None
    offer: Arm
    none: Arm
    young: int
    certain: int
    confirmed: bool
    ready: bool
    orders: Measured | None
    revenue: tuple[Measured, ...]
    ratio: float
    points: tuple[Point, ...]
    margin: tuple[Measured, ...] = ()
    mails: Mails = Mails()

    @property
    def suspect(self) -> bool:
        """Whether the arms have other numbers of participants than chance gives."""
        return self.ratio < SUSPECT

    @property
    def guardrails(self) -> tuple[Rate, ...]:
        """What the offers cost in permission; nothing where no mail was sent."""
        return rates(self.mails)


def results(read: Read, today: date, window: timedelta, *, margins: Mapping[str, Margin] | None = None) -> list[Result]:
    """The result of every journey in these sums; those with most participants first. `margins` are by journey."""
    by_journey: dict[str, dict[date, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for (_, day), groups in read.items():
        for group, figures in groups.items():
            if OF_STEP not in group:
                by_journey[group][day].append(figures)
    found = [
        result(journey, {day: total(many) for day, many in days.items()}, today, window, (margins or {}).get(journey))
        for journey, days in by_journey.items()
    ]
    return sorted(found, key=lambda one: (-one.offer.participants - one.none.participants, one.journey))


def result(
    journey: str, days: Mapping[date, Figures], today: date, window: timedelta, margin: Margin | None = None
) -> Result:
    """The result of one journey from the sums of each day on which somebody began to take part."""
    ripe = {day: days[day] for day in sorted(days) if is_ripe(day, today, window)}
    whole, young = total(ripe.values()), total(days[day] for day in days if day not in ripe)
    confirmed = any(f"/{CONFIRMED}/" in name for name in total(days.values()))
    grade = CONFIRMED if confirmed else REPORTED
    counts = _counts(whole)
    arms = {
        arm: Arm(
            participants=sum(found[arm] for found in counts.values()),
            bought=sum(whole.get(f"{stratum}/{arm}/{grade}/{BOUGHT}/y", 0) for stratum in counts),
        )
        for arm in (NONE, OFFER)
    }
    per_day = _per_day(ripe)
    currencies = currencies_of(whole, grade)
    return Result(
        journey=journey,
        since=min(days, default=None),
        none=arms[NONE],
        offer=arms[OFFER],
        young=_participants(young),
        certain=_participants(whole) - arms[NONE].participants - arms[OFFER].participants,
        confirmed=confirmed,
        ready=enough([(arm.participants, arm.bought) for arm in arms.values()]),
        orders=_measured("orders", _effect(whole, _summed(whole, grade, BOUGHT)), per_day),
        revenue=tuple(
            one
            for currency in currencies
            if (one := _measured(currency, _effect(whole, _summed(whole, grade, f"{REVENUE}{currency}")), per_day))
        ),
        margin=tuple(
            one
            for currency in currencies
            if margin and (one := _measured(currency, _effect(whole, _left(whole, grade, currency, margin)), per_day))
        ),
        ratio=chance_of_ratio((found[NONE], found[OFFER], float(stratum)) for stratum, found in counts.items()),
        points=tuple(_points(ripe, grade)),
    )


def is_ripe(day: date, today: date, window: timedelta) -> bool:
    """Whether everybody who began to take part on that day has had their time to buy."""
    return day + timedelta(days=1) + window <= today


def _counts(figures: Figures) -> dict[str, dict[str, int]]:
    """How many are in each arm, by stratum; of the strata in which chance had a choice."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {NONE: 0, OFFER: 0})
    for name, count in figures.items():
        stratum, arm, *rest = name.split("/")
        if rest == ["n"] and 0 < float(stratum) < 1:
            found[stratum][arm] += count
    return dict(found)


def _participants(figures: Figures) -> int:
    return sum(count for name, count in figures.items() if name.endswith("/n"))


def _measured(unit: str, found: Effect | None, per_day: float) -> Measured | None:
    if found is None:
        return None
    scale = SHOPPERS if unit == "orders" else SHOPPERS * 10.0 ** -minor_digits(unit)
    needed = found.participants_until_known()
    days = None if needed is None or not per_day else -int(-(needed - found.n) // per_day)
    return Measured(unit=unit, effect=found, scale=scale, days=None if days is None or days > LONGEST else days)


def _effect(figures: Figures, sums: SumsOf) -> Effect | None:
    counts = _counts(figures)
    return effect(
        (sums(f"{name}/{NONE}", found[NONE]), sums(f"{name}/{OFFER}", found[OFFER])) for name, found in counts.items()
    )


def _summed(figures: Figures, grade: str, metric: str) -> SumsOf:
    """The sums of a metric."""

    def sums(arm: str, n: int) -> Sums:
        name = f"{arm}/{grade}/{metric}"
        return Sums(n=n, **{one: figures.get(f"{name}/{one}", 0) for one in ("y", "yy", "x", "xx", "xy")})

    return sums


def _left(figures: Figures, grade: str, currency: str, margin: Margin) -> SumsOf:
    """The sums of the margin."""
    return lambda arm, n: margin.sums(figures, f"{arm}/{grade}", currency, n)


def _per_day(ripe: Mapping[date, Figures]) -> float:
    """How many take part per day, in the newest days that are ripe."""
    if not ripe:
        return 0.0
    last = max(ripe)
    first = max(min(ripe), last - timedelta(days=RECENT - 1))
    newest = total(figures for day, figures in ripe.items() if day >= first)
    return sum(sum(arms.values()) for arms in _counts(newest).values()) / ((last - first).days + 1)


def _points(ripe: Mapping[date, Figures], grade: str) -> Iterable[Point]:
    """What was known at the end of each day, once there was enough."""
    figures: Figures = {}
    for day, more in ripe.items():
        figures = total((figures, more))
        found = _effect(figures, _summed(figures, grade, BOUGHT))
        arms = {arm: sum(one[arm] for one in _counts(figures).values()) for arm in (NONE, OFFER)}
        bought = {arm: sum(v for k, v in figures.items() if k.endswith(f"/{arm}/{grade}/{BOUGHT}/y")) for arm in arms}
        if found and enough([(arms[arm], bought[arm]) for arm in arms]):
            yield Point(
                day=day, estimate=found.estimate * SHOPPERS, low=found.low * SHOPPERS, high=found.high * SHOPPERS
            )
