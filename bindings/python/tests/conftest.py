"""What the tests share: runtimes of their own, and programs that run in a process of their own."""
import itertools
import os
import subprocess
import sys
import textwrap

import pytest
import tidegate

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
SOURCE = os.path.join(ROOT, "bindings", "python", "src")
# What the accelerator is for.
HAS_ACCELERATOR = sys.version_info >= (3, 10) and getattr(sys, "_is_gil_enabled", lambda: True)()
_count = itertools.count()


def alone(**properties):
    """A configuration that no other test has: equal ones would share one native runtime."""
    return {"storage": "memory", "client.note": f"test {next(_count)}", **properties}


@pytest.fixture
def runtime():
    with tidegate.Runtime(alone()) as opened:
        yield opened


@pytest.fixture
def clock():
    return tidegate.ManualClock()


@pytest.fixture
def stopped(clock):
    """A runtime whose time is `clock`."""
    with tidegate.Runtime(clock=clock) as opened:
        yield opened


def drain(key):
    """Takes all that is there, and says how much that was."""
    taken = 0
    while key.try_acquire():
        taken += 1
    return taken


@pytest.fixture
def key(runtime):
    """5 permits, and so few a second that no test sees a sixth come."""
    return runtime.limiter("five", tidegate.Limit(permits=5, per=1e6)).key("a")


@pytest.fixture
def brisk(runtime):
    """One permit every 10 ms, and the first is taken."""
    key = runtime.limiter("brisk", tidegate.Limit(permits=100, burst=1)).key("a")
    assert key.try_acquire()
    return key


def run(code, *arguments, python=sys.executable, environment=None):
    """Runs a program in a process of its own; its output, with its failure."""
    return subprocess.run(
        [python, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE, **(environment or {})}, check=False,
    )


def succeeds(code, *arguments, **options):
    done = run(code, *arguments, **options)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout
