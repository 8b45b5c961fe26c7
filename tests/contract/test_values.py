"""What buckets and object stores promise."""

import asyncio
import os
from contextlib import aclosing
from datetime import timedelta

import pytest

from mesh.errors import Conflict, Unavailable
from mesh.state import State
from mesh.streams import Bucket, ObjectStore


@pytest.fixture
async def carts(ground):
    return await ground.bucket(Bucket("carts", int))


@pytest.fixture
async def models(ground):
    return await ground.object_store(ObjectStore("models"))


async def present(broker, bucket):
    return {entry.key: entry.value async for entry in broker.kv_entries(bucket)}


async def until_none(entries):
    found = []
    async with asyncio.timeout(60):
        while (entry := await anext(entries)) is not None:
            found.append((entry.key, entry.value))
    return found


async def following(entries):
    async with asyncio.timeout(60):
        entry = await anext(entries)
    return entry.key, entry.value


async def test_a_value_comes_back_with_its_revision(broker, carts):
    """What was put is got, newest last."""
    first = await broker.kv_put(carts, "k", b"1")
    second = await broker.kv_put(carts, "k", b"2")

    entry = await broker.kv_get(carts, "k")

    assert (entry.key, entry.value, entry.revision) == ("k", b"2", second)
    assert second > first > 0


async def test_an_absent_key_is_none(broker, carts):
    """Nothing there: None."""
    assert await broker.kv_get(carts, "k") is None
    assert await present(broker, carts) == {}


async def test_a_revision_guards_a_put(broker, carts):
    """Only who knows the newest revision may write."""
    first = await broker.kv_put(carts, "k", b"1", revision=0)
    second = await broker.kv_put(carts, "k", b"2", revision=first)

    for stale in (0, first, second + 5):
        with pytest.raises(Conflict):
            await broker.kv_put(carts, "k", b"3", revision=stale)

    assert (await broker.kv_get(carts, "k")).value == b"2"


async def test_many_keys_are_set_together(broker, carts):
    """Each at its revision: absent, present, or removed before."""
    first = await broker.kv_put(carts, "present", b"1")
    await broker.kv_put(carts, "removed", b"1")
    await broker.kv_delete(carts, "removed")
    known = await broker.kv_get_each(carts, ["absent", "present", "removed"])

    revisions = await broker.kv_put_each(
        carts, [("absent", b"2", 0), ("present", b"2", first), ("removed", b"2", known["removed"].revision)]
    )

    assert {key: entry.value for key, entry in known.items()} == {"present": b"1", "removed": None}
    assert await present(broker, carts) == {"absent": b"2", "present": b"2", "removed": b"2"}
    assert [(await broker.kv_get(carts, key)).revision for key in ("absent", "present", "removed")] == revisions


@pytest.mark.parametrize("stale", [0, 1_000])
async def test_of_many_keys_one_of_another_revision_refuses_all(broker, carts, stale):
    """Nothing is set, and each can be looked at by itself."""
    await broker.kv_put(carts, "present", b"1")

    with pytest.raises(Conflict):
        await broker.kv_put_each(carts, [("absent", b"2", 0), ("present", b"2", stale)])

    assert await present(broker, carts) == {"present": b"1"}


async def test_of_many_claims_one_wins(broker, carts):
    """`revision=0` is a claim: of many at once exactly one succeeds."""
    claims = await asyncio.gather(
        *(broker.kv_put(carts, "k", b"%d" % at, revision=0) for at in range(20)), return_exceptions=True
    )

    assert sum(isinstance(claim, int) for claim in claims) == 1
    assert sum(isinstance(claim, Conflict) for claim in claims) == 19


async def test_a_deleted_key_is_absent_and_can_be_claimed_again(broker, carts):
    """After a delete the key is None, and `revision=0` takes it."""
    await broker.kv_put(carts, "k", b"1")
    await broker.kv_delete(carts, "k")

    assert await broker.kv_get(carts, "k") is None
    assert await present(broker, carts) == {}
    await broker.kv_put(carts, "k", b"2", revision=0)
    assert (await broker.kv_get(carts, "k")).value == b"2"


async def test_a_revision_of_before_a_delete_is_stale(broker, carts):
    """A delete is a change."""
    first = await broker.kv_put(carts, "k", b"1")
    await broker.kv_delete(carts, "k")

    with pytest.raises(Conflict):
        await broker.kv_put(carts, "k", b"2", revision=first)


async def test_deleting_nothing_is_harmless(broker, carts):
    """An absent key can be deleted."""
    await broker.kv_delete(carts, "k")

    assert await broker.kv_get(carts, "k") is None


async def test_entries_are_the_present_keys(broker, carts):
    """Newest values of all keys that were not deleted."""
    for key, value in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")):
        await broker.kv_put(carts, key, value)
    await broker.kv_delete(carts, "b")

    assert await present(broker, carts) == {"a": b"3", "c": b"4"}


