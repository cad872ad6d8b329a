"""The accelerator: used where it can be, never missed where it cannot, and the same in all but speed."""
import gc
import inspect
import itertools
import os
import pickle
import shutil
import subprocess
import sys
import threading
import tracemalloc
import weakref

import pytest
import tidegate
from conftest import HAS_ACCELERATOR, SOURCE, run, succeeds
from test_programs import interpreters
from tidegate import Limit

PACKAGE = os.path.join(SOURCE, "tidegate")
FILE = "_accelerator.abi3.so"
SWITCH = "TIDEGATE_PYTHON_ACCELERATOR"
SAID = "import tidegate; print(tidegate.ACCELERATED, bool(tidegate.Runtime().limiter('x', tidegate.Limit(1)).key().try_acquire()))"

needs_it = pytest.mark.skipif(not HAS_ACCELERATOR or not os.path.exists(os.path.join(PACKAGE, FILE)),
                              reason="no accelerator: python bindings/python/build_accelerator.py makes it, for CPython from 3.10 on")


@needs_it
@pytest.mark.parametrize("switch, used", [("", True), ("1", True), ("0", False)])
def test_it_is_used_unless_it_is_switched_off(switch, used):
    assert succeeds(SAID, environment={SWITCH: switch}) == f"{used} True\n"


def test_a_switch_that_means_nothing_is_refused():
    done = run(SAID, environment={SWITCH: "yes"})
    assert done.returncode == 1 and f"{SWITCH} is 'yes'; it must be 0 (never), 1 (always) or unset" in done.stderr


def copied(folder):
    """A package of its own, without the accelerator."""
    shutil.copytree(PACKAGE, folder / "tidegate", ignore=shutil.ignore_patterns("_accelerator*", "__pycache__"))
    return {"PYTHONPATH": str(folder), "TIDEGATE_LIBRARY": tidegate.LIBRARY_PATH}


@pytest.mark.parametrize("contents", [None, "no library"])
def test_where_it_is_missing_or_broken_the_package_works_without_it_unless_it_must_be_there(tmp_path, contents):
    environment = copied(tmp_path)
    if contents:
        (tmp_path / "tidegate" / FILE).write_text(contents)
    assert succeeds(SAID, environment={**environment, SWITCH: ""}) == "False True\n"
    done = run(SAID, environment={**environment, SWITCH: "1"})
    assert done.returncode == 1 and f"LibraryError: {SWITCH} is 1, and the accelerator cannot be used" in done.stderr


@needs_it
@pytest.mark.parametrize("python", list(interpreters()))
def test_one_binary_serves_every_python_from_3_10_on_and_older_ones_go_without(python):
    code = "import sys; print(sys.version_info >= (3, 10) and getattr(sys, '_is_gil_enabled', lambda: True)())"
    can = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert succeeds(SAID, python=python, environment={SWITCH: ""}) == f"{can} True\n"


@needs_it
@pytest.mark.parametrize("python", list(interpreters()))
def test_a_binary_that_was_made_with_the_headers_of_another_python_leaves_this_one_whole(python, tmp_path):
    environment = copied(tmp_path)
    make = "import build_accelerator as it, sys; it.missing() or open(sys.argv[1], 'wb').write(it.compiled())"
    subprocess.run([python, "-c", make, str(tmp_path / "tidegate" / FILE)], cwd=os.path.join(SOURCE, ".."), check=True)
    # It is for older ones than those that make it, so there must be no count left out, and none left behind.
    assert succeeds("""
        import sys, tidegate
        limiter = tidegate.Runtime().limiter("x", tidegate.Limit(10**9))
        key = limiter.key("a")
        def use(times):
            for _ in range(times):
                tidegate.try_acquire_each([key, key]), key.try_acquire(permits=2), limiter.try_acquire("a")
                for wrong in (lambda: key.try_acquire("1"), lambda: limiter.try_acquire("a", -1), lambda: limiter.try_acquire("\\ud800")):
                    try: wrong()
                    except (TypeError, ValueError): pass
        shared = [tidegate.Decision, tidegate.Key, 1, "permits"] + ([None, True] if sys.version_info < (3, 12) else [])
        use(100)
        before = [sys.getrefcount(each) for each in shared]
        use(2_000)
        print(max(abs(sys.getrefcount(each) - count) for each, count in zip(shared, before)) < 50)
    """, environment=environment) == "True\n"


