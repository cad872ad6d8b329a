"""What a key answers."""
import math
import pickle

import pytest
import tidegate
from tidegate import Basis, Status


def test_permits_are_granted_as_far_as_the_burst_goes_and_not_further(key):
    assert [bool(key.try_acquire()) for _ in range(6)] == [True] * 5 + [False]


def test_several_permits_are_granted_together_or_not_at_all(key):
    assert key.try_acquire(3)
    assert not key.try_acquire(3)
    assert key.try_acquire(2)


def test_a_grant_says_what_remains_and_what_it_rests_on(key):
    decision = key.try_acquire(2)
    assert (decision.status, decision.remaining, decision.retry_after) == (Status.OK, 3, 0.0)
    assert decision.basis is Basis.LOCAL


def test_a_refusal_is_no_exception_and_says_when_to_come_back(key):
    key.try_acquire(5)
    decision = key.try_acquire()
    assert not decision and decision.status is Status.DENIED
    assert 199_000 < decision.retry_after <= 200_000
    assert decision.retry_after == decision.retry_after_ns / 1e9


def test_more_than_the_burst_is_never_granted(key):
    decision = key.try_acquire(6)
    assert decision.status is Status.NEVER and decision.retry_after == math.inf
    assert key.try_acquire(5)


def test_a_peek_takes_nothing(key):
    for _ in range(10):
        assert key.peek()
    assert key.try_acquire(5)
    assert not key.peek()


def test_two_values_have_two_buckets_and_one_value_one(runtime):
    limiter = runtime.limiter("values", tidegate.Limit(1, per=1e6))
    assert limiter.key("a").try_acquire()
    assert limiter.key("b").try_acquire()
    assert not limiter.key("a").try_acquire()


def test_two_limiters_of_one_name_share_one_bucket(runtime):
    one, two = (runtime.limiter("shared", tidegate.Limit(1, per=1e6)).key() for _ in range(2))
    assert one.try_acquire() and not two.try_acquire()


@pytest.mark.parametrize("value", ["", "tenant 1", "größe", "\N{SNOWMAN}", "a\0b"])
def test_any_text_is_a_value(runtime, value):
    key = runtime.limiter("texts", tidegate.Limit(1, per=1e6)).key(value)
    assert key.try_acquire() and key.value == value


def test_a_decision_stays_what_it_was_when_others_follow(key):
    first, second = key.try_acquire(), key.try_acquire()
    assert (first.remaining, second.remaining) == (4, 3)
    assert first != second and first == pickle.loads(pickle.dumps(first))


def test_a_decision_cannot_be_changed(key):
    with pytest.raises(AttributeError):
        key.try_acquire().remaining = 7
    with pytest.raises(AttributeError):
        key.try_acquire().note = 7


def test_a_wait_ends_with_the_permit(brisk):
    assert brisk.acquire(timeout=10).status is Status.OK
    assert brisk.acquire().status is Status.OK


def test_a_wait_that_is_too_long_raises_and_takes_nothing(key):
    key.try_acquire(4)
    words = "no 2 permits of key 'a' of limiter 'five' in time"
    with pytest.raises(tidegate.RateLimitExceeded, match=words) as refused:
        key.acquire(2, timeout=0.001)
    assert refused.value.status is Status.TIMED_OUT
    assert 199_000 < refused.value.retry_after <= 200_000
    assert key.try_acquire()


def test_a_wait_of_no_time_asks_once(key):
    assert key.acquire(5, timeout=0)
    with pytest.raises(tidegate.RateLimitExceeded) as refused:
        key.acquire(timeout=0)
    assert refused.value.status is Status.DENIED


def test_a_wait_for_what_never_comes_raises_at_once(key):
    with pytest.raises(tidegate.RateLimitExceeded, match="6 permits .* never") as refused:
        key.acquire(6)
    assert refused.value.retry_after == math.inf and not refused.value.is_retriable


@pytest.mark.parametrize("permits", [0, -1, 2**64])
def test_a_senseless_number_of_permits_is_refused_and_nothing_taken(key, permits):
    for ask in (key.try_acquire, key.acquire):
        with pytest.raises(tidegate.ArgumentError, match="permits"):
            ask(permits)
    assert key.try_acquire(5)


@pytest.mark.parametrize("permits", ["1", None, 1.5])
def test_what_is_no_number_of_permits_is_a_type_error(key, permits):
    for ask in (key.try_acquire, key.acquire):
        with pytest.raises(TypeError, match="permits must be an int, not"):
            ask(permits)
    assert key.try_acquire(5)


def test_a_number_above_32_bits_arrives_whole(runtime):
    key = runtime.limiter("large", tidegate.Limit(2**33, per=1e6, burst=2**33)).key()
    assert key.try_acquire(2**33)
    assert not key.try_acquire(2**33)
    assert key.try_acquire(2**33 + 1).status is Status.NEVER
