"""Limiters, and the keys that they hold."""
import threading
import weakref
from ctypes import byref, c_uint64, c_void_p
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, NoReturn, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _abi, _accelerate, _throttle, _tier
from ._decision import Decision
from ._errors import key_error
from ._enums import Status
from ._key import Key, Value
from ._limit import Limit
from ._native import Handle, call, encode
from ._numbers import uint32, uint64
from ._pacing import Paced
from ._time import Duration, nanoseconds

if TYPE_CHECKING:
    from ._runtime import Runtime

_F = TypeVar("_F", bound=Callable[..., Any])

# Answers with None where there is something to say in words.
_try_acquire: Optional[Callable[["Handle", str, int], Optional[Decision]]] = None
if _accelerate.MODULE is not None:
    _try_acquire = _accelerate.MODULE.limiter_try_acquire


class Limiter(Paced):
    """A named limit that many processes share; made by `Runtime.limiter`.

    Any method may be called from any thread. It and its keys are closed by `close()`, with the runtime, or when nothing
    refers to them any more.
    """

    def __init__(
        self, runtime: "Runtime", name: str, pointer: c_void_p, limits: Sequence[Limit], dimensions: FrozenSet[str]
    ) -> None:
        # A reference, so that the runtime stays open as long as this can be used.
        self._runtime = runtime
        self._name, self._limit, self._dimensions = name, limits[0], dimensions
        # Waits that this package cuts into pieces have to end in all when one that is not would.
        self._max_wait_ns = min(limit._max_wait_ns for limit in limits)
        self._handle = Handle(pointer, f"limiter {name!r}")
        self._lock = threading.RLock()
        self._keys: Dict[Value, Key] = {}
        # The same keys as numbers: what is left to give back when limiter and keys are collected together.
        self._ids: Dict[Value, int] = {}
        weakref.finalize(self, _give_all_back, self._handle, self._ids).atexit = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def limit(self) -> Limit:
        """Of the first tier, as this process said or changed it."""
        return self._limit

    @property
    def is_closed(self) -> bool:
        return not self._handle.is_open

    def key(self, value: str = "") -> Key:
        """The key of a scope value, such as a tenant's name. Each value has a bucket of its own.

        The same object for the same value until it is closed, so that asking for it per request is cheap and right. It
        is held until then: close keys that are idle if their number grows without end. CapacityError when `keys.max`
        keys are live.
        """
        key = self._keys.get(value)
        if key is not None:
            return key
        encoded = encode(value, "a key's value")
        return self._new_key(value, _abi.limiter_key, encoded, len(encoded))

    def key_in(self, **context: str) -> Key:
        """The key of a context, such as `key_in(topic="orders", consumer="billing")`: what the tiers' scopes ask for.

        The same object for the same context until it is closed. ArgumentError that names the dimension when one is
        missing, so that no limit is skipped in silence; one that no tier asks for is left alone.
        """
        # No text, which could be a value of `key()`; and only what is asked for, which else would be held for ever.
        value = tuple(sorted(pair for pair in context.items() if pair[0] in self._dimensions))
        key = self._keys.get(value)
        return key if key is not None else self._new_key(value, _abi.limiter_key_in, *_tier.scopes(context))

    def _new_key(self, value: Value, function: Any, *arguments: Any) -> Key:
        number = c_uint64()
        with self._handle.use() as limiter, self._lock:
            known = self._keys.get(value)
            if known is not None:
                return known
            call(function, limiter, *arguments, byref(number))
            key = Key(self, value, number.value)
            self._ids[value] = number.value
            self._keys[value] = key
            return key

    def try_acquire(self, value: str, permits: int = 1) -> Decision:
        """Takes `permits` under a value now or not at all, without a key: for values that come once.

        A value that a key stands for is the same bucket. What is idle and full again is forgotten by itself.
        CapacityError when `keys.max` buckets are in use.
        """
        if _try_acquire is not None:
            quick = _try_acquire(self._handle, value, permits)
            if quick is not None:
                return quick
        encoded, decision, count = encode(value, "a key's value"), Decision(), uint64(permits, "permits")
        with self._handle.use() as limiter:
            status = _abi.limiter_try_acquire(limiter, encoded, len(encoded), count, decision._as_parameter_)
        return decision if status >= 0 else self._fail(status, asked=count, value=value)

    def try_acquire_in(self, permits: int = 1, **context: str) -> Decision:
        """The same in a context, as for `key_in`."""
        (scopes, count), decision, asked = _tier.scopes(context), Decision(), uint64(permits, "permits")
        with self._handle.use() as limiter:
            status = _abi.limiter_try_acquire_in(limiter, scopes, count, asked, decision._as_parameter_)
        return decision if status >= 0 else self._fail(status, asked=asked, value=context)

    def _fail(self, status: int, asked: int, value: Union[str, Dict[str, str]]) -> NoReturn:
        # A decision fails with a number only. Making a key fails for the same reason, and in words.
        if asked and status in (Status.ARGUMENT, Status.CAPACITY):
            number = c_uint64()
            with self._handle.use() as limiter:
                if isinstance(value, str):
                    encoded = encode(value, "a key's value")
                    call(_abi.limiter_key, limiter, encoded, len(encoded), byref(number))
                else:
                    call(_abi.limiter_key_in, limiter, *_tier.scopes(value), byref(number))
            _abi.key_release(number)
        raise key_error(status, f"{value!r} of limiter {self._name!r}")

    @property
    def tier_names(self) -> Tuple[str, ...]:
        """The names of its tiers: what `Decision.tier` counts. A plain limiter has one, of its own name."""
        with self._handle.use() as limiter:
            count = _abi.limiter_tier_count(limiter)
            return tuple(_abi.limiter_tier_name(limiter, tier).decode() for tier in range(count))

    def set_tier_limit(self, tier: int, limit: Limit, timeout: Duration = 5.0) -> None:
        """`set_limit` of one tier, counted from 0."""
        self._set(limit, timeout, _abi.limiter_set_tier_limit, uint32(tier, "tier"))

    def set_limit(self, limit: Limit, timeout: Duration = 5.0) -> None:
        """Gives the limit other numbers, for the whole fleet: every process switches where it reads the change in the log.

        Waits at most about `timeout` until every partition has it; StorageError if that was not confirmed: it will be,
        when the log answers. What else `limit` could say stays at its default, and what this limiter does as it was:
        `on_outage`, `enforcement` and `shadow` are each process's own.
        """
        self._set(limit, timeout, _abi.limiter_set_limit)

    def _set(self, limit: Limit, timeout: Duration, function: Any, *tier: int) -> None:
        native, most = limit._native(), nanoseconds(timeout, "timeout")
        with self._handle.use() as limiter:
            call(function, limiter, *tier, byref(native), most)
        if not any(tier):
            self._limit = self._limit._with_numbers(limit)

    def throttle(
        self, key: Union[str, Callable[..., str]] = "", *, permits: int = 1, timeout: Optional[Duration] = None
    ) -> Callable[[_F], _F]:
        """A decorator: each call of the function, or of the coroutine function, first acquires `permits`.

        `key`: a scope value, or a function that makes it from the call's arguments. RateLimitExceeded when `timeout`
        passes first; None waits as long as it takes.
        """
        return _throttle.decorator(self, key, permits, timeout)

    def close(self) -> None:
        """Gives back its keys and itself. A second call does nothing."""
        if self._handle.is_forked():
            return
        with self._lock:
            keys = list(self._keys.values())
            # First, so that no new key comes after those that are closed below.
            self._handle.close(_abi.limiter_free)
        for key in keys:
            key.close()

    def _forget(self, key: Key) -> bool:
        """Takes the key out; false if it was out already."""
        with self._lock:
            if self._keys.get(key.value) is not key:
                return False
            del self._keys[key.value], self._ids[key.value]
            return True

    def __enter__(self) -> "Limiter":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a tidegate.Limiter cannot be pickled: pass its name and its tidegate.Limit, and make one where it is used"
        )

    def __repr__(self) -> str:
        return f"<tidegate.Limiter {self._name!r} {self._limit}{' closed' if self.is_closed else ''}>"


def _give_all_back(handle: Handle, ids: Dict[Value, int]) -> None:
    if handle.is_open:
        for number in ids.values():
            _abi.key_release(number)
    handle.close(_abi.limiter_free)