# Every call beside every odd argument; what it answers, or what it raises in which words. Time stands still.
TABLE = """
    import enum, fractions, tidegate
    class Index:
        def __index__(self): return 2
    class Broken:
        def __index__(self): raise KeyError("broken")
    class Text(str):
        def encode(self, *_): return b"other"
    class Two(enum.IntEnum):
        TWO = 2
    def show(what, call):
        try: answer = call()
        except Exception as error: answer = f"{type(error).__module__}.{type(error).__name__}: {error}"
        print(what, "->", answer)
    clock = tidegate.ManualClock()
    runtime = tidegate.Runtime(clock=clock)
    limiter = runtime.limiter("x", tidegate.Limit(5, per=10))
    tiers = runtime.limiter("y", tiers=[tidegate.Tier(name, tidegate.Limit(1), name) for name in "ab"])
    key, closed = limiter.key("a"), limiter.key("closed")
    closed.close()
    numbers = [0, 1, 2, 5, 6, -1, 2**63, 2**64 - 1, 2**64, -2**64, 2**200, True, False, None, "1", b"1", 1.5, 1e300, [], {},
               1j, fractions.Fraction(2), Two.TWO, Index(), Broken(), object, len]
    texts = ["", "a", "b", "gr\\xf6\\xdfe", "\\u2603", "a\\0b", "\\ud800", "x" * 1024, "x" * 1025, Text("a"), 5, None, b"a",
             ["a"], key]
    batches = [[], [key], (key, key), {key: 1}, [key, closed, key], [closed], iter([key]), [1], [None], [key, "a"], None, 5,
               "a", "", key]
    for number in numbers:
        name = f"{type(number).__name__} {number}" if type(number).__str__ is not object.__str__ else type(number).__name__
        for one in (key, closed):
            show(f"{one} {name}", lambda: one.try_acquire(number))
            show(f"{one} permits={name}", lambda: one.try_acquire(permits=number))
        for text in texts:
            show(f"{text!r:.30} {name}", lambda: limiter.try_acquire(text, number))
        for which, batch in enumerate(batches):
            show(f"batch {which} {name}", lambda: tidegate.try_acquire_each(batch, number))
        clock.advance(7)
    for text in texts:
        show(f"{text!r:.30}", lambda: limiter.try_acquire(text))
    odd = ((1, 2), {}), ((1,), {"permits": 1}), ((), {"permit": 1}), ((), {"permits": 1, "x": 2}), ((), {"": 1})
    for arguments, named in odd:
        show(f"{arguments} {named}", lambda: key.try_acquire(*arguments, **named))
        show(f"{arguments} {named}", lambda: limiter.try_acquire("a", *arguments, **named))
        show(f"{arguments} {named}", lambda: tidegate.try_acquire_each([key], *arguments, **named))
    show("unbound", lambda: tidegate.Key.try_acquire(key))
    show("tiers", lambda: tiers.try_acquire("a"))
    show("no context", lambda: tiers.try_acquire_in(a="a"))
    show("peek", key.peek), show("acquire", lambda: key.acquire(timeout=0)), show("reserve", lambda: key.reserve(2).decision)
    limiter.close()
    for call in (key.try_acquire, lambda: limiter.try_acquire("a"), lambda: tidegate.try_acquire_each([key])):
        show("closed limiter", call)
    other = runtime.limiter("z", tidegate.Limit(5))
    keys = [other.key("a")]
    runtime.close()
    for call in (keys[0].try_acquire, lambda: other.try_acquire("a"), lambda: tidegate.try_acquire_each(keys)):
        show("closed runtime", call)
"""


@needs_it
def test_answers_and_failures_are_the_same_with_and_without_it():
    with_it, without = (succeeds(TABLE, environment={SWITCH: switch}).splitlines() for switch in "10")
    assert with_it == without
    # That there was something to compare.
    every = "\n".join(with_it)
    assert len(with_it) > 800
    for words in ("<Decision OK", "<Decision DENIED", "<Decision NEVER", "<Decision STALE", "tidegate.ArgumentError: permits is -1",
                  "the number of permits is 0", "permits must be an int, not float", "KeyError: 'broken'", "surrogates not allowed",
                  "must be a str, not int", "keys must be tidegate.Key objects", "has no len()", "takes from 1 to 2 positional",
                  "unexpected keyword argument 'permit'", "ClosedError: key 'a' of limiter 'x' was closed",
                  "ClosedError: limiter 'x' was closed", "ClosedError: key 'closed' of limiter 'x' was closed"):
        assert words in every, words


