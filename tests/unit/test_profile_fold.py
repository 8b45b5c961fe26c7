"""Profile records: merged in any order and any number of times they are the same, and never large."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mesh.profiles import (
    MOST_CARTS,
    MOST_VISITORS,
    Mark,
    Profile,
    Record,
    address_digest,
    customer_digest,
    names_of,
    visitor_key,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
times = st.integers(0, 5).map(lambda hours: NOON + timedelta(hours=12 * hours))
marks = st.builds(Mark, at=times, id=st.sampled_from("abc"), on=st.booleans())
few = st.sampled_from(["v1", "v2", "v3"])


@st.composite
def records(draw):
    named = draw(st.none() | marks)
    return Record(
        names=(f"{named.at:%d}{named.id}",) if named else (),
        named=named,
        visitors=draw(st.dictionaries(few, marks, max_size=2)),
        carts=draw(st.dictionaries(few, times.map(datetime.date), max_size=2)),
        regions=draw(st.dictionaries(st.sampled_from(["eu", "ap"]), times, max_size=2)),
        refused=draw(st.dictionaries(st.just("marketing/email"), st.dictionaries(few, marks, max_size=2))),
        erased=draw(st.none() | times),
    )


def folded(parts):
    whole = Record()
    for part in parts:
        whole = whole.merged(part)
    return whole


@given(st.lists(records(), max_size=6).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
def test_neither_order_nor_repetition_matters(both):
    """Every order of the same records, with some of them twice, is one record."""
    parts, shuffled = both

    assert folded(parts) == folded([*shuffled, *shuffled[:2]])


@given(records(), records(), records())
def test_records_may_be_merged_beforehand(one, other, third):
    """A batch that is merged first adds what its events add one by one."""
    assert one.merged(other.merged(third)) == one.merged(other).merged(third)


def test_a_record_is_bounded():
    """Of too many visitors and carts the newest are kept, whatever order they come in."""
    many = [
        Record(
            visitors={f"v{n}": Mark(at=NOON + timedelta(minutes=n), id="", on=True)},
            carts={f"c{n}": date(2026, 1, 1) + timedelta(days=n)},
        )
        for n in range(MOST_VISITORS + 30)
    ]

    forwards, backwards = folded(many), folded(reversed(many))

    assert forwards == backwards
    assert (len(forwards.visitors), len(forwards.carts)) == (MOST_VISITORS, MOST_CARTS)
    assert "v79" in forwards.visitors
    assert "v0" not in forwards.visitors


def test_what_was_erased_does_not_come_back():
    """Events from before the erasure that are read again change nothing; those from after it count."""
    before = Record(names=("n",), named=Mark(at=NOON, id="a", on=True), visitors={"v": Mark(at=NOON, id="a", on=True)})
    erased = Record(erased=NOON + timedelta(hours=1))
    after = Record(visitors={"w": Mark(at=NOON + timedelta(hours=2), id="b", on=True)})

    assert erased == folded([before, erased, before])
    assert {"w"} == folded([after, erased, before]).visitors.keys()


def test_the_strictest_refusal_counts():
    """One device that refused is enough, until that device allows it again; flooding cannot take it back."""

    def refused(marks):
        return Profile(
            visitors=(), names=(), carts=(), regions=(), refused={"marketing/email": marks}
        ).refused_channels(besides="v1")

    no, yes = Mark(at=NOON, id="a", on=True), Mark(at=NOON + timedelta(hours=1), id="b", on=False)
    flood = {f"v{n}": yes for n in range(100, 100 + MOST_VISITORS)}

    assert {"email"} == refused({"v2": no, "v3": yes})
    assert frozenset() == refused({"v2": yes})
    assert frozenset() == refused({"v1": no})
    assert {"email"} == refused(flood)


def test_an_address_is_the_same_in_any_case_and_only_with_the_secret():
    """Names compare as people mean them, and cannot be computed without the secret."""
    digest = address_digest("Ada@Example.test", "s")

    assert digest == address_digest(" ada@example.TEST ", "s")
    assert digest != address_digest("ada@example.test", "another")
    assert address_digest("ada@bücher.test", "s") == address_digest("ada@xn--bcher-kva.test", "s")
    assert (customer_digest("k"),) == names_of("k")
    assert visitor_key("x" * 128) != visitor_key("x" * 127 + "y")
