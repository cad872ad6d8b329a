"""What limits have to say: once, in order, to whoever waits for it, until the runtime is closed."""
import pickle
import signal
import threading
import time

import pytest
import tidegate
from conftest import alone, drain, succeeds
from tidegate import Backpressure, CircuitBreaker, Event, EventKind, Limit, Tier


def kinds(runtime):
    """What there is to hear now."""
    return [event.kind for event in iter(lambda: runtime.next_event(0), None)]


def test_pressure_is_told_on_both_edges_once(stopped, clock):
    key = stopped.limiter("orders", Limit(10, enforcement=Backpressure())).key("ü")
    assert (drain(key), drain(key)) == (10, 0)
    assert stopped.next_event() == Event(EventKind.PRESSURE_ON, "orders", tier=0, value="ü", dropped=0)
    clock.advance(0.4)
    assert kinds(stopped) == [], "four of ten are not half"
    clock.advance(0.1)
    assert kinds(stopped) == [EventKind.PRESSURE_OFF], "although nobody asked for a permit"


def test_a_breaker_tells_its_states(stopped, clock):
    key = stopped.limiter("breaker", Limit(1, enforcement=CircuitBreaker(1, open_for=5))).key()
    drain(key)
    assert kinds(stopped) == [EventKind.BREAKER_OPENED]
    clock.advance(5)
    assert key.try_acquire()
    assert kinds(stopped) == [EventKind.BREAKER_HALF_OPEN, EventKind.BREAKER_CLOSED]


def test_a_hard_limit_tells_nothing(stopped):
    drain(stopped.limiter("hard", Limit(1)).key())
    assert stopped.next_event(0) is None


def test_an_event_names_its_tier_and_is_plain_data(stopped):
    tiers = [Tier("all", Limit(10)), Tier("topic", Limit(1, enforcement=Backpressure()), scope="topic")]
    limiter = stopped.limiter("tiers", tiers=tiers)
    drain(limiter.key_in(topic="orders"))
    event = stopped.next_event()
    assert (limiter.tier_names[event.tier], event.value) == ("topic", "orders")
    assert pickle.loads(pickle.dumps(event)) == event


def test_events_that_nobody_takes_are_bounded_and_what_was_dropped_is_counted(stopped, clock):
    key = stopped.limiter("breaker", Limit(1, per=10**7, burst=2, enforcement=CircuitBreaker(1, open_for=5))).key()
    drain(key)
    for _ in range(2100):
        clock.advance(5)
        assert not key.try_acquire()
    events = list(iter(lambda: stopped.next_event(0), None))
    assert len(events) == 4096 and sum(event.dropped for event in events) == 1 + 2 * 2100 - 4096


# From here on real time is the point: somebody waits.

@pytest.fixture
def pressed(runtime):
    """A limit that tells its pressure when it is drained."""
    return runtime.limiter("pressed", Limit(5, per=1e6, enforcement=Backpressure())).key()


def in_thread(work):
    """Starts a thread that waits, and gives it time to do so."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    return thread, results


def test_who_waits_for_an_event_is_woken_by_it_and_lets_others_run(runtime, pressed):
    thread, results = in_thread(runtime.next_event)
    drain(pressed)
    thread.join(10)
    assert [event.kind for event in results] == [EventKind.PRESSURE_ON]


def test_who_waits_for_nothing_waits_as_long_as_it_was_told(runtime):
    for timeout in (0, 0.02, 0.25):
        started = time.monotonic()
        assert runtime.next_event(timeout) is None
        assert timeout <= time.monotonic() - started < timeout + 5


def test_closing_ends_the_wait_for_an_event(runtime):
    def wait():
        with pytest.raises(tidegate.ClosedError, match="the runtime was closed"):
            runtime.next_event()
        return True

    waiting = [in_thread(wait) for _ in range(3)]
    started = time.monotonic()
    runtime.close()
    assert time.monotonic() - started < 2.5
    for thread, results in waiting:
        thread.join(10)
        assert results == [True]
    with pytest.raises(tidegate.ClosedError):
        runtime.next_event(0)


def five_of(runtime):
    return drain(runtime.limiter("five", Limit(5, per=1e6)).key())


def test_a_runtime_is_closed_at_once_although_somebody_waits_for_its_events():
    config = alone()
    threads = []
    for _ in range(4):
        runtime = tidegate.Runtime(config)
        # Were the one before closed later, by the thread that waits, its bucket would still be empty.
        assert five_of(runtime) == 5
        threads.append(in_thread(lambda runtime=runtime: list(runtime.events()))[0])
        runtime.close()
    for thread in threads:
        thread.join(10)


def test_what_is_not_closed_is_not_opened_anew():
    config = alone()
    with tidegate.Runtime(config) as one, tidegate.Runtime(config) as other:
        assert (five_of(one), five_of(other)) == (5, 0)


def test_the_events_of_a_runtime_end_with_it(runtime, pressed):
    heard = []
    thread, _ = in_thread(lambda: heard.extend(event.kind for event in runtime.events()))
    drain(pressed)
    while not heard:
        assert thread.is_alive()
    runtime.close()
    thread.join(10)
    assert not thread.is_alive() and heard == [EventKind.PRESSURE_ON]
    assert list(runtime.events()) == []


def test_a_signal_is_handled_while_the_main_thread_waits_for_an_event(runtime):
    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            runtime.next_event(60)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_close_the_runtime_whose_events_the_main_thread_waits_for():
    assert succeeds("""
        import signal, tidegate, time
        runtime = tidegate.Runtime()
        took = []
        def close(*_):
            started = time.monotonic()
            runtime.close()
            took.append(time.monotonic() - started)
        signal.signal(signal.SIGALRM, close)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(list(runtime.events()), runtime.is_closed, took[0] < 0.9)
    """) == "[] True True\n"


def test_a_program_ends_although_a_daemon_thread_waits_for_events():
    assert succeeds("""
        import threading, time, tidegate
        runtime = tidegate.Runtime()
        threading.Thread(target=lambda: list(runtime.events()), daemon=True).start()
        time.sleep(0.1)
        print("end")
    """) == "end\n"


def test_a_forked_child_hears_nothing_of_its_parents_runtime():
    assert succeeds("""
        import os, tidegate
        runtime = tidegate.Runtime()
        if os.fork() == 0:
            try: runtime.next_event()
            except tidegate.ForkedError: print("forked", flush=True)
            os._exit(0)
        os.wait()
        print(runtime.next_event(0))
    """) == "forked\nNone\n"
