"""A limit: plain data, which may be pickled, compared and kept in settings."""
import copy
from dataclasses import dataclass
from typing import Optional

from . import _abi
from ._enforcement import ENFORCEMENTS, Enforcement, HardLimit, Throttling
from ._enums import LimitKind, Outage, Status
from ._errors import ArgumentError
from ._numbers import integer, uint64
from ._time import SECOND, Duration, literal, nanoseconds

_HARD = HardLimit()


@dataclass(frozen=True, init=False, repr=False)
class Limit:
    """A token bucket: `permits` per `per` on average, at most `burst` at once, for the whole fleet.

    `per`: seconds, a `timedelta` or `Nanoseconds`. `burst`: as many as `permits` if not given. `on_outage`: as the
    property `on.outage` says if not given. `enforcement`: what happens where it is reached. `shadow`: it decides and
    counts, and refuses nothing. Its numbers are checked when a limiter is made of it.
    """

    permits: int
    per_ns: int
    burst: Optional[int]
    on_outage: Outage
    kind: LimitKind
    enforcement: Enforcement
    shadow: bool

    def __init__(
        self, permits: int, per: Duration = 1, burst: Optional[int] = None, on_outage: Outage = Outage.DEFAULT, *,
        enforcement: Enforcement = _HARD, shadow: bool = False,
    ) -> None:
        if not isinstance(enforcement, ENFORCEMENTS):
            raise TypeError(f"enforcement must be such as tidegate.HardLimit(), not {enforcement!r}")
        put = object.__setattr__
        put(self, "permits", integer(permits, "permits"))
        put(self, "per_ns", nanoseconds(per, "per"))
        put(self, "burst", None if burst is None else integer(burst, "burst"))
        put(self, "on_outage", Outage(on_outage))
        put(self, "kind", LimitKind.TOKEN_BUCKET)
        put(self, "enforcement", enforcement)
        put(self, "shadow", bool(shadow))

    @classmethod
    def sliding_window(
        cls, permits: int, per: Duration = 1, burst: Optional[int] = None, on_outage: Outage = Outage.DEFAULT, *,
        enforcement: Enforcement = _HARD, shadow: bool = False,
    ) -> "Limit":
        """A sliding window: at most `permits` in any `per`, wherever it begins.

        Without other processes all of them may come at once. Shared ones keep it by a token bucket of `burst`, a tenth
        of `permits` if not given, that refills permits - burst + 1 per period.
        """
        limit = cls(permits, per, burst, on_outage, enforcement=enforcement, shadow=shadow)
        object.__setattr__(limit, "kind", LimitKind.SLIDING_WINDOW)
        return limit

    @property
    def per(self) -> float:
        """The period in seconds."""
        return self.per_ns / SECOND

    @property
    def _max_wait_ns(self) -> int:
        return self.enforcement.max_wait_ns if isinstance(self.enforcement, Throttling) else _abi.FOREVER

    def _native(self) -> _abi.Limit:
        burst = 0 if self.burst is None else uint64(self.burst, "burst")
        if self.burst == 0:
            raise ArgumentError("burst is 0; leave it out for the one that goes with `permits`", Status.ARGUMENT)
        raw = _abi.Limit(
            struct_size=_abi.SIZES[_abi.Limit], kind=int(self.kind), permits=uint64(self.permits, "permits"),
            period_ns=self.per_ns, burst=burst, on_outage=int(self.on_outage),
            mode=_abi.MODE_SHADOW if self.shadow else _abi.MODE_ENFORCE,
        )
        self.enforcement._put(raw)
        return raw

    def _with_numbers(self, other: "Limit") -> "Limit":
        """This limit after `set_limit`: its behaviour, the other's numbers."""
        made = copy.copy(self)
        vars(made).update(permits=other.permits, per_ns=other.per_ns, burst=other.burst)
        return made

    def __repr__(self) -> str:
        made = "Limit" if self.kind == LimitKind.TOKEN_BUCKET else f"Limit.{self.kind.name.lower()}"
        parts = [f"permits={self.permits}", f"per={literal(self.per_ns)}", f"burst={self.burst}"]
        if self.on_outage != Outage.DEFAULT:
            parts.append(f"on_outage=Outage.{self.on_outage}")
        if self.enforcement != _HARD:
            parts.append(f"enforcement={self.enforcement!r}")
        if self.shadow:
            parts.append("shadow=True")
        return f"{made}({', '.join(parts)})"
