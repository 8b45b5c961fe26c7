"""Coupon codes in two linked regions in memory, as the shop's servers redeem them over HTTP."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import httpx
import pytest
import pytest_asyncio

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.envelope import derive_id
from mesh.events.code import CodeAnswered, CodeChanged, Discount
from mesh.publish import Cause
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from services import carts, promotions
from services.operations import heartbeat
from services.promotions.app import build
from services.promotions.code_key import code_id
from services.promotions.codes import Asked, Codes
from services.promotions.promotion_settings import PromotionSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
one_loop = partial(pytest_asyncio.fixture, scope="module", loop_scope="module")
TEN = Discount(percent=10)


class Shop:
    """One region's promotions at work, as the shop's server sees them."""

    def __init__(self, mesh, client, eventually):
        self.mesh, self.client, self._eventually, self._keys = mesh, client, eventually, 0

    async def issue(self, code, *, lasts=timedelta(days=1), **fields):
        """A code whose home is this region."""
        made = CodeChanged(
            code_id=code_id(code),
            code=code,
            state="free",
            discount=fields.pop("discount", TEN),
            expires=datetime.now(UTC) + lasts,
            **fields,
        )
        await self.mesh.commit([made], Cause(id=derive_id("test", code), source="test"))

    async def send(self, action, code, order_id="o1", *, key=None, **fields):
        self._keys += 1
        headers = {"authorization": "Bearer secret", "idempotency-key": key or f"{self.mesh.region}-{self._keys}"}
        return await self.client.post(
            f"/v1/codes/{code}/{action}", json={"order_id": order_id} | fields, headers=headers
        )

    async def known(self, code, home):
        """Wait until a code of another region has arrived here."""
        await self._eventually(lambda: self.mesh.last(CodeChanged, code_id(code), region=home.mesh.region))

    async def state(self, code):
        return (await self.mesh.last(CodeChanged, code_id(code))).event.state


@one_loop
async def linked():
    """Two linked regions in memory."""
    return MemoryMesh("us", "eu")


@one_loop
async def shops(linked, eventually):
    """The promotions service at work in `us` and `eu`, with heartbeats between them."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CARTMESH_SERVER_KEYS", "secret")
    patch.setenv("CARTMESH_CODE_REFUSAL_AFTER", "60ms")
    patch.setenv("CARTMESH_CODE_PATIENCE", "30s")  # longer than any answer takes on a busy machine
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        opened = []
        for region, other in (("us", "eu"), ("eu", "us")):
            meshes = []
            for name in ("promotions", "heartbeat", "carts"):
                broker = linked.broker(region)
                stack.push_async_callback(broker.drain)
                meshes.append(Mesh(broker, name, others=(other,)))
            await stack.enter_async_context(running(heartbeat.service, meshes[1]))
            await stack.enter_async_context(running(carts.service, meshes[2]))
            run = await stack.enter_async_context(running(promotions.service, meshes[0], http=("127.0.0.1", 0)))
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=120)
            await stack.enter_async_context(client)
            opened.append(Shop(meshes[0], client, eventually))

        async def heard():
            ages = [await shop.mesh.staleness() for shop in opened]
            return all(age is not None for one in ages for age in one.values())

        await eventually(heard)
        yield opened


async def test_a_code_is_reserved_redeemed_and_given_back(shops):
    """An order has it, no other order gets it; a cancelled order gives it back."""
    us, _ = shops
    await us.issue("BACK-1234")

    reserved = await us.send("reserve", "back 1234", amount={"amount": 1999, "currency": "EUR"})
    other = await us.send("reserve", "BACK-1234", "o2")
    redeemed = await us.send("redeem", "BACK-1234")
    late = await us.send("reserve", "BACK-1234", "o2")
    released = await us.send("release", "BACK-1234")
    again = await us.send("redeem", "BACK-1234", "o2")

    assert (reserved.status_code, reserved.json()["outcome"]) == (200, "reserved")
    assert reserved.json()["off"] == {"amount": 200, "currency": "EUR"}
    assert [one.status_code for one in (other, redeemed, late, released, again)] == [404, 200, 404, 200, 200]
    assert await us.state("BACK-1234") == "redeemed"


async def test_the_same_request_again_changes_nothing(shops):
    """Under its Idempotency-Key it has the same answer; another body under it is refused."""
    us, _ = shops
    await us.issue("A1-T2")

    first, again = [await us.send("reserve", "A1-T2", key="k2-1") for _ in range(2)]
    other = await us.send("reserve", "A1-T2", "o2", key="k2-1")

    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 409


async def test_a_reservation_that_is_over_frees_the_code(shops, eventually):
    """By a timer of the mesh; who had it may still redeem it, as long as nobody else does."""
    us, _ = shops
    await us.issue("A1-T3")
    await us.issue("A2-T3")
    short = Codes(us.mesh, PromotionSettings(code_reserved_for=timedelta(milliseconds=30)))
    for code in ("A1-T3", "A2-T3"):
        await short.ask(Asked(code=code, action="reserve", order_id="o1", request_id=code, body=""))

    async def free():
        return [await us.state(code) for code in ("A1-T3", "A2-T3")] == ["free", "free"]

    await eventually(free)
    assert (await us.send("redeem", "A1-T3")).status_code == 200
    assert (await us.send("reserve", "A2-T3", "o2")).status_code == 200
    assert (await us.send("redeem", "A2-T3")).status_code == 404


