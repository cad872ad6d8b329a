"""Faults of the brokers."""
import signal
import time

from kinds import ALONE, Hold, kind
from world import START_S

STEP_S = 30
OUTAGE_S = 40
CLEAN_END_S = 30
CLAIMS_AGAIN = "no drop under keep_share; claims again within 12 s"


def start(world, brokers, to):
    """Starts brokers that were killed, and waits until all see each other."""
    for broker in brokers:
        world.kafka.restart(broker, clean=False, wait=False)
    started = time.monotonic()
    while not world.brokers_up():
        if time.monotonic() - started > START_S:
            world.fail(f"the brokers are not up again within {START_S} s")
        yield Hold(0.2, to=to)


def kill(world, broker, lasts):
    name = world.describe_broker(broker)
    world.kafka.kill(broker)
    yield Hold(lasts, to=[name])
    yield from start(world, [broker], [name])


def stop(world, broker, lasts):
    name = world.describe_broker(broker)
    world.kafka.signal(broker, signal.SIGSTOP)
    yield Hold(lasts, to=[name])
    world.kafka.signal(broker, signal.SIGCONT)


@kind("kill-leader", "kill -9 of the leader of a limit's partition, started again later", 35, CLAIMS_AGAIN)
def kill_leader(world, draw):
    yield from kill(world, world.draw_leader(draw), draw.uniform(14, 18))


@kind("kill-follower", "kill -9 of a follower, started again later", 28)
def kill_follower(world, draw):
    yield from kill(world, world.draw_follower(draw), draw.uniform(8, 14))


@kind("kill-controller", "kill -9 of the active controller, started again later", 35)
def kill_controller(world, draw):
    yield from kill(world, world.controller(), draw.uniform(12, 16))


@kind("stop-leader-short", "SIGSTOP of the leader for less than Kafka takes to notice", 18)
def stop_leader_shortly(world, draw):
    yield from stop(world, world.draw_leader(draw), draw.uniform(1, 7))


@kind("stop-leader-long", "SIGSTOP of the leader until another broker leads", 35, "no drop under keep_share")
def stop_leader_long(world, draw):
    yield from stop(world, world.draw_leader(draw), draw.uniform(13, 20))


@kind("stop-follower", "SIGSTOP of a follower", 25)
def stop_follower(world, draw):
    yield from stop(world, world.draw_follower(draw), draw.uniform(2, 16))


@kind("stop-controller", "SIGSTOP of the active controller", 30)
def stop_controller(world, draw):
    yield from stop(world, world.controller(), draw.uniform(4, 14))


@kind("rolling-restart", "all brokers restarted cleanly, one after the other", 60, beside=ALONE)
def rolling_restart(world, draw):
    order = draw.sample(world.brokers, len(world.brokers))
    for broker in order:
        world.kafka.signal(broker, signal.SIGTERM)
        started = time.monotonic()
        while broker in world.kafka.alive() and time.monotonic() - started < CLEAN_END_S:
            yield Hold(0.2, to=[f"brokers {order}"])
        yield from start(world, [broker], [f"brokers {order}"])


@kind("outage", f"all brokers killed with -9 for {OUTAGE_S} s", 85, "keep_share: no refusal, no excess", beside=ALONE)
def outage(world, _draw):
    for broker in world.brokers:
        world.kafka.kill(broker)
    yield Hold(OUTAGE_S, to=["all brokers"])
    yield from start(world, world.brokers, ["all brokers"])


@kind("clock-step", f"a broker's wall clock jumps {STEP_S} s forth or back, and returns", 18)
def clock_step(world, draw):
    broker = draw.choice([world.draw_leader(draw), world.draw_follower(draw), world.controller()])
    step = draw.choice([-STEP_S, STEP_S])
    shim = world.shims[broker]
    before = shim.stepped
    shim.step_clock(step)
    yield Hold(draw.uniform(5, 9), to=[world.describe_broker(broker)], note=f"{step:+} s")
    shim.step_clock(0)
    world.must_have_hit(shim.stepped - before, f"the stepped clock of broker {broker} was read")


@kind("slow-disk", "each write to the leader's disk takes 20 to 800 ms longer", 20)
def slow_disk(world, draw):
    broker, delay_ms = world.draw_leader(draw), draw.uniform(20, 800)
    shim = world.shims[broker]
    before = shim.delayed
    shim.slow_disk(delay_ms)
    yield Hold(10, to=[world.describe_broker(broker)], note=f"{delay_ms:.0f} ms")
    shim.slow_disk(0)
    world.must_have_hit(shim.delayed - before, f"writes of broker {broker} were slow")


@kind("stop-pulses", "SIGSTOP and SIGCONT of the leader in quick succession", 18)
def stop_in_pulses(world, draw):
    broker = world.draw_leader(draw)
    name = world.describe_broker(broker)
    for _ in range(draw.randint(5, 12)):
        world.kafka.signal(broker, signal.SIGSTOP)
        time.sleep(draw.uniform(0.05, 0.8))
        world.kafka.signal(broker, signal.SIGCONT)
        time.sleep(draw.uniform(0.02, 0.3))
    yield Hold(0.5, to=[name])