async def test_buckets_are_apart(ground, broker, carts):
    """The same key in two buckets is two values."""
    other = await ground.bucket(Bucket("carts2", int))
    await broker.kv_put(carts, "k", b"1")

    assert await broker.kv_get(other, "k") is None


async def test_a_watch_tells_what_is_there_then_none_then_changes(broker, carts):
    """Present entries, None once, then puts and deletes as they happen."""
    await broker.kv_put(carts, "a", b"1")
    await broker.kv_put(carts, "b", b"2")

    async with broker.kv_watch(carts) as entries, aclosing(entries):
        before = await until_none(entries)
        await broker.kv_put(carts, "a", b"3")
        changed = await following(entries)
        await broker.kv_delete(carts, "b")
        removed = await following(entries)

    assert (sorted(before), changed, removed) == ([("a", b"1"), ("b", b"2")], ("a", b"3"), ("b", None))


async def test_a_watch_of_an_empty_bucket_begins_with_none(broker, carts):
    """Even without entries None is yielded, so that a waiting reader goes on."""
    async with broker.kv_watch(carts) as entries, aclosing(entries):
        assert await until_none(entries) == []
        await broker.kv_put(carts, "a", b"1")
        assert await following(entries) == ("a", b"1")


async def test_a_watch_does_not_begin_with_deleted_keys(broker, carts):
    """What was deleted before the watch is not mentioned."""
    await broker.kv_put(carts, "a", b"1")
    await broker.kv_put(carts, "b", b"2")
    await broker.kv_delete(carts, "b")

    async with broker.kv_watch(carts) as entries, aclosing(entries):
        assert await until_none(entries) == [("a", b"1")]


async def test_two_watches_receive_the_same(broker, carts):
    """Watches do not take from each other."""
    async with broker.kv_watch(carts) as one, broker.kv_watch(carts) as two, aclosing(one), aclosing(two):
        assert await until_none(one) == await until_none(two) == []
        await broker.kv_put(carts, "a", b"1")

        assert await following(one) == await following(two) == ("a", b"1")


async def test_values_of_a_bucket_with_a_ttl_are_forgotten(ground, broker, eventually):
    """After the bucket's time a key is absent, a watch says so, and it can be claimed anew."""
    bucket = await ground.bucket(Bucket("claims", int, ttl=timedelta(seconds=1)))
    async with broker.kv_watch(bucket) as entries, aclosing(entries):
        assert await until_none(entries) == []
        await broker.kv_put(bucket, "k", b"1", revision=0)
        assert await following(entries) == ("k", b"1")

        assert await following(entries) == ("k", None)

    assert await broker.kv_get(bucket, "k") is None
    assert await present(broker, bucket) == {}
    await broker.kv_put(bucket, "k", b"2", revision=0)
    assert (await broker.kv_get(bucket, "k")).value == b"2"


async def test_a_newer_value_lives_its_own_time(ground, broker, eventually):
    """The expiry of an older value does not take the newer one with it."""
    bucket = await ground.bucket(Bucket("claims", int, ttl=timedelta(seconds=1)))
    loop = asyncio.get_running_loop()
    await broker.kv_put(bucket, "old", b"1")
    await broker.kv_put(bucket, "k", b"1")
    await asyncio.sleep(0.7)
    renewed = loop.time()
    await broker.kv_put(bucket, "k", b"2")

    async def old_is_gone():
        return await broker.kv_get(bucket, "old") is None

    await eventually(old_is_gone)
    entry = await broker.kv_get(bucket, "k")
    assert entry is not None or loop.time() - renewed >= 1
    if entry is not None:
        assert entry.value == b"2"


async def test_a_purged_bucket_is_empty_and_usable(broker, carts):
    """After a purge there is nothing, and keys can be put again."""
    for key in "abc":
        await broker.kv_put(carts, key, b"1")

    await broker.kv_purge(carts)

    assert await present(broker, carts) == {}
    assert await broker.kv_get(carts, "a") is None
    await broker.kv_put(carts, "a", b"2", revision=0)
    assert await present(broker, carts) == {"a": b"2"}


async def test_objects_of_three_megabytes(broker, models):
    """Large values come back whole."""
    model = os.urandom(3_000_000)

    await broker.object_put(models, "propensity", model)

    assert await broker.object_get(models, "propensity") == model


async def test_an_object_is_replaced_whole(broker, models):
    """The newer value of a name is the only one."""
    await broker.object_put(models, "propensity", b"old" * 100_000)
    await broker.object_put(models, "propensity", b"new")

    assert await broker.object_get(models, "propensity") == b"new"


async def test_absent_objects_are_none_and_names_are_sorted(broker, models):
    """An absent name is None; an empty object store has no names."""
    assert await broker.object_get(models, "nothing") is None
    assert await broker.object_names(models) == []

    for name in ("b", "a"):
        await broker.object_put(models, name, b"1")

    assert await broker.object_names(models) == ["a", "b"]


async def test_an_empty_object_is_not_an_absent_one(broker, models):
    """No bytes are a value too."""
    await broker.object_put(models, "empty", b"")

    assert await broker.object_get(models, "empty") == b""


async def test_a_removed_object_is_gone_and_can_come_back(broker, models):
    """Its name is listed no more, removing it again is harmless, and the name is free."""
    await broker.object_put(models, "old", b"1" * 300_000)
    await broker.object_put(models, "kept", b"2")

    await broker.object_delete(models, "old")
    await broker.object_delete(models, "old")
    await broker.object_delete(models, "never")

    assert await broker.object_get(models, "old") is None
    assert await broker.object_names(models) == ["kept"]
    await broker.object_put(models, "old", b"3")
    assert await broker.object_get(models, "old") == b"3"


async def test_an_update_is_made_on_what_is_there(carts, broker):
    """Many at once add up, whoever was first; what changes nothing is not written."""
    state = State(broker, carts)

    made = await asyncio.gather(*(state.update("k", lambda known: (known or 0) + 1) for _ in range(8)))
    same = await state.update("k", lambda known: known)

    value, revision = await state.entry("k")
    assert value == 8
    assert sorted(one.after for one in made) == list(range(1, 9))
    assert (same.before, same.after, same.revision) == (value, value, revision)


async def test_an_update_may_begin_with_what_is_known(carts, broker):
    """What is known saves a read, and where it is outdated the update is made on what is there."""
    state = State(broker, carts)
    first = await state.update("k", lambda _: 1, known=(None, 0))
    await state.put("k", 5)

    again = await state.update("k", lambda known: known + 1, known=(first.after, first.revision))

    assert (again.before, again.after) == (5, 6)


async def test_an_update_ends_where_others_never_stop(carts, broker):
    """After so many tries it says which key is written too fast, and nothing is lost by trying again later."""
    state, others = State(broker, carts), State(broker, carts)
    tries = 0

    async def rival():
        await others.put("k", -tries)

    class Busy:
        def __getattr__(self, name):
            return getattr(broker, name)

        async def kv_put(self, *args, **options):
            nonlocal tries
            tries += 1
            await rival()
            return await broker.kv_put(*args, **options)

    with pytest.raises(Unavailable, match=r"key k: written by others 3 times in a row"):
        await State(Busy(), carts).update("k", lambda _: 1, tries=3)

    assert tries == 3
    assert await state.get("k") == -3


async def test_many_keys_are_updated_together(carts, broker):
    """What is there counts, read or known; what changes nothing is not written."""
    state = State(broker, carts)
    await state.put("read", 1)
    known = await state.update("known", lambda _: 5)
    await state.put("same", 3)
    _, revision = await state.entry("same")

    made = await state.update_each(
        {
            "absent": lambda before: (before or 0) + 1,
            "read": lambda before: before + 1,
            "known": lambda before: before + 1,
            "same": lambda before: before,
        },
        known={"known": (known.after, known.revision)},
    )

    assert {key: (update.before, update.after) for key, update in made.items()} == {
        "absent": (None, 1),
        "read": (1, 2),
        "known": (5, 6),
        "same": (3, 3),
    }
    assert {key: await state.entry(key) for key in made} == {
        key: (update.after, update.revision) for key, update in made.items()
    }
    assert made["same"].revision == revision


async def test_many_updates_at_once_add_up(carts, broker):
    """Whoever comes second makes each of its changes on what the first one left."""
    state = State(broker, carts)
    changes = dict.fromkeys(("a", "b", "c"), lambda known: (known or 0) + 1)

    await asyncio.gather(*(state.update_each(changes) for _ in range(6)))

    assert {key: await state.get(key) for key in changes} == {"a": 6, "b": 6, "c": 6}


async def test_all_of_several_keys_are_set_or_none(carts, broker):
    """Each only at its own revision: where one is not as it was read, the others stay as they are."""
    state = State(broker, carts)
    await state.put("there", 1)
    read = await state.entries(("there", "absent"))
    changed = {key: ((value or 0) + 1, revision) for key, (value, revision) in read.items()}

    revisions = await state.put_all(changed)
    with pytest.raises(Conflict):
        await state.put_all({"new": (7, 0)} | changed)

    assert read["absent"] == (None, 0)
    assert await state.entries(("there", "absent", "new")) == {
        "there": (2, revisions["there"]),
        "absent": (1, revisions["absent"]),
        "new": (None, 0),
    }
    assert await state.put_all({}) == {}
