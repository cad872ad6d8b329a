"""Threads: no permit too many, no decision mixed up, and nobody held up."""
import signal
import threading
import time

import pytest
import tidegate
from tidegate import Limit, _abi

# ctypes' flag of a function that is called with the interpreter lock held.
PYTHON_API = 4


def together(count, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_many_threads_take_no_permit_too_many_and_none_too_few(runtime):
    key = runtime.limiter("x", Limit(10_000, per=1e8)).key()
    granted = [0] * 4

    def take(i):
        while key.try_acquire():
            granted[i] += 1

    together(4, take)
    assert sum(granted) == 10_000


def test_no_two_threads_get_one_decision(runtime):
    key = runtime.limiter("x", Limit(4_000, per=1e8)).key()
    seen = [set() for _ in range(4)]
    together(4, lambda i: seen[i].update(key.try_acquire().remaining for _ in range(1_000)))
    assert set.union(*seen) == set(range(4_000))


def test_many_threads_that_ask_for_one_value_get_one_key(runtime):
    limiter = runtime.limiter("x", Limit(1))
    keys = [None] * 8
    barrier = threading.Barrier(8)

    def ask(i):
        barrier.wait(10)
        keys[i] = limiter.key("a")

    together(8, ask)
    assert len(set(map(id, keys))) == 1 and runtime.metrics().keys == 1


def test_other_threads_run_while_one_waits(key):
    key.try_acquire(5)
    ended = threading.Event()

    def wait():
        with pytest.raises(tidegate.RateLimitExceeded):
            key.acquire(timeout=0.3)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    seen_waiting = 0
    while not ended.is_set():
        seen_waiting += key.status().waiting
    thread.join()
    # Were the interpreter lock held by the one who waits, nobody could see it wait.
    assert seen_waiting > 10


def test_what_never_waits_keeps_the_interpreter_lock_and_nothing_else_does():
    keeps = {name for name, function in vars(_abi).items() if getattr(function, "_flags_", 0) & PYTHON_API}
    assert keeps == {"key_try_acquire", "key_peek", "keys_try_acquire", "limiter_try_acquire", "limiter_try_acquire_in",
                     "key_reserve", "ticket_poll", "ticket_cancel", "ticket_settle", "headers_format"}


def test_those_who_wait_in_threads_are_served_in_their_order(runtime):
    key = runtime.limiter("x", Limit(20, burst=1)).key()
    key.try_acquire()
    order, threads = [], []
    for i in range(5):
        threads.append(threading.Thread(target=lambda i=i: (key.acquire(timeout=30), order.append(i))))
        threads[-1].start()
        while key.status().waiting + len(order) < i + 1:
            pass
    for thread in threads:
        thread.join(30)
    assert order == [0, 1, 2, 3, 4]


def test_a_signal_is_handled_while_the_main_thread_waits(key):
    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm

    key.try_acquire(5)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            key.acquire(timeout=60)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_main_thread_waits_as_long_as_it_was_told(key):
    key.try_acquire(5)
    started = time.monotonic()
    with pytest.raises(tidegate.RateLimitExceeded):
        key.acquire(timeout=0.6)
    assert 0.6 <= time.monotonic() - started < 5


def test_closing_while_others_use_it_crashes_nobody():
    for i in range(20):
        runtime = tidegate.Runtime({"client.note": f"race {i}"})
        limiter = runtime.limiter("x", Limit(10**9))

        def use(_):
            try:
                while True:
                    limiter.key("a").try_acquire()
                    runtime.metrics()
                    runtime.health()
                    limiter.key("b").close()
                    if runtime.is_closed:
                        return
            except tidegate.ClosedError:
                pass

        closer = threading.Timer(0.01, runtime.close)
        closer.start()
        together(3, use)
        closer.join()
