#!/usr/bin/env python3
"""Real Apache Kafka brokers (KRaft, from Maven Central) for tests, without a container.

    tests/kafka/cluster.py --brokers 3 -- COMMAND...   runs COMMAND with TIDEGATE_TEST_KAFKA=127.0.0.1:p1,127.0.0.1:p2,...
    tests/kafka/cluster.py --brokers 1                 prints the address, serves until stdin closes or ctrl-c; obeys lines
                                                       on stdin, each answered by one: kill N | restart N | leader TOPIC P |
                                                       elect TOPIC P (the preferred leader; `no` if it cannot be)
    --secure adds listeners with login and TLS (see secure.py) and sets TIDEGATE_TEST_KAFKA_LOGIN, _TLS, .. (see environment)

In Python: `with Cluster(brokers=3) as kafka: kafka.kill(kafka.leader(topic, 0))`. Standard library only. Needs Java 17, and
Maven once. Everything started here ends with this process, however it ends (parent-death signal), and is told by its process id.
"""
import argparse
import atexit
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jars  # noqa: E402
import secure  # noqa: E402
import wire  # noqa: E402

READY_S = 90          # brokers that are not up by then never will be
STARTS = 3            # a port may be taken between its choice and its use: so many tries
CLUSTER_ID = "dGlkZWdhdGUtdGVzdHMtMA"
HEAP = ["-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# Below Linux's ephemeral ports (32768..): no outgoing connection takes the port of a broker that is down for a while.
PORTS = (20000, 32000)

COMMON = """
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
process.roles=broker,controller
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
num.replica.fetchers=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
log.retention.check.interval.ms=5000
log.initial.task.delay.ms=1000
log.cleaner.backoff.ms=1000
log.segment.delete.delay.ms=1000
"""
QUICK_FAILOVER = """
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
replica.lag.time.max.ms=5000
"""


def free_ports(count):
    """Ports that nobody listens on now; all are held until all are found."""
    held = []
    try:
        while len(held) < count:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", random.SystemRandom().randrange(*PORTS)))
                held.append(one)
            except OSError:
                one.close()
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster:
    """`brokers` combined nodes (broker and controller each), numbered from 1. The address is known before the start.

    `machines`: what each node runs on, if not simply here: node -> its address, what its process does first, its environment.
    """

    def __init__(self, brokers=1, default_timeouts=False, overrides=None, with_login=False, machines=None):
        self.machines = machines or {node: ("127.0.0.1", None, {}) for node in range(1, brokers + 1)}
        self.size, self.default_timeouts, self.overrides = brokers, default_timeouts, overrides or {}
        self.processes = {}                                  # node -> Popen
        self.folder = tempfile.mkdtemp(prefix="tidegate-kafka-")
        self.libs = None
        self.secure = secure.Listeners(self.folder) if with_login else None
        self._choose_ports()
        atexit.register(self.stop)

    def _choose_ports(self):
        ports = free_ports(5 * self.size)
        nodes = range(1, self.size + 1)
        self.ports, self.controllers, self.login_ports, self.tls_ports, self.login_tls_ports = (
            dict(zip(nodes, ports[i * self.size:])) for i in range(5))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def bootstrap(self):
        return ",".join(f"{self.host(node)}:{port}" for node, port in self.ports.items())

    def host(self, node):
        return self.machines[node][0]

    def environment(self):
        """What tests are told."""
        told = {"TIDEGATE_TEST_KAFKA": self.bootstrap, "TIDEGATE_TEST_KAFKA_BROKERS": str(self.size)}
        if self.secure:
            for name, ports in (("LOGIN", self.login_ports), ("TLS", self.tls_ports), ("LOGINTLS", self.login_tls_ports)):
                told[f"TIDEGATE_TEST_KAFKA_{name}"] = ",".join(f"127.0.0.1:{port}" for port in ports.values())
            told["TIDEGATE_TEST_KAFKA_CA"] = self.secure.certificate
            told["TIDEGATE_TEST_KAFKA_OTHER_CA"] = self.secure.other
        return told

    def log(self, node):
        return os.path.join(self.folder, f"broker-{node}.log")

    def _write_properties(self, node):
        copies, insync = min(3, self.size), 2 if self.size >= 3 else 1
        voters = ",".join(f"{n}@{self.host(n)}:{p}" for n, p in self.controllers.items())
        text = COMMON + ("" if self.default_timeouts else QUICK_FAILOVER) + f"""
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{self.host(node)}:{self.ports[node]},CONTROLLER://{self.host(node)}:{self.controllers[node]}
advertised.listeners=PLAINTEXT://{self.host(node)}:{self.ports[node]}
log.dirs={self.folder}/data-{node}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={insync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={insync}
min.insync.replicas={insync}
""" + "".join(f"{name}={value}\n" for name, value in self.overrides.items())
        if self.secure:
            text = self.secure.add(text, self.login_ports[node], self.tls_ports[node], self.login_tls_ports[node])
        with open(self._properties(node), "w", encoding="ascii") as out:
            out.write(text)

    def _properties(self, node):
        return os.path.join(self.folder, f"broker-{node}.properties")

    def _java(self, node, *arguments):
        command = ["java", *HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                   "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", os.path.join(self.libs, "*"), *arguments]
        _, enter, environment = self.machines[node]

        def begin():
            die_with_parent()
            if enter:
                enter()
        with open(self.log(node), "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                    start_new_session=True, preexec_fn=begin, env=dict(os.environ, **environment))

    def _format(self):
        formats = {}
        for node in self.ports:
            self._write_properties(node)
            formats[node] = self._java(node, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID,
                                       "-c", self._properties(node), "--ignore-formatted",
                                       *(secure.FORMAT if self.secure else ()))
        for node, process in formats.items():
            if process.wait(READY_S):
                raise RuntimeError(f"formatting broker {node} failed:\n{self.tail(node)}")

    def _launch(self, node):
        self.processes[node] = self._java(node, "kafka.Kafka", self._properties(node))

    def start(self):
        """Formats and starts all brokers, returns when a client sees all of them."""
        self.libs = jars.fetch()
        for attempt in range(1, STARTS + 1):
            try:
                self._format()
                for node in self.ports:
                    self._launch(node)
                self.wait_ready()
                if self.secure:
                    wire.create_acls("127.0.0.1", self.ports[1], secure.GRANTED)
                return self
            except RuntimeError:
                taken = any("Address already in use" in self.tail(node) for node in self.ports)
                self.kill_all()
                if attempt == STARTS or not taken:
                    raise
                for node in self.ports:
                    shutil.rmtree(os.path.join(self.folder, f"data-{node}"), ignore_errors=True)
                    os.unlink(self.log(node))
                self._choose_ports()
        return self

    def wait_ready(self, nodes=None, timeout=READY_S):
        """Until each of `nodes` (default: all that run) answers and sees all of them."""
        nodes = set(nodes or self.processes)
        end = time.monotonic() + timeout
        for node in nodes:
            while True:
                process = self.processes[node]
                if process.poll() is not None:
                    raise RuntimeError(f"broker {node} ended with {process.returncode}:\n{self.tail(node)}")
                if self.sees_all(node, nodes):
                    break
                if time.monotonic() > end:
                    raise RuntimeError(f"broker {node} not ready after {timeout} s:\n{self.tail(node)}")
                time.sleep(0.05)

    def sees_all(self, node, nodes=None):
        """Whether the broker answers, and sees `nodes` (default: all that run)."""
        try:
            return set(nodes or self.alive()) <= set(wire.metadata(self.host(node), self.ports[node])["brokers"])
        except (OSError, ConnectionError, IndexError):
            return False

    def metadata(self, topics=None):
        """From any broker that answers."""
        last = None
        for node, process in self.processes.items():
            if process.poll() is None:
                try:
                    return wire.metadata(self.host(node), self.ports[node], topics)
                except OSError as error:
                    last = error
        raise RuntimeError(f"no broker answers: {last}")

    def leader(self, topic, partition):
        """The node that leads the partition, or None when it has no leader (or does not exist)."""
        found = self.metadata([topic])["topics"].get(topic, {}).get(partition)
        return found["leader"] if found and found["leader"] > 0 else None

    def controller(self):
        """The node that is the active controller now, or None. (Metadata names any broker.)"""
        for node in self.alive():
            try:
                found = wire.quorum_leader(self.host(node), self.ports[node])
            except OSError:
                continue
            if found and found > 0:
                return found
        return None

    def end_offsets(self, topic):
        """Where each partition ends now; None of one that has no leader or would not say."""
        found = {}
        for partition, state in self.metadata([topic])["topics"].get(topic, {}).items():
            leader = state["leader"]
            try:
                found[partition] = wire.end_offset(self.host(leader), self.ports[leader], topic, partition) if leader in self.ports else None
            except OSError:
                found[partition] = None
        return found

    def alive(self):
        return [node for node, process in self.processes.items() if process.poll() is None]

    def signal(self, node, what):
        self.processes[node].send_signal(what)

    def kill(self, node):
        """kill -9."""
        self.processes[node].kill()
        self.processes[node].wait()

    def pause(self, node):
        self.signal(node, signal.SIGSTOP)

    def resume(self, node):
        self.signal(node, signal.SIGCONT)

    def restart(self, node, clean=True, wait=True):
        """Ends the broker (clean: SIGTERM, it hands its partitions over first) and starts it again on its own files."""
        process = self.processes[node]
        if process.poll() is None and clean:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        if process.poll() is None:
            self.kill(node)
        self._launch(node)
        if wait:
            self.wait_ready()

    def kill_all(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def tail(self, node, size=3000):
        try:
            with open(self.log(node), encoding="utf-8", errors="replace") as log:
                return log.read()[-size:]
        except OSError:
            return "(no log)"

    def stop(self):
        """Ends everything and removes its files. May be called twice."""
        self.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)


def obey(kafka, line):
    """One line of stdin; the answer."""
    what, *rest = line.split()
    if what == "kill":
        kafka.kill(int(rest[0]))
    elif what == "restart":
        kafka.restart(int(rest[0]), clean=False, wait=False)
    elif what == "leader":
        return str(kafka.leader(rest[0], int(rest[1])))
    elif what == "elect":
        node = kafka.alive()[0]
        try:
            done = wire.elect_preferred(kafka.host(node), kafka.ports[node], rest[0], int(rest[1]))
        except OSError:                                          # one that was just started
            done = False
        return "ok" if done else "no"
    else:
        return f"unknown: {what}"
    return "ok"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--brokers", type=int, default=1, choices=(1, 2, 3))
    arguments.add_argument("--default-timeouts", action="store_true", help="Kafka's own fail-over times (9-12 s), not short ones")
    arguments.add_argument("--secure", action="store_true", help="listeners with login and TLS, too")
    arguments.add_argument("command", nargs="*")
    options = arguments.parse_args()
    reason = jars.missing_tools() or (secure.missing_tools() if options.secure else None)
    if reason:
        print(reason, file=sys.stderr)
        return 2
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda number, _frame: sys.exit(128 + number))
    with Cluster(options.brokers, options.default_timeouts, with_login=options.secure) as kafka:
        if not options.command:
            print(kafka.bootstrap, flush=True)
            try:
                for line in sys.stdin:
                    print(obey(kafka, line), flush=True)
            except KeyboardInterrupt:
                pass
            return 0
        env = dict(os.environ, **kafka.environment())
        child = subprocess.Popen(options.command, env=env, preexec_fn=die_with_parent)
        try:
            code = child.wait()
        except KeyboardInterrupt:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if code:
            for node in kafka.ports:
                print(f"--- broker {node}\n{kafka.tail(node)}", file=sys.stderr)
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
