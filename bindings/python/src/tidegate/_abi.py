"""The C ABI as ctypes sees it: the structs and functions of include/tidegate.h, and nothing that decides."""
import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int32, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any, List

from . import _accelerate, _load

PATH, _waiting, _quick = _load.load()
_missing: List[str] = []

FOREVER = 2**64 - 1
MODE_ENFORCE, MODE_SHADOW = 0, 1
TIERS_MAX, SCOPES_MAX = 8, 64


class Limit(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("kind", c_uint32), ("permits", c_uint64), ("period_ns", c_uint64),
        ("burst", c_uint64), ("on_outage", c_uint32), ("mode", c_uint32), ("enforcement", c_uint32),
        ("breaker_threshold", c_uint32), ("max_wait_ns", c_uint64), ("open_for_ns", c_uint64),
    ]


class Tier(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("reserved", c_uint32), ("name", c_char_p), ("name_len", c_uint64),
        ("scope", c_char_p), ("scope_len", c_uint64), ("limit", POINTER(Limit)), ("weight", c_uint64),
    ]


class Scope(Structure):
    _fields_ = [
        ("dimension", c_char_p), ("dimension_len", c_uint64), ("value", c_char_p), ("value_len", c_uint64),
    ]


class Decision(Structure):
    # Private names: `tidegate.Decision` inherits from this, or from the accelerator's like, and offers them as properties.
    __slots__ = ()
    _fields_ = [
        ("_retry_after_ns", c_uint64), ("_remaining", c_uint64), ("_status", c_int32), ("_tier", c_uint16),
        ("_basis", c_uint16),
    ]

    def __bool__(self) -> bool:
        return not self._status

    @property
    def _as_parameter_(self) -> "Decision":
        return self


class KeyStatus(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("basis", c_uint32), ("rate_micro", c_uint64), ("burst", c_uint64),
        ("share_rate_micro", c_uint64), ("share_burst", c_uint64), ("remaining", c_uint64), ("granted", c_uint64),
        ("refused", c_uint64), ("processes", c_uint32), ("waiting", c_uint32), ("pace_ppm", c_uint32),
        ("reserved", c_uint32),
    ]


class Adaptive(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("floor_ppm", c_uint32), ("step_ppm", c_uint32), ("cut_ppm", c_uint32),
        ("every_ns", c_uint64),
    ]


class StorageInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("backend", c_uint32), ("is_shared", c_uint32), ("is_persistent", c_uint32),
        ("partitions", c_uint32), ("replication", c_uint32), ("append_p50_ns", c_uint64), ("append_p99_ns", c_uint64),
        ("ack_age_ns", c_uint64),
    ]


class Metrics(Structure):
    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32)] + [
        (name, c_uint64)
        for name in (
            "keys", "permits_granted", "permits_refused", "permits_allowed", "waiting", "partitions_followed",
            "sessions_valid", "records_sent", "records_resent", "records_read", "records_refused", "sessions_lost",
            "evictions_sent", "digest_mismatches", "gaps", "keys_idle", "permits_shadowed", "sessions_lost_while_valid",
            "digests_compared", "snapshots_written", "snapshots_restored", "snapshot_age_ms", "snapshot_offset",
            "resets",
        )
    ]


# The layout of ABI 1; the tests compare it with what a C compiler makes of the header.
SIZES = {
    Limit: 64, Tier: 56, Scope: 32, Decision: 24, KeyStatus: 80, Adaptive: 24, StorageInfo: 48, Metrics: 200,
}
for _struct, _size in SIZES.items():
    if ctypes.sizeof(_struct) != _size:
        raise _load.LibraryError(f"{_struct.__name__} has {ctypes.sizeof(_struct)} bytes on this platform, not {_size}")


def _function(name: str, result: Any, *arguments: Any, library: ctypes.CDLL = _waiting) -> Any:
    try:
        # By index: an attribute would be one object for the whole process, whose types others could change.
        function = library["tidegate_" + name]
    except AttributeError:
        _missing.append("tidegate_" + name)
        return None
    function.restype, function.argtypes = result, arguments
    return function


_out = POINTER(c_void_p)
# The accelerator's decisions are no structs of ctypes; `_as_parameter_` says where they are. ctypes asks for that itself, but
# only after it has tried everything else.
_decision = POINTER(Decision) if _accelerate.MODULE is None else c_void_p

version = _function("version", c_char_p)
features = _function("features", c_uint64)

error_status = _function("error_status", c_int32, c_void_p)
error_message = _function("error_message", c_char_p, c_void_p)
error_is_retriable = _function("error_is_retriable", c_int32, c_void_p)
error_free = _function("error_free", None, c_void_p)

text_data = _function("text_data", c_char_p, c_void_p)
text_free = _function("text_free", None, c_void_p)

config_create = _function("config_create", c_void_p)
config_set = _function("config_set", c_int32, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, _out)
config_describe = _function("config_describe", c_int32, c_void_p, _out, _out)
config_free = _function("config_free", None, c_void_p)

