"""What runtimes and keys say about themselves: copies, in Python's units. Times are seconds."""
from dataclasses import dataclass, fields
from typing import NamedTuple, Optional

from . import _abi
from ._enums import Basis, HealthState, Storage
from ._time import seconds


class Health(NamedTuple):
    """How well a runtime is."""

    state: HealthState
    message: str
    """A sentence: what is wrong, and what decisions rest on now."""

    @property
    def is_ok(self) -> bool:
        return self.state == HealthState.OK


@dataclass(frozen=True)
class StorageInfo:
    """What the storage knows about itself. None: not known yet."""

    storage: Storage
    is_shared: bool
    """Other processes share it."""
    is_persistent: bool
    """It outlives the processes."""
    partitions: Optional[int]
    replication: Optional[int]
    append_p50: Optional[float]
    """Seconds from append to acknowledgement, median of the last 1024."""
    append_p99: Optional[float]
    ack_age: Optional[float]
    """Seconds since the last acknowledgement."""

    @classmethod
    def _of(cls, raw: _abi.StorageInfo) -> "StorageInfo":
        return cls(
            Storage(raw.backend), bool(raw.is_shared), bool(raw.is_persistent), raw.partitions or None,
            raw.replication or None, seconds(raw.append_p50_ns) or None, seconds(raw.append_p99_ns) or None,
            None if raw.ack_age_ns == _abi.FOREVER else seconds(raw.ack_age_ns),
        )


@dataclass(frozen=True)
class Metrics:
    """Counters of a runtime. All but keys, waiting, partitions_followed and sessions_valid only grow, those of permits
    over the live keys."""

    keys: int
    permits_granted: int
    permits_refused: int
    permits_allowed: int
    """Of the granted, those without any share, in an outage, under the policy `allow`."""
    waiting: int
    """Calls of `Key.acquire` that wait now."""
    partitions_followed: int
    sessions_valid: int
    """Partitions in which this process's shares are valid now."""
    records_sent: int
    records_resent: int
    records_read: int
    records_refused: int
    sessions_lost: int
    evictions_sent: int
    digest_mismatches: int
    gaps: int

    @classmethod
    def _of(cls, raw: _abi.Metrics) -> "Metrics":
        return cls(*(getattr(raw, field.name) for field in fields(cls)))


@dataclass(frozen=True)
class KeyStatus:
    """One key as this process sees it. Rates are permits per second."""

    basis: Basis
    """Of a decision now."""
    rate: float
    """Of the limit, for the whole fleet."""
    burst: int
    share_rate: float
    """This process's share of the rate."""
    share_burst: int
    """This process's share of the burst, rounded down."""
    remaining: int
    """Permits left in the share now, rounded down."""
    granted: int
    """Permits granted by this process."""
    refused: int
    """Permits refused by this process."""
    processes: Optional[int]
    """Processes that hold or want something of it. None: not known yet."""
    waiting: int
    """Calls of `Key.acquire` that wait now, in this process."""

    @classmethod
    def _of(cls, raw: _abi.KeyStatus) -> "KeyStatus":
        return cls(
            Basis(raw.basis), raw.rate_micro / 10**6, raw.burst, raw.share_rate_micro / 10**6, raw.share_burst,
            raw.remaining, raw.granted, raw.refused, raw.processes or None, raw.waiting,
        )
