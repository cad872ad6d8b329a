"""tests/chaos can fail: what it computes from records with a known excess, what it draws, and a run that is broken on purpose."""
import array
import importlib.machinery
import importlib.util
import itertools
import json
import os
import random
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
import world  # noqa: E402
import faults_topic  # noqa: E402

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


def test_faults_come_together_as_often_as_asked_and_only_where_they_fit():
    def several(together):
        return [kinds for _, kinds, _ in itertools.islice(plan.draw_plan("4", list(chaos.KINDS), together), 200) if len(kinds) > 1]
    assert not several(0)
    for kinds in several(0.8):
        assert len({kind.subject for kind in kinds}) == len(kinds)
        assert all(one.subject in other.beside for one in kinds for other in kinds if one is not other)
    assert len(several(0.8)) > 2 * len(several(0.15)) > 0
    assert not any(kind.name in ("crowd", "outage", "rolling-restart") for kinds in several(0.8) for kind in kinds)


def test_faults_that_come_together_are_about_clients_of_their_own_and_some_of_each_limit_are_left():
    made = world.World(types.SimpleNamespace(ttl_ms=4000, sabotage=None), "")
    made.limits = [types.SimpleNamespace(clients=[f"{name}-{n}" for n in range(count)]) for name, count in (("a", 8), ("b", 4))]
    for seed in range(200):
        made.chosen.clear()
        drawn = [made.draw_clients(random.Random(f"{seed} {n}"), 3) for n in range(3)]
        together = sum(drawn, [])
        assert len(set(together)) == len(together) and all(drawn)
        assert all(len({client[0] for client in clients}) == 1 and len(clients) <= 3 for clients in drawn)


def test_what_had_nothing_to_do_is_not_counted():
    full = types.SimpleNamespace(metadata=lambda _: {"topics": {faults_topic.CLAIMS: dict.fromkeys(range(faults_topic.PARTITIONS_MAX))}})
    hold, = faults_topic.add_partitions(types.SimpleNamespace(kafka=full), random.Random(1))
    assert not hold.happened


def test_the_full_bucket_of_the_plot_is_the_limits():
    queue = measure.VirtualQueue(permits=10, burst=5)
    assert [queue.add(0, 1) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert queue.add(SECOND // 10, 1) == pytest.approx(5) and queue.add(SECOND // 10, 1) == pytest.approx(6)


NUMBERS = {name: {"policy": policy, "permits": 10, "burst": 5, "languages": ["c"]} for name, policy in (("strict", "deny"), ("kept", "keep_share"))}


def a_fault(number, kinds, excess=0, **more):
    found = {"excess": excess, "excess_with_kept": excess, "back_after_s": 9.5, "recovered_s": 0.5, "use_during": 1, "use_after": 1,
             "refused": {"shared": 123_456, "kept_share": 123_456, "no_share": 1234}, "kept_alone": {},
             "worst_window": {"start_ns": 2**60, "length_ns": 2**40, "admitted": 10**6, "allowed": 10**6}}
    return {"event": "fault", "number": number, "kinds": kinds, "start_ns": 0, "injected_ns": 0, "healed_ns": 1, "end_ns": 60 * SECOND, "load": 7.25,
            "to": ["broker 2 (leads strict)"], "note": "", "notes": {}, "limits": {"strict": found, "kept": dict(found)}, **more}


def a_run_file(folder, faults, seed="7", excess=0, ended=True, limits=None):
    """What tests/chaos --out writes."""
    lines = [{"event": "start", "seed": seed, "ttl_ms": 4000, "at_ns": 0, "wall": 1_795_000_000 + int(seed) * 86_400, "commit": "abcdef0123",
              "limits": limits or NUMBERS,
              "kinds": {name: {"what": kind.what, "promise": kind.promise, "subject": kind.subject} for name, kind in chaos.KINDS.items()}},
             *faults, {"event": "second", "limit": "strict", "at_s": 1, "admitted": {"1-c": 3}, "worst_window": 0.6}]
    if ended:
        lines.append({"event": "end", "at_ns": 60 * SECOND, "limits": {name: {"excess": excess, "admitted": 5} for name in NUMBERS}})
    path = os.path.join(folder, f"run-{seed}-{len(faults)}.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def write_page(folder, *runs):
    """As a user does it: the exit code and what was said, the page, and the ledger."""
    os.makedirs(os.path.join(folder, "internals"), exist_ok=True)
    done = subprocess.run([sys.executable, os.path.join(HERE, "chaos_report"), "--docs", str(folder), *runs], capture_output=True, text=True, check=False)

    def read(*path):
        path = os.path.join(folder, *path)
        return open(path, encoding="utf-8").read() if os.path.exists(path) else ""
    return done, read("reliability.md"), read("internals", "reliability.jsonl")


def row_of(page, kind):
    return [cell.strip() for cell in next(line for line in page.splitlines() if line.startswith(f"| `{kind}`")).split("|")]


def test_the_report_says_what_was_measured_and_hides_no_excess(tmp_path):
    done, page, _ = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["kill-leader"])]))
    assert done.returncode == 0, done.stderr
    row = row_of(page, "kill-leader")
    assert row[2:4] == ["1", "2026-11-25"] and "9.5 / 9.5" in row and "1,234" in page and "1 of 1 within the 12 s" in page
    assert "**" not in page, "all is well"
    _, page, _ = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["kill-leader"], excess=3.5)], seed="8", excess=3.5))
    assert "**3.5**" in row_of(page, "kill-leader") and "Not all is well" in page and "3.5 permits too many of `kept` over the whole run" in page


