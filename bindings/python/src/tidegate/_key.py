"""Keys: what decides."""
import time
from ctypes import c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, List, NoReturn, Optional, Sequence, Tuple, Type, Union

from . import _abi, _accelerate, _line
from ._decision import Decision, exceeded
from ._enums import Status
from ._errors import TidegateError, key_error
from ._native import longest_stay
from ._numbers import uint64
from ._observe import KeyStatus
from ._reservation import Reservation
from ._time import Duration, nanoseconds

if TYPE_CHECKING:
    from ._limiter import Limiter

# What a key stands for: a value, or the dimensions of a context that its limiter asks for.
Value = Union[str, Tuple[Tuple[str, str], ...]]

# Names that are looked up on every call.
_try_acquire = _abi.key_try_acquire
_ONE = c_uint64(1)

if TYPE_CHECKING or _accelerate.MODULE is None:
    class _Numbered:
        """Holds a key's id."""

        __slots__ = ("_id",)
        _id: c_uint64

    _number = c_uint64
else:
    _Numbered, _number = _accelerate.MODULE.Key, int

# No key ever has this id: the library answers STALE. So a closed key costs the open ones no check.
_CLOSED = _number(0)


class Key(_Numbered):
    """One scope value of a limiter, such as a tenant; made by `Limiter.key`. Hold it, and decide with it.

    Any method may be called from any thread. A forked child gets ForkedError.
    """

    __slots__ = ("_limiter", "_value", "_lines", "__weakref__")

    def __init__(self, limiter: "Limiter", value: Value, number: int) -> None:
        self._id = _number(number)
        self._limiter = limiter
        self._value = value
        self._lines: _line.Lines = {}

    @property
    def value(self) -> Value:
        """The value; of `key_in` the dimensions that count, sorted, each with its value."""
        return self._value

    @property
    def limiter(self) -> "Limiter":
        return self._limiter

    def try_acquire(self, permits: int = 1) -> Decision:
        """Takes `permits` now or not at all: true when granted. Never waits.

        An ordinary no is no exception: `decision.status` is DENIED or NEVER.
        """
        decision = Decision()
        status = _try_acquire(self._id, _ONE if permits == 1 else c_uint64(uint64(permits, "permits")), decision)
        if status < 0:
            raise self._error(status)
        return decision

    def acquire(self, permits: int = 1, timeout: Optional[Duration] = None) -> Decision:
        """Takes `permits`, waiting for them up to `timeout` (None: as long as it takes) behind those who came earlier.

        Raises RateLimitExceeded when the time passed first, or when the limit can never grant so many at once; nothing
        is taken then. Blocks this thread only. In the main thread it looks after signals four times a second, for which
        it gives up its place in the queue.
        """
        count = c_uint64(uint64(permits, "permits"))
        left = _abi.FOREVER if timeout is None else nanoseconds(timeout, "timeout")
        left = min(left, self._limiter._max_wait_ns)
        longest = longest_stay()
        deadline = time.monotonic_ns() + left
        decision = Decision()
        while True:
            status = _abi.key_acquire(self._id, count, min(left, longest), decision._as_parameter_)
            if status != Status.TIMED_OUT or left <= longest:
                break
            left = max(deadline - time.monotonic_ns(), 0)
        if status < 0:
            raise self._error(status)
        if status:
            raise exceeded(decision, permits, self._what())
        return decision

    async def acquire_async(self, permits: int = 1, timeout: Optional[Duration] = None) -> Decision:
        """The same for asyncio: the event loop goes on, no thread is used, and a cancelled wait takes nothing.

        Those who wait in one event loop are served in their order. Threads that wait in `acquire`, and any
        `try_acquire`, go before them.
        """
        left = None if timeout is None else nanoseconds(timeout, "timeout")
        return await _line.acquire(self, permits, left)

    def reserve(self, permits: int = 1, max_wait: Duration = 0) -> Reservation:
        """Takes `permits` to be settled or cancelled later, or a place in line if they can be expected within `max_wait`.

        Never waits: poll the reservation when its decision says. False when there is neither.
        """
        ticket, decision = c_uint64(), Decision()
        count, most = uint64(permits, "permits"), nanoseconds(max_wait, "max_wait")
        status = _abi.key_reserve(self._id, count, most, ticket, decision._as_parameter_)
        if status < 0:
            raise self._error(status)
        return Reservation(self, ticket.value, decision)

    def peek(self) -> Decision:
        """What `try_acquire` of one permit would find, without taking it."""
        decision = Decision()
        status = _abi.key_peek(self._id, decision._as_parameter_)
        if status < 0:
            raise self._error(status)
        return decision

    def status(self) -> KeyStatus:
        """The key as this process sees it. May wait half a second for the background thread: not for the hot path."""
        raw = _abi.KeyStatus(struct_size=_abi.SIZES[_abi.KeyStatus])
        status = _abi.key_status(self._id, raw)
        if status < 0:
            raise self._error(status)
        return KeyStatus._of(raw)

    def release(self) -> None:
        """Gives the key back: its share returns to the fleet. ClosedError if it was already."""
        if self._limiter._handle.is_forked():
            raise self._error(Status.FORKED)
        number = self._id
        self._id = _CLOSED
        status = _abi.key_release(number) if self._limiter._forget(self) else Status.STALE
        if status < 0:
            raise self._error(status)

    def close(self) -> None:
        """Gives the key back, if that was not done."""
        try:
            self.release()
        except TidegateError:
            pass

    @property
    def is_closed(self) -> bool:
        return not self._id

    def _what(self) -> str:
        return f"key {self._value!r} of limiter {self._limiter.name!r}"

    def _error(self, status: int) -> TidegateError:
        return key_error(status, self._what())

    def __enter__(self) -> "Key":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tidegate.Key cannot be pickled: pass its value, and ask a limiter for the key there")

    def __repr__(self) -> str:
        return f"<tidegate.Key {self._value!r} of {self._limiter.name!r}{' closed' if self.is_closed else ''}>"


def try_acquire_each(keys: Sequence[Key], permits: int = 1) -> List[Decision]:
    """`try_acquire` of each key in one call, each decided by itself: cheaper where there are many.

    A failure, such as a closed key, is in its decision and raises nothing.
    """
    status, decisions = _decide_each(keys, uint64(permits, "permits"))
    if status < 0:
        raise key_error(status, "a batch of keys")
    return decisions


def _decide_each(keys: Sequence[Key], asked: int) -> Tuple[int, List[Decision]]:
    count = len(keys)
    try:
        ids = (c_uint64 * count)(*[key._id.value for key in keys])
    except AttributeError:
        raise TypeError("keys must be tidegate.Key objects") from None
    decisions = (Decision * count)()
    status = _abi.keys_try_acquire(ids, (c_uint64 * count)(*[asked] * count), count, decisions)
    return status, list(decisions)


if _accelerate.MODULE is not None:
    # The methods above stay what answers whatever is odd about a call: the accelerator asks them.
    _functions = (_abi.key_try_acquire, _abi.limiter_try_acquire, _abi.keys_try_acquire)
    _accelerate.MODULE.connect(Decision, Key.try_acquire, *(_abi.address(function) for function in _functions))
    setattr(Key, "try_acquire", _accelerate.MODULE.Key.try_acquire)
    _decide_each = _accelerate.MODULE.keys_try_acquire
