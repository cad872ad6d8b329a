"""The numbers of the C ABI by name."""
from enum import IntEnum, IntFlag
from typing import Optional


class _Named(IntEnum):
    # The name in every Python: since 3.11 an IntEnum prints as its bare number.
    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)

    @classmethod
    def _missing_(cls, value: object) -> Optional["_Named"]:
        # The numbers of an ABI are only added to: one that a newer library says must not break an older package.
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"UNKNOWN_{value}".replace("-", "MINUS_"), value
        return member


class Status(_Named):
    """How a call ended: 0 = go or done, above = an ordinary no, below = a failure, which is raised."""

    OK = 0
    DENIED = 1
    """Not now; `retry_after` says when to come back."""
    NEVER = 2
    """More permits than the limit's burst can ever hold."""
    TIMED_OUT = 3
    """The time-out passed first; nothing was taken."""
    PENDING = 4
    """Not yet: a reservation stands in line."""
    ARGUMENT = -1
    CONFIG = -2
    CLOSED = -3
    STORAGE = -4
    CAPACITY = -5
    STALE = -6
    FORKED = -7
    BUG = -100

    @property
    def c_name(self) -> str:
        """Its name in C and in every other language's documentation, such as `TIDEGATE_E_STALE`."""
        return ("TIDEGATE_" if self >= 0 else "TIDEGATE_E_") + self.name


class Basis(_Named):
    """What a decision rests on."""

    LOCAL = 0
    """A limit of this process alone."""
    SHARED = 1
    """This process's share of a limit that many processes have."""
    KEPT_SHARE = 2
    """The last share, in an outage, under the policy `keep_share`."""
    ALLOWED = 3
    """Nothing, in an outage, under the policy `allow`."""
    NO_SHARE = 4
    """There is no share yet, or no more."""
    BREAKER = 5
    """Nothing: a circuit breaker is open, and refuses unasked."""
    SHADOW = 6
    """The limit would have refused, but is in shadow mode."""


class LimitKind(_Named):
    """How a limit counts."""

    TOKEN_BUCKET = 1
    """So many per period on average, at most `burst` at once: a window of one period may see both."""
    SLIDING_WINDOW = 2
    """At most so many in any period, wherever it begins."""


class LagUnit(_Named):
    """What `Limiter.watch_lag` measures."""

    RECORDS = 1
    """Records that the group has not read."""
    MS = 2
    """The age of the oldest of them, in milliseconds."""


class EventKind(_Named):
    """What a limit has to say."""

    PRESSURE_ON = 1
    """A limit with backpressure began to refuse: slow down."""
    PRESSURE_OFF = 2
    """Half of its burst is there again: go on."""
    BREAKER_OPENED = 3
    BREAKER_HALF_OPEN = 4
    """It lets one request through."""
    BREAKER_CLOSED = 5
    PAUSED = 6
    """A consumer is too far behind: the limit does not refill."""
    RESUMED = 7
    """It refills again."""


class Outage(_Named):
    """What a limit does when the log is away."""

    DEFAULT = 0
    """As the property `on.outage` says."""
    KEEP_SHARE = 1
    """Go on with the last share."""
    DENY = 2
    """Refuse when the share could not be renewed."""
    ALLOW = 3
    """Let everything through, and count it."""


class HealthState(_Named):
    """How well a runtime is."""

    OK = 0
    """Decisions are made from shares that are renewed, or from local limits."""
    CONNECTING = 1
    """The log was not reached or read yet."""
    DEGRADED = 2
    """Something is wrong, and decisions follow the outage policy."""
    FAILED = 3
    """Sharing cannot go on until somebody acts."""
    CLOSED = 4


class Storage(_Named):
    """Where limits are shared."""

    MEMORY = 1
    """This process alone."""
    KAFKA = 2


class Feature(IntFlag):
    """What this build of the library can do."""

    KAFKA = 1