def test_a_fault_that_no_run_came_to_is_not_in_the_report_as_held(tmp_path):
    _, page, _ = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["kill-leader"])]))
    assert row_of(page, "outage")[2:4] == ["0", "–"] and row_of(page, "outage")[5] == "–"


def test_runs_of_many_sessions_add_up_and_the_page_says_how_many_of_100_were_shown_since_when(tmp_path):
    for seed, count in (("9", 30), ("3", 70), ("5", 2)):
        faults = [a_fault(number, ["kill-leader"] if number < count else ["outage", "delay"]) for number in range(count + 1)]
        _, page, ledger = write_page(tmp_path, a_run_file(tmp_path, faults, seed=seed))
    assert row_of(page, "kill-leader")[2:4] == ["102", "2026-11-21"]
    assert [row_of(page, kind)[2] for kind in ("outage", "delay", "loss")] == ["3", "3", "0"]
    assert f"1 of {len(chaos.KINDS)} kinds were shown 100 times" in page
    assert "--seed 9" in page, "the newest run, whichever was given last"
    assert [json.loads(line)["seed"] for line in ledger.splitlines() if '"event": "run"' in line] == ["3", "5", "9"]


def test_the_same_run_twice_counts_once(tmp_path):
    path = a_run_file(tmp_path, [a_fault(1, ["kill-leader"]), a_fault(2, ["outage"])])
    once = write_page(tmp_path, path)[1:]
    assert write_page(tmp_path, path)[1:] == once
    assert write_page(tmp_path, path, path)[1:] == once
    assert write_page(tmp_path)[1:] == once, "nor does it need any run to write the page anew"


def test_a_run_that_went_on_counts_with_all_it_has_and_never_with_less(tmp_path):
    faults = [a_fault(1, ["kill-leader"]), a_fault(2, ["kill-leader"])]
    half, whole = a_run_file(tmp_path, faults[:1], ended=False), a_run_file(tmp_path, faults)
    assert row_of(write_page(tmp_path, half)[1], "kill-leader")[2] == "1"
    assert row_of(write_page(tmp_path, whole)[1], "kill-leader")[2] == "2"
    _, page, _ = write_page(tmp_path, half)
    assert row_of(page, "kill-leader")[2] == "2" and "broken off" not in page


def test_a_run_that_failed_is_not_hidden(tmp_path):
    stuck = {key: value for key, value in a_fault(2, ["outage"]).items() if key not in ("limits", "end_ns", "healed_ns")}
    faults = [a_fault(1, ["kill-leader"]), {**stuck, "failure": "not shared in full again within 90 s"}]
    _, _, before = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["loss"])], seed="1"))
    done, page, ledger = write_page(tmp_path, a_run_file(tmp_path, faults, ended=False))
    assert done.returncode == 0 and ledger.startswith(before.splitlines()[0][:20]) and ledger.count('"event": "run"') == 2
    assert "**Not all is well:**" in page and "fault 2 (outage): not shared in full again within 90 s" in page
    assert "was broken off after 2 injections" in page and "| broken off |" in page
    assert (row_of(page, "outage")[2], row_of(page, "kill-leader")[2]) == ("0", "1"), "what failed was not shown"
    _, page, _ = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["loss"])], seed="20"))
    assert "not shared in full again within 90 s" in page, "a later run that is well does not hide it"