@needs_it
@pytest.mark.parametrize("there, here", ["10", "01"])
def test_a_decision_that_was_pickled_with_it_can_be_had_without_it_and_the_other_way_round(there, here):
    make = """
        import pickle, tidegate
        print(pickle.dumps(tidegate.Runtime().limiter("x", tidegate.Limit(5, per=1e6)).key().try_acquire(2)).hex())
    """
    take = "import pickle, sys; one = pickle.loads(bytes.fromhex(sys.argv[1])); print(one, one == pickle.loads(pickle.dumps(one)))"
    pickled = succeeds(make, environment={SWITCH: there}).strip()
    assert succeeds(take, pickled, environment={SWITCH: here}) == "<Decision OK: retry_after=0.0, remaining=3, basis=LOCAL> True\n"


def growth(call, times):
    """Bytes that Python holds more after so many calls, and how far the reference counts of what they share moved."""
    shared = [tidegate.Decision, tidegate.Key, tidegate.Status.OK]
    # Since 3.12 None is immortal, and its count means nothing: some count it, some do not.
    shared += [None] if sys.version_info < (3, 12) else []
    for _ in range(100):
        call()
    gc.collect()
    tracemalloc.start()
    counts, before = [sys.getrefcount(each) for each in shared], tracemalloc.get_traced_memory()[0]
    for _ in range(times):
        call()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    moved = max(abs(sys.getrefcount(each) - count) for each, count in zip(shared, counts))
    tracemalloc.stop()
    return grown, moved


def silently(call, *arguments):
    def safe():
        try:
            call(*arguments)
        except (TypeError, ValueError, RuntimeError, tidegate.TidegateError):
            pass
    return safe


@pytest.mark.parametrize("name, times", [
    ("granted", 100_000), ("named", 20_000), ("refused", 20_000), ("odd", 5_000), ("too large", 5_000), ("closed", 5_000),
    ("by text", 50_000), ("odd text", 5_000), ("batch", 5_000), ("odd batch", 5_000), ("pickled", 5_000),
])
def test_no_call_leaves_anything_behind(runtime, name, times):
    limiter = runtime.limiter("x", Limit(10**9, per=1e6))
    key, closed = limiter.key("a"), limiter.key("b")
    closed.close()
    decision, batch = key.try_acquire(), [key] * 30
    call = {
        "granted": key.try_acquire, "named": lambda: key.try_acquire(permits=3), "refused": lambda: key.try_acquire(2**62),
        "odd": silently(key.try_acquire, "1"), "too large": silently(key.try_acquire, 2**64), "closed": silently(closed.try_acquire),
        "by text": lambda: limiter.try_acquire("a"), "odd text": silently(limiter.try_acquire, "\ud800"),
        "batch": lambda: tidegate.try_acquire_each(batch), "odd batch": silently(tidegate.try_acquire_each, [key, 5]),
        "pickled": lambda: pickle.loads(pickle.dumps(decision)),
    }[name]
    # The interpreter keeps caches of its own, which grow now and then; what leaks grows each time, and by a pointer at least.
    calls = times // 4
    grown, moved = map(min, zip(*(growth(call, calls) for _ in range(4))))
    assert grown < 4 * calls and moved < 50


def test_what_is_left_behind_would_be_seen(key):
    kept = []
    assert growth(lambda: kept.append(key.try_acquire()), 1_000)[0] > 4 * 1_000
    kept.clear()
    assert growth(lambda: kept.append(None), 1_000)[0] > 4 * 1_000
    kept.clear()
    assert growth(lambda: kept.append(tidegate.Decision), 1_000)[1] >= 1_000


