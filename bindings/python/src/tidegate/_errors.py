"""What is raised. Every exception survives pickling, so that a worker process can hand it to its parent."""
import math
from typing import TYPE_CHECKING, Dict, Optional, Type

from ._enums import Status

if TYPE_CHECKING:
    from ._decision import Decision


class TidegateError(Exception):
    """The base of all failures.

    `status` is the number of the C ABI, `is_retriable` says whether the same call may succeed later unchanged.
    """

    status: Status
    is_retriable: bool

    def __init__(self, message: str, status: int, is_retriable: bool = False) -> None:
        super().__init__(message, status, is_retriable)
        self.status = Status(status)
        self.is_retriable = is_retriable

    def __str__(self) -> str:
        return str(self.args[0])


class ArgumentError(TidegateError, ValueError):
    """A value is out of range or contradicts what is open."""


class ConfigError(TidegateError, ValueError):
    """A property is unknown, has no such value, or contradicts another."""


class ClosedError(TidegateError):
    """The key, limiter or runtime was closed."""


class StorageError(TidegateError):
    """Kafka refused or could not be reached."""


class CapacityError(TidegateError):
    """A named maximum was hit, such as `keys.max`."""


class ForkedError(TidegateError):
    """This process was forked from the one that opened the runtime: open one here."""


class InternalError(TidegateError):
    """A panic inside Tidegate. The runtime refuses every further call; please report it."""


class RateLimitExceeded(TidegateError):
    """The permits were not to be had in time. Nothing was taken.

    `status`: DENIED, TIMED_OUT or NEVER. `decision`: all that the library answered.
    """

    def __init__(self, message: str, decision: "Decision") -> None:
        super().__init__(message, decision.status, not math.isinf(decision.retry_after))
        self.args = (message, decision)
        self.decision = decision

    @property
    def retry_after(self) -> float:
        """Seconds until they may be had, `math.inf` if never."""
        return self.decision.retry_after


_TYPES: Dict[int, Type[TidegateError]] = {
    Status.ARGUMENT: ArgumentError,
    Status.CONFIG: ConfigError,
    Status.CLOSED: ClosedError,
    Status.STORAGE: StorageError,
    Status.CAPACITY: CapacityError,
    Status.STALE: ClosedError,
    Status.FORKED: ForkedError,
    Status.BUG: InternalError,
}

# Functions on keys fail with a number only.
_TEXTS: Dict[int, str] = {
    Status.ARGUMENT: "the number of permits is 0; ask for at least 1",
    Status.CLOSED: "{} belongs to a runtime that was closed",
    Status.CAPACITY: "too many callers wait for {}",
    Status.STALE: "{} was closed",
    Status.FORKED: "{} belongs to the process that this one was forked from; open a runtime here",
    Status.BUG: "a panic inside Tidegate; the runtime of {} refuses every further call",
}


def error(status: int, message: str, is_retriable: bool = False) -> TidegateError:
    """The exception for a negative status with a message of its own."""
    return _TYPES.get(status, TidegateError)(message, status, is_retriable)


def key_error(status: int, what: Optional[str] = None) -> TidegateError:
    """The exception for a negative status of a function on the key that `what` names."""
    return error(status, _TEXTS.get(status, "failure on {}: " + Status(status).c_name).format(what))
