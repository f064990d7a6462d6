"""Workers that the judge plays leave nothing behind."""

import asyncio

import pytest
from conformance.runner.beats import Beats


def test_the_beat_on_its_way_is_out_when_they_have_ended() -> None:
    async def judged() -> None:
        said: list[int] = []
        third, flushed = asyncio.Event(), asyncio.Event()

        async def say(number: int) -> None:
            said.append(number)
            if number == 2:
                third.set()
                await flushed.wait()
            said.append(number)

        beats = Beats(say)
        await beats.two_are_out()
        await third.wait()
        ending = asyncio.ensure_future(beats.end())
        assert not (await asyncio.wait([ending], timeout=0.05))[0]
        flushed.set()
        await ending
        assert said == [0, 0, 1, 1, 2, 2]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(judged())


def test_what_a_beat_raised_is_raised_where_it_is_waited_for() -> None:
    async def judged() -> None:
        async def say(_number: int) -> None:
            raise ConnectionError("gone")

        beats = Beats(say)
        with pytest.raises(ConnectionError):
            await beats.two_are_out()
        with pytest.raises(ConnectionError):
            await beats.end()

    asyncio.run(judged())
