"""Click report: what shoppers were shown, what they clicked, what they ordered afterwards, and what offers changed.

Click rates have Wilson's interval at 95 %, over lists (or offers), as the products of one list are no independent
trials. What an offer changes for those whom it reached is measured by instrumental variables, as offers that were
given at random reach only some: the difference between all who were given one and all who were not, divided by the
share that was reached (Bloom 1984). To compare who was reached with who was not would compare different shoppers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from mesh import Mesh
from mesh.events.offer import OfferClicked, OfferDecided, OfferSent, OfferShown
from mesh.events.order import OrderPlaced
from ml.clickstream.erased import read_erased
from ml.clickstream.impressions import Impressions, read_impressions
from ml.clickstream.orders import read_orders

SOON = timedelta(days=1)
"""How soon after a click an order follows from it."""
AFTER_OFFER = timedelta(days=3)
"""How soon after its decision an order counts for an offer, as in training."""
Z = 1.96
LEAST_OF_ARM = 30


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share of `of` cases with its interval."""

    of: int
    share: float
    low: float
    high: float


class ListClicks(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of one place and model version: shown, clicked at least once, and clicked products that were ordered."""

    place: str
    version: str | None
    shown: int
    clicked: int
    rate: Rate
    orders: int


class OfferClicks(msgspec.Struct, frozen=True, kw_only=True):
    """Offers of one journey and channel. `seen` is None for channels that do not tell, such as e-mail."""

    journey: str
    channel: str
    sent: int
    seen: int | None
    clicked: int
    rate: Rate
    orders: int


class OfferEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What offers given at random changed, in shares that bought: of all `given` one, and of the `reached`."""

    given: int
    withheld: int
    reached: float
    of_given: float
    of_reached: float
    error: float
    """The standard error of `of_reached`."""


class ClickReport(msgspec.Struct, frozen=True, kw_only=True):
    """A region's clicks; `effect` is None where too few offers were given and withheld by chance."""

    region: str
    lists: tuple[ListClicks, ...]
    offers: tuple[OfferClicks, ...]
    effect: OfferEffect | None


class _Bought:
    """When visitors ordered what, as far as it counts."""

    def __init__(self) -> None:
        self.orders: dict[str, list[tuple[float, frozenset[str]]]] = defaultdict(list)

    def soon(self, visitor: str, at: float, within: timedelta, product: str | None = None) -> bool:
        """Whether a visitor ordered (the product, where one is named) within a time after a moment."""
        return any(
            at < ordered <= at + within.total_seconds() and (product is None or product in products)
            for ordered, products in self.orders.get(visitor, ())
        )


class _Offers:
    """Offers by their id, and what became of them."""

    def __init__(self) -> None:
        self.decided: dict[str, tuple[float, OfferDecided]] = {}
        self.sent: dict[tuple[str, str], str] = {}
        self.seen: set[str] = set()
        self.clicked: dict[tuple[str, str], tuple[float, str]] = {}


async def click_report(mesh: Mesh) -> ClickReport:
    """Read it from a region's log, as far as that reaches back."""
    bought, offers = await _bought(mesh), await _offers(mesh)
    return ClickReport(
        region=mesh.region,
        lists=tuple(_lists(await read_impressions(mesh), bought)),
        offers=tuple(_of_channels(offers, bought)),
        effect=_effect(offers, bought),
    )


def rate(hits: int, of: int) -> Rate:
    """A share with Wilson's interval (1927)."""
    if not of:
        return Rate(of=0, share=0.0, low=0.0, high=1.0)
    share, weight = hits / of, Z**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = Z / (1 + weight) * (share * (1 - share) / of + weight / (4 * of)) ** 0.5
    return Rate(of=of, share=share, low=max(middle - half, 0.0), high=min(middle + half, 1.0))


async def _bought(mesh: Mesh) -> _Bought:
    orders, found, known = await read_orders(mesh), _Bought(), set[tuple[str, str]]()
    async for received in mesh.read(OrderPlaced):
        order = received.event
        if (order.visitor_id, order.order_id) not in known and orders.counts(order.visitor_id, order.order_id):
            known.add((order.visitor_id, order.order_id))
            products = frozenset(line.product_id for line in order.lines)
            found.orders[order.visitor_id].append((received.time.timestamp(), products))
    return found


async def _offers(mesh: Mesh) -> _Offers:
    erased, found = await read_erased(mesh), _Offers()
    async for received in mesh.read(OfferDecided, OfferSent, OfferShown, OfferClicked):
        offer, at = received.event, received.time.timestamp()
        if erased.covers(offer.visitor_id, at):
            continue
        match offer:
            case OfferDecided(offer_id=name):
                found.decided[name] = at, offer
            case OfferSent(offer_id=name, channel=channel):
                found.sent.setdefault((name, channel), offer.journey)
            case OfferShown(offer_id=name):
                found.seen.add(name)
            case OfferClicked(offer_id=name, channel=channel):
                found.clicked.setdefault((name, channel), (at, offer.visitor_id))
    return found


def _lists(impressions: Impressions, bought: _Bought) -> Iterable[ListClicks]:
    shown, clicked, orders = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]](), Counter()
    for one in impressions.lists():
        key = (one.place, one.version)
        shown[key] += 1
        clicked[key] += bool(one.clicked)
        orders[key] += sum(bought.soon(who, at, SOON, product) for product, (at, who) in one.clicked.items())
    for key in sorted(shown, key=lambda key: (key[0], key[1] or "")):
        yield ListClicks(
            place=key[0],
            version=key[1],
            shown=shown[key],
            clicked=clicked[key],
            rate=rate(clicked[key], shown[key]),
            orders=orders[key],
        )


