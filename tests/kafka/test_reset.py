"""Everything that a limit's log held is removed while nobody is there to tell it again, and the topic grows meanwhile. Then the
partition starts empty, after eleven minutes of silence: that long takes this test, nearly all of it waiting."""
import json
import signal
import time

import wire
from cluster import Cluster
from fleet import Fleet, boottime

# A burst that takes far longer to come back than the test lasts: who starts too early, or too full, admits too much.
PERMITS, BURST = 10, 10_000
TOPIC = "rate-limiter-state"
SILENCE_S = 11 * 60
# The silence, the log's own delays, and a machine on which something else is built.
STARTED_S = SILENCE_S + 180
SAID_EVERY_S = 60


def test_a_log_of_which_nothing_is_left_starts_empty_after_the_silence_and_a_process_that_slept_through_it_exceeds_nothing(capsys):
    def say(**what):
        with capsys.disabled():
            print("\n   " + json.dumps(what), end="", flush=True)

    with Cluster(brokers=1) as kafka, Fleet(kafka.bootstrap, PERMITS, BURST, ttl_ms=2000) as fleet:
        sleeper, victim = fleet.start(2, pace=700)
        for worker in (sleeper, victim):
            worker.until("half of the burst is spent", lambda tick: tick["granted"] > 0.4 * BURST)
        time.sleep(3)
        victim.kill()
        sleeper.signal(signal.SIGSTOP)
        time.sleep(1)
        port = next(iter(kafka.ports.values()))
        wire.delete_records("127.0.0.1", port, f"{TOPIC}-claims", dict.fromkeys(range(12), wire.THE_END))
        wire.create_partitions("127.0.0.1", port, TOPIC, 24)

        began = time.monotonic()
        newcomer, = fleet.start(pace=700)
        waits = newcomer.until("it says what it waits for", lambda tick: "starts empty" in tick["health_message"])
        say(health=waits["health"], message=waits["health_message"])
        while not newcomer.last("granted"):
            waited = time.monotonic() - began
            assert waited < STARTED_S, newcomer.trouble()
            say(waited_s=round(waited))
            end = time.monotonic() + SAID_EVERY_S
            while time.monotonic() < end and not newcomer.last("granted"):
                time.sleep(0.2)
        started_after = time.monotonic() - began
        assert started_after > SILENCE_S, "nothing is granted before the silence is over"

        slept, woken = sleeper.last("granted"), boottime()
        sleeper.signal(signal.SIGCONT)
        sleeper.until("it shares again", lambda tick: tick["at"] > woken and tick["basis"] == "shared" and tick["granted"] > slept)
        time.sleep(5)
        fleet.stop()
        found = fleet.check()
        say(started_after_s=round(started_after, 1), excess=found["excess"], worst_window=found["worst_window"])
        assert found["excess"] == 0
        assert found["admitted"] > BURST, "the burst was spent before, and what the rate lets through since was used"
