"""What was admitted, and whether it was too much: from the workers' own records, by `tidegate check`."""
import array
import json
import math
import os
import subprocess

from fleet import TIDEGATE

RECORD = 24
# A tick is 250 ms apart from the next: a process may have kept its share for so long before it said so.
TICK_NS = 500_000_000
NS = 1_000_000_000


class Admissions:
    """What one process recorded, read as it grows: before, after, permits; in order."""

    def __init__(self, path):
        self.path, self.read_bytes, self.numbers = path, 0, array.array("Q")

    def read(self):
        try:
            size = os.path.getsize(self.path) // RECORD * RECORD
        except FileNotFoundError:
            return
        if size > self.read_bytes:
            with open(self.path, "rb") as file:
                file.seek(self.read_bytes)
                self.numbers.frombytes(file.read(size - self.read_bytes))
            self.read_bytes = size

    def forget(self, until):
        """Drops what was over before `until`: long runs must not fill the memory."""
        del self.numbers[:3 * self.first(until)]

    def first(self, time):
        """The index of the first admission that was over at `time` or later."""
        low, high = 0, len(self.numbers) // 3
        while low < high:
            middle = (low + high) // 2
            if self.numbers[3 * middle + 1] < time:
                low = middle + 1
            else:
                high = middle
        return low

    def between(self, start, end):
        """(after, permits) of all that was over in [start, end)."""
        return zip(self.numbers[3 * self.first(start) + 1:3 * self.first(end):3], self.numbers[3 * self.first(start) + 2:3 * self.first(end):3])

    def bytes(self, start, end):
        return self.numbers[3 * self.first(start):3 * self.first(end)].tobytes()


def check(limit, pieces, folder):
    """`tidegate check` over records as bytes, one piece a process: the excess that is certain, and where."""
    paths = []
    for number, piece in enumerate(piece for piece in pieces if piece):
        paths.append(os.path.join(folder, f"piece-{number}"))
        with open(paths[-1], "wb") as file:
            file.write(piece)
    if not paths:
        return {"excess": 0.0, "admitted": 0, "worst_window": {"start_ns": 0, "length_ns": 0, "admitted": 0, "allowed": 0}}
    arguments = [text for name, value in limit.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run([TIDEGATE, "check", "--json", *arguments, *paths], capture_output=True, text=True, check=False)
    for path in paths:
        os.unlink(path)
    if not done.stdout.strip():
        raise RuntimeError(f"tidegate check: {done.stderr}")
    return json.loads(done.stdout)


def own_share(ticks):
    """The largest share that a process reported, as a limit of its own; rounded up, to a permit in a thousand seconds."""
    rate = max(math.ceil(1000 * tick["share_rate"]) for tick in ticks)
    burst = max(math.ceil(tick["share_burst"]) for tick in ticks)
    return {"permits": max(rate, 1), "period_ms": 1_000_000, "burst": max(burst, 1)}


def kept_alone(ticks, start):
    """When a process that was cut off at `start` used a share that it could not renew, by its own reports: from the last report
    before it kept, to the first after `start` that it shared again (None: not yet). None if it never kept.
    """
    begun, last = None, start
    for tick in ticks:
        if tick["at"] < start:
            continue
        if begun is None and tick["basis"] == "kept_share":
            begun = max(start, last - TICK_NS)
        elif begun is not None and tick["basis"] == "shared":
            return begun, tick["at"]
        last = tick["at"]
    return (begun, None) if begun is not None else None


def is_excused(excused, at):
    return any(start <= at and (end is None or at < end) for start, end in excused)


def without(pieces, excused):
    """Of the records of one process, those that are outside of all `excused` times."""
    numbers, kept = array.array("Q", pieces), array.array("Q")
    for at in range(0, len(numbers), 3):
        if not is_excused(excused, numbers[at + 1]):
            kept.extend(numbers[at:at + 3])
    return kept.tobytes()


class VirtualQueue:
    """What the limit's one exact bucket would have in use: never above its burst, if the limit holds."""

    def __init__(self, permits, burst):
        self.rate, self.burst, self.used, self.at = permits / NS, burst, 0.0, None

    def add(self, at, permits):
        if self.at is not None:
            self.used = max(0.0, self.used - self.rate * max(0, at - self.at))
        self.at = at if self.at is None else max(at, self.at)
        self.used += permits
        return self.used


class Series:
    """Second by second: what each process was admitted, and how full the worst window was."""

    def __init__(self, limit):
        self.limit, self.queue = limit, VirtualQueue(limit.permits, limit.burst)

    def rows(self, admissions, start, end):
        """One row for each whole second from `start` to `end`. `admissions`: name -> list of (Admissions, excused times)."""
        merged = sorted((at, permits, name, is_excused(excused, at)) for name, logs in admissions.items()
                        for log, excused in logs for at, permits in log.between(start, end))
        seconds = {}
        for at, permits, name, excused in merged:
            row = seconds.setdefault(at // NS, {"admitted": {}, "worst": 0.0})
            row["admitted"][name] = row["admitted"].get(name, 0) + permits
            if not excused:
                row["worst"] = max(row["worst"], self.queue.add(at, permits))
        for second in range(start // NS, end // NS):
            row = seconds.get(second, {"admitted": {}, "worst": 0.0})
            yield {"event": "second", "limit": self.limit.name, "at_s": second, "admitted": row["admitted"],
                   "worst_window": round(row["worst"] / self.limit.burst, 4)}
