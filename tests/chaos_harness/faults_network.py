"""Faults of the network: between clients and brokers, and among brokers; each direction by itself."""
from kinds import Hold, kind

DIRECTIONS = ("both", "there", "back")


def cut(world, direction, one, other):
    """`there`: what `one` sends is lost; `back`: what it should get; or both."""
    if direction in ("both", "there"):
        world.network.cut(one, other)
    if direction in ("both", "back"):
        world.network.cut(other, one)


def cut_client(world, draw, direction, lasts, brokers=None):
    victims = world.draw_clients(draw, draw.randint(1, 2))
    hosts, brokers = [client.host for client in victims], brokers or world.broker_hosts
    cut(world, direction, hosts, brokers)
    yield Hold(world.ttl_s * lasts, to=victims, away=victims, alone=victims, note=direction)
    world.network.heal(hosts, brokers)


@kind("cut-client-short", "a client and all brokers cut off from each other for less than the time-to-live", 9, "goes on")
def cut_short(world, draw):
    yield from cut_client(world, draw, "both", draw.uniform(0.2, 0.7))


@kind("cut-client", "a client and all brokers cut off from each other for longer than the time-to-live", 18,
      "keep_share: at most its own share on top")
def cut_long(world, draw):
    yield from cut_client(world, draw, "both", draw.uniform(1.4, 3))


@kind("cut-client-sends", "one-sided: what a client sends is lost", 18, "keep_share: at most its own share on top")
def cut_what_a_client_sends(world, draw):
    yield from cut_client(world, draw, "there", draw.uniform(1.4, 3))


@kind("cut-client-receives", "one-sided: what brokers send to a client is lost", 18, "keep_share: at most its own share on top")
def cut_what_a_client_receives(world, draw):
    yield from cut_client(world, draw, "back", draw.uniform(1.4, 3))


@kind("cut-client-leader", "a client cut off from the leader alone, either or both directions", 20,
      "keep_share: at most its own share on top")
def cut_from_leader(world, draw):
    direction, leader = draw.choice(DIRECTIONS), world.draw_leader(draw)
    yield from cut_client(world, draw, direction, draw.uniform(1.4, 3), [world.broker_host(leader)])


@kind("cut-clients-leader", "all clients cut off from the leader, either or both directions", 24, "no excess: nobody can write")
def cut_all_from_leader(world, draw):
    direction, leader = draw.choice(DIRECTIONS), world.draw_leader(draw)
    hosts, broker = world.client_hosts, [world.broker_host(leader)]
    cut(world, direction, hosts, broker)
    yield Hold(world.ttl_s * draw.uniform(1.2, 2.5), to=[f"broker {leader}"], note=direction)
    world.network.heal(hosts, broker)


@kind("cut-clients", "all clients cut off from all brokers, either or both directions", 24, "no excess: nobody can write")
def cut_all(world, draw):
    direction = draw.choice(DIRECTIONS)
    cut(world, direction, world.client_hosts, world.broker_hosts)
    yield Hold(world.ttl_s * draw.uniform(1.2, 2.5), to=["all clients"], note=direction)
    world.network.heal(world.client_hosts, world.broker_hosts)


@kind("cut-broker", "the leader cut off from everybody, either or both directions", 35, "claims again within 12 s")
def cut_broker(world, draw):
    direction, leader = draw.choice(DIRECTIONS), world.draw_leader(draw)
    broker, others = [world.broker_host(leader)], [*world.client_hosts, *world.broker_hosts]
    cut(world, direction, broker, others)
    yield Hold(draw.uniform(13, 18), to=[f"broker {leader}"], note=direction)
    world.network.heal(broker, others)


@kind("cut-broker-peers", "the leader cut off from the other brokers, but not from clients", 35, "claims again within 12 s")
def cut_broker_from_peers(world, draw):
    direction, leader = draw.choice(DIRECTIONS), world.draw_leader(draw)
    broker = [world.broker_host(leader)]
    cut(world, direction, broker, world.broker_hosts)
    yield Hold(draw.uniform(13, 18), to=[f"broker {leader}"], note=direction)
    world.network.heal(broker, world.broker_hosts)


@kind("delay", "everything between clients and brokers takes 20 to 300 ms longer", 14)
def delay(world, draw):
    each_way = draw.uniform(20, 300)
    world.network.set(world.client_hosts, world.broker_hosts, delay_ms=each_way)
    world.network.set(world.broker_hosts, world.client_hosts, delay_ms=each_way)
    yield Hold(8, to=["all clients"], note=f"{each_way:.0f} ms each way")
    world.network.heal(world.client_hosts, world.broker_hosts)


@kind("late-answers", "answers to one or two clients come up to two times-to-live late", 22)
def late_answers(world, draw):
    victims = world.draw_clients(draw, draw.randint(1, 2))
    hosts, late_ms = [client.host for client in victims], 1000 * world.ttl_s * draw.uniform(0.2, 2)
    world.network.set(world.broker_hosts, hosts, delay_ms=late_ms)
    yield Hold(12, to=victims, away=victims, alone=victims, note=f"{late_ms:.0f} ms")
    world.network.heal(hosts, world.broker_hosts)


@kind("loss", "3 to 25 % of all packets between clients and brokers are lost", 20)
def loss(world, draw):
    part = draw.uniform(0.03, 0.25)
    for sources, targets in ((world.client_hosts, world.broker_hosts), (world.broker_hosts, world.client_hosts)):
        world.network.set(sources, targets, loss_ppm=int(part * 1e6))
    yield Hold(10, to=["all clients"], alone=world.clients, note=f"{part:.0%}")
    world.network.heal(world.client_hosts, world.broker_hosts)


@kind("loss-answers", "40 to 90 % of the packets that brokers send to one or two clients are lost", 20)
def loss_of_answers(world, draw):
    victims, part = world.draw_clients(draw, draw.randint(1, 2)), draw.uniform(0.4, 0.9)
    hosts = [client.host for client in victims]
    world.network.set(world.broker_hosts, hosts, loss_ppm=int(part * 1e6))
    yield Hold(10, to=victims, away=victims, alone=victims, note=f"{part:.0%}")
    world.network.heal(hosts, world.broker_hosts)
