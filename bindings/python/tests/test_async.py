"""Waiting in asyncio: the loop goes on, the order holds, and who is cancelled takes nothing."""
import asyncio

import pytest
import tidegate
from tidegate import Limit, Status


def test_a_free_permit_comes_at_once_and_a_later_one_later(brisk):
    async def both():
        await brisk.acquire_async(timeout=10)
        return await brisk.acquire_async()

    assert asyncio.run(both()).status is Status.OK


def test_the_loop_goes_on_while_a_task_waits(key):
    async def main():
        key.try_acquire(5)
        waiting = asyncio.ensure_future(key.acquire_async(timeout=0.2))
        steps = 0
        while not waiting.done():
            steps += 1
            await asyncio.sleep(0)
        with pytest.raises(tidegate.RateLimitExceeded) as refused:
            await waiting
        assert refused.value.status is Status.TIMED_OUT and refused.value.retry_after > 199_000
        return steps

    assert asyncio.run(main()) > 100


def test_tasks_are_served_in_their_order(brisk):
    async def main():
        order = []

        async def wait(i):
            await brisk.acquire_async(timeout=30)
            order.append(i)

        await asyncio.gather(*(wait(i) for i in range(6)))
        return order

    assert asyncio.run(main()) == list(range(6))


def test_many_who_wait_ask_the_library_no_oftener_than_one(runtime):
    key = runtime.limiter("x", Limit(200, burst=1)).key()

    async def main():
        await asyncio.gather(*(key.acquire_async() for _ in range(20)))

    asyncio.run(main())
    status = key.status()
    # Were all to ask each time, these were 190 and more.
    assert status.granted == 20 and status.refused < 100


def test_who_is_cancelled_takes_nothing_and_the_next_moves_up(runtime):
    key = runtime.limiter("x", Limit(10, burst=1)).key()

    async def main():
        await key.acquire_async()
        first, second, third = (asyncio.ensure_future(key.acquire_async(timeout=30)) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await third
        assert first.cancelled() and second.cancelled()

    asyncio.run(main())
    assert key.status().granted == 2
    assert not key._lines


def test_who_is_not_first_still_has_a_time_out(key):
    async def main():
        key.try_acquire(5)
        first = asyncio.ensure_future(key.acquire_async(timeout=30))
        await asyncio.sleep(0)
        with pytest.raises(tidegate.RateLimitExceeded) as refused:
            await key.acquire_async(timeout=0.02)
        assert refused.value.status is Status.TIMED_OUT
        assert not first.done()
        first.cancel()

    asyncio.run(main())


def test_a_wait_of_no_time_asks_once(key):
    async def main():
        await key.acquire_async(5, timeout=0)
        with pytest.raises(tidegate.RateLimitExceeded):
            await key.acquire_async(timeout=0)

    asyncio.run(main())


def test_what_never_comes_and_what_is_senseless_is_refused_at_once(key):
    async def main():
        with pytest.raises(tidegate.RateLimitExceeded, match="never"):
            await key.acquire_async(6)
        for permits in (0, -1):
            with pytest.raises(tidegate.ArgumentError):
                await key.acquire_async(permits)
        key.close()
        with pytest.raises(tidegate.ClosedError):
            await key.acquire_async()

    asyncio.run(main())
    assert not key._lines


def test_closing_ends_the_waits(runtime):
    key = runtime.limiter("x", Limit(1, per=1e6)).key()

    async def main():
        key.try_acquire()
        waits = [asyncio.ensure_future(key.acquire_async()) for _ in range(3)]
        await asyncio.sleep(0)
        key.close()
        results = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 10)
        assert [type(result) for result in results] == [tidegate.ClosedError] * 3

    asyncio.run(main())


def test_one_key_serves_one_loop_after_another(brisk):
    for _ in range(3):
        asyncio.run(brisk.acquire_async(timeout=10))
