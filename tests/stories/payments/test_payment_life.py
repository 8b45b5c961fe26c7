"""A payment is authorised, captured, voided and refunded as it is asked, and the provider's books say the same."""

import json

import httpx

from services.demo.payment_provider.books import Books


async def test_a_payment_is_held_charged_and_paid_back_in_parts(shop):
    """Each answer carries the whole payment and names the request that it answers."""
    await shop.authorise(key="a")
    await shop.until("Authorised")
    await shop.capture(key="c")
    await shop.until("Authorised", "Captured")
    await shop.refund(amount=1200, key="r1")
    await shop.until("Authorised", "Captured", "Refunded")
    await shop.refund(amount=3000, key="r2")
    answers = await shop.until("Authorised", "Captured", "Refunded", "Refunded")

    assert await shop.books() == {"p1": (4200, 4200, 0, 4200)}
    assert await shop.state() == (4200, 4200, 0, 4200)
    assert [one.payment.refunded.amount for one in answers[2:]] == [1200, 4200]
    assert answers[0].payment.provider_id == answers[-1].payment.provider_id


async def test_without_webhooks_the_responses_are_enough_and_name_their_requests(shop):
    """A webhook that never comes is missed by nobody."""
    await shop.faults(webhooks_lost=True)

    await shop.authorise(key="a")
    await shop.until("Authorised")
    await shop.capture(amount=3000, key="c")
    await shop.until("Authorised", "Captured")
    await shop.refund(amount=500, key="r")
    answers = await shop.until("Authorised", "Captured", "Refunded")

    assert [one.answers for one in answers] == ["a", "c", "r"]
    assert await shop.books() == {"p1": (4200, 3000, 1200, 500)}
    assert await shop.state() == (4200, 3000, 1200, 500)


async def test_a_declined_card_holds_nothing(shop):
    """The provider's reason is in the answer."""
    await shop.authorise("p1", method="card_declined")
    await shop.authorise("p2", method="card_insufficient")

    reasons = [(await shop.until("Declined", payment=one))[0] for one in ("p1", "p2")]

    assert [one.reason for one in reasons] == ["card_declined", "insufficient_funds"]
    assert [one.payment.declined for one in reasons] == ["card_declined", "insufficient_funds"]
    assert await shop.books() == {"p1": (0, 0, 0, 0), "p2": (0, 0, 0, 0)}


async def test_what_is_held_is_given_back(shop):
    """A void before the capture leaves nothing on the card."""
    await shop.authorise()
    await shop.until("Authorised")
    await shop.void()
    await shop.until("Authorised", "Voided")

    assert await shop.books() == {"p1": (4200, 0, 4200, 0)}


async def test_what_was_charged_already_is_refunded_by_a_void(shop):
    """The end of a payment is the same for the shopper, whenever it is asked for."""
    await shop.authorise()
    await shop.until("Authorised")
    await shop.capture()
    await shop.until("Authorised", "Captured")
    await shop.void()
    await shop.until("Authorised", "Captured", "Refunded")

    assert await shop.books() == {"p1": (4200, 4200, 0, 4200)}


async def test_the_same_request_twice_changes_nothing(shop):
    """Another event with the same key is the same request."""
    await shop.authorise(key="a")
    await shop.until("Authorised")
    await shop.capture(key="c")
    await shop.until("Authorised", "Captured")
    await shop.authorise(key="a")
    await shop.capture(key="c")
    await shop.refund(amount=100, key="r")
    await shop.until("Authorised", "Captured", "Refunded")
    await shop.refund(amount=100, key="r")
    await shop.refund(amount=1, key="last")
    await shop.until("Authorised", "Captured", "Refunded", "Refunded")

    assert await shop.books() == {"p1": (4200, 4200, 0, 101)}


IMPOSSIBLE = [
    ("refund", 4201, "4201 EUR is above what is left of the charge, 4200"),
    ("refund", 0, "the amount is not above zero"),
    ("refund", -5, "the amount is not above zero"),
    ("capture", 4200, "cannot capture 4200"),
    ("capture", 9000, "9000 EUR is above what was authorised, 4200"),
]


async def test_what_cannot_be_is_refused_with_the_reason(shop):
    """A refund above the charge, a second capture: the payment stays as it is."""
    await shop.authorise()
    await shop.until("Authorised")
    await shop.capture()
    done = await shop.until("Authorised", "Captured")
    for number, (step, amount, _) in enumerate(IMPOSSIBLE):
        await getattr(shop, step)(amount=amount, key=f"wrong-{number}")

    failed = (await shop.until("Authorised", "Captured", *["Failed"] * len(IMPOSSIBLE)))[len(done) :]

    said = {one.answers: (one.step, one.reason) for one in failed}
    for number, (step, _, reason) in enumerate(IMPOSSIBLE):
        assert step == said[f"wrong-{number}"][0]
        assert reason in said[f"wrong-{number}"][1]
    assert await shop.books() == {"p1": (4200, 4200, 0, 0)}


async def test_what_nobody_authorised_is_refused(shop):
    """The provider is not even asked."""
    await shop.capture("p1")
    await shop.refund("p2")
    await shop.void("p3")

    reasons = [(await shop.until("Failed", payment=one))[0].reason for one in ("p1", "p2", "p3")]

    assert reasons == ["nothing was authorised", "nothing was charged", "no authorisation was requested"]
    assert await shop.books() == {}


async def test_the_books_and_their_keys_survive_the_provider(shop):
    """A provider that is started again answers an old key as before."""
    await shop.authorise(key="a")
    await shop.until("Authorised")

    lines = [json.loads(line) for line in (shop.folder / "charges.jsonl").read_text().splitlines()]
    again = Books(shop.folder)
    again.close()

    assert [line["key"] for line in lines] == ["a"]
    assert lines[0]["charge"]["id"] == again.answered("a", lines[0]["digest"]).charge.id


async def test_the_sandbox_refuses_another_request_under_the_same_key(shop):
    """422, as nothing may be booked under it."""
    body = {"reference": "p9", "order": "o9", "region": "us", "amount": 100, "currency": "EUR", "method": "card_ok"}
    headers = {"Idempotency-Key": "k"}

    first = await shop.provider.post("/v1/charges", json=body, headers=headers)
    same = await shop.provider.post("/v1/charges", json=body, headers=headers)
    other = await shop.provider.post("/v1/charges", json={**body, "amount": 200}, headers=headers)
    async with httpx.AsyncClient(base_url=shop.provider.base_url) as stranger:
        unknown = await stranger.get("/v1/charges/x")

    assert (first.status_code, same.status_code, other.status_code, unknown.status_code) == (200, 200, 422, 401)
    assert first.json() == same.json()
