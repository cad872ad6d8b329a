"""tests/chaos can fail: what it computes from records with a known excess, what it draws, and a run that is broken on purpose."""
import array
import importlib.machinery
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import types

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "chaos_harness"), os.path.join(HERE, "kafka")]
sys.dont_write_bytecode = True


def program(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


chaos, report = program("chaos"), program("chaos_report")

import measure  # noqa: E402
import plan  # noqa: E402
import run  # noqa: E402

SECOND, LIMIT = measure.NS, {"permits": 10, "period_ms": 1000, "burst": 5}
# Started with real brokers, and over in a minute.
CAN_RUN = chaos.missing()


def records(*moments):
    return array.array("Q", itertools.chain.from_iterable((at, at, 1) for at in moments)).tobytes()


def tick(at, basis, rate=2.5, burst=1.5):
    return {"at": at, "basis": basis, "share_rate": rate, "share_burst": burst}


def test_one_permit_too_many_over_two_processes_is_found(tmp_path):
    within, beyond = records(1, 2, 3), records(4, 5)
    assert measure.check(LIMIT, [within, beyond], tmp_path)["excess"] == 0
    found = measure.check(LIMIT, [within, beyond, records(6)], tmp_path)
    assert 0.99 < found["excess"] <= 1 and found["admitted"] == 6


def test_nothing_admitted_is_no_excess_and_no_failure(tmp_path):
    assert measure.check(LIMIT, [b"", b""], tmp_path)["excess"] == 0


def test_only_what_a_process_kept_alone_is_excused():
    ticks = [tick(1 * SECOND, "shared"), tick(4 * SECOND, "shared"), tick(5 * SECOND, "kept_share"), tick(9 * SECOND, "shared")]
    begun, ended = measure.kept_alone(ticks, 2 * SECOND)
    assert (begun, ended) == (4 * SECOND - measure.TICK_NS, 9 * SECOND)
    moments = [1 * SECOND, 3 * SECOND, 5 * SECOND, 8 * SECOND, 10 * SECOND]
    left = array.array("Q", measure.without(records(*moments), [(begun, ended)]))
    assert list(left[::3]) == [1 * SECOND, 3 * SECOND, 10 * SECOND]


def test_a_process_that_never_kept_its_share_is_not_excused():
    assert measure.kept_alone([tick(SECOND, "shared"), tick(2 * SECOND, "no_share")], 0) is None
    assert measure.kept_alone([tick(SECOND, "kept_share"), tick(2 * SECOND, "shared")], 3 * SECOND) is None, "that was before"


class Worker:
    def __init__(self, number, folder):
        self.number, self.language, self.ticks, self.file = number, "c", [], os.path.join(folder, f"{number}")


def a_run(folder, policy, kept_alone_admits):
    """A run as it is after a fault, with two processes: one goes on with the others' 10 per second, one keeps 5 per second alone."""
    one, alone = Worker(1, folder), Worker(2, folder)
    alone.ticks = [tick(0, "shared", 5, 2), tick(SECOND, "kept_share", 5, 2), tick(11 * SECOND, "shared", 5, 2)]
    limit = types.SimpleNamespace(name="x", policy=policy, permits=10, burst=5, fleet=types.SimpleNamespace(limit=LIMIT, workers=[one, alone]))
    client = types.SimpleNamespace(worker=alone)
    limit.clients = [client]
    made = run.Run.__new__(run.Run)
    made.world = types.SimpleNamespace(folder=folder, limits=[limit])
    made.excused, made.logs = {}, {}
    for worker, per_second in ((one, 10), (alone, kept_alone_admits)):
        with open(worker.file, "wb") as file:
            file.write(records(*(2 * SECOND + n * SECOND // per_second for n in range(8 * per_second))))
    made.read()
    return made.excess(limit, 0, 20 * SECOND, made.excuse(limit, [client], 0))


def test_a_share_that_was_kept_alone_comes_on_top_but_nothing_beyond_it(tmp_path):
    kept = a_run(tmp_path, "keep_share", 5)
    assert kept["excess"] == 0 and kept["excess_with_kept"] > 30
    assert a_run(tmp_path, "keep_share", 7)["excess"] > 10, "two per second more than its own share, for 8 s, less its burst"


def test_under_deny_nothing_comes_on_top(tmp_path):
    assert a_run(tmp_path, "deny", 5)["excess"] > 30


def test_the_seed_decides_what_is_drawn():
    def drawn(seed):
        return [(number, [kind.name for kind in kinds], draw.random())
                for number, kinds, draw in itertools.islice(plan.draw_plan(seed, list(chaos.KINDS)), 100)]
    assert drawn("1") == drawn("1") and drawn("1") != drawn("2")


def test_every_kind_comes_before_any_comes_again():
    names = list(chaos.KINDS)
    drawn = [kind.name for _, kinds, _ in itertools.islice(plan.draw_plan("3", names), len(names)) for kind in kinds]
    assert set(drawn[:len(names)]) == set(names)


def test_the_full_bucket_of_the_plot_is_the_limits():
    queue = measure.VirtualQueue(permits=10, burst=5)
    assert [queue.add(0, 1) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert queue.add(SECOND // 10, 1) == pytest.approx(5) and queue.add(SECOND // 10, 1) == pytest.approx(6)


def a_report(folder, excess):
    """What is written of a run of one fault."""
    limits = {name: {"policy": policy, "permits": 10, "burst": 5, "languages": ["c"]} for name, policy in (("strict", "deny"), ("kept", "keep_share"))}
    found = {"excess": excess, "excess_with_kept": excess, "back_after_s": 9.5, "recovered_s": 0.5, "use_during": 1, "use_after": 1,
             "refused": {"no_share": 1234}, "kept_alone": {}}
    lines = [{"event": "start", "seed": "7", "ttl_ms": 4000, "at_ns": 0, "limits": limits,
              "kinds": {name: {"what": kind.what, "promise": kind.promise, "subject": kind.subject} for name, kind in chaos.KINDS.items()}},
             {"event": "fault", "number": 1, "kinds": ["kill-leader"], "start_ns": 0, "injected_ns": 0, "healed_ns": 1, "end_ns": 60 * SECOND,
              "to": ["broker 2 (leads strict)"], "limits": {"strict": found, "kept": found}},
             {"event": "end", "at_ns": 60 * SECOND, "limits": {name: {"excess": excess, "admitted": 5} for name in limits}}]
    path = os.path.join(folder, "run.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    return report.text(report.Data([path]))


def test_the_report_says_what_was_measured_and_hides_no_excess(tmp_path):
    text = a_report(tmp_path, 0)
    row = next(line for line in text.splitlines() if line.startswith("| `kill-leader`"))
    assert "| 1 |" in row and "9.5 / 9.5" in row and "**" not in row and "1,234" in text and "1 of 1 within the 12 s" in text
    assert "**3.5**" in a_report(tmp_path, 3.5)


def test_a_fault_that_no_run_came_to_is_not_in_the_report_as_held(tmp_path):
    row = next(line for line in a_report(tmp_path, 0).splitlines() if line.startswith("| `outage`"))
    assert row.split("|")[2].strip() == "0" and row.split("|")[4].strip() == "–"


@pytest.mark.skipif(bool(CAN_RUN), reason=str(CAN_RUN))
def test_a_process_that_admits_on_top_fails_the_run(tmp_path):
    """Sabotage: one more worker that has the whole limit for itself."""
    command = [os.path.join(HERE, "chaos"), "--minutes", "1.2", "--seed", "4", "--faults", "none", "--sabotage", "local", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "permits too many of strict" in done.stdout and "--sabotage local" in done.stdout.splitlines()[-1]
