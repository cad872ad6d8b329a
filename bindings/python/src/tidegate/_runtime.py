"""Runtimes."""
import atexit
import json
import threading
import weakref
from ctypes import byref, c_int32, c_void_p
from functools import partial
from types import TracebackType
from typing import Any, Dict, Iterator, Mapping, NoReturn, Optional, Sequence, Type

from . import _abi, _config, _tier
from ._clock import ManualClock
from ._config import Property
from ._enums import HealthState, Status
from ._errors import ClosedError, StorageError
from ._events import Event, Listeners
from ._limit import Limit
from ._limiter import Limiter
from ._native import Handle, call, encode, log, quietly, text
from ._observe import Health, Metrics, StorageInfo
from ._tier import Tier
from ._time import Duration, nanoseconds

_open: "weakref.WeakSet[Runtime]" = weakref.WeakSet()


class Runtime:
    """Storage, background thread and clock; usually one per process.

    `config` holds properties by name: Tidegate's own, and librdkafka's passed through unchanged. Empty: limits of this
    process alone. Opening never waits for Kafka and does not fail when no broker answers; `health()` says how it goes.
    Equal configurations share one native runtime. With a `clock`, which needs local limits, time is what that says.

    Any method may be called from any thread. Closed by `close()`, at the end of a `with` block, or when the program
    ends. A forked child cannot use it (`ForkedError`) but may open its own.
    """

    def __init__(self, config: Optional[Mapping[str, Property]] = None, *, clock: Optional[ManualClock] = None) -> None:
        if not isinstance(config, (Mapping, type(None))):
            raise TypeError(f"a configuration is a dict of properties, not {type(config).__name__}")
        if not isinstance(clock, (ManualClock, type(None))):
            raise TypeError(f"clock must be a tidegate.ManualClock, not {type(clock).__name__}")
        native = c_void_p(_abi.config_create())
        try:
            _config.fill(native, config or {})
            shown, pointer = c_void_p(), c_void_p()
            call(_abi.config_describe, native, byref(shown))
            self._described = text(shown)
            if clock is None:
                call(_abi.runtime_open, native, byref(pointer))
            else:
                call(_abi.runtime_open_with_clock, native, clock._pointer, byref(pointer))
        finally:
            _abi.config_free(native)
        self._handle = Handle(pointer, "the runtime")
        self._listeners = Listeners(self._handle)
        self._lock = threading.RLock()
        self._limiters: "weakref.WeakSet[Limiter]" = weakref.WeakSet()
        # Collected without being closed: its goodbye is sent, but nobody waits for it inside the garbage collector.
        weakref.finalize(self, self._handle.close, partial(quietly, _closer(0))).atexit = False
        _open.add(self)

    def limiter(self, name: str, limit: Optional[Limit] = None, *, tiers: Sequence[Tier] = ()) -> Limiter:
        """A limiter of one limit, or of several `tiers` that are kept at once: all of them give, or none does.

        Every process that makes one of this name, with the same tiers in the same order, on the same topic shares it.
        """
        if (limit is None) != bool(tiers):
            raise TypeError("a limiter has either a limit or tiers")
        encoded, pointer = encode(name, "a limiter's name"), c_void_p()
        if limit is None:
            several, limits = _tier.native(tiers), [tier.limit for tier in tiers]
            with self._handle.use() as runtime:
                call(_abi.limiter_create_tiers, runtime, encoded, len(encoded), several, len(several), byref(pointer))
        elif not isinstance(limit, Limit):
            raise TypeError(f"limit must be a tidegate.Limit, not {type(limit).__name__}")
        else:
            native, limits = limit._native(), [limit]
            with self._handle.use() as runtime:
                call(_abi.limiter_create, runtime, encoded, len(encoded), byref(native), byref(pointer))
        dimensions = frozenset(tier.scope for tier in tiers if tier.scope is not None)
        limiter = Limiter(self, name, pointer, limits, dimensions)
        with self._lock:
            self._limiters.add(limiter)
            closed = not self._handle.is_open
        if closed:
            limiter.close()
            raise ClosedError("the runtime was closed", Status.CLOSED)
        return limiter

    @property
    def config(self) -> str:
        """The effective configuration, one "name = value" a line, with secrets hidden."""
        return self._described

    @property
    def is_closed(self) -> bool:
        return not self._handle.is_open

    def health(self) -> Health:
        """How well it is; HealthState.CLOSED after `close()`."""
        state, message = c_int32(), c_void_p()
        try:
            with self._handle.use() as runtime:
                call(_abi.runtime_health, runtime, byref(state), byref(message))
        except ClosedError as closed:
            return Health(HealthState.CLOSED, str(closed))
        return Health(HealthState(state.value), text(message))

    def storage_info(self) -> StorageInfo:
        """What the storage knows about itself."""
        raw = _abi.StorageInfo(struct_size=_abi.SIZES[_abi.StorageInfo])
        with self._handle.use() as runtime:
            call(_abi.runtime_storage_info, runtime, byref(raw))
        return StorageInfo._of(raw)

    def metrics(self) -> Metrics:
        """Counters. Visits every live key: about a millisecond for ten thousand."""
        raw = _abi.Metrics(struct_size=_abi.SIZES[_abi.Metrics])
        with self._handle.use() as runtime:
            call(_abi.runtime_metrics, runtime, byref(raw))
        return Metrics._of(raw)

    def snapshot(self) -> Dict[str, Any]:
        """Health, storage and metrics as the library's own JSON object, parsed."""
        pointer = c_void_p()
        with self._handle.use() as runtime:
            call(_abi.runtime_snapshot, runtime, byref(pointer))
        parsed: Dict[str, Any] = json.loads(text(pointer))
        return parsed

    def next_event(self, timeout: Optional[Duration] = None) -> Optional[Event]:
        """The next event of its limits, waited for up to `timeout` (None: as long as it takes); None if there was none.

        Each event is given out once; of those that nobody takes the newest 4096 are kept. Pressure ends while somebody
        waits here, or with the next grant. Blocks this thread only; ClosedError when the runtime is closed.
        """
        return self._listeners.next(_abi.FOREVER if timeout is None else nanoseconds(timeout, "timeout"))

    def events(self) -> Iterator[Event]:
        """Each event as it comes, until the runtime is closed."""
        while True:
            try:
                event = self.next_event()
            except ClosedError:
                return
            if event is not None:
                yield event

    def close(self, timeout: Duration = 5.0) -> None:
        """Closes its limiters and itself: shares return to the fleet at once, and threads that wait are woken.

        Waits at most about `timeout` for the log to confirm the goodbye. StorageError if it did not: closed all the
        same, but others get the shares only after `ttl.ms`. A second call does nothing.
        """
        give_back = _closer(nanoseconds(timeout, "timeout"))
        if self._handle.is_forked():
            return
        with self._lock:
            limiters = list(self._limiters)
        for limiter in limiters:
            limiter.close()
        self._listeners.leave()
        self._handle.close(give_back)

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        _close_quietly(self, 5.0)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tidegate.Runtime cannot be pickled: pass its configuration and open one where it is used")

    def __repr__(self) -> str:
        return f"<tidegate.Runtime {'closed' if self.is_closed else 'open'}>"


def _closer(timeout_ns: int) -> Any:
    return lambda pointer: call(_abi.runtime_close, pointer, timeout_ns)


def _close_quietly(runtime: Runtime, timeout: float) -> None:
    # An unconfirmed goodbye harms nobody: at the end of a block it must not hide what the block did.
    try:
        runtime.close(timeout)
    except StorageError as why:
        log.warning("%s", why)


@atexit.register
def _close_all() -> None:
    for runtime in list(_open):
        _close_quietly(runtime, 2.0)
