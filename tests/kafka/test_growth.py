"""Partitions are added while processes share limits, with nothing restarted: the seed's `kafka-topics --alter --partitions 24`."""
import json
import time

import pytest

import wire
from cluster import Cluster
from fleet import Fleet, boottime, in_time, twice_if_late

PERMITS, BURST = 500, 500
KEYS = 5
TOPIC = "rate-limiter-state"
# The topic is looked at every 30 s; the first process to see it moves everybody.
NOTICED_S = 40
# Of keys that move; every process is alive.
PAUSE_MAX_S = 1.0


def longest_pause(times, start, end):
    inside = [start, *(at for at in times if start <= at < end), end]
    return max(after - before for before, after in zip(inside, inside[1:])) / 1e9


def shares_while_it_grows(one, grown, capsys):
    fleets = [Fleet(one.bootstrap, PERMITS, BURST, ttl_ms=15000, key=f"key-{n}") for n in range(KEYS)]
    try:
        for fleet in fleets:
            fleet.start(2, pace=PERMITS)
        for fleet in fleets:
            for worker in fleet.workers:
                worker.until("a share", lambda tick: tick["granted"] > 0)
        time.sleep(2)                                             # the burst is spent
        start = boottime()
        port = next(iter(one.ports.values()))
        wire.create_partitions("127.0.0.1", port, grown, 24)
        before, noticed = time.monotonic(), None
        while noticed is None and time.monotonic() - before < NOTICED_S:
            time.sleep(0.5)
            if any(one.end_offsets(f"{TOPIC}-claims").get(partition) for partition in range(12, 24)):
                noticed = time.monotonic() - before
        in_time(noticed is not None, f"not within {NOTICED_S} s: a key in an added partition; "
                                     f"{[worker.last('health_message') for fleet in fleets for worker in fleet.workers]}")
        time.sleep(5)
        end = boottime()
        late, = fleets[0].start(pace=PERMITS)                     # who comes later finds the keys where they are now
        late.until("a share", lambda tick: tick["granted"] > 50)
        for fleet in fleets:
            fleet.stop()
        excess = [fleet.check()["excess"] for fleet in fleets]
        pauses = [longest_pause(sorted(at for at, _ in fleet.admissions()), start, end) for fleet in fleets]
        use = [fleet.use(start, end) for fleet in fleets]
        with capsys.disabled():
            print("\n   " + json.dumps({"grown": grown, "noticed_s": round(noticed, 1), "excess": excess,
                                          "pauses_s": [round(pause, 3) for pause in pauses],
                                          "use": [round(part, 3) for part in use]}), flush=True)
        assert excess == [0] * KEYS
        in_time(max(pauses) <= PAUSE_MAX_S, f"pauses {pauses}")
    finally:
        for fleet in fleets:
            fleet.__exit__()


@pytest.mark.parametrize("grown", [TOPIC, f"{TOPIC}-claims"])
@twice_if_late
def test_partitions_are_added_under_load_and_no_limit_is_exceeded(grown, capsys):
    with Cluster(brokers=1) as one:                               # of its own: a second try finds 12 partitions again
        shares_while_it_grows(one, grown, capsys)
