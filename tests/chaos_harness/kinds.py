"""What a kind of fault is, and the table of all kinds. Each is a function in the file of its subject (faults_*.py).

    @kind("kill-client", "kill -9 of clients", seconds=14)
    def kill_client(world, draw):
        ...inject it...
        yield Hold(6, to=[...])      what was done to whom; the harness waits, watches, and comes back
        ...heal it...                (or do the next thing, and yield again)

`draw` is a random.Random of this injection alone: the seed decides everything but who leads a partition at that moment.
"""
from dataclasses import dataclass, field

KINDS = {}


@dataclass
class Hold:
    """An injected fault: how long it lasts, and what the measurement must know."""
    seconds: float
    to: list                                     # names, for people
    away: list = field(default_factory=list)     # clients that cannot take part: the others are looked at
    alone: list = field(default_factory=list)    # clients that are cut off while others are not: keep_share lets them go on
    note: str = ""
    happened: bool = True                        # False: there was nothing to do, and nothing to count


@dataclass
class Kind:
    name: str
    what: str
    subject: str          # of SUBJECTS
    seconds: float        # what it takes, roughly, with its recovery
    promise: str
    inject: object
    beside: set           # of these subjects another kind may come at the same time


SUBJECTS = {"clients", "network", "brokers", "topic"}
ALONE = frozenset()


def kind(name, what, seconds, promise="no excess", beside=frozenset(SUBJECTS)):
    def add(function):
        subject = function.__module__.removeprefix("faults_")
        KINDS[name] = Kind(name, what, subject, seconds, promise, function, beside - {subject})
        return function
    return add
