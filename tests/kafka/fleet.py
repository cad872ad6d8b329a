"""A fleet of workers (tests/workers) on one limit of a real cluster, and what they did: the instrument of the tests here."""
import array
import functools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOON_S = 60          # what takes seconds has happened by then, or never will
TIDEGATE = os.path.join(ROOT, "target", "release", "tidegate")

# How the worker of each language is started; built by tests/run before.
WORKERS = {
    "rust": [TIDEGATE, "worker"],
    "c": [os.path.join(ROOT, "target", "c", "worker")],
    "python": [sys.executable, os.path.join(ROOT, "tests", "workers", "worker.py")],
    "dotnet": [os.environ.get("TIDEGATE_TEST_DOTNET", "dotnet"),
               os.path.join(ROOT, "tests", "workers", "dotnet", "bin", "Release", "net10.0", "Worker.dll")],
}


# In front of a worker's command: a /dev/shm of its own, as on another host. Nobody there can see whether it lives.
ELSEWHERE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c",
             'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]


def cannot_be_elsewhere():
    """Why no worker can run as on another host, or None."""
    done = subprocess.run(ELSEWHERE + ["true"], capture_output=True, text=True, check=False)
    return f"no mount namespace here: {done.stderr.strip()}" if done.returncode else None


def boottime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Late(AssertionError):
    """A figure of time that was missed."""


def in_time(holds, what):
    if not holds:
        raise Late(what)


def twice_if_late(test):
    """Another program may have had the machine for a while: what has to happen in time has a second try. Nothing else has."""
    @functools.wraps(test)
    def tried(*args, **kwargs):
        try:
            test(*args, **kwargs)
        except Late as late:
            with kwargs["capsys"].disabled():
                print(f"\n   late, once more: {late}", flush=True)
            test(*args, **kwargs)
    return tried


class Worker:
    """One process. `ticks` are its JSON lines, each with the time when it came (`at`, CLOCK_BOOTTIME in ns)."""

    def __init__(self, fleet, number, language, options, extra, enter=None, keeps_diary=False):
        self.number, self.language = number, language
        self.file = os.path.join(fleet.folder, f"admissions-{number}-{language}")
        arguments = [text for name, values in options.items() for value in (values if isinstance(values, list) else [values])
                     for text in (f"--{name.replace('_', '-')}", str(value))]
        arguments += [] if "no_record" in extra else ["--out", self.file]
        arguments += [f"--{name.replace('_', '-')}" for name in extra if name != "elsewhere"]
        environment = dict(os.environ, LD_LIBRARY_PATH=os.path.join(ROOT, "target", "release"))
        self.errors = tempfile.TemporaryFile("w+")
        command = (ELSEWHERE if "elsewhere" in extra else []) + WORKERS[language]
        self.process = subprocess.Popen(command + arguments, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=environment, preexec_fn=enter, start_new_session=bool(enter))
        self.events, self.ticks, self.done, self.lines = queue.Queue(), [], None, []
        self.diary = open(self.file + ".jsonl", "w", encoding="utf-8") if keeps_diary else None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            event = json.loads(line)
            event["at"] = boottime()
            if self.diary:
                self.diary.write(json.dumps(event) + "\n")
            if event["event"] == "tick":
                self.ticks.append(event)
            elif event["event"] == "done":
                self.done = event
            self.events.put(event)

    def trouble(self):
        self.errors.seek(0)
        return f"{self.language} worker {self.number}: {self.errors.read()[-2000:]} {list(self.events.queue)[-3:]}"

    def printed(self):
        """All that it wrote, but for its admissions."""
        self.errors.seek(0)
        return self.errors.read() + "".join(self.lines)

    def admissions(self):
        """When (CLOCK_BOOTTIME in ns), and how many permits."""
        with open(self.file, "rb") as file:
            numbers = array.array("Q", file.read()[: os.path.getsize(self.file) // 24 * 24])
        return zip(numbers[1::3], numbers[2::3])

    def admitted(self, start, end):
        """Permits between two times."""
        return sum(permits for at, permits in self.admissions() if start <= at < end)

    def last(self, name, default=0):
        return self.ticks[-1][name] if self.ticks else default

    def until(self, what, condition, timeout=SOON_S):
        """Waits for a tick for which `condition` holds; returns it."""
        seen, end = 0, time.monotonic() + timeout
        while True:
            for tick in self.ticks[seen:]:
                seen += 1
                if condition(tick):
                    return tick
            if self.process.poll() is not None and seen == len(self.ticks) and not self.reader.is_alive():
                raise AssertionError(f"ended before {what}: {self.trouble()}")
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what}: {self.trouble()}")
            time.sleep(0.01)

    def signal(self, what):
        self.process.send_signal(what)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self, timeout=SOON_S):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code


class Fleet:
    """Workers that share one limit. `with Fleet(kafka.bootstrap, permits=1000, burst=2000) as fleet:`

    `keep_diaries`: what each worker printed stays in a file beside its admissions, for a run that is looked at later.
    """

    def __init__(self, bootstrap, permits, burst, period_ms=1000, ttl_ms=3000, folder=None, keep_diaries=False, **options):
        self.folder = tempfile.mkdtemp(prefix="tidegate-fleet-", dir=folder)
        self.workers, self.keep_diaries = [], keep_diaries
        self.limit = {"permits": permits, "period_ms": period_ms, "burst": burst}
        name = f"test-{os.getpid()}-{os.path.basename(self.folder)}"
        self.options = {"bootstrap_servers": bootstrap, "topic": "rate-limiter-state", "limiter": name, "key": "k",
                        **self.limit, "ttl_ms": ttl_ms, "seconds": 0, **options}

    def start(self, count=1, language="rust", extra=(), enter=None, **options):
        """`enter` is what the processes do first, before they become workers: move to another machine."""
        options = {name: value for name, value in {**self.options, **options}.items() if value is not None}
        # With as many brokers as a test has; the default of three copies would be refused on one.
        options.setdefault("set", "replication.factor=auto")
        new = [Worker(self, len(self.workers) + n, language, options, extra, enter, self.keep_diaries) for n in range(count)]
        self.workers += new
        return new

    def stop(self):
        """Ends all workers cleanly; the admissions stay."""
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            worker.wait()

    def check(self):
        """The worst of all windows over what all workers admitted: `tidegate check`."""
        files = [worker.file for worker in self.workers if os.path.exists(worker.file)]
        limit = [text for name, value in self.limit.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        done = subprocess.run([TIDEGATE, "check", "--json", *limit, *files], capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise AssertionError(f"tidegate check: {done.stderr}")
        return json.loads(done.stdout)

    def admissions(self):
        """What was admitted, by worker: when (CLOCK_BOOTTIME in ns), and how many permits."""
        for worker in self.workers:
            yield from worker.admissions()

    def use(self, start, end):
        """What was admitted between two times, as a part of what the rate allows in that time."""
        admitted = sum(worker.admitted(start, end) for worker in self.workers)
        return admitted / (self.limit["permits"] * (end - start) / (self.limit["period_ms"] * 1e6))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
