"""fork and its relatives: a child never spends its parent's share, never hangs, and can open its own."""
import pytest
import tidegate
from conftest import run, succeeds

STORAGES = [
    "{}",
    pytest.param(
        '{"bootstrap.servers": "127.0.0.1:1"}',
        marks=pytest.mark.skipif(not tidegate.FEATURES, reason="this library has no Kafka storage"),
    ),
]


@pytest.mark.parametrize("config", STORAGES)
def test_a_forked_child_is_refused_and_opens_its_own_and_the_parent_goes_on(config):
    out = succeeds("""
        import os, sys, gc, tidegate, warnings
        warnings.simplefilter("ignore")
        config = eval(sys.argv[1])
        config["on.outage"] = "allow"
        runtime = tidegate.Runtime(config)
        limiter = runtime.limiter("x", tidegate.Limit(5, per=1e6))
        key = limiter.key("a")
        if os.fork() == 0:
            for use in (key.try_acquire, key.acquire, key.peek, key.status, key.release, runtime.health,
                        lambda: limiter.try_acquire("a"), runtime.metrics, lambda: limiter.key("b"), lambda: runtime.limiter("y", tidegate.Limit(1))):
                try: use()
                except tidegate.ForkedError as error: assert "open a runtime here" in str(error), error
                else: raise SystemExit(f"{use} is not refused")
            key.close(), limiter.close(), runtime.close()
            with tidegate.Runtime() as own:
                assert own.limiter("x", tidegate.Limit(5, per=1e6)).key("a").try_acquire(5)
            del key, limiter, runtime
            gc.collect()
            print("child", flush=True)
            sys.exit(0)
        assert os.wait()[1] == 0
        key.try_acquire()
        runtime.health()
        print("parent", runtime.is_closed)
    """, config)
    assert out == "child\nparent False\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_limits_and_configurations_reach_a_child_of_every_start_method(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
import multiprocessing, sys, tidegate, warnings
warnings.simplefilter("ignore")
def work(config, limit):
    with tidegate.Runtime(config) as runtime:
        return runtime.limiter("x", limit).key("a").try_acquire(5)
def fail(config, limit):
    with tidegate.Runtime(config) as runtime:
        runtime.limiter("x", limit).key("a").acquire(6)
if __name__ == "__main__":
    mine = tidegate.Runtime()
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        arguments = ({"client.note": "child"}, tidegate.Limit(5, per=1e6))
        print(pool.apply(work, arguments))
        try: pool.apply(fail, arguments)
        except tidegate.RateLimitExceeded as error: print(error.status)
""")
    # As a file: the children of `spawn` import the main program again.
    call = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    assert succeeds(call, str(program), method) == "<Decision OK: retry_after=0.0, remaining=0, basis=LOCAL>\nNEVER\n"


def test_a_child_that_ends_does_not_close_its_parents_runtime():
    assert succeeds("""
        import os, sys, tidegate
        runtime = tidegate.Runtime()
        key = runtime.limiter("x", tidegate.Limit(5, per=1e6)).key("a")
        key.try_acquire(2)
        if os.fork() == 0:
            sys.exit(0)     # runs what is registered for the end of the program
        assert os.wait()[1] == 0
        print(key.try_acquire(3).remaining, key.status().granted)
    """) == "0 5\n"


def test_a_fork_while_another_thread_is_in_a_call_does_not_hang():
    assert succeeds("""
        import os, sys, threading, tidegate, warnings
        warnings.simplefilter("ignore")
        runtime = tidegate.Runtime()
        limiter = runtime.limiter("x", tidegate.Limit(5))
        def use():
            while True:
                runtime.metrics(); limiter.key("a").close()
        threading.Thread(target=use, daemon=True).start()
        for _ in range(50):
            if os.fork() == 0:
                try: runtime.metrics()
                except tidegate.ForkedError: pass
                with tidegate.Runtime() as own: own.limiter("x", tidegate.Limit(5)).key("a").try_acquire()
                os._exit(0)
            assert os.wait()[1] == 0
        print("ok")
        os._exit(0 if not sys.stdout.flush() else 1)
    """) == "ok\n"


def test_a_program_that_fails_is_seen_to_fail():
    # What the tests above rest on.
    assert run("raise SystemExit(3)").returncode == 3
    with pytest.raises(AssertionError):
        succeeds("raise SystemExit(3)")
