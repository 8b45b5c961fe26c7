"""The client that sends a shop's events."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from services.demo.replay.client import Client, retry_after
from services.demo.replay.replay import play, settings_for
from services.demo.replay.shop_log import Row
from services.demo.replay.storefront_events import Storefront

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GATEWAYS = {"us": "http://us.test", "eu": "http://eu.test"}


def rows(count):
    return [
        Row(
            number=number,
            time=NOON + timedelta(seconds=number),
            kind="cart",
            product_id=f"p{number}",
            user_id=f"u{number % 5}",
            session_id=f"s{number % 5}",
            price=100,
        )
        for number in range(count)
    ]


class Gateway:
    """A gateway that answers what it is set to, and remembers what it was sent."""

    def __init__(self, *answers):
        self.answers, self.received = list(answers), []

    def __call__(self, request):
        self.received.append([event["id"] for event in json.loads(request.content)["events"]])
        answer = self.answers.pop(0) if self.answers else httpx.Response(202, json={"accepted": 1, "rejected": []})
        if isinstance(answer, Exception):
            raise answer
        return answer


async def sent_through(gateway, count=20, **options):
    async with Client(GATEWAYS, key="demo", transport=httpx.MockTransport(gateway), **options) as client:
        await play(rows(count), Storefront(run="r"), client, speed=0)
        return client.sent


async def test_everything_is_sent_once():
    """Every event of the log is sent once to its visitor's region and its answer is written down."""
    gateway = Gateway()

    sent = await sent_through(gateway)

    received = [id_ for batch in gateway.received for id_ in batch]
    assert sorted(received) == sorted(one.id for one in sent)
    assert {one.answer for one in sent} == {"accepted"}
    assert len(sent) == 20 + 2 * 5


async def test_a_visitor_keeps_the_order():
    """The events of one visitor arrive in the order in which they happened, however they are batched."""
    gateway = Gateway()

    await sent_through(gateway, 200, batch=7)

    received = [int(id_.split("-")[1]) for batch in gateway.received for id_ in batch if "cart" in id_]
    for visitor in range(5):
        own = [number for number in received if number % 5 == visitor]
        assert own == sorted(own)


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silent"),
    ],
    ids=["429", "503", "refused", "silent"],
)
async def test_trouble_is_waited_out(trouble):
    """A busy or unreachable gateway gets the same batch with the same ids again until it has answered."""
    gateway = Gateway(trouble)

    sent = await sent_through(gateway, 1)

    assert gateway.received[0] == gateway.received[1]
    assert {one.answer for one in sent} == {"accepted"}
    assert {one.attempts for one in sent} == {2}


async def test_giving_up():
    """After its patience the client gives up, and what was not answered is not counted as accepted."""
    gateway = Gateway(*(httpx.ConnectError("refused") for _ in range(50)))

    sent = await sent_through(gateway, 1, patience=0.3)

    assert {one.answer for one in sent} == {"unanswered"}
    assert "given up after" in sent[0].reason


async def test_rejections():
    """What a gateway rejects of a batch, or as a whole, is written down with its reason."""
    some = httpx.Response(202, json={"accepted": 2, "rejected": [{"index": 1, "path": "$.email", "reason": "wrong"}]})

    sent = await sent_through(Gateway(some), 1)
    refused = await sent_through(Gateway(httpx.Response(401, text="no such key")), 1)

    assert [(one.answer, one.reason) for one in sent] == [
        ("accepted", None),
        ("rejected", "$.email: wrong"),
        ("accepted", None),
    ]
    assert {one.reason for one in refused} == {"401: no such key"}


def test_asked_to_wait():
    """Retry-After in seconds is honoured, up to half a minute; anything else is not believed."""
    asked = [httpx.Response(503, headers={"Retry-After": said}) for said in ("2", "0.5", "900", "tomorrow")]

    assert [retry_after(answer) for answer in asked] == [2.0, 0.5, 30.0, None]


def test_settings_of_a_run():
    """Half an hour is nine seconds at two hundred times the speed, and nothing holds a replay for hours."""
    settings = settings_for(speed=200, abandon_after=timedelta(minutes=30))

    held = {"CARTMESH_JOURNEY_QUIET": "", "CARTMESH_JOURNEY_CONTACT_INTERVAL": "0s"}
    assert settings == {"CARTMESH_ABANDON_AFTER": "9000ms", **held}
