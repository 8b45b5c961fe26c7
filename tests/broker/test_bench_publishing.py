"""How long a published journey takes to be decided with, measured on real servers."""

from notifications.documents import measured


async def test_a_journey_is_followed_into_every_region(monkeypatch):
    """Two linked regions here, of one server each: each publication is seen in both, later in the other one."""
    monkeypatch.setattr(measured, "REGIONS", ("us", "eu"))

    found = await measured.measured(share=50, nodes=1)

    assert list(found) == ["own region", "other regions"]
    assert all(0 < one["p50"] <= one["p99"] <= one["max"] for one in found.values())