async def test_every_bad_code_gets_the_same_answer_after_the_same_time(shops):
    """Unknown, malformed, expired, used, another customer's: nobody learns which it was."""
    us, eu = shops
    await us.issue("OLD-T4", lasts=timedelta(seconds=-1))
    await us.issue("USED-T4")
    await us.issue("ADAS-T4", customer_id="ada")
    await us.send("redeem", "USED-T4", "o9")
    await eu.issue("EUUSED-T4")
    await us.known("EUUSED-T4", eu)
    assert (await us.send("redeem", "EUUSED-T4", "o9")).status_code == 200

    answers, times = [], []
    for code in ("NEVER", "%20%22x%C3%BC!", "OLD-T4", "USED-T4", "ADAS-T4", "EUUSED-T4"):
        began = monotonic()
        answers.append(await us.send("reserve", code, "o1", customer_id="bob", client=code))
        times.append(monotonic() - began)

    assert {(one.status_code, one.text) for one in answers} == {(404, answers[0].text)}
    assert {tuple(sorted(one.headers)) for one in answers} == {tuple(sorted(answers[0].headers))}
    assert min(times) >= 0.06
    assert (await us.send("reserve", "ADAS-T4", customer_id="ada")).status_code == 200


async def test_who_guesses_is_not_answered_any_more(shops):
    """After ten bad codes a client waits, also with a good one; others do not."""
    us, _ = shops
    await us.issue("GOOD-T5")
    bad = [await us.send("reserve", f"BAD-{n}", f"o{n}", client="mallory") for n in range(10)]

    blocked = await us.send("reserve", "GOOD-T5", client="mallory")

    assert {one.status_code for one in bad} == {404}
    assert blocked.status_code == 429
    assert int(blocked.headers["retry-after"]) > 60
    assert (await us.send("reserve", "GOOD-T5", client="ada")).status_code == 200


async def test_two_regions_at_the_same_moment_exactly_one_wins(shops):
    """For each of twenty codes, half of them issued in either region."""
    us, eu = shops
    codes = [f"RACE{n}" for n in range(20)]
    for n, code in enumerate(codes):
        home, other = (us, eu) if n % 2 else (eu, us)
        await home.issue(code)
        await other.known(code, home)

    async def race(code):
        answers = await asyncio.gather(us.send("redeem", code, f"us-{code}"), eu.send("redeem", code, f"eu-{code}"))
        return sorted(one.status_code for one in answers)

    assert await asyncio.gather(*map(race, codes)) == [[200, 404]] * len(codes)


async def test_while_the_home_is_cut_off_nobody_gets_the_code(linked, shops, eventually):
    """503 with Retry-After; once the link is back the same request is answered."""
    us, eu = shops
    await eu.issue("FAR-T7")
    await us.known("FAR-T7", eu)
    hasty = PromotionSettings(code_patience=timedelta(milliseconds=200))
    broker = linked.broker("us")
    app = build(mesh := Mesh(broker, "promotions", others=("eu",)), Codes(mesh, hasty))
    linked.cut("us", "eu")

    async with (
        serving(app, "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        away = await Shop(us.mesh, client, eventually).send("reserve", "FAR-T7", key="cut")
    at_home = await eu.send("redeem", "FAR-T7", "eu-cut")
    linked.heal("us", "eu")
    back = await us.send("reserve", "FAR-T7", key="cut")

    assert (away.status_code, at_home.status_code, back.status_code) == (503, 200, 404)
    assert int(away.headers["retry-after"]) >= 1
    await broker.drain()


async def test_another_regions_code_can_be_reserved_redeemed_and_released(shops):
    """Its home decides and answers; the second request under a key has the first one's answer."""
    us, eu = shops
    await eu.issue("FAR-T8", discount=Discount(kind="amount", amounts=(Money(amount=500, currency="EUR"),)))
    await us.known("FAR-T8", eu)

    first = await us.send("reserve", "FAR-T8", key="k8-1", amount={"amount": 300, "currency": "EUR"})
    again = await us.send("reserve", "FAR-T8", key="k8-1", amount={"amount": 300, "currency": "EUR"})
    here = await eu.send("reserve", "FAR-T8", "o1")
    redeemed, released = [await us.send(action, "FAR-T8") for action in ("redeem", "release")]

    assert first.json() == again.json()
    assert first.json()["off"] == {"amount": 300, "currency": "EUR"}
    assert [one.status_code for one in (first, here, redeemed, released)] == [200, 404, 200, 200]
    assert await eu.state("FAR-T8") == "free"


async def test_only_the_home_of_a_code_answers_for_it(shops):
    """Another region says that a code is reserved, or that it is its own: nobody believes it."""
    us, eu = shops
    await us.issue("MINE", customer_id="ada")
    asked = Asked(code="MINE", action="reserve", order_id="o1", request_id="known", body="b", customer_id="bob")
    key = code_id("MINE")
    lie = CodeAnswered(request_id="known", code_id=key, order_id="o1", outcome="reserved", body="b", discount=TEN)
    await eu.mesh.publish(lie)
    await us._eventually(lambda: us.mesh.last(CodeAnswered, "known", region="eu"))

    before = await Codes(us.mesh, PromotionSettings()).ask(asked)
    await eu.mesh.publish(CodeChanged(code_id=key, code="MINE", state="free", discount=TEN))
    await us.known("MINE", eu)
    after = await Codes(us.mesh, PromotionSettings()).ask(asked)

    assert (before.outcome, after.outcome) == ("refused", "refused")
    assert (await us.send("redeem", "MINE", customer_id="ada")).status_code == 200
