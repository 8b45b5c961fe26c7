"""What the price of syncing is measured on, on real servers."""

from mesh.runtime.server_monitor import page
from services.demo.bench import sync


async def test_each_interval_is_measured_on_servers_that_have_it(monkeypatch):
    """Three servers each, as they say themselves; commits are counted one by one and side by side."""
    seen, made, connect = [], sync._commit, sync.connect

    async def commit(mesh, numbers, commits, at_once, taken):
        seen.append((commits, at_once))
        await made(mesh, numbers, commits, at_once, taken)

    async def connected(access, region, user):
        monitors = access.regions[region].monitors.values()
        hosts = [monitor.removeprefix("http://").partition(":") for monitor in monitors]
        says = [(await page(host, int(port), "/varz"))["jetstream"]["config"] for host, _, port in hosts]
        seen.append([bool(one.get("sync_always")) for one in says])
        return await connect(access, region, user)

    monkeypatch.setattr(sync, "_commit", commit)
    monkeypatch.setattr(sync, "connect", connected)

    prices = await sync.sync_prices("us", commits=100, rounds=2)

    warm, alone, together = (10, sync.AT_ONCE), (5, 1), (50, sync.AT_ONCE)
    assert seen == [3 * [False], 3 * [True], warm, warm, *(4 * [alone, together])]
    assert list(prices) == ["2m", "always"]
    assert all(0 < one.p50 <= one.p99 for price in prices.values() for one in (price.alone, price.together))
