"""Offers that promise something: a code of a list, never two of them the same; and no more than the budget."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from mesh import Mesh, Money
from mesh.events.budget import BudgetChanged
from mesh.events.code import AssignCode, CodeAssigned, CodeChanged, CodeListExhausted, Discount
from mesh.events.offer import OfferDecided, OfferWithdrawn
from notifications.offers import service as offers
from services.identity import service as identity
from services.promotions import service as promotions
from services.promotions.code_key import code_id
from services.promotions.code_lists import EXHAUSTED, CodeLists, divided


@pytest.fixture
async def meshes(regions):
    """The promotions' connections to `us` and `eu`."""
    made = [Mesh(regions.broker(one), "promotions", others=(other,)) for one, other in (("us", "eu"), ("eu", "us"))]
    yield made
    for mesh in made:
        await mesh.broker.drain()


async def leave(shop, *carts):
    """Carts that are left, each of somebody else, with their scores."""
    for cart in carts:
        await shop.identify(f"of-{cart}")
        await shop.fill(cart, f"of-{cart}")
        await shop.score(cart, f"of-{cart}", await shop.leave(cart, f"of-{cart}"))


async def decisions(shop, *carts):
    """The newest decision about each cart."""
    found = [(await shop.all(cart, OfferDecided))[-1:] for cart in carts]
    return [one for some in found for one in some] if all(found) else None


async def test_each_offer_gets_a_code_of_the_list_and_none_is_sent_without(
    meshes, shop, at_work, box, eventually, monkeypatch
):
    """Three codes for four carts: the fourth is held, with an alarm, and its code comes with the next import."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CODE_LIST", "summer")
    codes = divided((f"SUMMER-{n}" for n in range(20)), ("us", "eu"))["us"]
    await CodeLists(meshes[0]).add("summer", codes[:3], None, "ada")
    carts = [f"c{n}" for n in range(4)]
    async with at_work(offers, identity, promotions):
        await leave(shop, *carts)
        made = await eventually(lambda: decisions(shop, *carts))

        sent = [one for one in made if one.outcome == "approved"]
        (held,) = [one for one in made if one.outcome != "approved"]
        alarm = await eventually(lambda: meshes[0].last(CodeListExhausted, "summer"))
        assert EXHAUSTED.labels("us")._value.get() == 1
        await CodeLists(meshes[0]).add("summer", codes[3:4], None, "ada")
        await eventually(lambda: EXHAUSTED.labels("us")._value.get() == 0)

    assert sorted(one.coupon for one in sent) == sorted(codes[:3])
    assert (held.outcome, held.reason, held.coupon) == ("held", "no code left", None)
    assert held.checks[-1].value == "no code is left of summer in us"
    assert alarm.event.journey == held.journey
    issued = (await meshes[0].last(CodeChanged, code_id(codes[0]))).event
    assert (issued.state, issued.list_name, issued.discount.percent) == ("free", "summer", 10)


async def test_a_code_is_handed_out_once_though_two_regions_and_two_processes_hand_out(meshes):
    """Both import the same file while they are cut off; the same offer gets the same code again."""
    codes = [f"SUMMER-{n}" for n in range(60)]
    for mesh in meshes:
        await CodeLists(mesh).add("summer", codes, None, "ada")
    processes = [(mesh, CodeLists(mesh)) for mesh in meshes for _ in range(2)]

    async def assign(mesh, lists, number):
        wanted = AssignCode(
            list_name="summer", offer_id=f"{mesh.region}-{number}", journey="j", discount=Discount(percent=10)
        )
        return mesh.region, number, (await lists.assign(wanted)).code

    given = await asyncio.gather(*(assign(*one, number) for one in processes for number in range(40)))

    by_offer = {(region, number): code for region, number, code in given}
    handed = [code for code in by_offer.values() if code]
    assert sorted(handed) == sorted(codes)
    assert all(by_offer[region, number] == code for region, number, code in given)
    assert sum([len([1 async for _ in mesh.read(CodeAssigned)]) for mesh in meshes]) == 60


async def test_offers_in_two_regions_stay_within_the_budget_though_they_are_cut_off(
    regions, meshes, shop, shop_in, at_work, box, eventually, monkeypatch
):
    """Six carts of 9 EUR in each region, 30 EUR for all: one in each, and the check says what was left."""
    monkeypatch.setenv("CARTMESH_JOURNEY_BUDGET", "30 EUR")
    monkeypatch.setenv("CARTMESH_JOURNEY_HOLDOUT", "0")
    eu, regions_of = shop_in("eu"), {}
    regions.cut("us", "eu")
    async with AsyncExitStack() as stack:
        for region in ("us", "eu"):
            await stack.enter_async_context(at_work(offers, identity, promotions, region=region))
        carts = {region: [f"{region}{n}" for n in range(6)] for region in ("us", "eu")}
        await asyncio.gather(leave(shop, *carts["us"]), leave(eu, *carts["eu"]))
        for one, region in ((shop, "us"), (eu, "eu")):
            regions_of[region] = await eventually(lambda one=one, region=region: decisions(one, *carts[region]))
        (kept,) = [one for one in regions_of["us"] if one.outcome == "approved"]
        key = code_id(kept.coupon)
        await eventually(lambda: meshes[0].last(CodeChanged, key))
        await shop.mesh.publish(
            OfferWithdrawn(cart_id=kept.cart_id, offer_id=kept.offer_id, channel="email", reason="unsubscribed"),
            OfferWithdrawn(cart_id=kept.cart_id, offer_id=kept.offer_id, channel="onsite", reason="unsubscribed"),
        )

        async def given_back():
            level = await meshes[0].last(BudgetChanged, kept.journey)
            return level.event.committed == (Money(amount=0, currency="EUR"),)

        await eventually(given_back)
        state = (await meshes[0].last(CodeChanged, key)).event.state

    for region, made in regions_of.items():
        dropped = [one for one in made if one.outcome == "dropped"]
        assert len(dropped) == 5
        assert {one.reason for one in dropped} == {"budget"}
        assert {one.checks[-1].value for one in dropped} == {
            f"9.00 EUR at most, 6.00 EUR left of all, in {region}",
        }
    assert kept.discount == Discount(percent=10, at_most=Money(amount=900, currency="EUR"))
    assert state == "withdrawn"
