"""What limits have to say beyond their decisions."""
import threading
import time
from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Optional, Set, Tuple

from . import _abi
from ._enums import EventKind, Status
from ._native import Handle, call

# How long a thread is in the library at once. The library wakes nobody who waits there when the runtime is closed: the
# handle that it waits with must be idle for that. So it comes back now and then, and the main thread for signals, too.
_NAP_NS = 100 * 10**6
# How long closing waits for those threads to leave. Beyond, the last of them closes.
_LEAVE_S = 1.0


@dataclass(frozen=True)
class Event:
    """Something that a limit has to say."""

    kind: EventKind
    limiter: str
    """The name of the limiter."""
    tier: int
    """The index of the tier; `Limiter.tier_names` has its name."""
    value: str
    """The scope value of the bucket, "" for what concerns all of them."""
    dropped: int
    """Events before this one that were dropped because nobody took them."""

    @classmethod
    def _of(cls, pointer: c_void_p) -> "Event":
        """The event behind the pointer, which is freed."""
        try:
            return cls(
                EventKind(_abi.event_kind(pointer)), _abi.event_limiter(pointer).decode("utf-8", "replace"),
                _abi.event_tier(pointer), _abi.event_value(pointer).decode("utf-8", "replace"),
                _abi.event_dropped(pointer),
            )
        finally:
            _abi.event_free(pointer)


class Listeners:
    """The threads that wait for an event of one runtime, and how they leave before it is closed."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._closing = False
        self._present: Set[Tuple[int, threading.Event]] = set()

    def next(self, timeout_ns: int) -> Optional[Event]:
        deadline = time.monotonic_ns() + timeout_ns
        me = (threading.get_ident(), threading.Event())
        # Before the look at `_closing`: either it is seen here, or this thread by the one that closes.
        self._present.add(me)
        try:
            while True:
                pointer = c_void_p()
                with self._handle.use() as runtime:
                    if self._closing:
                        self._handle.refuse()
                    status = call(_abi.runtime_next_event, runtime, min(timeout_ns, _NAP_NS), byref(pointer))
                if status == Status.OK:
                    return Event._of(pointer)
                if timeout_ns <= _NAP_NS:
                    return None
                timeout_ns = max(deadline - time.monotonic_ns(), 0)
        finally:
            self._present.discard(me)
            me[1].set()

    def leave(self) -> None:
        """Sends them away, and waits until they have left."""
        self._closing = True
        for thread, has_left in list(self._present):
            # A signal handler of a thread that listens cannot wait for itself.
            if thread != threading.get_ident():
                has_left.wait(_LEAVE_S)