def _of_channels(offers: _Offers, bought: _Bought) -> Iterable[OfferClicks]:
    for journey, channel in sorted({(journey, channel) for (_, channel), journey in offers.sent.items()}):
        names = [name for (name, by), of in offers.sent.items() if (of, by) == (journey, channel)]
        clicks = [click for name in names if (click := offers.clicked.get((name, channel)))]
        seen = sum(name in offers.seen for name in names) if channel == "onsite" else None
        yield OfferClicks(
            journey=journey,
            channel=channel,
            sent=len(names),
            seen=seen,
            clicked=len(clicks),
            rate=rate(len(clicks), len(names)),
            orders=sum(bought.soon(visitor, at, SOON) for at, visitor in clicks),
        )


def _effect(offers: _Offers, bought: _Bought) -> OfferEffect | None:
    """Weighted by one over the probability of what each cart was given, so that any allocation is comparable.

    Of a visitor the first cart counts, as in training: later ones depend on what came of it.
    """
    counted = set[str]()
    given, withheld = list[tuple[float, bool, bool]](), list[tuple[float, bool, bool]]()
    reached = offers.seen | {name for name, channel in offers.sent if channel != "onsite"}
    for name, (at, decided) in sorted(offers.decided.items(), key=lambda one: one[1][0]):
        chance = decided.assignment
        if chance is None or not chance.eligible or not 0 < chance.withheld < 1 or decided.visitor_id in counted:
            continue
        counted.add(decided.visitor_id)
        is_withheld = chance.arm == "none"
        weight = 1 / (chance.withheld if is_withheld else 1 - chance.withheld)
        row = weight, bought.soon(decided.visitor_id, at, AFTER_OFFER), name in reached
        (withheld if is_withheld else given).append(row)
    if min(len(given), len(withheld)) < LEAST_OF_ARM:
        return None
    with_offer, without = _weighted(given, 1), _weighted(withheld, 1)
    share = _weighted(given, 2)[0]
    if share <= 0:
        return None
    difference = with_offer[0] - without[0]
    return OfferEffect(
        given=len(given),
        withheld=len(withheld),
        reached=share,
        of_given=difference,
        of_reached=difference / share,
        error=(with_offer[1] + without[1]) ** 0.5 / share,
    )


def _weighted(rows: list[tuple[float, bool, bool]], column: int) -> tuple[float, float]:
    """The weighted mean of a column and the variance of that mean."""
    total = sum(row[0] for row in rows)
    mean = sum(row[0] * row[column] for row in rows) / total
    return mean, sum((row[0] * (row[column] - mean)) ** 2 for row in rows) / total**2
