"""Limits and durations: exact, comparable, and refused by name."""
import pickle
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
import tidegate
from tidegate import Backpressure, CircuitBreaker, HardLimit, Limit, LimitKind, Nanoseconds, Outage, Throttling

# One that differs from `Limit(5)` in each way that there is.
OTHERS = [
    Limit(6), Limit(5, 2), Limit(5, burst=5), Limit(5, on_outage=Outage.DENY), Limit.sliding_window(5),
    Limit(5, enforcement=Throttling(2)), Limit(5, enforcement=Backpressure()), Limit(5, shadow=True),
    Limit(5, enforcement=CircuitBreaker(3, 0.25)), Limit(5, enforcement=CircuitBreaker(4, 0.25)),
]


@pytest.mark.parametrize(
    "per, nanoseconds",
    [
        (1, 10**9), (0.1, 10**8), (0.3, 3 * 10**8), (1e-9, 1), (86_400, 86_400 * 10**9),
        (123456789.123456789, 123456789123456791),
        (timedelta(milliseconds=1), 10**6), (timedelta(days=1), 86_400 * 10**9), (Nanoseconds(7), 7),
        (Decimal("0.000000003"), 3), (Fraction(1, 8), 125 * 10**6), (9007199.254740993, 9007199254740993),
    ],
)
def test_a_duration_is_converted_to_the_nearest_nanosecond(per, nanoseconds):
    assert Limit(1, per).per_ns == nanoseconds


@pytest.mark.parametrize("per", [-1, -0.1, timedelta(seconds=-1), Nanoseconds(-1), float("nan"), float("-inf")])
def test_a_negative_duration_is_refused(per):
    with pytest.raises(tidegate.ArgumentError, match="^per is"):
        Limit(1, per)


@pytest.mark.parametrize("per", ["1s", None, b"1"])
def test_what_is_no_duration_is_a_type_error(per):
    with pytest.raises(TypeError, match="per must be seconds"):
        Limit(1, per)


def test_a_limit_said_in_two_ways_is_one_limit():
    assert Limit(5, 1) == Limit(5, timedelta(seconds=1)) == pickle.loads(pickle.dumps(Limit(5, 1.0)))
    assert hash(Limit(5, 1)) == hash(Limit(5, 1.0))
    assert Limit(5, enforcement=Throttling(2)) == Limit(5, enforcement=Throttling(timedelta(seconds=2)))
    assert Limit(5) == Limit(5, enforcement=HardLimit(), shadow=False)
    # Both are their numbers; which they are is said beside.
    assert (Limit(5).kind, Limit.sliding_window(5).kind) == (LimitKind.TOKEN_BUCKET, LimitKind.SLIDING_WINDOW)


def test_limits_that_differ_in_anything_are_not_equal_and_survive_a_pickle():
    every = [Limit(5), *OTHERS]
    assert len(set(every)) == len(every)
    assert pickle.loads(pickle.dumps(every)) == every


@pytest.mark.parametrize("limit", [Limit(5), *OTHERS, Limit(1, 1.0000001), Limit(1, float("inf")), Limit(1, Nanoseconds(1))])
def test_what_a_limit_shows_can_be_pasted_back(limit):
    assert eval(repr(limit)) == limit


def test_a_limit_shows_what_it_is():
    assert repr(Limit(5, 0.5)) == "Limit(permits=5, per=0.5, burst=None)"
    assert repr(Limit.sliding_window(5, 60, shadow=True, enforcement=CircuitBreaker(9, timedelta(minutes=1)))) == (
        "Limit.sliding_window(permits=5, per=60, burst=None, enforcement=CircuitBreaker(threshold=9, open_for=60), "
        "shadow=True)"
    )
    assert repr(Limit(5, on_outage=Outage.DENY)) == "Limit(permits=5, per=1, burst=None, on_outage=Outage.DENY)"


def test_a_limit_cannot_be_changed():
    with pytest.raises(AttributeError):
        Limit(5).permits = 6


