"""One run: faults one after the other, each watched, measured, and judged."""
import json
import os
import subprocess
import time
import traceback

import kinds
from fleet import boottime
from measure import Admissions, NS, Series, check, kept_alone, own_share, without
from plan import draw_plan
from world import Failure, LOOK_S, World, settled

RECOVERY_S = 90              # a limit that is not shared again by then never will be
FLUSH_NS = 200_000_000       # what was admitted earlier is in the files
STRICT = ("rust", "c", "python", "dotnet", "rust", "c", "python", "dotnet")
KEPT = ("rust", "c", "python", "dotnet")
PERMITS, BURST = 400, 800
# Name, policy, permits per second, burst, languages, tries per second of each: twice what the limit allows.
SHAPE = (("strict", "deny", PERMITS, BURST, STRICT, 100), ("kept", "keep_share", PERMITS, BURST, KEPT, 200))


def commit():
    """Of the tree that is run, for the ledger; a tree that is changed says so."""
    # As root in another user's tree git asks to be trusted.
    git = ["git", "-c", "safe.directory=*", "-C", os.path.dirname(os.path.abspath(__file__))]

    def said(*arguments):
        return subprocess.run([*git, *arguments], capture_output=True, text=True, check=False).stdout.strip()
    return (said("rev-parse", "--short=10", "HEAD") or "unknown") + ("+changes" if said("status", "--porcelain", "-uno") else "")


class Watch:
    """When a limit was shared in full, and when not, by the clients that could take part."""

    def __init__(self, limit):
        self.limit, self.changes = limit, []

    def look(self, away):
        now = settled(self.limit, [client for client in self.limit.clients if client not in away and client.worker])
        if not self.changes or self.changes[-1][1] != now:
            self.changes.append((boottime(), now))
        return now

    def settled_since(self):
        return self.changes[-1][0] if self.changes and self.changes[-1][1] else None

    def back_after(self, start):
        """From `start` until it was shared again for the first time, in seconds; None if it never stopped."""
        broken = False
        for at, now in self.changes:
            if now and broken:
                return (at - start) / NS
            broken |= not now
        return None


