"""A lake in an object store: the S3 interface, as moto serves it."""

from urllib.request import Request, urlopen

import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from mesh.events.interaction import ProductViewed
from mesh.lake.reading import read_history
from mesh.lake.rows import rows_of
from mesh.lake.table import WrittenMeanwhile, lake_tables


@pytest.fixture
def bucket(monkeypatch):
    """The address of a bucket, and the options that lead there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with urlopen(Request(f"{url}/shop", method="PUT")) as answer:
        assert answer.status == 200
    yield "s3://shop/lake", f"aws_endpoint_url={url},aws_allow_http=true"
    server.stop()


async def test_a_lake_in_s3_is_exactly_the_log(open_place, bucket):
    """Credentials come from the environment; a second writer at the same place does not commit."""
    address, options = bucket
    place = await open_place(folder=address, LAKE_OPTIONS=options)
    for number in range(20):
        await place.mesh.publish(ProductViewed(visitor_id=f"v{number}", product_id="p1"))
    await place.holding("interactions", 20)
    behind = next(one for one in lake_tables(place.mesh) if one.name == "interactions")
    behind.load()
    await place.mesh.publish(ProductViewed(visitor_id="v20", product_id="p1"))
    await place.holding("interactions", 21)
    messages = [one async for one in place.mesh.broker.read("INTERACTIONS_us", ["ev.us.>"], after=20)]

    with pytest.raises(WrittenMeanwhile):
        behind.append(rows_of(messages), after=20, place=21)

    log = [one["id"] for one in await place.log("INTERACTIONS_us")]
    stored = pl.scan_delta(behind.load()).sort("sequence").collect()["id"].to_list()
    assert stored == log
    assert [one.id async for one in read_history(place.mesh, ProductViewed)] == log
