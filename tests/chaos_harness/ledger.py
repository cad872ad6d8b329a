"""What all runs of the chaos harness have shown, kept: docs/internals/reliability.jsonl, which tests/chaos_report adds to.

Three kinds of lines, each of an object: `shape` (the limits and the kinds of faults as the newest run had them), `run`, and `fault`
for each injection, under its run. The whole file is written anew from what stands in it and what is added, always in the same order,
so that the same run twice counts once, and a run that is read again after it went on counts with all it has.

Nothing is dropped by itself. To drop a run, delete the lines that name it, and write the page anew:

    sed -i '/"run": "1f0c9a52"/d' docs/internals/reliability.jsonl && tests/chaos_report
"""
import hashlib
import json
import os
import re
import statistics
import time

NS = 1_000_000_000
WORDS = 200                  # so much of what went wrong is kept; the rest is in what the run itself left
MEASURED = ("excess", "back_after_s", "recovered_s", "use_during", "use_after", "refused")


class Malformed(Exception):
    """A line that is not what was written: nothing is counted, and nothing is left out, without a word."""


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                if not isinstance(line, dict) or not isinstance(line.get("event"), str):
                    raise ValueError("not an object that names an event")
            except ValueError as error:
                raise Malformed(f"{path}:{number}: {error}: {text.strip()[:60]!r}") from None
            yield number, line


def read_run(path):
    """A file that tests/chaos --out wrote -> its lines."""
    lines = [line for _, line in lines_of(path)]
    if not lines or lines[0]["event"] != "start":
        raise Malformed(f"{path}:1: a run begins with its start")
    if any(line["event"] == "start" for line in lines[1:]):
        raise Malformed(f"{path}: two runs in one file")
    return lines


def name_of(start):
    """The same for the same run, and for no other: its start holds the clocks of that moment."""
    return hashlib.sha256(json.dumps(start, sort_keys=True).encode()).hexdigest()[:8]


def fault_line(name, fault):
    line = {"event": "fault", "run": name, "number": fault["number"], "kinds": fault["kinds"]}
    if "load" in fault:
        line["load"] = round(fault["load"], 1)
    to = (fault.get("to") or [""])[0]
    leads = re.findall(r"leads (\w+)", to)
    line.update({"leads": leads} if leads else {}, **({"controller": True} if "controller" in to else {}))
    if "failure" in fault:
        line["failure"] = fault["failure"][:WORDS]
    if "limits" not in fault:
        return line
    line["seconds"] = round((fault["end_ns"] - fault["start_ns"]) / NS, 1)
    line["limits"] = {limit: {what: found[what] for what in MEASURED} for limit, found in fault["limits"].items()}
    for limit, found in fault["limits"].items():
        if found["excess_with_kept"] != found["excess"]:
            line["limits"][limit]["excess_with_kept"] = found["excess_with_kept"]
    crowd = {what: round(value, 1) for what, value in fault.get("notes", {}).items() if what.startswith("crowd_")}
    return {**line, **crowd}


def run_line(name, lines):
    start, faults = lines[0], [line for line in lines if line["event"] == "fault"]
    end = next((line for line in lines if line["event"] == "end"), None)
    line = {"event": "run", "run": name, "date": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(start["wall"])),
            "commit": start.get("commit", "unknown"), "seed": str(start["seed"]), "ttl_ms": start["ttl_ms"],
            "minutes": round((max((each.get("end_ns", 0) for each in faults), default=0) or start["at_ns"]) / NS / 60 - start["at_ns"] / NS / 60, 1),
            "faults": len(faults)}
    loads = [fault["load"] for fault in faults if "load" in fault]
    line.update({"load": round(statistics.median(loads), 1)} if loads else {})
    if end:
        line["excess"] = {limit: found["excess"] for limit, found in end["limits"].items()}
        line["admitted"] = {limit: found["admitted"] for limit, found in end["limits"].items()}
    else:
        # It was ended from outside, or by a failure: what it admitted as a whole nobody has looked at.
        line["broken_off"] = True
        line["admitted"] = {limit: sum(sum(each["admitted"].values()) for each in lines if each["event"] == "second" and each["limit"] == limit)
                            for limit in start["limits"]}
    return line


class Ledger:
    """All runs, the oldest first."""

    def __init__(self, path):
        self.path, self.shape, self.runs, self.faults = path, None, {}, {}
        if os.path.exists(path):
            self.read()

    def read(self):
        for number, line in lines_of(self.path):
            where, event = f"{self.path}:{number}", line["event"]
            name = line.get("run")
            if event == "shape" and not self.shape:
                self.shape = line
            elif event == "run" and name not in self.runs:
                self.runs[name], self.faults[name] = line, []
            elif event == "fault" and name in self.runs:
                self.faults[name].append(line)
            else:
                raise Malformed(f"{where}: a {event} of run {name} that does not belong here")
        for name, run in self.runs.items():
            numbers = {fault["number"] for fault in self.faults[name]}
            if len(numbers) != len(self.faults[name]) or len(numbers) != run["faults"]:
                raise Malformed(f"{self.path}: run {name} had {run['faults']} injections, {len(self.faults[name])} stand here: "
                                "a run is kept or dropped as a whole")
        if self.runs and not self.shape:
            raise Malformed(f"{self.path}: no shape")

    def add(self, lines):
        """Counts a run, once; returns its name. What was read of it before it went on is replaced, and never by less."""
        start = lines[0]
        name = name_of(start)
        try:
            faults = [fault_line(name, line) for line in lines if line["event"] == "fault"]
            run = run_line(name, lines)
        except KeyError as missing:
            raise Malformed(f"run {name}, seed {start.get('seed')}: a line without {missing}") from None
        known = self.runs.get(name)
        if known and (known["faults"], "broken_off" not in known) > (run["faults"], "broken_off" not in run):
            return name
        same = ("policy", "permits", "burst")
        limits = {limit: {what: numbers[what] for what in same} for limit, numbers in start["limits"].items()}
        if self.shape and {limit: {what: numbers[what] for what in same} for limit, numbers in self.shape["limits"].items()} != limits:
            raise Malformed(f"run {name} has other limits than the runs so far: it cannot be counted with them")
        self.runs[name], self.faults[name] = run, faults
        if self.newest() == name:
            self.shape = {"event": "shape", "limits": start["limits"], "kinds": start["kinds"]}
        return name

    def newest(self):
        return max(self.runs, key=lambda name: (self.runs[name]["date"], name))

    def write(self):
        """All or nothing."""
        beside = self.path + ".new"
        with open(beside, "w", encoding="utf-8") as out:
            for line in [self.shape, *(line for name in sorted(self.runs, key=lambda name: (self.runs[name]["date"], name))
                                       for line in [self.runs[name], *self.faults[name]])]:
                out.write(json.dumps(line) + "\n")
        os.replace(beside, self.path)