class Run:
    def __init__(self, options, folder, say):
        self.options, self.say, self.world = options, say, World(options, folder)
        self.started = time.monotonic()
        self.out = open(options.out, "w", encoding="utf-8") if options.out else None
        self.logs, self.series, self.faults = {}, {}, []
        self.excused = {}                  # worker -> times in which it kept its share alone
        self.chapter = None                # when the measured time began
        self.enough = False                # no further fault

    def write(self, **line):
        if self.out:
            self.out.write(json.dumps(line) + "\n")
            self.out.flush()

    def elapsed(self):
        return time.monotonic() - self.started

    def everything(self):
        """All that there is to do, and the verdict: what is wrong, in words; nothing if all is well."""
        world = self.world
        self.write(event="start", seed=self.options.seed, minutes=self.options.minutes, ttl_ms=self.options.ttl_ms,
                   faults=sorted(self.options.faults), at_ns=boottime(), wall=time.time(), commit=commit(),
                   kinds={name: {"what": kind.what, "promise": kind.promise, "subject": kind.subject}
                          for name, kind in kinds.KINDS.items()},
                   limits={name: {"policy": policy, "permits": permits, "burst": burst, "languages": languages}
                           for name, policy, permits, burst, languages, _ in SHAPE})
        world.start(SHAPE)
        self.say(f"three brokers, {len(world.clients)} clients, "
                 + ", ".join(f"{limit.name} in partition {limit.partition}" for limit in world.limits)
                 + f"; ready after {self.elapsed():.0f} s")
        for limit in world.limits:
            self.series[limit] = Series(limit)
        self.chapter = boottime()
        wrong = []
        self.quiet(3)
        try:
            for found in self.each_fault():
                wrong += found
                if wrong and not self.options.go_on:
                    break
        except Failure as failure:
            wrong.append(str(failure))
        except Exception:  # pylint: disable=broad-except    # the harness itself: what was admitted so far is looked at all the same
            wrong.append(traceback.format_exc())
        self.finish_chapter(boottime() - FLUSH_NS)
        return wrong + self.whole_run()

    def each_fault(self):
        """Injects one after the other, as long as there is time: what was wrong each time."""
        for number, drawn, draw in draw_plan(self.options.seed, self.options.faults, self.options.together):
            left = 60 * self.options.minutes - self.elapsed()
            if self.enough or left < min(kinds.KINDS[name].seconds for name in self.options.faults):
                break
            if left >= max(kind.seconds for kind in drawn):
                yield self.inject(number, drawn, draw)
        if not self.options.faults:
            self.quiet(60 * self.options.minutes - self.elapsed())

    def quiet(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.world.look()
            time.sleep(LOOK_S)

    def inject(self, number, drawn, draw):
        """-> what was wrong."""
        world, start = self.world, boottime()
        watches = [Watch(limit) for limit in world.limits]
        ticks = {client: dict(client.worker.ticks[-1]["denied_by"]) for client in world.clients if client.worker.ticks}
        world.notes.clear()
        world.network.count()
        world.chosen.clear()
        alone, injected = [], start
        steps = {kind.name: kind.inject(world, draw) for kind in drawn}
        line = {"event": "fault", "number": number, "kinds": [kind.name for kind in drawn], "start_ns": start, "to": [],
                "load": os.getloadavg()[0]}
        try:
            holds = {name: next(step) for name, step in steps.items()}
            injected = boottime()
            alone = [client for hold in holds.values() for client in hold.alone]
            line.update(injected_ns=injected, kinds=[name for name, hold in holds.items() if hold.happened], to=[str(one) for hold in holds.values() for one in hold.to],
                        note=", ".join(hold.note for hold in holds.values() if hold.note))
            due = {name: time.monotonic() + hold.seconds for name, hold in holds.items()}
            while holds:
                self.look(watches, [client for hold in holds.values() for client in hold.away])
                time.sleep(LOOK_S)
                for name in [name for name in holds if time.monotonic() >= due[name]]:
                    hold = next(steps[name], None)
                    if hold:
                        holds[name], due[name] = hold, time.monotonic() + hold.seconds
                    else:
                        del holds[name]
            healed = boottime()
            back = {watch.limit: watch.back_after(injected) for watch in watches}
            self.recover(watches)
        except Exception as failure:  # pylint: disable=broad-except
            why = str(failure) if isinstance(failure, Failure) else repr(failure)
            self.write(**line, failure=why)
            for limit in world.limits:
                self.excuse(limit, alone, injected)
            raise Failure(f"fault {number}, {' + '.join(line['kinds'])} on {', '.join(line['to'])}: {why}") from failure
        line["packets"] = dict(zip(("forwarded", "lost", "delayed"), world.network.count()))
        line["healed_ns"], line["notes"] = healed, dict(world.notes)
        wrong = self.judge(line, watches, back, alone, ticks)
        if world.moved:
            world.find_partitions()
        return wrong

    def look(self, watches, away=()):
        self.world.look()
        return [watch.look(away) for watch in watches]

    def recover(self, watches):
        """Until every limit has been shared in full for a time-to-live on end: nothing that is shared is left from before."""
        end = time.monotonic() + RECOVERY_S
        while True:
            states = self.look(watches)
            quiet = boottime() - int(1.1 * self.world.ttl_s * NS)
            if all(states) and all(watch.settled_since() < quiet for watch in watches):
                return
            if time.monotonic() > end:
                raise Failure(f"not shared in full again within {RECOVERY_S} s: " + "; ".join(
                    self.world.describe(watch.limit) for watch in watches if not watch.settled_since()
                    or watch.settled_since() >= quiet))
            time.sleep(LOOK_S)

    def judge(self, line, watches, back, alone, ticks):
        world, wrong = self.world, []
        start, injected, healed = line["start_ns"], line["injected_ns"], line["healed_ns"]
        end = boottime() - FLUSH_NS
        self.read()
        line["end_ns"], line["limits"] = end, {}
        for watch in watches:
            limit, settled_at = watch.limit, watch.settled_since()
            excused = self.excuse(limit, alone, injected)
            look_back = start - NS * limit.burst // limit.permits - NS
            found = {"back_after_s": None if back[limit] is None else round(back[limit], 2),
                     "recovered_s": round(max(0, settled_at - healed) / NS, 2),
                     "use_during": round(self.use(limit, injected, healed), 4),
                     "use_after": round(self.use(limit, settled_at, end), 4),
                     "refused": self.refusals(limit, ticks)}
            found.update(self.excess(limit, look_back, end, excused))
            if found["excess"] > 0:
                wrong.append(f"fault {line['number']} ({' + '.join(line['kinds'])} on {', '.join(line['to'])}): {found['excess']:g} permits "
                             f"too many of {limit.name}, policy {limit.policy}")
            line["limits"][limit.name] = found
        if line["kinds"]:
            self.write(**line)
            self.faults.append(line)
        figures = "; ".join(
            f"{name}: excess {found['excess']:g}" + (f" (kept alone: {len(found['kept_alone'])} processes, on top {found['excess_with_kept']:g})" if found["kept_alone"] else "")
            + f", use {found['use_during']:.2f}/{found['use_after']:.2f}"
            + (f", back {found['back_after_s']} s" if found["back_after_s"] is not None else "")
            + f", recovered {found['recovered_s']} s" for name, found in line["limits"].items())
        notes = "".join(f", {name} {value}" for name, value in line["notes"].items())
        self.say(f"#{line['number']} {' + '.join(line['kinds'])} on {', '.join(line['to'])}{' ' + line['note'] if line['note'] else ''} "
                 f"for {(healed - injected) / NS:.1f} s: {figures}{notes}")
        self.finish_chapter(end)
        return wrong

    # Measuring

    def read(self):
        for limit in self.world.limits:
            for worker in limit.fleet.workers:
                self.logs.setdefault(worker, Admissions(worker.file)).read()

    def logs_of(self, limit):
        return [(worker, self.logs[worker]) for worker in limit.fleet.workers]

    def use(self, limit, start, end):
        admitted = sum(permits for _, log in self.logs_of(limit) for _, permits in log.between(start, end))
        return admitted / (limit.permits * max(end - start, 1) / NS)

    def refusals(self, limit, before):
        """By what they rested on, of the lasting clients since `before` (those started since count from zero)."""
        total = {}
        for client in limit.clients:
            now = client.worker.ticks[-1]["denied_by"] if client.worker.ticks else {}
            then = before.get(client, {}) if client.worker and sum(now.values()) >= sum(before.get(client, {}).values()) else {}
            for name, count in now.items():
                total[name] = total.get(name, 0) + count - then.get(name, 0)
        return {name: count for name, count in total.items() if count}

    def excuse(self, limit, alone, injected):
        """Notes when clients that were cut off alone used what they kept: {worker: (times, its own share then)}."""
        excused = {}
        if limit.policy != "keep_share":
            return excused
        for client in limit.clients:
            if client in alone and client.worker:
                ticks = list(client.worker.ticks)
                times = kept_alone(ticks, injected)
                if times:
                    # The share that it kept is what it reported last before it kept, or less.
                    share = own_share([tick for tick in ticks if injected - NS <= tick["at"] <= (times[1] or tick["at"])] or ticks[-1:])
                    excused[client.worker] = (times, share)
                    self.excused.setdefault(client.worker, []).append(times)
        return excused

    def excess(self, limit, start, end, excused):
        """Certain excess of one stretch of time: of all but what was kept alone; and of that, beyond each one's own share."""
        pieces = {worker: log.bytes(start, end) for worker, log in self.logs_of(limit)}
        charged = [without(piece, [excused[worker][0]]) if worker in excused else piece for worker, piece in pieces.items()]
        found = check(limit.fleet.limit, charged, self.world.folder)
        result = {"excess": found["excess"], "worst_window": found["worst_window"], "kept_alone": {}, "excess_with_kept": found["excess"]}
        if excused:
            result["excess_with_kept"] = check(limit.fleet.limit, pieces.values(), self.world.folder)["excess"]
        for worker, ((begun, ended), share) in excused.items():
            log = self.logs[worker]
            alone = check(share, [log.bytes(begun, ended or end)], self.world.folder)
            result["kept_alone"][f"{worker.number}-{worker.language}"] = {
                "share_per_s": share["permits"] / 1000, "burst": share["burst"], "admitted": alone["admitted"],
                "seconds": round(((ended or end) - begun) / NS, 2), "excess": alone["excess"], "from_ns": begun, "to_ns": ended}
            result["excess"] = max(result["excess"], alone["excess"])
        return result

    def finish_chapter(self, end):
        """Writes the seconds up to `end`, and forgets what no later measurement looks at."""
        self.read()
        end = end // NS * NS
        for limit, series in self.series.items():
            names = {}
            for worker, log in self.logs_of(limit):
                client = next((client for client in limit.clients if worker in client.workers), None)
                names.setdefault(str(client) if client else "others", []).append((log, self.excused.get(worker, [])))
            for row in series.rows(names, self.chapter // NS * NS, end):
                self.write(**row)
        self.chapter = end
        for limit in self.world.limits:
            for _, log in self.logs_of(limit):
                log.forget(end - 20 * NS)
        for client in self.world.clients:
            if client.worker:
                del client.worker.ticks[:-20]

    def whole_run(self):
        """The last word: every window of every length, over the whole run."""
        wrong, line = [], {"event": "end", "at_ns": boottime(), "faults": len(self.faults), "limits": {}}
        for limit in self.world.limits:
            pieces = []
            for worker in limit.fleet.workers:
                if os.path.exists(worker.file):
                    with open(worker.file, "rb") as file:
                        data = file.read()
                    data = data[:len(data) // 24 * 24]
                    pieces.append(without(data, self.excused[worker]) if worker in self.excused else data)
            found = check(limit.fleet.limit, pieces, self.world.folder)
            line["limits"][limit.name] = {"excess": found["excess"], "admitted": found["admitted"], "worst_window": found["worst_window"],
                                          "use": round(found.get("utilisation", 0), 4)}
            if found["excess"] > 0:
                wrong.append(f"over the whole run: {found['excess']:g} permits too many of {limit.name}, policy {limit.policy}, in a window "
                             f"of {found['worst_window']['length_ns'] / NS:.3f} s that began at {found['worst_window']['start_ns']} ns")
        self.write(**line)
        self.say("whole run: " + "; ".join(f"{name}: excess {found['excess']:g}, {found['admitted']} admitted, use {found['use']:.3f}"
                                           for name, found in line["limits"].items()))
        return wrong

    def stop(self):
        self.world.stop()
        if self.out:
            self.out.close()
