#!/usr/bin/env python3
"""A worker in Python: spends a shared limit and records what it was granted. README.md here says how."""
import argparse
import json
import os
import signal
import struct
import sys
import threading
import time

CHECKOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python", "src")
if os.path.isdir(CHECKOUT):
    sys.path.insert(0, CHECKOUT)

import tidegate  # noqa: E402

TICK_S = 0.25
FLUSH_S = 0.04
PAUSE_S = 0.0002
WAIT_TIMEOUT_S = 1
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SIGNALS = (*ENDS, signal.SIGUSR1)
FORK_TRIES, FORK_S = 100, 5
# A call that took longer waited for its permits, or for a processor.
WAITED_NS = 1_000_000
RECORD = struct.Struct("<QQQ")
# Whole records, and more than come between two flushes: the buffer never cuts one in two.
BUFFER = RECORD.size * 65_536


class Spender(threading.Thread):
    """Asks for permits. A thread of its own, so that ticks and signals come while it waits."""

    def __init__(self, key, options, out, stop):
        super().__init__(daemon=True)
        self.key, self.options, self.out, self.stop = key, options, out, stop
        self.granted = self.denied = self.waited = 0
        self.denied_by = dict.fromkeys(tidegate.Basis, 0)
        self.last = None
        self.error = None

    def run(self):
        try:
            self.spend()
        except Exception as error:
            self.error = error
        finally:
            self.stop.set()

    def spend(self):
        key, options, stopped = self.key, self.options, self.stop.is_set
        record = (lambda *admission: None) if self.out is None else self.out.write
        spin, pace = options.mode == "spin", Pace(options.pace)
        clock, boot, pack = time.clock_gettime_ns, time.CLOCK_BOOTTIME, RECORD.pack
        while not stopped():
            before = clock(boot)
            decision = key.try_acquire() if spin else wait(key)
            after = clock(boot)
            self.last = decision
            if decision:
                self.granted += 1
                record(pack(before, after, 1))
            else:
                self.denied += 1
                self.denied_by[decision.basis] += 1
                if spin:
                    time.sleep(PAUSE_S)
            if not spin and after - before >= WAITED_NS:
                self.waited += 1
            pace.keep()


def wait(key):
    try:
        return key.acquire(timeout=WAIT_TIMEOUT_S)
    except tidegate.RateLimitExceeded as refused:
        return refused.decision


class Pace:
    """At most so many tries per second. What was missed is not made up for."""

    def __init__(self, per_second):
        self.gap = 1 / per_second if per_second else 0
        self.next = time.monotonic()

    def keep(self):
        if self.gap:
            now = time.monotonic()
            self.next = max(self.next + self.gap, now)
            time.sleep(self.next - now)


def say(**line):
    print(json.dumps(line), flush=True)


def tick(runtime, key, spender):
    status = key.status()
    basis = status.basis if spender.last is None else spender.last.basis
    say(
        event="tick", granted=spender.granted, denied=spender.denied, waited=spender.waited,
        share_rate=status.share_rate, share_burst=status.share_burst, processes=status.processes or 0,
        basis=basis.name.lower(), health=runtime.health().state.name.lower(),
        denied_by={basis.name.lower(): count for basis, count in spender.denied_by.items()},
    )


def flush(out, stop):
    while not stop.wait(FLUSH_S):
        out.flush()


def fork(key):
    """A child asks for permits; it must get none. Its exit code says how many it got."""
    child = os.fork()
    if child == 0:
        signal.alarm(FORK_S)
        granted = 0
        for _ in range(FORK_TRIES):
            try:
                granted += bool(key.try_acquire())
            except tidegate.TidegateError:
                pass
        os._exit(granted)
    _, status = os.waitpid(child, 0)
    say(event="fork", granted=os.waitstatus_to_exitcode(status))


def obey_signals(key, stop):
    """Not with sigtimedwait: CPython's takes a SIGSTOP and SIGCONT that last beyond its time-out for a signal."""
    while not stop.is_set():
        if signal.sigwait(SIGNALS) == signal.SIGUSR1:
            fork(key)
        else:
            stop.set()


def work(options, runtime, stop, out):
    limit = tidegate.Limit(options.permits, tidegate.Nanoseconds(options.period_ms * 10**6), options.burst or None)
    key = runtime.limiter(options.limiter, limit).key(options.key)
    spender = Spender(key, options, out, stop)
    if out is not None:
        # Not by the thread that ticks: a key's status may wait for half a second.
        threading.Thread(target=flush, args=(out, stop), daemon=True).start()
    threading.Thread(target=obey_signals, args=(key, stop), daemon=True).start()
    say(event="ready")
    end = time.monotonic() + options.seconds if options.seconds else None
    spender.start()
    due = time.monotonic() + TICK_S
    while not stop.is_set():
        now = time.monotonic()
        if stop.wait(max(min(due, end or due) - now, 0)) or (end and now >= end):
            stop.set()
        elif now >= due:
            due += TICK_S
            tick(runtime, key, spender)
    # A wait ends after its time-out at the latest.
    spender.join(WAIT_TIMEOUT_S + 5)
    if spender.error is not None:
        raise spender.error
    return {"granted": spender.granted, "denied": spender.denied, "records_sent": runtime.metrics().records_sent}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap-servers")
    parser.add_argument("--topic")
    parser.add_argument("--limiter", default="worker")
    parser.add_argument("--key", default="")
    parser.add_argument("--permits", type=int, required=True)
    parser.add_argument("--period-ms", type=int, default=1000)
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--ttl-ms", type=int)
    parser.add_argument("--on-outage", choices=["keep_share", "deny", "allow"])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--mode", choices=["spin", "wait"], default="spin")
    parser.add_argument("--pace", type=int, default=0)
    parser.add_argument("--out")
    return parser.parse_args()


def properties(options):
    named = {
        "bootstrap.servers": options.bootstrap_servers, "topic": options.topic, "ttl.ms": options.ttl_ms,
        "on.outage": options.on_outage,
    }
    config = {name: value for name, value in named.items() if value is not None}
    config.update(item.split("=", 1) for item in options.set)
    return config


def main():
    options = arguments()
    stop = threading.Event()
    # Taken with sigwait: what a handler may do safely is less than what is wanted. Before any thread starts.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        out = open(options.out, "wb", buffering=BUFFER) if options.out else None
        runtime = tidegate.Runtime(properties(options))
        try:
            done = work(options, runtime, stop, out)
        finally:
            if out is not None:
                out.close()
            runtime.close(timeout=5)
    except Exception as error:
        say(event="error", message=str(error) or repr(error))
        return 1
    say(event="done", **done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
