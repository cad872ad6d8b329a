"""Several tiers, contexts, values without a key, batches, reservations, and time that a test moves."""
from datetime import timedelta

import pytest
import tidegate
from tidegate import Limit, Status, Tier


@pytest.fixture
def runtime(stopped):
    return stopped


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


def test_every_failure_without_a_key_says_what_is_wrong_as_with_one(tiers, runtime):
    with pytest.raises(tidegate.ArgumentError, match="`consumer`.*lacks.*`topic`"):
        tiers.try_acquire_in(topic="orders")
    with pytest.raises(tidegate.ArgumentError, match="1024"):
        runtime.limiter("x", Limit(1)).try_acquire("x" * 2000)
    assert runtime.metrics().keys == 0
    with pytest.raises(tidegate.ArgumentError, match="permits is 0"):
        tiers.try_acquire_in(0, topic="orders", consumer="a")
    key = runtime.limiter("line", Limit(1)).key()
    assert key.try_acquire()
    with key.limiter, pytest.raises(tidegate.ArgumentError, match="is pending"):
        key.reserve(max_wait=5).settle(1)


def test_no_room_for_a_value_names_the_maximum(clock):
    with tidegate.Runtime({"keys.max": 1}, clock=clock) as full:
        limiter = full.limiter("x", Limit(2))
        assert limiter.try_acquire("a")
        with pytest.raises(tidegate.CapacityError, match="keys.max"):
            limiter.try_acquire("b")


def test_no_value_is_taken_for_a_context(runtime):
    limiter = runtime.limiter("x", tiers=[Tier("topic", Limit(1), scope="topic")])
    assert limiter.key_in(topic="a").try_acquire()
    assert limiter.key("[('topic', 'a')]").try_acquire()
    assert not limiter.key("a").try_acquire()


def test_dimensions_that_no_tier_asks_for_hold_nothing(tiers):
    first = tiers.key_in(topic="orders", consumer="a")
    assert all(tiers.key_in(topic="orders", consumer="a", request=str(i)) is first for i in range(100))
    assert first is not tiers.key_in(topic="orders", consumer="b", request="0")
    assert len(tiers._keys) == 2


@pytest.mark.parametrize("tier", [-1, 3, 2**32, 2**32 + 2])
def test_no_other_tier_than_the_one_that_was_named_gets_other_numbers(tiers, tier):
    with pytest.raises(tidegate.ArgumentError):
        tiers.set_tier_limit(tier, Limit(1))
    assert tiers.try_acquire_in(2, topic="orders", consumer="a")


def test_what_is_no_clock_is_a_type_error():
    with pytest.raises(TypeError, match="clock must be a tidegate.ManualClock"):
        tidegate.Runtime(clock=5)
