"""tests/run counts what the tools say, and cannot pass by counting nothing."""
import importlib.machinery
import importlib.util
import os
import sys

import pytest

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
sys.dont_write_bytecode = True
_loader = importlib.machinery.SourceFileLoader("tests_run", PATH)
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("tests_run", _loader))
_loader.exec_module(run)


def part(counter, script):
    return run.Part("x", "", None, [(counter, ["bash", "-c", script], run.ROOT)])


@pytest.mark.parametrize("counter, line, expected", [
    (run.count_cargo, "test result: ok. 45 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.07s", (45, 0, 2)),
    (run.count_cargo, "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished", (3, 1, 0)),
    (run.count_pytest, "=== 2 failed, 7 passed, 1 skipped, 1 error in 3.21s ===", (7, 3, 1)),
    (run.count_pytest, "12 passed in 63.00s (0:01:03)", (12, 0, 0)),
    (run.count_dotnet, "Passed!  - Failed:     0, Passed:    12, Skipped:     1, Total:    13, Duration: 1 s - a.dll (net10.0)", (12, 0, 1)),
    (run.count_ctest, "67% tests passed, 1 tests failed out of 3", (2, 1, 0)),
])
def test_a_summary_line_is_counted_as_its_tool_means_it(counter, line, expected):
    assert tuple(counter(["noise", line])[n] for n in run.NAMES) == expected


def test_each_fault_of_a_chaos_run_counts_and_so_does_each_failure():
    lines = ["12:00:00 seed 1: tests/chaos", "12:01:00 #1 kill-leader on broker 2: ..", "12:02:00 #2 outage on all brokers: .."]
    assert dict(run.count_chaos(lines)) == {"passed": 2, "failed": 0, "skipped": 0}
    assert dict(run.count_chaos(lines + ["12:03:00 FAILED: fault 2: 3 permits too many"])) == {"passed": 1, "failed": 1, "skipped": 0}


def test_several_summaries_add_up():
    line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured"
    assert run.count_cargo([line, line])["passed"] == 4


def test_output_that_only_looks_alike_is_not_counted():
    for counter in (run.count_cargo, run.count_pytest, run.count_dotnet, run.count_ctest):
        assert counter(["all 5 tests passed", "passed"]).ran() == 0


def test_a_step_that_fails_without_a_count_is_one_failure():
    assert run.run_part(part(run.count_nothing, "exit 3"), dict(os.environ))["failed"] == 1


def test_a_step_that_prepares_and_succeeds_counts_nothing():
    assert run.run_part(part(run.count_nothing, "true"), dict(os.environ)).ran() == 0


def test_a_test_step_in_which_nothing_ran_is_a_failure():
    assert run.run_part(part(run.count_cargo, "echo fine"), dict(os.environ))["failed"] == 1


def test_a_tool_that_dies_after_a_green_summary_is_a_failure():
    script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured'; exit 101"
    assert dict(run.run_part(part(run.count_cargo, script), dict(os.environ))) == {"passed": 2, "failed": 1, "skipped": 0}


@pytest.mark.parametrize("counter, line, summary", [
    (run.count_cargo, "test a::b ... FAILED", "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured"),
    (run.count_pytest, "FAILED x.py::test_a - assert 1 == 2", "= 1 failed, 1 passed in 0.1s ="),
    (run.count_dotnet, "  Failed Tidegate.Tests.A.B [1 s]", "Failed!  - Failed:     1, Passed:     1, Skipped:     0, Total:     2"),
    (run.count_ctest, "          3 - threads (Failed)", "50% tests passed, 1 tests failed out of 2"),
    (run.count_chaos, "12:03:00 FAILED: fault 2: 3 permits too many", "12:02:00 #2 outage on all brokers: .."),
])
def test_what_failed_is_told_again_at_the_end(counter, line, summary):
    tally = run.run_part(part(counter, f"echo '{line}'; echo '{summary}'; exit 1"), dict(os.environ))
    assert tally["failed"] == 1 and tally.failures == [line.strip()]


def test_what_failed_of_real_tests_is_told_with_the_assertion(tmp_path):
    name = "test_with_a_name_as_long_as_those_of_the_fleets_are_so_that_a_narrow_terminal_would_hide_why_it_failed"
    (tmp_path / "test_it.py").write_text(f"def {name}():\n    assert 1 == 2\ndef test_other():\n    pass\n")
    step = (run.count_pytest, run.pytest("--rootdir", str(tmp_path), str(tmp_path)), str(tmp_path))
    tally = run.run_part(run.Part("x", "", None, [step]), run.environment())
    assert dict(tally) == {"passed": 1, "failed": 1, "skipped": 0}
    assert tally.failures == [f"FAILED test_it.py::{name} - assert 1 == 2"]


def test_nothing_is_told_of_what_passed():
    script = "echo 'test a_line_with_FAILED_in_its_name ... ok'; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'"
    assert run.run_part(part(run.count_cargo, script), dict(os.environ)).failures == []


def test_a_step_that_failed_without_a_word_is_told_by_its_command():
    tally = run.run_part(part(run.count_cargo, "exit 3"), dict(os.environ))
    assert tally.failures == ["exit code 3: bash -c exit 3"]


def everything(monkeypatch, capsys, options, *parts):
    """How tests/run ends with these parts, and what it prints."""
    monkeypatch.setattr(run, "parts", lambda: iter(parts))
    monkeypatch.setattr(sys, "argv", ["run", *options])
    code = run.main()
    return code, capsys.readouterr().out


def beside(script):
    return run.Part("slow", "", None, [(run.count_pytest, ["bash", "-c", script], run.ROOT)], beside=True)


def test_a_part_that_waits_runs_beside_those_after_it_and_is_counted_and_told_when_all_are_over(monkeypatch, capsys, tmp_path):
    # Each waits for the other: one after the other they would never end.
    here, there = tmp_path / "here", tmp_path / "there"
    meet = "touch {}; until test -e {}; do sleep 0.01; done; echo {}; echo '== 2 passed in 0.1s =='"
    slow = beside(meet.format(here, there, "slow is over"))
    quick = run.Part("quick", "", None, [(run.count_pytest, ["bash", "-c", meet.format(there, here, "quick is over")], run.ROOT)])
    code, out = everything(monkeypatch, capsys, ["--complete"], slow, quick)
    assert code == 0 and out.splitlines()[-1] == "4 passed, 0 failed, 0 skipped"
    assert out.index("quick is over") < out.index("slow is over")


@pytest.mark.parametrize("script", ["exit 3", "echo '== 1 failed in 0.1s =='; exit 1", "echo fine"])
def test_a_part_that_fails_beside_others_fails_all(monkeypatch, capsys, script):
    code, out = everything(monkeypatch, capsys, [], beside(script), part(run.count_pytest, "echo '== 2 passed in 0.1s =='"))
    assert code == 1 and out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"


def test_a_part_that_may_be_missing_is_a_skip_and_one_that_may_not_a_failure(monkeypatch, capsys):
    missing = run.Part("gone", "", "no such thing", [], beside=True)
    there = part(run.count_pytest, "echo '== 2 passed in 0.1s =='")
    code, out = everything(monkeypatch, capsys, ["--complete", "--allow-skip", "gone"], missing, there)
    assert code == 0 and out.splitlines()[-1] == "2 passed, 0 failed, 1 skipped"
    code, out = everything(monkeypatch, capsys, ["--complete"], missing, there)
    assert code == 1 and out.splitlines()[-1] == "2 passed, 1 failed, 1 skipped"