runtime_open = _function("runtime_open", c_int32, c_void_p, _out, _out)
runtime_open_with_clock = _function("runtime_open_with_clock", c_int32, c_void_p, c_void_p, _out, _out)
runtime_close = _function("runtime_close", c_int32, c_void_p, c_uint64, _out)
runtime_storage_info = _function("runtime_storage_info", c_int32, c_void_p, POINTER(StorageInfo), _out)
runtime_health = _function("runtime_health", c_int32, c_void_p, POINTER(c_int32), _out, _out)
runtime_metrics = _function("runtime_metrics", c_int32, c_void_p, POINTER(Metrics), _out)
runtime_snapshot = _function("runtime_snapshot", c_int32, c_void_p, _out, _out)
runtime_next_event = _function("runtime_next_event", c_int32, c_void_p, c_uint64, _out, _out)
runtime_wake = _function("runtime_wake", c_int32, c_void_p)

event_kind = _function("event_kind", c_uint32, c_void_p)
event_limiter = _function("event_limiter", c_char_p, c_void_p)
event_tier = _function("event_tier", c_uint32, c_void_p)
event_value = _function("event_value", c_char_p, c_void_p)
event_dropped = _function("event_dropped", c_uint64, c_void_p)
event_free = _function("event_free", None, c_void_p)

limiter_create = _function("limiter_create", c_int32, c_void_p, c_char_p, c_size_t, POINTER(Limit), _out, _out)
limiter_set_limit = _function("limiter_set_limit", c_int32, c_void_p, POINTER(Limit), c_uint64, _out)
limiter_create_tiers = _function(
    "limiter_create_tiers", c_int32, c_void_p, c_char_p, c_size_t, POINTER(Tier), c_uint32, _out, _out
)
limiter_set_tier_limit = _function(
    "limiter_set_tier_limit", c_int32, c_void_p, c_uint32, POINTER(Limit), c_uint64, _out
)
limiter_tier_count = _function("limiter_tier_count", c_uint32, c_void_p)
limiter_tier_name = _function("limiter_tier_name", c_char_p, c_void_p, c_uint32)
limiter_key_in = _function("limiter_key_in", c_int32, c_void_p, POINTER(Scope), c_uint32, POINTER(c_uint64), _out)
limiter_free = _function("limiter_free", None, c_void_p)
limiter_key = _function("limiter_key", c_int32, c_void_p, c_char_p, c_size_t, POINTER(c_uint64), _out)
limiter_pause_on_lag = _function("limiter_pause_on_lag", c_int32, c_void_p, c_uint64, c_uint64, _out)
limiter_slow_on_lag = _function("limiter_slow_on_lag", c_int32, c_void_p, c_uint64, c_uint64, c_uint32, _out)
limiter_observe_lag = _function("limiter_observe_lag", c_int32, c_void_p, c_uint64, _out)
limiter_watch_lag = _function(
    "limiter_watch_lag", c_int32, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_uint32, c_uint64, _out
)
limiter_adapt = _function("limiter_adapt", c_int32, c_void_p, POINTER(Adaptive), _out)
limiter_observe_outcome = _function("limiter_observe_outcome", c_int32, c_void_p, c_int32, _out)

clock_create = _function("clock_create", c_void_p)
clock_advance = _function("clock_advance", None, c_void_p, c_uint64)
clock_free = _function("clock_free", None, c_void_p)

# These never wait, so they keep the interpreter lock: giving it up and taking it again costs more than the call,
# and beside a thread that computes it makes the average call take 1.5 to 2 times as long (measured, 3.11 and 3.13).
key_try_acquire = _function("key_try_acquire", c_int32, c_uint64, c_uint64, _decision, library=_quick)
key_peek = _function("key_peek", c_int32, c_uint64, _decision, library=_quick)
limiter_try_acquire = _function(
    "limiter_try_acquire", c_int32, c_void_p, c_char_p, c_size_t, c_uint64, _decision, library=_quick
)
limiter_try_acquire_in = _function(
    "limiter_try_acquire_in", c_int32, c_void_p, POINTER(Scope), c_uint32, c_uint64, _decision, library=_quick
)
keys_try_acquire = _function(
    "keys_try_acquire", c_int32, POINTER(c_uint64), POINTER(c_uint64), c_uint32, _decision, library=_quick
)
key_reserve = _function(
    "key_reserve", c_int32, c_uint64, c_uint64, c_uint64, POINTER(c_uint64), _decision, library=_quick
)
ticket_poll = _function("ticket_poll", c_int32, c_uint64, _decision, library=_quick)
ticket_cancel = _function("ticket_cancel", c_int32, c_uint64, library=_quick)
ticket_settle = _function("ticket_settle", c_int32, c_uint64, c_uint64, library=_quick)
headers_format = _function(
    "headers_format", c_int32, c_char_p, c_size_t, POINTER(Limit), _decision, _out, _out, library=_quick
)
key_acquire = _function("key_acquire", c_int32, c_uint64, c_uint64, c_uint64, _decision)
key_status = _function("key_status", c_int32, c_uint64, POINTER(KeyStatus))
key_release = _function("key_release", c_int32, c_uint64)


def address(function: Any) -> int:
    return ctypes.cast(function, c_void_p).value or 0


if _missing:
    raise _load.missing(PATH, _missing)
