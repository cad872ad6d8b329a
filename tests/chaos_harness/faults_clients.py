"""Faults of the processes that share a limit."""
import signal
import time

from kinds import ALONE, Hold, kind

CROWD = 64
SOON_S = 60


@kind("kill-client", "kill -9 of 1 to 3 clients, started again later", 16, "share back at once: seen to be dead on its host")
def kill_client(world, draw):
    victims = world.draw_clients(draw, draw.randint(1, 3))
    for client in victims:
        client.kill()
    yield Hold(world.ttl_s + draw.uniform(2, 3), to=victims, away=victims)
    for client in victims:
        client.start()


@kind("kill-client-restart", "kill -9 of a client, started again at once", 12, "share back at once: seen to be dead on its host")
def kill_client_and_restart(world, draw):
    victims = world.draw_clients(draw, draw.randint(1, 2))
    for client in victims:
        client.kill()
        client.start()
    yield Hold(1, to=victims)


def stop(world, draw, least, most):
    """For a time between these parts of the time-to-live."""
    victims = world.draw_clients(draw, draw.randint(1, 3))
    for client in victims:
        client.signal(signal.SIGSTOP)
    yield Hold(world.ttl_s * draw.uniform(least, most), to=victims, away=victims)
    for client in victims:
        client.signal(signal.SIGCONT)


@kind("stop-client-short", "SIGSTOP of clients for less than the time-to-live", 10, "goes on")
def stop_short(world, draw):
    yield from stop(world, draw, 0.1, 0.8)


@kind("stop-client-long", "SIGSTOP of clients for longer than the time-to-live", 18, "spends nothing of what others got")
def stop_long(world, draw):
    yield from stop(world, draw, 1.3, 2.5)


@kind("stop-client-pulses", "SIGSTOP and SIGCONT of a client in quick succession", 12, "goes on")
def stop_in_pulses(world, draw):
    victim, = world.draw_clients(draw, 1)
    for _ in range(draw.randint(8, 20)):
        victim.signal(signal.SIGSTOP)
        time.sleep(draw.uniform(0.01, 0.4))
        victim.signal(signal.SIGCONT)
        time.sleep(draw.uniform(0.01, 0.1))
    yield Hold(0.5, to=[victim])


@kind("fork-client", "a client forks, and its child asks for permits", 6, "the child is refused, nothing changes")
def fork_client(world, draw):
    able = [client for client in world.clients if client.language in ("c", "python") and client not in world.chosen]
    victims = world.choose(draw, able, 2)
    seen = {client: client.count_events("fork") for client in victims}
    for client in victims:
        client.signal(signal.SIGUSR1)
    yield Hold(1, to=victims)
    for client in victims:
        client.wait_event("fork", seen[client] + 1, SOON_S)
        last = client.last_event("fork")
        if last["granted"]:
            world.fail(f"the forked child of {client} was granted {last['granted']} permits")


@kind("crowd", f"{CROWD} processes at once, about half of them killed after some seconds", 60, beside=ALONE)
def crowd(world, draw):
    limit = draw.choice(world.limits)
    half = draw.uniform(0.3, 0.7)
    started = time.monotonic()
    workers = world.start_crowd(limit, CROWD)
    to, served = [f"{CROWD} more on {limit.name}"], 0
    # How soon depends on the computer: so many processes may be more than it can run. Not a failure, but a figure.
    while served < CROWD and time.monotonic() - started < SOON_S:
        yield Hold(0.5, to=to, away=world.clients)
        served = sum(worker.last("granted") > 0 for worker in workers)
    world.note(crowd_served=served, crowd_after_s=round(time.monotonic() - started, 1))
    yield Hold(5, to=to, away=world.clients)
    for number, worker in enumerate(workers):
        if number < half * CROWD:
            worker.kill()
        else:
            worker.stop()
    ended = time.monotonic()
    while any(worker.process.poll() is None for worker in workers):
        if time.monotonic() - ended > SOON_S:
            world.fail(f"of the crowd, not all ended within {SOON_S} s of SIGTERM")
        yield Hold(0.2, to=to, away=world.clients)