@pytest.mark.parametrize(
    "limit, words",
    [
        (Limit(0), "permits is 0"), (Limit(-1), "permits is -1"), (Limit(2**64), "permits is 18446744073709551616"),
        (Limit(1, 0), "period is 0"), (Limit(1, burst=0), "burst is 0"), (Limit(1, burst=-5), "burst is -5"),
        (Limit(1, float("inf")), "period of 18446744073709551615 ns"),
        (Limit.sliding_window(5, burst=6), "burst 6 is above permits 5"),
        (Limit(1, enforcement=Throttling(0)), "max_wait_ns"),
        (Limit(1, enforcement=CircuitBreaker(0, 1)), "breaker_threshold"),
        (Limit(1, enforcement=CircuitBreaker(1, 0)), "open_for_ns"),
        (Limit(1, enforcement=CircuitBreaker(-1, 1)), "threshold is -1"),
        (Limit(1, enforcement=CircuitBreaker(2**32, 1)), "threshold is 4294967296"),
    ],
)
def test_a_senseless_limit_makes_no_limiter(runtime, limit, words):
    with pytest.raises(tidegate.ArgumentError, match=words):
        runtime.limiter("senseless", limit)


@pytest.mark.parametrize("enforcement", [None, "hard", HardLimit, 1, Limit(1)])
def test_what_is_no_enforcement_is_a_type_error(enforcement):
    with pytest.raises(TypeError, match="enforcement must be"):
        Limit(1, enforcement=enforcement)


def test_a_limit_without_burst_lets_one_period_through_at_once(runtime):
    assert runtime.limiter("no burst", Limit(3, per=1e6)).key().try_acquire(3)


def test_the_burst_is_what_was_said(runtime):
    key = runtime.limiter("burst", Limit(3, per=1e6, burst=7)).key()
    assert key.try_acquire(7) and not key.try_acquire()


@pytest.mark.parametrize("outage", list(Outage))
def test_every_outage_policy_is_accepted(runtime, outage):
    assert runtime.limiter(f"outage {outage}", Limit(1, on_outage=outage)).limit.on_outage is outage


def test_an_outage_policy_that_does_not_exist_is_refused(runtime):
    with pytest.raises(tidegate.ArgumentError, match="on_outage"):
        runtime.limiter("outage", Limit(1, on_outage=9))


def test_a_changed_limit_binds_at_once_and_a_limit_out_of_range_changes_nothing():
    with tidegate.Runtime() as runtime:
        limiter = runtime.limiter("changed", Limit(1, timedelta(hours=1), burst=5))
        key = limiter.key()
        with pytest.raises(tidegate.ArgumentError, match="permits"):
            limiter.set_limit(Limit(0, 1, burst=1))
        with pytest.raises(tidegate.ArgumentError, match="on_outage"):
            limiter.set_limit(Limit(1, 1, on_outage=Outage.DENY))
        for behaviour in ({"shadow": True}, {"enforcement": Throttling(1)}):
            with pytest.raises(tidegate.ArgumentError, match="only the numbers"):
                limiter.set_limit(Limit(1, 1, **behaviour))
        with pytest.raises(tidegate.ArgumentError, match="kind"):
            limiter.set_limit(Limit.sliding_window(1, 1))
        assert limiter.limit.burst == 5 and key.try_acquire(4)
        limiter.set_limit(Limit(1, timedelta(hours=1), burst=2))
        assert limiter.limit.burst == 2
        assert key.try_acquire(3).status == tidegate.Status.NEVER
        assert key.try_acquire() and not key.try_acquire()


def test_a_changed_limit_keeps_what_it_does_where_it_is_reached(stopped):
    limiter = stopped.limiter("kept", Limit(1, on_outage=Outage.DENY, enforcement=Throttling(1), shadow=True))
    limiter.set_limit(Limit(7, 2, burst=9))
    assert limiter.limit == Limit(7, 2, burst=9, on_outage=Outage.DENY, enforcement=Throttling(1), shadow=True)
