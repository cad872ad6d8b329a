"""What limits have to say beyond their decisions."""
import threading
import time
from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Optional, Set, Tuple

from . import _abi
from ._enums import EventKind, Status
from ._native import Handle, call, longest_stay

# How long closing waits for threads that listen to leave, and how soon it wakes again who was just on the way to listen.
# Beyond, the last of them closes.
_LEAVE_S = 1.0
_WAKE_AGAIN_S = 0.01


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
        longest = longest_stay()
        # Before the look at `_closing`: either it is seen here, or this thread by the one that closes.
        self._present.add(me)
        try:
            while True:
                pointer = c_void_p()
                with self._handle.use() as runtime:
                    if self._closing:
                        self._handle.refuse()
                    status = call(_abi.runtime_next_event, runtime, min(timeout_ns, longest), byref(pointer))
                if status == Status.OK:
                    return Event._of(pointer)
                # Nothing came in time, or somebody was woken who closes: who else waits goes on.
                timeout_ns = deadline - time.monotonic_ns()
                if timeout_ns <= 0:
                    return None
        finally:
            self._present.discard(me)
            me[1].set()

    def leave(self) -> None:
        """Sends them away, and waits until they have left."""
        self._closing = True
        deadline = time.monotonic() + _LEAVE_S
        for thread, has_left in list(self._present):
            # A signal handler of a thread that listens cannot wait for itself.
            while thread != threading.get_ident() and time.monotonic() < deadline:
                with self._handle.use() as runtime:
                    _abi.runtime_wake(runtime)
                if has_left.wait(_WAKE_AGAIN_S):
                    break