def test_threads_that_decide_by_text_and_in_batches_take_no_permit_too_many_and_none_too_few(runtime):
    limiter = runtime.limiter("x", Limit(8_000, per=1e8))
    key, granted = limiter.key("a"), [0] * 4

    def take(i):
        while True:
            new = bool(limiter.try_acquire("a")) if i % 2 else sum(map(bool, tidegate.try_acquire_each([key] * 7)))
            if not new:
                return
            granted[i] += new

    threads = [threading.Thread(target=take, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(granted) == 8_000


def test_closing_a_limiter_while_others_decide_with_it_crashes_nobody():
    assert succeeds("""
        import sys, threading, tidegate
        sys.setswitchinterval(1e-6)
        runtime = tidegate.Runtime()
        for _ in range(200):
            limiter = runtime.limiter("x", tidegate.Limit(10**9))
            key = limiter.key("a")
            def use():
                try:
                    while True: limiter.try_acquire("b"), key.try_acquire()
                except tidegate.ClosedError: ended.append(1)
            ended = []
            threads = [threading.Thread(target=use) for _ in range(3)]
            for thread in threads: thread.start()
            limiter.close()
            for thread in threads: thread.join()
            assert len(ended) == 3
        print("ok")
    """) == "ok\n"


def test_a_forked_child_is_refused_by_text_and_in_batches_too():
    assert succeeds("""
        import os, sys, tidegate, warnings
        warnings.simplefilter("ignore")
        limiter = tidegate.Runtime().limiter("x", tidegate.Limit(5, per=1e6))
        key = limiter.key("a")
        if os.fork() == 0:
            for use in (key.try_acquire, lambda: limiter.try_acquire("a"), lambda: key.try_acquire(permits=2)):
                try: use()
                except tidegate.ForkedError: continue
                os._exit(1)
            os._exit(0 if tidegate.try_acquire_each([key])[0].status is tidegate.Status.FORKED else 2)
        print(os.wait()[1], key.try_acquire().remaining)
    """) == "0 4\n"


def test_a_key_can_be_inherited_from_and_is_what_it_was(key):
    class Counting(tidegate.Key):
        asked = 0

        def try_acquire(self, permits=1):
            self.asked += 1
            return super().try_acquire(permits)

    mine = Counting(key.limiter, "a", int(getattr(key._id, "value", key._id)))
    assert mine.try_acquire(2).remaining == 3 and mine.asked == 1 and mine.value == "a"
    with pytest.raises(tidegate.ArgumentError):
        mine.try_acquire(0)
    with pytest.raises(AttributeError):
        key.note = 1
    assert weakref.ref(key)() is key
    assert list(inspect.signature(tidegate.Key.try_acquire).parameters) == ["self", "permits"]
    assert "Never waits" in inspect.getdoc(tidegate.Key.try_acquire)


def test_a_decision_made_by_hand_is_all_zeros():
    made = tidegate.Decision()
    assert made and (made.remaining, made.retry_after_ns, made.tier, made.basis) == (0, 0, 0, tidegate.Basis.LOCAL)
    assert bytes(made) == bytes(24) and made == tidegate.Decision() and hash(made) == hash(tidegate.Decision())


JUNK = [None, 0, 1, -1, 2**64, 2**200, 1.5, "", "a", "\ud800", b"", b"x" * 24, b"x" * 25, [], [1], {}, object(), type, len, ...]


@needs_it
def test_no_argument_of_a_wrong_type_crashes_it(key):
    from tidegate import _accelerator
    for many in (0, 1, 2, 3, 4):
        for arguments in itertools.product(JUNK, repeat=many) if many < 4 else [JUNK[:many]]:
            for call in (_accelerator.limiter_try_acquire, _accelerator.keys_try_acquire, _accelerator.Decision.from_buffer_copy,
                         _accelerator.Decision, _accelerator.Key, _accelerator.Key.try_acquire, key.try_acquire):
                silently(call, *arguments)()
    for arguments in itertools.product(JUNK, repeat=2):
        with pytest.raises((TypeError, OverflowError)):
            _accelerator.connect(*arguments, 0, 0, 0)
    with pytest.raises(TypeError):
        _accelerator.connect(tidegate.Decision, len, 1, 1, 0)
    for name, junk in itertools.product(("_retry_after_ns", "_remaining", "_status", "_tier", "_basis", "_as_parameter_"), JUNK[6:]):
        with pytest.raises((TypeError, AttributeError)):
            setattr(_accelerator.Decision(), name, junk)
    assert key.try_acquire().remaining < 5


@needs_it
def test_one_that_was_not_connected_refuses():
    assert succeeds("""
        import tidegate, tidegate._accelerator as it
        key = it.Key()
        for call in (key.try_acquire, lambda: it.limiter_try_acquire(None, "a", 1), lambda: it.keys_try_acquire([key], 1)):
            try: call()
            except RuntimeError as error: print(error)
    """, environment={SWITCH: "0"}) == "the accelerator is not connected\n" * 3
