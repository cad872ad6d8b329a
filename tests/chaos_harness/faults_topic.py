"""Faults of the topics themselves. A topic that is deleted is none of them: what it said about the shares is gone, and with
it the promise (docs/internals/protocol.md, "Assumed").
"""
import signal
import time

import wire
from kinds import Hold, kind

TOPIC = "rate-limiter-state"
CLAIMS = f"{TOPIC}-claims"
PARTITIONS_MAX = 60
# The topics are looked at every 30 s.
NOTICED_S = 35
# How long, and how often, a partition's leader is asked: it may be stopped, or wait for a follower that is, until that is no
# longer in sync.
LEADER_S, LEADER_AGAIN_S = 90, 1


def broker(world, node):
    return world.kafka.host(node), world.kafka.ports[node]


@kind("add-partitions", "partitions added to the topic", 60)
def add_partitions(world, draw):
    kafka = world.kafka
    has = len(kafka.metadata([CLAIMS])["topics"][CLAIMS])
    wanted = has + draw.randrange(4, 13)
    if wanted > PARTITIONS_MAX:
        yield Hold(0, to=[TOPIC], note=f"{has} partitions are enough")
        return
    wire.create_partitions(*broker(world, kafka.alive()[0]), TOPIC, wanted)
    yield Hold(NOTICED_S, to=[TOPIC], note=f"{has} to {wanted} partitions")
    world.find_partitions()


def remove(world, partition):
    """Removes what the partition holds. Who leads it may have been lost in an earlier fault, and be named still."""
    until, why = time.monotonic() + LEADER_S, "nobody leads it"
    while time.monotonic() < until:
        leader = world.kafka.leader(CLAIMS, partition)
        try:
            if leader:
                wire.delete_records(*broker(world, leader), CLAIMS, [partition])
                return
        except OSError as error:
            why = error
        time.sleep(LEADER_AGAIN_S)
    world.fail(f"the records of partition {partition} could not be removed within {LEADER_S} s: {why}")


@kind("remove-records", "everything read so far removed from the log, while one process is stopped", 30)
def remove_records(world, draw):
    (client,) = world.draw_clients(draw, 1)
    client.signal(signal.SIGSTOP)
    yield Hold(draw.uniform(0.5, 2) * world.ttl_s, to=[client], away=[client])
    for limit in world.limits:
        remove(world, limit.partition)
    client.signal(signal.SIGCONT)
    yield Hold(1, to=[client], away=[client])
