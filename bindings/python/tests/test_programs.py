"""The walkthrough, the worker, the example of the README, and the sources themselves."""
import ast
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SOURCE, succeeds

WALKTHROUGH = os.path.join(ROOT, "tests", "walkthrough", "walkthrough.py")
WORKER = os.path.join(ROOT, "tests", "workers", "worker.py")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def interpreters():
    """This interpreter, and every other that this machine has under its own name."""
    yield sys.executable
    for minor in range(9, 16):
        path = shutil.which(f"python3.{minor}")
        works = path and subprocess.run([path, "-c", "import ctypes"], capture_output=True, check=False).returncode == 0
        if works and minor != sys.version_info[1]:
            yield path


@pytest.mark.parametrize("python", list(interpreters()))
def test_the_walkthrough_prints_what_it_prints_in_every_language(python):
    # Another Python may be one that the accelerator is not for.
    mine = {} if python == sys.executable else {"TIDEGATE_PYTHON_ACCELERATOR": ""}
    done = subprocess.run([python, WALKTHROUGH], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **mine})
    assert (done.stdout, done.stderr, done.returncode) == (read("tests", "walkthrough", "expected.txt"), "", 0)


def test_the_examples_of_the_readme_do_what_they_say():
    first, second = re.findall(r"```python\n(.*?)```", read("bindings", "python", "README.md"), re.DOTALL)
    assert succeeds(first).splitlines() == ["go", "True 0", "DENIED True", "done"]
    assert succeeds(second).splitlines() == ["PAUSED source ", "PRESSURE_ON source orders", '"api";r=0']


@pytest.mark.parametrize("name", sorted(n for n in os.listdir(os.path.join(SOURCE, "tidegate")) if n.endswith(".py")))
def test_every_source_is_syntax_of_python_3_9(name):
    ast.parse(read("bindings", "python", "src", "tidegate", name), feature_version=(3, 9))


def test_what_python_3_9_does_not_know_is_found():
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 9))


def test_the_types_are_right():
    pytest.importorskip("mypy", reason="mypy is not installed: the types were not checked")
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", os.devnull], capture_output=True, text=True,
                          cwd=os.path.join(SOURCE, ".."), check=False)
    assert done.returncode == 0, done.stdout


def worker(*arguments):
    return subprocess.Popen([sys.executable, WORKER, *arguments], stdout=subprocess.PIPE, text=True)


def lines(process):
    out, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in out.splitlines()]


def records(path):
    return list(struct.iter_unpack("<QQQ", path.read_bytes()))


@pytest.mark.parametrize("mode", ["spin", "wait"])
def test_a_worker_records_every_grant_and_nothing_else(tmp_path, mode):
    out = tmp_path / "records"
    process = worker("--permits", "100", "--burst", "50", "--seconds", "1", "--mode", mode, "--out", str(out))
    ready, *ticks, done = lines(process)
    assert process.returncode == 0 and ready == {"event": "ready"} and done["event"] == "done"
    # The burst, a second, and a little more on a busy machine.
    assert 100 <= done["granted"] <= 50 + 100 * 5 and len(records(out)) == done["granted"]
    assert (done["denied"] > 0) == (mode == "spin")
    assert len(ticks) >= 1 and all(tick["event"] == "tick" for tick in ticks)
    assert ticks[0]["basis"] == "local" and ticks[0]["health"] == "ok" and ticks[0]["share_rate"] == 100.0
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    times = [moment for before, after, _ in records(out) for moment in (before, after)]
    assert times == sorted(times) and now - 60 * 10**9 < times[0] and times[-1] < now
    assert all(permits == 1 for _, _, permits in records(out))


def test_a_worker_keeps_its_pace_and_ends_cleanly_on_sigterm(tmp_path):
    out = tmp_path / "records"
    process = worker("--permits", "100000", "--pace", "50", "--out", str(out))
    while len(out.read_bytes() if out.exists() else b"") < 24 * 20:
        assert process.poll() is None
    # 20 records were flushed while it runs; at 50 a second they took 0.38 s at least.
    first, last = records(out)[0], records(out)[19]
    assert last[0] - first[0] >= 0.35e9
    process.send_signal(signal.SIGTERM)
    done = lines(process)[-1]
    assert process.returncode == 0 and done["event"] == "done" and done["granted"] == len(records(out))


def test_a_worker_is_fast_enough(tmp_path):
    out = tmp_path / "records"
    process = worker("--permits", "1000000000", "--seconds", "1", "--out", str(out))
    done = lines(process)[-1]
    assert done["granted"] == len(records(out)) > 20_000


def test_a_worker_that_cannot_open_says_so():
    process = worker("--permits", "1", "--set", "no.such.property=1")
    [line] = lines(process)
    assert process.returncode == 1 and line["event"] == "error" and "no.such.property" in line["message"]
