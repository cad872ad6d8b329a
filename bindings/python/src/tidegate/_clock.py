"""Time that a test moves."""
import weakref

from . import _abi
from ._time import Duration, nanoseconds


class ManualClock:
    """Time that stands still until it is told to advance: an application tests its own limits without sleeping.

    `Runtime(config, clock=clock)`. Any method may be called from any thread.
    """

    def __init__(self) -> None:
        self._pointer = _abi.clock_create()
        weakref.finalize(self, _abi.clock_free, self._pointer).atexit = False

    def advance(self, time: Duration) -> None:
        """Moves the clock forward by seconds, or a timedelta. Calls that wait meanwhile wait in real time."""
        _abi.clock_advance(self._pointer, nanoseconds(time, "time"))
