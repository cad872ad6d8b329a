"""What a limit does where it is reached: plain data, as `Limit` is."""
from dataclasses import dataclass
from typing import ClassVar, Union

from . import _abi
from ._numbers import integer, uint32
from ._time import SECOND, Duration, literal, nanoseconds


@dataclass(frozen=True)
class HardLimit:
    """Refuses."""

    _number: ClassVar[int] = 0

    def _put(self, raw: _abi.Limit) -> None:
        raw.enforcement = self._number


@dataclass(frozen=True, init=False, repr=False)
class Throttling:
    """Delays: waits and reservations last `max_wait` at most, and what would take longer is refused at once."""

    max_wait_ns: int
    _number: ClassVar[int] = 1

    def __init__(self, max_wait: Duration) -> None:
        object.__setattr__(self, "max_wait_ns", nanoseconds(max_wait, "max_wait"))

    @property
    def max_wait(self) -> float:
        """In seconds."""
        return self.max_wait_ns / SECOND

    def _put(self, raw: _abi.Limit) -> None:
        raw.enforcement, raw.max_wait_ns = self._number, self.max_wait_ns

    def __repr__(self) -> str:
        return f"Throttling(max_wait={literal(self.max_wait_ns)})"


@dataclass(frozen=True)
class Backpressure:
    """Refuses, and tells `Runtime.next_event` when that begins and when half of the burst is there again."""

    _number: ClassVar[int] = 2

    def _put(self, raw: _abi.Limit) -> None:
        raw.enforcement = self._number


@dataclass(frozen=True, init=False, repr=False)
class CircuitBreaker:
    """Refuses; after `threshold` refusals in a row it is open for `open_for`, and refuses everybody unasked.

    Then one request goes through as a probe: granted, it closes; refused, it stays open for as long again.
    """

    threshold: int
    open_for_ns: int
    _number: ClassVar[int] = 3

    def __init__(self, threshold: int, open_for: Duration) -> None:
        object.__setattr__(self, "threshold", integer(threshold, "threshold"))
        object.__setattr__(self, "open_for_ns", nanoseconds(open_for, "open_for"))

    @property
    def open_for(self) -> float:
        """In seconds."""
        return self.open_for_ns / SECOND

    def _put(self, raw: _abi.Limit) -> None:
        raw.enforcement, raw.open_for_ns = self._number, self.open_for_ns
        raw.breaker_threshold = uint32(self.threshold, "threshold")

    def __repr__(self) -> str:
        return f"CircuitBreaker(threshold={self.threshold}, open_for={literal(self.open_for_ns)})"


Enforcement = Union[HardLimit, Throttling, Backpressure, CircuitBreaker]
"""What a limit does where it is reached."""
ENFORCEMENTS = (HardLimit, Throttling, Backpressure, CircuitBreaker)
