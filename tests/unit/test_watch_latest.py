"""The newest answer counts while it is fresh, and a slow one keeps nobody waiting."""

import asyncio

import pytest

from mesh.errors import Unavailable
from services.operations.watch.latest import LASTING, Latest


async def test_an_answer_in_time_is_given():
    """Every question in time has its own answer."""
    answers = iter((1, 2))

    async def ask():
        return next(answers)

    latest = Latest(ask)

    assert [await latest.within(5), await latest.within(5)] == [1, 2]


async def test_a_costly_question_is_asked_at_its_own_pace():
    """Until its time is over the last answer is given again, and nobody is asked."""
    answers = iter((1, 2))

    async def ask():
        return next(answers)

    latest = Latest(ask, every=3600)
    assert [await latest.within(5), await latest.within(5)] == [1, 1]

    latest._every = 0

    assert await latest.within(5) == 2


async def test_a_slow_answer_is_given_to_a_later_question():
    """Meanwhile the one before counts, and the slow server is not asked twice."""
    asked, gates = [], [asyncio.Event(), asyncio.Event()]
    gates[0].set()

    async def ask():
        number = len(asked)
        asked.append(number)
        await gates[number].wait()
        return number

    latest = Latest(ask)
    assert await latest.within(5) == 0
    assert [await latest.within(0.01), await latest.within(0.01)] == [0, 0]
    assert asked == [0, 1]

    gates[1].set()
    assert await latest.within(5) == 1
    latest.close()


async def test_an_old_answer_is_not_given():
    """After seconds without an answer nothing is known any more."""

    async def ask():
        if latest._answer is not None:
            raise Unavailable("no leader")
        return 7

    latest = Latest(ask)
    assert [await latest.within(5), await latest.within(5)] == [7, 7]

    latest._at -= LASTING

    assert await latest.within(5) is None


async def test_an_unexpected_error_is_raised():
    """A mistake of ours is no silence of the servers: the tick fails, and the log has it."""

    async def ask():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Latest(ask).within(5)