def test_a_malformed_line_is_named_and_nothing_is_counted(tmp_path):
    good = a_run_file(tmp_path, [a_fault(1, ["kill-leader"])], seed="1")
    before = write_page(tmp_path, good)[1:]
    for number, damage in ((2, "{\"event\": \"fault\", "), (3, "[]"), (1, "{\"event\": \"second\"}")):
        path = a_run_file(tmp_path, [a_fault(1, ["outage"])])
        lines = open(path, encoding="utf-8").read().splitlines()
        lines[number - 1] = damage
        open(path, "w", encoding="utf-8").write("\n".join(lines) + "\n")
        done, *after = write_page(tmp_path, good, path)
        assert done.returncode == 2 and f"run-7-1.jsonl:{number}" in done.stderr and tuple(after) == before, done.stderr
    path = a_run_file(tmp_path, [{"event": "fault", "number": 1}])
    done, *after = write_page(tmp_path, path)
    assert done.returncode == 2 and "'kinds'" in done.stderr and tuple(after) == before


def test_a_ledger_that_lost_a_line_is_not_counted(tmp_path):
    write_page(tmp_path, a_run_file(tmp_path, [a_fault(number, ["loss"]) for number in (1, 2)]))
    path = os.path.join(tmp_path, "internals", "reliability.jsonl")
    lines = open(path, encoding="utf-8").read().splitlines()
    for damaged in (lines[:-1], lines + lines[-1:], lines[:-1] + ["{"], lines[1:], lines[:1] + lines[2:]):
        open(path, "w", encoding="utf-8").write("\n".join(damaged) + "\n")
        assert write_page(tmp_path)[0].returncode == 2, damaged


def test_a_run_is_dropped_by_deleting_the_lines_that_name_it(tmp_path):
    first, second = (a_run_file(tmp_path, [a_fault(1, ["loss"])], seed=seed) for seed in ("1", "2"))
    kept = write_page(tmp_path, second)[2]
    dropped = next(json.loads(line)["run"] for line in write_page(tmp_path, first)[2].splitlines() if '"seed": "1"' in line)
    path = os.path.join(tmp_path, "internals", "reliability.jsonl")
    subprocess.run(["sed", "-i", f'/"run": "{dropped}"/d', path], check=True)
    _, page, ledger = write_page(tmp_path)
    assert ledger == kept and row_of(page, "loss")[2] == "1"


def test_runs_of_other_limits_are_not_counted_together(tmp_path):
    write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["loss"])], seed="1"))
    other = {name: {**limit, "burst": 6} for name, limit in NUMBERS.items()}
    done, page, _ = write_page(tmp_path, a_run_file(tmp_path, [a_fault(1, ["loss"])], limits=other))
    assert done.returncode == 2 and "other limits" in done.stderr and row_of(page, "loss")[2] == "1"


def test_an_injection_takes_less_than_700_bytes_in_the_ledger(tmp_path):
    crowd = a_fault(123_456, ["kill-controller", "crowd"], notes={"crowd_served": 64, "crowd_after_s": 59.987654321}, to=["broker 2 (leads strict, leads kept, controller)"] * 64)
    ledger = write_page(tmp_path, a_run_file(tmp_path, [crowd]))[2]
    assert max(len(line) for line in ledger.splitlines()[1:]) < 700
    assert '"leads": ["strict", "kept"], "controller": true' in ledger and '"crowd_served": 64' in ledger


@pytest.mark.skipif(bool(CAN_RUN), reason=str(CAN_RUN))
def test_a_process_that_admits_on_top_fails_the_run(tmp_path):
    """Sabotage: one more worker that has the whole limit for itself."""
    command = [os.path.join(HERE, "chaos"), "--minutes", "1.2", "--seed", "4", "--faults", "none", "--sabotage", "local", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "permits too many of strict" in done.stdout and "--sabotage local" in done.stdout.splitlines()[-1]
