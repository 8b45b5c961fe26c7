"""What asking, answering and draining promise."""

import asyncio

import pytest

from mesh.broker.protocol import Outgoing
from mesh.errors import Unavailable


async def answer_loud(body):
    return body.upper()


async def test_a_question_is_answered(ground, broker):
    """Who serves a subject answers requests of others."""
    other = await ground.connect()
    await other.serve("rpc.us.scoring.score", "scoring", answer_loud)

    assert await broker.request("rpc.us.scoring.score", b"hello", timeout=60) == b"HELLO"


async def test_nobody_there_is_unavailable_at_once(broker):
    """A question that nobody serves does not wait for its time limit."""
    started = asyncio.get_running_loop().time()

    with pytest.raises(Unavailable):
        await broker.request("rpc.us.scoring.score", b"", timeout=60)

    assert asyncio.get_running_loop().time() - started < 10


async def test_no_answer_in_time_is_unavailable(ground, broker):
    """A slow answer is none."""
    never = asyncio.Event()

    async def hang(body):
        await never.wait()
        return body

    await (await ground.connect()).serve("rpc.us.scoring.score", "scoring", hang)

    with pytest.raises(Unavailable):
        await broker.request("rpc.us.scoring.score", b"", timeout=0.3)
    never.set()


async def test_a_failing_answer_is_unavailable_to_the_asker(ground, broker):
    """An error of the answering side is not the asker's."""

    async def fail(body):
        raise ZeroDivisionError

    await (await ground.connect()).serve("rpc.us.scoring.score", "scoring", fail)

    with pytest.raises(Unavailable):
        await broker.request("rpc.us.scoring.score", b"", timeout=0.3)


async def test_one_member_of_a_group_answers(ground, broker):
    """Members of a group share the questions; each is asked once."""
    asked: list[int] = []
    for at in range(2):

        async def answer(body, at=at):
            asked.append(at)
            return body

        await (await ground.connect()).serve("rpc.us.scoring.score", "scoring", answer)

    for number in range(60):
        assert await broker.request("rpc.us.scoring.score", b"%d" % number, timeout=60) == b"%d" % number

    assert len(asked) == 60
    assert set(asked) == {0, 1}


async def test_questions_wait_side_by_side(ground, broker):
    """Answers find their own questions."""
    await (await ground.connect()).serve("rpc.us.scoring.score", "scoring", answer_loud)

    answers = await asyncio.gather(
        *(broker.request("rpc.us.scoring.score", b"q%d" % at, timeout=60) for at in range(100))
    )

    assert answers == [b"Q%d" % at for at in range(100)]


async def test_who_drained_answers_no_more(ground, broker, eventually):
    """After `drain` requests go to others or find nobody."""
    other = await ground.connect()
    await other.serve("rpc.us.scoring.score", "scoring", answer_loud)
    await broker.request("rpc.us.scoring.score", b"", timeout=60)

    await other.drain()

    async def nobody():
        try:
            await broker.request("rpc.us.scoring.score", b"", timeout=0.5)
        except Unavailable:
            return True
        return False

    await eventually(nobody)


async def test_a_drained_connection_takes_nothing_more(ground):
    """Storing and reading after `drain` are Unavailable; draining again is harmless."""
    other = await ground.connect()
    await other.store("COMMERCE_us", Outgoing(subject="ev.us.cart.updated.c1", body=b""))

    assert other.connected

    await other.drain()

    assert not other.connected
    with pytest.raises(Unavailable):
        await other.store("COMMERCE_us", Outgoing(subject="ev.us.cart.updated.c1", body=b""))
    with pytest.raises(Unavailable):
        await other.last("COMMERCE_us", ">")
    await other.drain()
