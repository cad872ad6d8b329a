"""Faults of the topics themselves. A topic that is deleted is none of them: what it said about the shares is gone, and with
it the promise (docs/internals/protocol.md, "Assumed").
"""
import signal
import time

import wire
from kinds import Hold, kind

TOPIC = "rate-limiter-state"
CLAIMS = f"{TOPIC}-claims"
PARTITIONS_MAX = 200
# The topics are looked at every 30 s.
NOTICED_S = 35
# How long, and how often, a partition's leader is asked: it may be stopped, or wait for a follower that is, until that is no
# longer in sync.
LEADER_S, LEADER_AGAIN_S = 90, 1
# Written so long ago, all that run have read it, even where packets are lost.
READ_BY_SOMEBODY_S = 3


def broker(world, node):
    return world.kafka.host(node), world.kafka.ports[node]


def added(world, wanted):
    """Whether the topic has so many partitions, after it was asked for once."""
    for node in world.kafka.alive():
        try:
            if len(world.kafka.metadata([TOPIC])["topics"][TOPIC]) < wanted:
                wire.create_partitions(*broker(world, node), TOPIC, wanted)
            return True
        except (OSError, RuntimeError):      # no answer, or one that an earlier try has made true
            continue
    return False


@kind("add-partitions", "partitions added to the topic", 60)
def add_partitions(world, draw):
    kafka = world.kafka
    has = len(kafka.metadata([CLAIMS])["topics"][CLAIMS])
    wanted = has + draw.randrange(1, 4)
    if wanted > PARTITIONS_MAX:
        yield Hold(0, to=[TOPIC], note=f"{has} partitions are enough", happened=False)
        return
    note, until = f"{has} to {wanted} partitions", time.monotonic() + LEADER_S
    # Another fault may have stopped or cut off who has to do it.
    while not added(world, wanted):
        if time.monotonic() > until:
            world.fail(f"{TOPIC} has not got {wanted} partitions within {LEADER_S} s")
        yield Hold(LEADER_AGAIN_S, to=[TOPIC], note=note)
    yield Hold(NOTICED_S, to=[TOPIC], note=note)
    world.moved = True


def ask_leader(world, partition, what):
    """Asks the partition's leader. Who leads it may have been lost in an earlier fault, and be named still."""
    until, why = time.monotonic() + LEADER_S, "nobody leads it"
    while time.monotonic() < until:
        leader = world.kafka.leader(CLAIMS, partition)
        try:
            if leader:
                answer = what(*broker(world, leader))
                if answer is not None:
                    return answer
        except OSError as error:
            why = error
        time.sleep(LEADER_AGAIN_S)
    world.fail(f"the leader of partition {partition} did not do what it was asked for within {LEADER_S} s: {why}")
    return None


# Only with faults of clients: what the log loses before anybody has read it is lost, and only after eleven minutes of silence does
# the partition start empty.
@kind("remove-records", "everything read so far removed from the log, while one process is stopped", 30, beside={"clients"})
def remove_records(world, draw):
    (client,) = world.draw_clients(draw, 1)
    client.signal(signal.SIGSTOP)
    yield Hold(draw.uniform(0.2, 1.2) * world.ttl_s, to=[client], away=[client])
    partitions = {limit.partition for limit in world.limits}
    below = {at: ask_leader(world, at, lambda host, port, at=at: wire.end_offset(host, port, CLAIMS, at)) for at in partitions}
    yield Hold(READ_BY_SOMEBODY_S, to=[client], away=[client])
    for at, offset in below.items():
        ask_leader(world, at, lambda host, port, one={at: offset}: wire.delete_records(host, port, CLAIMS, one) or True)
    client.signal(signal.SIGCONT)
    yield Hold(1, to=[client], away=[client])
