"""Personal fields are stored encrypted, read as they were published, and gone with their key."""

import pytest

from mesh.errors import DeclarationError
from mesh.events.customer import CustomerIdentified
from mesh.mesh import Mesh
from mesh.personal_data import PERSONAL_KEYS, PersonalData
from mesh.publish import Draft
from mesh.streams import Bucket

ADDRESS = "ada@example.test"


@pytest.fixture
async def keys(ground):
    return await ground.bucket(PERSONAL_KEYS)


@pytest.fixture
def shop(broker, keys):
    return Mesh(broker, "shop")


def ada(**more):
    return CustomerIdentified(visitor_id="v1", email=ADDRESS, name="Ada", **more)


async def bodies(broker):
    return [message.body async for message in broker.read("PERSONAL_us", ["pii.us.>"])]


async def test_what_is_stored_is_ciphertext_and_what_is_read_is_not(broker, shop):
    """The stream's bytes hold neither address nor name; the mesh reads both."""
    await shop.publish(ada(customer_id="c1"))

    (stored,) = await bodies(broker)
    history = await shop.history("v1", "customer")
    last = await shop.last(CustomerIdentified, "v1")
    read = [received.event async for received in shop.read(CustomerIdentified)]

    assert not [value for value in (ADDRESS, "Ada", '"c1"') if value.encode() in stored]
    assert [ada(customer_id="c1")] * 3 == [history.events[0].event, last.event, *read]


async def test_the_same_value_is_the_same_ciphertext(broker, shop):
    """An event that is published again is the same message; of another person it is another."""
    first, again = await shop.personal_data.encrypt(ada()), await shop.personal_data.encrypt(ada())
    other = await shop.personal_data.encrypt(CustomerIdentified(visitor_id="v2", email=ADDRESS))

    assert first == again
    assert first.email != other.email
    assert first.locale is None


async def test_a_destroyed_key_takes_the_values_with_it(broker, shop):
    """After erasure the fields are absent, at once and for ever; a newer key does not bring them back."""
    await shop.publish(ada())

    erased = await shop.personal_data.destroy("v1")
    after = await shop.history("v1", "customer")
    await shop.publish(CustomerIdentified(visitor_id="v1", email="new@example.test"))
    later = await shop.history("v1", "customer")

    assert erased
    assert CustomerIdentified(visitor_id="v1") == after.events[0].event
    assert [received.event.email for received in later] == [None, "new@example.test"]
    assert not await shop.personal_data.destroy("unknown")


async def test_who_may_not_read_keys_reads_nothing_personal(broker, shop):
    """A service that did not declare it reads the event without its encrypted fields."""
    await shop.publish(ada())
    stranger = Mesh(broker, "stranger")
    stranger.personal_data.readable = False

    history = await stranger.history("v1", "customer")

    assert CustomerIdentified(visitor_id="v1") == history.events[0].event


async def test_two_writers_make_one_key(broker, keys):
    """The first key of a person stays, so that what both wrote can be read."""
    one, other = PersonalData(broker), PersonalData(broker)

    first, second = await one.encrypt(ada()), await other.encrypt(ada())

    assert first == second


async def test_who_is_probably_new_gets_a_key_without_a_look_first(broker, shop, monkeypatch):
    """A person who had one keeps it, so that what was stored before can still be read."""
    looks = []

    async def look(bucket, key):
        looks.append(key)
        return await found(bucket, key)

    found = broker.kv_get
    await shop.publish(ada())
    monkeypatch.setattr(broker, "kv_get", look)

    made = await shop.personal_data.key_for("v2", probably_new=True)
    before = list(looks)
    kept = await shop.personal_data.key_for("v1", probably_new=True)
    await shop.publish(Draft(event=CustomerIdentified(visitor_id="v2", email=ADDRESS), key=made))
    after = list(looks)

    assert (before, after) == ([], ["v1"])
    assert kept == await shop.personal_data.key_for("v1")
    assert [(await shop.last(CustomerIdentified, one)).event.email for one in ("v1", "v2")] == [ADDRESS] * 2


async def test_only_erasable_buckets_are_erased(broker, ground):
    """Overwriting a value where it is stored is for buckets that were declared so."""
    plain = await ground.bucket(Bucket("plain", int))
    await broker.kv_put(plain, "k", b"1")

    with pytest.raises(DeclarationError, match="not erasable"):
        await broker.kv_erase(plain, "k")

    assert (await broker.kv_get(plain, "k")).value == b"1"
