"""One rate limit shared by many processes through Kafka, decided locally.

    import tidegate

    with tidegate.Runtime({"bootstrap.servers": "localhost:9092"}) as runtime:
        limiter = runtime.limiter("orders", tidegate.Limit(permits=1000, per=1.0, burst=2000))
        key = limiter.key("tenant-1")
        if key.try_acquire():
            ...

Without "bootstrap.servers" limits hold for this process alone.
"""
from . import _abi, _accelerate
from ._clock import ManualClock
from ._decision import Decision
from ._enforcement import Backpressure, CircuitBreaker, Enforcement, HardLimit, Throttling
from ._enums import Basis, EventKind, Feature, HealthState, LagUnit, LimitKind, Outage, Status, Storage
from ._errors import (
    ArgumentError,
    CapacityError,
    ClosedError,
    ConfigError,
    ForkedError,
    InternalError,
    RateLimitExceeded,
    StorageError,
    TidegateError,
)
from ._events import Event
from ._headers import headers
from ._key import Key, try_acquire_each
from ._limit import Limit
from ._limiter import Limiter
from ._load import ABI_VERSION, LibraryError
from ._observe import Health, KeyStatus, Metrics, StorageInfo
from ._reservation import Reservation
from ._runtime import Runtime
from ._tier import Tier
from ._time import Duration, Nanoseconds

__version__ = "0.1.0"

LIBRARY_PATH: str = _abi.PATH
"""The file that was loaded, or the name that the system's loader resolved."""
ACCELERATED: bool = _accelerate.MODULE is not None
"""Whether decisions are made by the accelerator; else by ctypes, which answers the same and takes longer."""
LIBRARY_VERSION: str = _abi.version().decode()
FEATURES: Feature = Feature(_abi.features())
"""What this build of the library can do."""

# What a traceback calls them is where programs find them.
for _error in (
    ArgumentError, CapacityError, ClosedError, ConfigError, ForkedError, InternalError, LibraryError, RateLimitExceeded,
    StorageError, TidegateError,
):
    _error.__module__ = __name__
del _error

__all__ = [
    "ABI_VERSION", "ACCELERATED", "ArgumentError", "Backpressure", "Basis", "CapacityError", "CircuitBreaker",
    "ClosedError", "ConfigError", "Decision", "Duration", "Enforcement", "Event", "EventKind", "Feature", "FEATURES",
    "ForkedError", "HardLimit", "headers", "Health", "HealthState", "InternalError", "Key", "KeyStatus", "LagUnit",
    "LIBRARY_PATH", "LIBRARY_VERSION", "LibraryError", "Limit", "Limiter", "LimitKind", "ManualClock", "Metrics",
    "Nanoseconds", "Outage", "RateLimitExceeded", "Reservation", "Runtime", "Status", "Storage", "StorageError",
    "StorageInfo", "Throttling", "TidegateError", "Tier", "try_acquire_each",
]
