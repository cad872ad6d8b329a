"""Partitions are added while processes share limits, with nothing restarted: the seed's `kafka-topics --alter --partitions 24`."""
import array
import json
import os
import time

import pytest

import wire
from cluster import Cluster
from fleet import Fleet, boottime

PERMITS, BURST = 500, 500
KEYS = 5
TOPIC = "rate-limiter-state"
# The topic is looked at every 30 s; the first process to see it moves everybody.
NOTICED_S = 40
# Of keys that move, by the issue; every process is alive. 250 ms are the pauses that this machine's scheduler makes.
PAUSE_MAX_S = 1.0


@pytest.fixture
def one():
    with Cluster(brokers=1) as kafka:
        yield kafka


def admissions(fleet):
    """When each permit was admitted, by CLOCK_BOOTTIME in ns."""
    times = []
    for worker in fleet.workers:
        with open(worker.file, "rb") as file:
            numbers = array.array("Q", file.read()[: os.path.getsize(worker.file) // 24 * 24])
        times += numbers[1::3]
    return sorted(times)


def longest_pause(times, start, end):
    inside = [start, *(at for at in times if start <= at < end), end]
    return max(after - before for before, after in zip(inside, inside[1:])) / 1e9


def written(kafka, partitions):
    """Records in these partitions of the claims."""
    port = next(iter(kafka.ports.values()))
    return {partition: wire.end_offset("127.0.0.1", port, f"{TOPIC}-claims", partition) for partition in partitions}


@pytest.mark.parametrize("grown", [TOPIC, f"{TOPIC}-claims"])
def test_partitions_are_added_under_load_and_no_limit_is_exceeded(one, grown, capsys):
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
            if any(end for end in written(one, range(12, 24)).values()):
                noticed = time.monotonic() - before
        assert noticed is not None, f"not within {NOTICED_S} s: a key in an added partition"
        time.sleep(5)
        end = boottime()
        late, = fleets[0].start(pace=PERMITS)                     # who comes later finds the keys where they are now
        late.until("a share", lambda tick: tick["granted"] > 50)
        for fleet in fleets:
            fleet.stop()
        excess = [fleet.check()["excess"] for fleet in fleets]
        pauses = [longest_pause(admissions(fleet), start, end) for fleet in fleets]
        use = [fleet.use(start, end) for fleet in fleets]
        with capsys.disabled():
            print("\n   " + json.dumps({"grown": grown, "noticed_s": round(noticed, 1), "excess": excess,
                                          "pauses_s": [round(pause, 3) for pause in pauses],
                                          "use": [round(part, 3) for part in use]}), flush=True)
        assert excess == [0] * KEYS
        assert max(pauses) <= PAUSE_MAX_S
    finally:
        for fleet in fleets:
            fleet.__exit__()
