"""benches/report says plainly what was met, what was not and what nobody measured."""
import importlib.machinery
import importlib.util
import os
import sys

import pytest

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "benches", "report")
sys.dont_write_bytecode = True
_loader = importlib.machinery.SourceFileLoader("benches_report", PATH)
report = importlib.util.module_from_spec(importlib.util.spec_from_loader("benches_report", _loader))
_loader.exec_module(report)

GOAL = report.GOALS[0]
ROUNDS = 10


def rows_of(goal, ratio):
    """A row of ours and one of the peer, so that ours is `ratio` of the peer's."""
    made = []
    for place, each in ((goal.ours, 100.0 * ratio), (goal.peer, 100.0)):
        if place:
            part, case, who = place
            made.append({"part": part, "case": case, "who": who, "unit": "ns", "rounds": [each] * ROUNDS})
    return made


def data(*rows, parts=None):
    head = {"parts": list(report.PARTS) if parts is None else parts, "reasons": {}, "quick": False, "library": "l", "date": "d",
            "machine": "m", "commit": "c", "load": "0.0", "software": "s", "peers": "p", "command": "benches/report"}
    return report.Data([head, *rows])


def verdict(what, goal):
    """The last cell of the goal's line."""
    line = next(line for line in report.goals(what).splitlines() if line.startswith(f"| {goal.what} |"))
    return line.split("|")[-2].strip()


@pytest.mark.parametrize("goal", report.GOALS, ids=lambda goal: goal.what)
def test_a_ratio_above_its_goal_is_not_met_and_one_below_it_is(goal):
    times = 1 if goal.peer else 0.01
    assert verdict(data(*rows_of(goal, times * (goal.most + 0.01))), goal) == "**not met**"
    assert verdict(data(*rows_of(goal, times * max(0, goal.most - 0.01))), goal) == "met"


def test_a_goal_is_judged_by_the_hundredths_that_the_page_shows():
    assert verdict(data(*rows_of(GOAL, GOAL.most + 0.004)), GOAL) == "met"
    assert verdict(data(*rows_of(GOAL, GOAL.most + 0.006)), GOAL) == "**not met**"


def test_what_was_not_measured_is_neither_met_nor_left_out():
    assert [verdict(data(), goal) for goal in report.GOALS] == ["not measured"] * len(report.GOALS)
    assert [verdict(data(parts=[]), goal) for goal in report.GOALS] == ["not measured"] * len(report.GOALS)


def test_rounds_that_do_not_count_make_no_ratio():
    ours, peer = rows_of(GOAL, 0.1)
    peer["rounds"] = [100.0] * (report.FEWEST - 1) + [None] * (ROUNDS - report.FEWEST + 1)
    assert verdict(data(ours, peer), GOAL) == "not measured"


def test_the_fastest_of_a_peers_ways_is_the_one_to_beat():
    goal = next(goal for goal in report.GOALS if goal.peer and goal.peer[2] == "limits")
    ours, slow = rows_of(goal, goal.most / 2)
    quick = dict(slow, who="limits, another strategy", rounds=[number / 4 for number in slow["rounds"]])
    slow = dict(slow, who="limits, fixed window")
    assert verdict(data(ours, slow), goal) == "met"
    assert verdict(data(ours, slow, quick), goal) == "**not met**"


def test_a_name_is_taken_before_names_that_begin_with_it():
    goal = next(goal for goal in report.GOALS if goal.peer and goal.peer[2] == "governor")
    ours, peer = rows_of(goal, goal.most / 2)
    safe = dict(peer, who="governor, CLOCK_BOOTTIME", rounds=[number / 100 for number in peer["rounds"]])
    assert verdict(data(ours, safe, peer), goal) == "met"


def test_the_page_says_where_a_peer_is_faster_and_that_a_quick_run_is_rough():
    ours, peer = rows_of(GOAL, 2.0)
    what = data(ours, peer)
    assert f"{GOAL.ours[2]} 200 ns; ahead: {GOAL.peer[2]} 100 ns." in report.text(what)
    assert "Nowhere in this run." in report.text(data(*rows_of(GOAL, 0.5)))
    assert "quick run" not in report.text(what)
    what.head["quick"] = True
    assert "quick run" in report.text(what)
