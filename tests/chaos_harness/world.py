"""Three brokers and the clients of two limits, each on a machine of its own, and what faults do to them."""
import collections
import mmap
import os
import shutil
import signal
import struct
import subprocess
import time

from cluster import Cluster, die_with_parent
from fleet import Fleet, boottime
from network import Network, address

BROKERS = (1, 2, 3)
BROKER_HOST, CLIENT_HOST, CROWD_HOST = 10, 20, 90      # + the number
CLAIMS = "rate-limiter-state-claims"
LOOK_S = 0.05
FILLED_TRIES = 10             # a few seconds each
FRESH_NS = 1_500_000_000     # a tick older than this says nothing about now
START_S = 90                 # processes that do not share by then never will
HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """The run has failed: what is wrong, in words."""


class Shim:
    """What a broker is told by shim.c: its clock and its disk."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(32))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 32)

    def _put(self, index, value):
        self.map[8 * index:8 * index + 8] = struct.pack("q", value)

    def _get(self, index):
        return struct.unpack_from("q", self.map, 8 * index)[0]

    def step_clock(self, seconds):
        self._put(0, int(seconds * 1e9))

    def slow_disk(self, milliseconds):
        self._put(1, int(milliseconds * 1000))

    stepped = property(lambda self: self._get(2))
    delayed = property(lambda self: self._get(3))


class Limit:
    """One limit, and the processes that share it. `excused` are times in which a process used a kept share alone."""

    def __init__(self, name, policy, kafka, world, permits, burst):
        self.name, self.policy, self.permits, self.burst, self.partition = name, policy, permits, burst, None
        self.fleet = Fleet(kafka.bootstrap, permits, burst, ttl_ms=world.ttl_ms, on_outage=policy,
                           folder=world.folder, limiter=name, keep_diaries=True)
        self.clients = []


class Client:
    """One of the lasting processes: a machine and a language; when it was killed, another process takes its place."""

    def __init__(self, world, limit, number, language, pace):
        self.world, self.limit, self.language, self.pace = world, limit, language, pace
        self.host = CLIENT_HOST + number
        self.name = f"{limit.name}-{number}-{language}"
        self.worker, self.workers = None, []

    def __str__(self):
        return self.name

    def start(self):
        def begin(enter=self.world.network.enter(self.host)):
            die_with_parent()
            enter()
        self.worker, = self.limit.fleet.start(language=self.language, pace=self.pace, enter=begin)
        self.workers.append(self.worker)

    def kill(self):
        self.worker.kill()
        self.worker = None

    def signal(self, what):
        """Nothing, if another fault has killed it."""
        if self.worker:
            self.worker.signal(what)

    def count_events(self, name):
        return sum(event["event"] == name for event in list(self.worker.events.queue))

    def last_event(self, name):
        return [event for event in list(self.worker.events.queue) if event["event"] == name][-1]

    def wait_event(self, name, count, timeout):
        end = time.monotonic() + timeout
        while self.count_events(name) < count:
            if time.monotonic() > end:
                raise Failure(f"{self}: no `{name}` within {timeout} s: {self.worker.trouble()}")
            time.sleep(LOOK_S)

    def tick(self):
        """Its last report if that is fresh, or None."""
        ticks = self.worker.ticks if self.worker else []
        return ticks[-1] if ticks and boottime() - ticks[-1]["at"] < FRESH_NS else None


class World:
    def __init__(self, options, folder):
        self.folder, self.ttl_ms = folder, options.ttl_ms
        self.ttl_s = options.ttl_ms / 1000
        self.notes, self.crowd, self.limits, self.clients = {}, [], [], []
        self.brokers = list(BROKERS)
        self.network = self.kafka = None
        self.sabotaged = options.sabotage
        self.chosen = set()                # clients that a fault of this injection is about
        self.moved = False                 # limits may be in other partitions than before
        self.roles = collections.Counter()

    def start(self, shape):
        """`shape`: (name, policy, permits, burst, languages, tries per second of each) of each limit."""
        languages = [(name, language) for name, _, _, _, languages, _ in shape for language in languages]
        hosts = [BROKER_HOST + n for n in BROKERS] + [CLIENT_HOST + n for n in range(len(languages))] + [CROWD_HOST]
        self.network = Network(hosts, self.folder)
        library = os.path.join(self.folder, "shim.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "shim.c"), "-ldl"], check=True)
        self.shims, machines = {}, {}
        for broker in BROKERS:
            path = os.path.join(self.folder, f"shim-{broker}")
            self.shims[broker] = Shim(path)
            machines[broker] = (address(BROKER_HOST + broker), self.network.enter(BROKER_HOST + broker),
                                {"LD_PRELOAD": library, "TIDEGATE_SHIM": path})
        self.kafka = Cluster(len(BROKERS), default_timeouts=True, machines=machines)
        self.kafka.start()
        for name, policy, permits, burst, languages, pace in shape:
            limit = Limit(name, policy, self.kafka, self, permits, burst)
            self.limits.append(limit)
            for language in languages:
                client = Client(self, limit, len(self.clients), language, pace)
                limit.clients.append(client)
                self.clients.append(client)
                client.start()
            self.wait_all_share(limit)
            if self.sabotaged == "local":
                # No brokers: the whole limit once more, for itself. The run must fail.
                limit.fleet.start(pace=pace, bootstrap_servers=None, enter=die_with_parent)
        self.find_partitions()

    def wait_all_share(self, limit, timeout=START_S):
        end = time.monotonic() + timeout
        while not settled(limit, limit.clients):
            self.look()
            if time.monotonic() > end:
                raise Failure(f"not all share {limit.name} within {timeout} s: {self.describe(limit)}")
            time.sleep(LOOK_S)

    def find_partitions(self):
        """Which partition of the claims each limit is in: the one that its heartbeats fill. Waits for some of them."""
        for limit in self.limits:
            others = [client for other in self.limits if other is not limit for client in other.clients]
            for client in others:
                client.signal(signal.SIGSTOP)
            try:
                limit.partition = self.filled_partition(limit)
            finally:
                for client in others:
                    client.signal(signal.SIGCONT)
        self.moved = False
        time.sleep(1)

    def filled_partition(self, limit):
        """The one that is filled most, once all partitions say where they end."""
        for _ in range(FILLED_TRIES):
            time.sleep(0.3)      # what others sent has arrived
            before = self.kafka.end_offsets(CLAIMS)
            time.sleep(max(0.5, self.ttl_s / 3))
            after = self.kafka.end_offsets(CLAIMS)
            if None not in [*before.values(), *after.values()] and before.keys() == after.keys():
                grown = {at: end - before[at] for at, end in after.items()}
                partition = max(grown, key=grown.get, default=None)
                if grown.get(partition):
                    return partition
        raise Failure(f"which partition {limit.name} is in could not be seen: they ended at {before}, then at {after}")

    # Who and where

    @property
    def client_hosts(self):
        return [client.host for client in self.clients] + [CROWD_HOST]

    @property
    def broker_hosts(self):
        return [self.broker_host(broker) for broker in self.brokers]

    def broker_host(self, broker):
        return BROKER_HOST + broker

    def draw_clients(self, draw, count):
        """Of one limit, of which some are left. None that another fault of this injection has:
        what is stopped cannot do what the other one waits for."""
        free = [[client for client in limit.clients if client not in self.chosen] for limit in self.limits]
        limit, clients = draw.choice([each for each in zip(self.limits, free) if each[1]])
        return self.choose(draw, clients, min(count, len(limit.clients) - 1))

    def choose(self, draw, clients, count):
        """Of these, for the fault that asks alone."""
        drawn = draw.sample(clients, min(count, len(clients)))
        self.chosen.update(drawn)
        return drawn

    def leaders(self):
        return {limit.name: self.kafka.leader(CLAIMS, limit.partition) for limit in self.limits}

    def draw_leader(self, draw):
        name = draw.choice([limit.name for limit in self.limits])
        end = time.monotonic() + START_S
        while not (leader := self.leaders()[name]):
            if time.monotonic() > end:
                raise Failure(f"the partition of {name} has no leader after {START_S} s")
            time.sleep(LOOK_S)
        return leader

    def draw_follower(self, draw):
        """A broker that leads neither limit's partition; if both lead, one that does not lead the first."""
        leaders = self.leaders()
        able = [broker for broker in self.brokers if broker not in leaders.values()]
        return draw.choice(able or [broker for broker in self.brokers if broker != leaders[self.limits[0].name]])

    def controller(self):
        end = time.monotonic() + START_S
        while not (found := self.kafka.controller()):
            if time.monotonic() > end:
                raise Failure(f"no active controller after {START_S} s")
            time.sleep(LOOK_S)
        return found

    def describe_broker(self, broker):
        """With its roles; said before the fault takes them."""
        roles = [f"leads {name}" for name, leader in self.leaders_if_known().items() if leader == broker]
        if self.kafka.controller() == broker:
            roles.append("controller")
        return f"broker {broker} ({', '.join(roles) or 'follower'})"

    def leaders_if_known(self):
        try:
            return self.leaders()
        except RuntimeError:
            return {}

    # What faults need

    def brokers_up(self):
        """Whether all brokers answer, and each sees all."""
        return len(self.kafka.alive()) == len(self.brokers) and all(self.kafka.sees_all(broker) for broker in self.brokers)

    def start_crowd(self, limit, count):
        def begin(enter=self.network.enter(CROWD_HOST)):
            die_with_parent()
            enter()
        # With the library's own time-to-live: the short one of the others is to show much in little time.
        options = {"pace": 20, "ttl_ms": 15_000}
        return [limit.fleet.start(language="c" if n % 2 else "rust", enter=begin, **options)[0] for n in range(count)]

    def note(self, **facts):
        self.notes.update(facts)

    def must_have_hit(self, count, what):
        """A fault that reached nothing proves nothing."""
        self.note(hits=count)
        if count <= 0:
            raise Failure(f"the fault did not reach anything: never true that {what}")

    def fail(self, why):
        raise Failure(why)

    # Watching

    def look(self):
        """Fails if a process ended that should run."""
        for client in self.clients:
            if client.worker and client.worker.process.poll() is not None:
                raise Failure(f"{client} ended with {client.worker.process.returncode}: {client.worker.trouble()}")

    def describe(self, limit):
        seen = []
        for client in limit.clients:
            last = client.worker.ticks[-1] if client.worker and client.worker.ticks else None
            fields = {name: last[name] for name in ("basis", "health", "share_rate", "processes")} if last else None
            age = round((boottime() - last["at"]) / 1e9, 1) if last else None
            seen.append(f"{client}: {fields} {age} s ago {(last or {}).get('health_message') or ''}")
        return "; ".join(seen)

    def stop(self):
        """Ends everything that was started. May be called at any time."""
        for limit in self.limits:
            for worker in limit.fleet.workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGCONT)
                    worker.kill()
        if self.kafka:
            for broker in self.kafka.alive():
                self.kafka.signal(broker, signal.SIGCONT)
            self.kafka.kill_all()
            for broker in self.brokers:
                if os.path.exists(self.kafka.log(broker)):
                    shutil.copy(self.kafka.log(broker), self.folder)
            self.kafka.stop()
        if self.network:
            self.network.stop()
            self.network = None


def settled(limit, clients):
    """Whether `clients` share the whole limit among them, and each has at least half of an equal part."""
    ticks = [client.tick() for client in clients]
    if not ticks or any(tick is None or tick["basis"] != "shared" for tick in ticks):
        return False
    rates = [tick["share_rate"] for tick in ticks]
    return sum(rates) >= 0.93 * limit.permits and min(rates) >= 0.5 * limit.permits / len(rates)
