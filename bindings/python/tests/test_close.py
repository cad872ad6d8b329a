"""Every order of closing is legal, closing twice does nothing, and what is closed says so."""
import gc
import itertools
import threading
import weakref

import pytest
import tidegate
from conftest import alone, succeeds
from tidegate import HealthState, Limit, Status


def family():
    runtime = tidegate.Runtime(alone())
    limiter = runtime.limiter("x", Limit(5, per=1e6))
    return runtime, limiter, limiter.key("a")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_closing_is_legal_and_closing_twice_does_nothing(order):
    handles = family()
    for i in order:
        handles[i].close()
        handles[i].close()
    assert all(handle.is_closed for handle in handles)


def test_a_closed_runtime_closes_its_limiters_and_keys():
    runtime, limiter, key = family()
    runtime.close()
    for use in (key.try_acquire, key.acquire, key.peek, key.status, key.release):
        with pytest.raises(tidegate.ClosedError, match="key 'a' of limiter 'x' was closed"):
            use()
    for use in (lambda: limiter.key("b"), lambda: runtime.limiter("y", Limit(1)), runtime.metrics, runtime.snapshot,
                runtime.storage_info):
        with pytest.raises(tidegate.ClosedError, match="was closed"):
            use()
    assert runtime.health() == (HealthState.CLOSED, "the runtime was closed")


def test_a_block_closes_what_it_opened_also_when_it_fails():
    with pytest.raises(KeyError), tidegate.Runtime(alone()) as runtime:
        with runtime.limiter("x", Limit(1)) as limiter, limiter.key() as key:
            assert not (runtime.is_closed or limiter.is_closed or key.is_closed)
            raise KeyError
    assert runtime.is_closed and limiter.is_closed and key.is_closed


def test_closing_one_of_two_runtimes_with_one_configuration_leaves_the_other():
    config = alone()
    one, two = tidegate.Runtime(config), tidegate.Runtime(config)
    keys = [runtime.limiter("x", Limit(5, per=1e6)).key("a") for runtime in (one, two)]
    one.close()
    with pytest.raises(tidegate.ClosedError):
        keys[0].try_acquire()
    assert keys[1].try_acquire(5)
    two.close()


def test_a_key_can_be_released_once(key):
    key.release()
    with pytest.raises(tidegate.ClosedError) as error:
        key.release()
    assert error.value.status is Status.STALE


def test_a_key_that_was_closed_can_be_had_again(key):
    limiter = key.limiter
    assert limiter.key("a") is key
    key.close()
    again = limiter.key("a")
    assert again is not key and again.try_acquire()
    with pytest.raises(tidegate.ClosedError):
        key.try_acquire()
    key.close()
    assert again.try_acquire()


def test_a_key_keeps_open_what_it_needs():
    key = tidegate.Runtime(alone()).limiter("x", Limit(5, per=1e6)).key("a")
    gc.collect()
    assert key.try_acquire()


def test_asking_for_the_same_value_again_does_not_reset_it(runtime):
    limiter = runtime.limiter("x", Limit(2, per=1e6))
    granted = 0
    for _ in range(5):
        granted += bool(limiter.key("a").try_acquire())
        gc.collect()
    assert granted == 2


def test_what_nobody_refers_to_is_given_back(runtime):
    limiter = runtime.limiter("x", Limit(2))
    for i in range(10):
        limiter.key(str(i))
    assert runtime.metrics().keys == 10
    gone = weakref.ref(limiter)
    del limiter
    gc.collect()
    assert gone() is None and runtime.metrics().keys == 0


def test_a_closed_limiter_gives_its_keys_back_and_only_its(runtime):
    mine, other = (runtime.limiter("x", Limit(2)) for _ in range(2))
    mine.key("a"), mine.key("b"), other.key("b")
    mine.close()
    assert runtime.metrics().keys == 1


def test_closing_wakes_those_who_wait(runtime):
    key = runtime.limiter("x", Limit(1, per=1e6)).key()
    assert key.try_acquire()
    errors = []

    def wait():
        try:
            key.acquire(timeout=60)
        except tidegate.ClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not key.status().waiting:
        pass
    runtime.close()
    thread.join(10)
    assert len(errors) == 1


def test_a_program_that_closes_nothing_ends_quietly():
    assert succeeds("""
        import tidegate
        key = tidegate.Runtime().limiter("x", tidegate.Limit(1)).key()
        print(bool(key.try_acquire()))
    """) == "True\n"


def test_a_program_ends_although_a_daemon_thread_waits():
    assert succeeds("""
        import threading, tidegate
        key = tidegate.Runtime().limiter("x", tidegate.Limit(1, per=1e6)).key()
        key.try_acquire()
        def wait():
            try: key.acquire(timeout=600)
            except tidegate.ClosedError: pass
        threading.Thread(target=wait, daemon=True).start()
        while not key.status().waiting: pass
        print("end")
    """) == "end\n"


def test_a_signal_handler_may_close_what_the_main_thread_uses():
    assert succeeds("""
        import signal, tidegate, threading
        runtime = tidegate.Runtime()
        signal.signal(signal.SIGALRM, lambda *_: runtime.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            while True: runtime.metrics()
        except tidegate.ClosedError:
            print("closed")
    """) == "closed\n"
