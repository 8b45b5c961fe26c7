"""Nothing that a client sends can become a header of its own."""

import pytest

from mesh.broker.protocol import Outgoing

COMMERCE_US = "COMMERCE_us"
NASTY = [
    "a b.*>",
    "x" * 10_000,
    "🛒é",
    "a\r\nNats-TTL: 1s",
    "a\nNats-Schedule: @every 1s",
    "a: b",
    " padded ",
    "tab\there",
]


@pytest.mark.parametrize("id_", NASTY, ids=range(len(NASTY)))
async def test_any_id_deduplicates_or_is_refused(broker, id_):
    """An id of any characters is one id, alone and whole; or the store is refused with a ValueError."""
    messages = [Outgoing(subject=f"ev.us.cart.updated.c{at}", body=b"", id=id_) for at in range(2)]

    try:
        stored = [await broker.store(COMMERCE_US, message) for message in messages]
    except ValueError:
        assert await broker.last(COMMERCE_US, ">") is None
        return

    assert [answer.duplicate for answer in stored] == [False, True]
    kept = await broker.last(COMMERCE_US, ">")
    assert not {"Nats-TTL", "Nats-Schedule"} & set(kept.headers)


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
async def test_any_header_value_comes_back_or_is_refused(broker, value):
    """A header's value is kept, apart from its white space, or refused with a ValueError."""
    message = Outgoing(subject="ev.us.cart.updated.c1", body=b"", headers={"Reason": value})

    try:
        await broker.store(COMMERCE_US, message)
    except ValueError:
        return

    kept = await broker.last(COMMERCE_US, ">")
    assert kept.headers["Reason"].split() == value.split()
    assert set(kept.headers) == {"Reason"}
