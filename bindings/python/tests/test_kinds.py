"""Windows beside buckets, and what limits do where they are reached."""
import asyncio
import time

import pytest
import tidegate
from conftest import drain
from tidegate import Backpressure, Basis, CircuitBreaker, Limit, Status, Throttling, Tier


def taken_within_a_minute(runtime, clock, limit):
    key = runtime.limiter(repr(limit), limit).key()
    first = drain(key)
    clock.advance(59)
    return first + drain(key)


def test_a_window_lets_no_more_through_in_any_span(stopped, clock):
    assert taken_within_a_minute(stopped, clock, Limit.sliding_window(60, 60)) == 60


def test_a_bucket_lets_its_burst_and_a_refill_through_in_one_span(stopped, clock):
    assert taken_within_a_minute(stopped, clock, Limit(60, 60)) == 119


def test_a_permit_comes_back_a_span_after_it_was_taken_and_not_a_moment_earlier(stopped, clock):
    key = stopped.limiter("window", Limit.sliding_window(10, 60)).key()
    assert key.try_acquire(4)
    clock.advance(20)
    assert drain(key) == 6
    assert key.try_acquire().retry_after == 40
    clock.advance(tidegate.Nanoseconds(40 * 10**9 - 1))
    assert not key.try_acquire()
    clock.advance(tidegate.Nanoseconds(1))
    assert drain(key) == 4


def test_a_window_and_a_bucket_can_be_tiers_of_one_limiter(stopped, clock):
    tiers = [Tier("second", Limit(2)), Tier("minute", Limit.sliding_window(5, 60))]
    key = stopped.limiter("both", tiers=tiers).key()
    granted = 0
    for _ in range(10):
        granted += drain(key)
        clock.advance(1)
    assert granted == 5 and key.try_acquire().tier == 1


def breaker(threshold):
    return Limit(1, burst=2, enforcement=CircuitBreaker(threshold, open_for=5))


def test_a_breaker_opens_after_refusals_in_a_row_and_then_refuses_unasked(stopped, clock):
    key = stopped.limiter("breaker", breaker(2)).key()
    assert drain(key) == 2
    assert key.try_acquire().basis is Basis.LOCAL
    clock.advance(1)
    refused = key.try_acquire()
    assert (refused.status, refused.basis, refused.retry_after) == (Status.DENIED, Basis.BREAKER, 4)
    clock.advance(4)
    assert key.try_acquire().status is Status.OK


def test_a_grant_in_between_leaves_a_breaker_closed(stopped, clock):
    key = stopped.limiter("breaker", breaker(2)).key()
    for _ in range(10):
        drain(key)
        clock.advance(1)
        assert key.try_acquire()


def test_who_would_wait_is_refused_by_an_open_breaker_at_once(stopped):
    key = stopped.limiter("breaker", breaker(1)).key()
    drain(key)
    for wait in (lambda: key.acquire(timeout=60), lambda: asyncio.run(key.acquire_async(timeout=60))):
        with pytest.raises(tidegate.RateLimitExceeded) as refused:
            wait()
        assert refused.value.decision.basis is Basis.BREAKER


def test_a_task_in_line_is_refused_when_a_breaker_opens(stopped):
    key = stopped.limiter("breaker", breaker(3)).key()
    assert key.try_acquire(2)

    async def main():
        waiting = asyncio.ensure_future(key.acquire_async())
        await asyncio.sleep(0)
        drain(key), drain(key)
        with pytest.raises(tidegate.RateLimitExceeded):
            await asyncio.wait_for(waiting, 60)

    asyncio.run(main())


@pytest.fixture
def throttling(stopped):
    """Nothing is there, and two more take 0.2 s, which is too long."""
    key = stopped.limiter("throttling", Limit(10, burst=2, enforcement=Throttling(max_wait=0.15))).key()
    assert drain(key) == 2
    return key


def waits(key, permits):
    """Both ways of waiting, with a time-out that no test should see the end of."""
    return (lambda: key.acquire(permits, 20)), (lambda: asyncio.run(key.acquire_async(permits, 20)))


def test_throttling_refuses_at_once_what_would_wait_too_long(throttling):
    for wait in waits(throttling, 2):
        with pytest.raises(tidegate.RateLimitExceeded) as refused:
            wait()
        assert (refused.value.status, refused.value.retry_after) == (Status.DENIED, 0.2)
    assert not throttling.reserve(2, max_wait=60).is_pending


def test_throttling_delays_what_comes_in_time(throttling):
    reservation = throttling.reserve(1, max_wait=60)
    assert reservation.is_pending and reservation.decision.retry_after == 0.1
    reservation.cancel()


def test_a_limit_that_throttles_ends_a_wait_after_its_longest_delay(throttling):
    # The clock stands still, so the permit never comes: real time ends the wait, whichever way it is cut into pieces.
    for wait in waits(throttling, 1):
        started = time.monotonic()
        with pytest.raises(tidegate.RateLimitExceeded) as refused:
            wait()
        assert refused.value.status is Status.TIMED_OUT and 0.14 < time.monotonic() - started < 10


def test_the_main_thread_keeps_the_longest_delay_over_many_looks_after_signals(stopped):
    key = stopped.limiter("slow", tiers=[
        Tier("a", Limit(2, burst=1, enforcement=Throttling(60))), Tier("b", Limit(2, burst=1, enforcement=Throttling(0.6))),
    ]).key()
    assert key.try_acquire()
    started = time.monotonic()
    with pytest.raises(tidegate.RateLimitExceeded) as refused:
        key.acquire(timeout=20)
    assert refused.value.status is Status.TIMED_OUT and 0.6 <= time.monotonic() - started < 10


def test_a_hard_limit_waits_as_long_as_it_was_told(stopped):
    key = stopped.limiter("hard", Limit(10, burst=1)).key()
    assert key.try_acquire()
    started = time.monotonic()
    with pytest.raises(tidegate.RateLimitExceeded):
        key.acquire(timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 10


def test_in_shadow_mode_everything_passes_and_what_would_not_have_is_counted(stopped):
    key = stopped.limiter("shadow", Limit(10, burst=2, shadow=True)).key()
    decisions = [key.try_acquire(permits) for permits in (1, 1, 1, 7)]
    assert all(decisions)
    assert [decision.basis for decision in decisions] == [Basis.LOCAL, Basis.LOCAL, Basis.SHADOW, Basis.SHADOW]
    metrics = stopped.metrics()
    assert (metrics.permits_granted, metrics.permits_refused, metrics.permits_shadowed) == (2, 8, 8)


def test_a_tier_in_shadow_mode_holds_up_nobody_and_the_others_still_do(stopped):
    tiers = [Tier("kept", Limit(1, burst=3)), Tier("tried", Limit(1, shadow=True))]
    key = stopped.limiter("tiers", tiers=tiers).key()
    assert drain(key) == 3 and key.try_acquire().tier == 0


def test_one_name_with_two_enforcements_is_refused(stopped):
    with stopped.limiter("one", Limit(1)):
        for other in (Limit(1, shadow=True), Limit(1, enforcement=Backpressure())):
            with pytest.raises(tidegate.ArgumentError, match="enforcement"):
                stopped.limiter("one", other)
        assert stopped.limiter("one", Limit(1)).key().try_acquire()
