"""Several tiers, contexts, values without a key, batches, reservations, and time that a test moves."""
from datetime import timedelta

import pytest
import tidegate
from tidegate import Limit, Status, Tier


@pytest.fixture
def clock():
    return tidegate.ManualClock()


@pytest.fixture
def runtime(clock):
    with tidegate.Runtime(clock=clock) as opened:
        yield opened


@pytest.fixture
def tiers(runtime):
    return runtime.limiter("tiers", tiers=[
        Tier("cluster", Limit(10)), Tier("topic", Limit(4), scope="topic"),
        Tier("consumer", Limit(4), scope="consumer", weight=2),
    ])


def test_the_tier_that_refuses_is_named_and_the_others_lose_nothing(tiers, clock):
    key = tiers.key_in(topic="orders", consumer="a")
    assert key is tiers.key_in(consumer="a", topic="orders")
    assert key.try_acquire(2)
    for _ in range(20):
        refusal = key.try_acquire()
        assert not refusal and tiers.tier_names[refusal.tier] == "consumer"
    assert tiers.key_in(topic="orders", consumer="b").try_acquire(2)
    assert tiers.tier_names == ("cluster", "topic", "consumer")
    clock.advance(0.5)
    assert key.try_acquire()


def test_a_dimension_that_is_missing_is_an_error_that_names_it(tiers):
    with pytest.raises(tidegate.ArgumentError, match="`topic`.*`tpoic`"):
        tiers.key_in(tpoic="orders", consumer="a")
    with pytest.raises(tidegate.ArgumentError):
        tiers.try_acquire_in(topic="orders")
    with pytest.raises(tidegate.ArgumentError, match="context"):
        tiers.key("orders")
    assert tiers.try_acquire_in(topic="orders", consumer="a", unused="x")


@pytest.mark.parametrize("wrong", [
    {"tiers": [Tier("x", Limit(1))] * 2}, {"tiers": [Tier("x", Limit(1), weight=0)]}, {"tiers": [Tier("", Limit(1))]},
    {"tiers": [Tier(str(i), Limit(1)) for i in range(9)]},
])
def test_tiers_out_of_range_are_refused(runtime, wrong):
    with pytest.raises(tidegate.ArgumentError):
        runtime.limiter("wrong", **wrong)


def test_a_limiter_has_either_a_limit_or_tiers(runtime):
    for wrong in ({}, {"limit": Limit(1), "tiers": [Tier("x", Limit(1))]}, {"tiers": [Limit(1)]}):
        with pytest.raises(TypeError):
            runtime.limiter("wrong", **wrong)


def test_a_value_without_a_key_is_the_bucket_of_its_key(runtime):
    limiter = runtime.limiter("values", Limit(10, burst=3))
    assert limiter.try_acquire("ü") and limiter.key("ü").try_acquire()
    assert limiter.try_acquire("ü").remaining == 0
    refusal = limiter.try_acquire("ü")
    assert (refusal.status, refusal.retry_after) == (Status.DENIED, 0.1)
    assert limiter.try_acquire("other")
    with pytest.raises(tidegate.ArgumentError):
        limiter.try_acquire("x" * 2000)
    with pytest.raises(tidegate.ArgumentError):
        limiter.try_acquire("ü", 0)


def test_a_key_that_was_closed_is_not_full_again(runtime):
    limiter = runtime.limiter("closed", Limit(1, burst=2))
    with limiter.key("a") as key:
        assert key.try_acquire(2)
    assert not limiter.key("a").try_acquire()


def test_a_batch_decides_each_key_by_itself(runtime):
    limiter = runtime.limiter("batch", Limit(1))
    keys = [limiter.key(name) for name in "abc"]
    assert keys[0].try_acquire()
    keys[2].close()
    statuses = [decision.status for decision in tidegate.try_acquire_each(keys)]
    assert statuses == [Status.DENIED, Status.OK, Status.STALE]
    assert tidegate.try_acquire_each([]) == []


def test_a_reservation_is_granted_once_and_gives_back_what_was_not_used(runtime):
    key = runtime.limiter("reserve", Limit(10)).key("a")
    held, line = key.reserve(8), key.reserve(4, max_wait=1)
    assert held and not line and line.is_pending and line.decision.retry_after == 0.2
    with pytest.raises(tidegate.ArgumentError):
        line.settle(4)
    held.settle(6)
    with pytest.raises(tidegate.TidegateError):
        held.settle(6)
    assert line.poll() and line
    with pytest.raises(tidegate.TidegateError):
        line.poll()
    line.cancel()
    assert key.try_acquire(4) and not key.try_acquire()
    nothing = key.reserve()
    assert not nothing and not nothing.is_pending


def test_a_tier_gets_other_numbers(tiers, clock):
    tiers.set_tier_limit(2, Limit(20))
    clock.advance(timedelta(seconds=1))
    assert tiers.try_acquire_in(4, topic="orders", consumer="a")
    with pytest.raises(tidegate.ArgumentError):
        tiers.set_tier_limit(3, Limit(20))


def test_a_clock_needs_limits_of_this_process_alone(clock):
    with pytest.raises((ValueError, tidegate.TidegateError)):
        clock.advance(-1)
    if tidegate.FEATURES & tidegate.Feature.KAFKA:
        with pytest.raises(tidegate.ConfigError):
            tidegate.Runtime({"bootstrap.servers": "localhost:1"}, clock=clock)
