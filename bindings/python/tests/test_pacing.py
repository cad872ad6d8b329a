"""Limits that follow a lag, or the outcomes of calls."""
import pytest
import tidegate
from conftest import alone, drain
from tidegate import EventKind, LagUnit, Limit, Tier


@pytest.fixture
def limiter(stopped):
    """Ten a second; the hundred that it begins with are taken."""
    made = stopped.limiter("paced", Limit(10, burst=100))
    assert drain(made.key()) == 100
    return made


def a_second(limiter, clock):
    """How many permits one more second brings."""
    clock.advance(1)
    return drain(limiter.key())


def test_nothing_refills_while_the_lag_is_too_great_and_the_time_is_not_made_up_for(limiter, clock, stopped):
    limiter.pause_on_lag(above=1000, below=100)
    limiter.observe_lag(1001)
    assert a_second(limiter, clock) == 0 and limiter.key().status().pace == 0.0
    limiter.observe_lag(101)
    assert a_second(limiter, clock) == 0
    limiter.observe_lag(100)
    assert drain(limiter.key()) == 0
    assert a_second(limiter, clock) == 10 and limiter.key().status().pace == 1.0
    assert [stopped.next_event(0).kind for _ in range(2)] == [EventKind.PAUSED, EventKind.RESUMED]


def test_a_lag_at_the_threshold_pauses_nothing(limiter, clock, stopped):
    limiter.pause_on_lag(above=1000, below=100)
    limiter.observe_lag(1000)
    assert a_second(limiter, clock) == 10 and stopped.next_event(0) is None


@pytest.mark.parametrize("lag, pace", [(0, 1.0), (50, 0.55), (100, 0.1), (10_000, 0.1)])
def test_the_rate_falls_with_the_lag_to_its_floor(limiter, lag, pace):
    limiter.slow_on_lag(0, 100, floor=0.1)
    limiter.observe_lag(lag)
    assert limiter.key().status().pace == pace


def test_of_pausing_and_slowing_the_slower_counts(limiter):
    limiter.slow_on_lag(start=0, end=100, floor=0.5)
    limiter.pause_on_lag(150, 50)
    paces = []
    for lag in (100, 151, 100, 50, 0):
        limiter.observe_lag(lag)
        paces.append(limiter.key().status().pace)
    assert paces == [0.5, 0.0, 0.0, 0.75, 1.0]


def test_a_rate_adapts_to_the_outcomes_of_calls_and_never_beyond_what_is_configured(limiter, clock):
    limiter.adapt(floor=0.3, step=0.05, cut=0.5)
    limiter.observe_outcome(overloaded=True)
    assert a_second(limiter, clock) == 5
    limiter.observe_outcome(True)
    assert limiter.key().status().pace == 0.3
    for _ in range(50):
        clock.advance(1)
        limiter.observe_outcome(False)
    assert limiter.key().status().pace == 1.0


def test_a_limit_that_was_not_told_to_adapt_does_not(limiter, clock):
    limiter.observe_outcome(True)
    assert a_second(limiter, clock) == 10


def test_the_rate_changes_no_oftener_than_was_said(limiter, clock):
    limiter.adapt(every=10)
    for _ in range(5):
        limiter.observe_outcome(True)
        clock.advance(1)
    assert limiter.key().status().pace == 0.7


def test_all_tiers_stand_still_together(stopped, clock):
    limiter = stopped.limiter("tiers", tiers=[Tier("a", Limit(1)), Tier("b", Limit(2))])
    limiter.pause_on_lag(5, 0)
    limiter.observe_lag(6)
    assert drain(limiter.key()) == 1 and a_second(limiter, clock) == 0


@pytest.mark.parametrize(
    "follow, words",
    [
        (lambda limiter: limiter.pause_on_lag(1, 2), "below"),
        (lambda limiter: limiter.pause_on_lag(-1, 0), "above is -1"),
        (lambda limiter: limiter.slow_on_lag(2, 2, 0.5), "`from` is not below its `to`"),
        (lambda limiter: limiter.slow_on_lag(0, 2, 1.5), "floor is 1.5; it must be from 0 to 1"),
        (lambda limiter: limiter.slow_on_lag(0, 2, -0.1), "floor is -0.1"),
        (lambda limiter: limiter.slow_on_lag(0, 2, float("nan")), "floor is nan"),
        (lambda limiter: limiter.observe_lag(2**64), "lag is 18446744073709551616"),
        (lambda limiter: limiter.adapt(step=0), "step is 0"), (lambda limiter: limiter.adapt(cut=0), "cut is 0"),
        (lambda limiter: limiter.adapt(cut=2), "cut is 2"), (lambda limiter: limiter.adapt(every=-1), "every is -1"),
        (lambda limiter: limiter.watch_lag("group", unit=3), "unit"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_words_and_changes_nothing(limiter, clock, follow, words):
    with pytest.raises(tidegate.ArgumentError, match=words):
        follow(limiter)
    limiter.observe_lag(2**64 - 1)
    assert a_second(limiter, clock) == 10


@pytest.mark.parametrize(
    "follow",
    [
        lambda limiter: limiter.slow_on_lag(0, 2, "half"), lambda limiter: limiter.observe_lag(1.5),
        lambda limiter: limiter.watch_lag("group", topics="orders"), lambda limiter: limiter.watch_lag(b"group"),
        lambda limiter: limiter.watch_lag("group", topics=[1]),
    ],
)
def test_what_is_of_no_use_there_is_a_type_error(limiter, follow):
    with pytest.raises(TypeError):
        follow(limiter)


@pytest.mark.parametrize("use", [
    lambda limiter: limiter.pause_on_lag(1, 1), lambda limiter: limiter.slow_on_lag(0, 1, 0),
    lambda limiter: limiter.observe_lag(1), lambda limiter: limiter.watch_lag("group"), tidegate.Limiter.adapt,
    lambda limiter: limiter.observe_outcome(True),
])
def test_a_closed_limiter_follows_nothing(limiter, use):
    limiter.close()
    with pytest.raises(tidegate.ClosedError):
        use(limiter)


def test_without_kafka_there_is_no_lag_to_watch_and_the_error_says_what_to_do(limiter):
    with pytest.raises(tidegate.ConfigError, match="bootstrap.servers.*observe_lag"):
        limiter.watch_lag("group", ["orders", "payments"], every=0.5)


@pytest.mark.skipif(not tidegate.FEATURES, reason="this library has no Kafka storage")
def test_a_lag_is_watched_also_before_kafka_answers_and_an_age_needs_something_to_compare_with():
    with tidegate.Runtime(alone(**{"storage": "kafka", "bootstrap.servers": "127.0.0.1:1"})) as runtime:
        limiter = runtime.limiter("x", Limit(5))
        limiter.watch_lag("group")
        with pytest.raises(tidegate.CapacityError, match="another limiter"):
            limiter.watch_lag("another")
        old = runtime.limiter("old", Limit(5))
        with pytest.raises(tidegate.ArgumentError, match="pause_on_lag"):
            old.watch_lag("group", unit=LagUnit.MS)
        old.pause_on_lag(5000, 1000)
        old.watch_lag("group", ["orders", "payments"], LagUnit.MS, every=0.5)
