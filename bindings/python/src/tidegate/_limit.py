"""A limit: plain data, which may be pickled, compared and kept in settings."""
import operator
from dataclasses import dataclass
from typing import Optional

from . import _abi
from ._enums import Outage, Status
from ._errors import ArgumentError
from ._time import SECOND, Duration, nanoseconds


@dataclass(frozen=True, init=False, repr=False)
class Limit:
    """`permits` per `per` (seconds, a `timedelta` or `Nanoseconds`), at most `burst` at once, for the whole fleet.

    `burst`: as many as `permits` if not given. `on_outage`: as the property `on.outage` says if not given.
    Its numbers are checked when a limiter is made of it.
    """

    permits: int
    per_ns: int
    burst: Optional[int]
    on_outage: Outage

    def __init__(
        self, permits: int, per: Duration = 1, burst: Optional[int] = None, on_outage: Outage = Outage.DEFAULT
    ) -> None:
        put = object.__setattr__
        put(self, "permits", _integer(permits, "permits"))
        put(self, "per_ns", nanoseconds(per, "per"))
        put(self, "burst", None if burst is None else _integer(burst, "burst"))
        put(self, "on_outage", Outage(on_outage))

    @property
    def per(self) -> float:
        """The period in seconds."""
        return self.per_ns / SECOND

    def _native(self) -> _abi.Limit:
        burst = 0 if self.burst is None else uint64(self.burst, "burst")
        if self.burst == 0:
            raise ArgumentError("burst is 0; leave it out for as many as `permits`", Status.ARGUMENT)
        return _abi.Limit(
            struct_size=_abi.SIZES[_abi.Limit], kind=_abi.TOKEN_BUCKET, permits=uint64(self.permits, "permits"),
            period_ns=self.per_ns, burst=burst, on_outage=int(self.on_outage),
        )

    def __repr__(self) -> str:
        outage = "" if self.on_outage == Outage.DEFAULT else f", on_outage=Outage.{self.on_outage}"
        return f"Limit(permits={self.permits}, per={self.per:g}, burst={self.burst}{outage})"


def _integer(number: int, what: str) -> int:
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(number).__name__}") from None


def uint64(number: int, what: str, bits: int = 64) -> int:
    """The number, if it fits the border: ctypes would cut it silently."""
    number = _integer(number, what)
    if not 0 <= number < 2**bits:
        raise ArgumentError(f"{what} is {number}; it must be at least 0 and below 2**{bits}", Status.ARGUMENT)
    return number


def uint32(number: int, what: str) -> int:
    return uint64(number, what, 32)
