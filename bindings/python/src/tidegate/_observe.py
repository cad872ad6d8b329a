"""What runtimes and keys say about themselves: copies, in Python's units. Times are seconds."""
from dataclasses import dataclass, fields
from typing import NamedTuple, Optional

from . import _abi
from ._enums import Basis, HealthState, Storage
from ._numbers import FULL
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
    """Counters of a runtime. They only grow, but for keys, keys_idle, waiting, partitions_followed, sessions_valid and
    what is said of a snapshot."""

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
    keys_idle: int
    """Buckets of local limits that no key stands for and that are not full again yet: remembered."""
    permits_shadowed: int
    """Of the refused, those that a limit in shadow mode let pass."""
    sessions_lost_while_valid: int
    """Of the sessions lost, while this process's clock said they were valid: a clock or a machine stood still."""
    digests_compared: int
    snapshots_written: int
    snapshots_restored: int
    """Snapshots that this process started from."""
    snapshot_age: Optional[float]
    """Seconds since the newest snapshot of a partition, the oldest of all. None: none known."""
    snapshot_offset: int
    """The offset that it stands for."""
    resets: int
    """Times a partition was declared empty, because nothing was left of its state and nobody was there."""

    @classmethod
    def _of(cls, raw: _abi.Metrics) -> "Metrics":
        known = {field.name: getattr(raw, field.name) for field in fields(cls) if field.name != "snapshot_age"}
        return cls(snapshot_age=raw.snapshot_age_ms / 1000 or None, **known)


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
    pace: float
    """What of its rate it refills with now: less than 1.0 where it follows a lag or outcomes."""

    @classmethod
    def _of(cls, raw: _abi.KeyStatus) -> "KeyStatus":
        return cls(
            Basis(raw.basis), raw.rate_micro / 10**6, raw.burst, raw.share_rate_micro / 10**6, raw.share_burst,
            raw.remaining, raw.granted, raw.refused, raw.processes or None, raw.waiting, raw.pace_ppm / FULL,
        )
